"""Does the audit find planted shortcuts, and foresee what they cost trained networks?

Alone: python -m benchmarks.shortcuts [--data ../shared/data/sst] [--output benchmarks/results] [--cache FILE]
"""

from __future__ import annotations

import argparse
import json
import sys
import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from scipy import stats

import tangentlens as tl
from benchmarks import machine
from benchmarks.planting import CUES, Planted, flipped, plant, plant_length
from benchmarks.rivals import RIVALS, ranking
from reproduce.sheet import Row, Sheet, number, save, text
from tangentlens.data import split
from tangentlens.kernels import describe
from tangentlens.predictions.flags import Ground, flags

SHARES, PURITIES = (0.02, 0.1, 0.3), (1.0, 0.9, 0.75)
READS = {  # which cues an architecture can read
    tl.MLP(): ("token", "mark"), tl.CNN(): ("token", "mark", "bigram", "position"),
    tl.LinearRNN(): ("token", "mark", "bigram"),
}
TRAINED = (tl.MLP(activation="tanh"), tl.CNN(activation="tanh"), tl.LinearRNN(), tl.MatrixVector())
TEXTS, TRAINING, WIDTH, STEPS, SEEDS = 1500, 400, 64, 300, 1
Cell = dict[str, Any]


def data_sets(folder: Path) -> dict[str, tl.Texts]:
    """SST, on which the thresholds were fixed, and two others; a sample of TEXTS of each."""
    reviews = tl.movie_reviews()
    sets = {"SST": tl.read_texts(folder / "train.csv"), "Rotten Tomatoes": reviews[25000:], "IMDB": reviews[:25000]}
    return {name: _shortened(texts.sample(TEXTS, seed=1)) for name, texts in sets.items()}


def _shortened(texts: tl.Texts) -> tl.Texts:
    """The first 40 words of every text."""
    return tl.Texts(tuple(" ".join(one.split()[:40]) for one in texts.texts), texts.labels, texts.source)


def average_precision(ranked: list[str], wanted: set[str]) -> float:
    """Mean over the wanted of the precision at their rank; 0 for those that are not ranked.

    >>> average_precision(["a", "x", "b"], {"a", "b"})
    0.8333333333333333
    """
    places = [place for place, one in enumerate(ranked, 1) if one in wanted]
    return sum(hit / place for hit, place in enumerate(places, 1)) / len(wanted)


def precision(ranked: list[str], wanted: set[str]) -> float:
    """Precision at k, k being the number of wanted."""
    return len(set(ranked[:len(wanted)]) & wanted) / len(wanted)


def found(planted: Planted) -> list[Cell]:
    """Of one planted data set: average precision and precision at k, by method and by the architecture that reads."""
    rows = []
    for architecture, kinds in READS.items():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            audit = tl.audit(planted.texts, [architecture])
        ranked = planted.only(list(dict.fromkeys(audit.flags["cue"].to_list())))
        every = planted.only(ranked + [cue for cue in without_thresholds(audit, planted.texts) if cue not in ranked])
        wanted = {planted.names[kind] for kind in kinds}
        unread = {planted.names[kind] for kind in CUES if kind not in kinds}
        rows.append({"method": "audit", "architecture": describe(architecture),
                     "average": average_precision(every, wanted), "precision": precision(every, wanted)})
        rows.append({"method": "flags alone", "architecture": describe(architecture),
                     "average": average_precision(ranked, wanted), "precision": precision(ranked, wanted),
                     "flagged_though_unread": len(unread & set(ranked)), "flags": len(ranked),
                     "missed": [kind for kind in kinds if planted.names[kind] not in ranked]})
    for method in RIVALS:
        ranked = planted.only(ranking(method, planted.texts))
        for architecture, kinds in READS.items():
            wanted = {planted.names[kind] for kind in kinds}
            rows.append({"method": method, "architecture": describe(architecture),
                         "average": average_precision(ranked, wanted), "precision": precision(ranked, wanted)})
    return rows


def without_thresholds(audit: tl.Audit, texts: tl.Texts) -> list[str]:
    """All suspects in the order of the flags' score, however unsure."""
    rows = split(texts, 0.1, seed=0)[0]
    labels = np.asarray(texts.labels)[rows]
    ground = replace(Ground.of(audit.tokens, labels), pure=0.5, level=1.0, rests=0.0)
    found = flags(audit.architectures[0], audit.trajectories[0], ground, step=audit.trajectories[0].best)
    return list(dict.fromkeys(found["cue"].to_list()))


def lengths(texts: tl.Texts) -> list[Cell]:
    """Whether a planted length cue is flagged by an architecture that reads it, one that does not, and without it."""
    rows = []
    for share in (0.0, 0.1, 0.5):
        made = plant_length(texts, share)
        for architecture in (tl.MLP(pooling="sum"), tl.MLP()):
            rules = tl.audit(made, [architecture]).flags["rule"].to_list()
            rows.append({"share": share, "architecture": describe(architecture), "flagged": "length" in rules})
    return rows


def drops(texts: tl.Texts, share: float) -> list[Cell]:
    """Accuracy lost by predictions and by trained twins when each cue is flipped in held-out texts."""
    planted = plant(texts[:TRAINING], share, 1.0, seed=5)
    held = texts[TRAINING:TRAINING + 400]
    tokens = tl.tokenize(planted.texts)
    clean = tl.tokenize(held, vocabulary=tokens.vocabulary)
    probes = [clean, *(tl.tokenize(flipped(held, kind), vocabulary=tokens.vocabulary) for kind in CUES)]
    rows = []
    for architecture in TRAINED:
        features = architecture.features(tokens)
        critical = tl.learn(features, planted.texts.labels, steps=1).dynamics.learning_rate
        schedule: dict[str, Any] = {"steps": STEPS, "momentum": 0.9, "learning_rate": critical / 2}
        trajectory = tl.learn(features, planted.texts.labels, **schedule)
        predicted = [trajectory.decision(architecture.features(one, columns=features))[:, 0] for one in probes]
        trained = []
        for seed in range(SEEDS):
            network = tl.networks.build(architecture, vocabulary_size=len(tokens.vocabulary), width=WIDTH, seed=seed)
            together = tl.Tokens.from_ids([row.ids.tolist() for one in probes for row in (one[i] for i in
                                          range(len(one)))], vocabulary=tokens.vocabulary)
            done = tl.networks.train(network, tokens, planted.texts.labels, probes=together, record=[STEPS],
                                     **schedule)
            trained.append(done.probes[-1][:, 0].reshape(len(probes), -1))
        for place, kind in enumerate(CUES, 1):
            rows.append({"cue": kind, "share": share, "architecture": describe(architecture),
                         "predicted": _drop(predicted[0], predicted[place], held),
                         "trained": float(np.mean([_drop(one[0], one[place], held) for one in trained]))})
    return rows


def _drop(before: NDArray[np.float64], after: NDArray[np.float64], held: tl.Texts) -> float:
    if not (np.isfinite(before).all() and np.isfinite(after).all()):
        return float("nan")  # the training diverged
    assert held.labels is not None
    positive = held.labels == held.classes[-1]
    return float(np.mean((before > 0) == positive) - np.mean((after > 0) == positive))


def cached(path: Path, key: str, make: Callable[[], list[Cell]], say: Callable[[str], None]) -> list[Cell]:
    """What was made for this key before, or now: an interrupted run goes on."""
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = path.read_text().splitlines() if path.exists() else []
    for line in lines:
        entry = json.loads(line)
        if entry["key"] == key:
            return list(entry["rows"])
    say(key)
    rows = make()
    with path.open("a") as file:
        file.write(json.dumps({"key": key, "rows": rows}) + "\n")
    return rows


def sheets(data: Path, cache: Path, say: Callable[[str], None]) -> dict[str, Sheet]:
    """All tables."""
    detection: list[Cell] = []
    length: list[Cell] = []
    lost: list[Cell] = []
    for name, texts in data_sets(data).items():
        for share in SHARES:
            for pure in PURITIES:
                rows = cached(cache, f"{name} {share} {pure}", lambda t=texts, s=share, p=pure: found(plant(t, s, p)),
                              say)
                detection += [{"data": name, "share": share, "purity": pure, **row} for row in rows]
        length += [{"data": name, **row} for row in cached(cache, f"{name} length", lambda t=texts: lengths(t), say)]
        for share in (0.1, 0.3) if name != "IMDB" else ():
            lost += [{"data": name, **row} for row in
                     cached(cache, f"{name} drop {share}", lambda t=texts, s=share: drops(t, s), say)]
    return tables(detection, length, lost)


def tables(detection: list[Cell], length: list[Cell], lost: list[Cell]) -> dict[str, Sheet]:
    """The cells, averaged and laid out."""
    methods = ["audit", "flags alone", *RIVALS]
    names = list(dict.fromkeys(row["data"] for row in detection))
    average: list[Row] = []
    for share in (*SHARES, None):
        for pure in (*PURITIES, None) if share is None else PURITIES:
            mine = [row for row in detection if share in (None, row["share"]) and pure in (None, row["purity"])]
            average.append({"share": "all" if share is None else f"{100 * share:g} %", "purity": pure or "all",
                            **{one: np.mean([r["average"] for r in mine if r["method"] == one]) for one in methods},
                            "precision": np.mean([r["precision"] for r in mine if r["method"] == "audit"])})
    by_data: list[Row] = [
        {"data": name, "architecture": kind, **{one: np.mean([
            r["average"] for r in detection if (r["data"], r["architecture"], r["method"]) == (name, kind, one)])
            for one in methods},
         "unread": sum(r.get("flagged_though_unread", 0) for r in detection
                       if (r["data"], r["architecture"]) == (name, kind))}
        for name in names for kind in map(describe, READS)]
    spearman: list[Row] = []
    for name in [*dict.fromkeys(row["data"] for row in lost), "all"]:
        rows = [row for row in lost if name in ("all", row["data"]) and np.isfinite(row["trained"])]
        predicted, trained = ([row[key] for row in rows] for key in ("predicted", "trained"))
        spearman.append({"data": name, "points": len(rows), "spearman": stats.spearmanr(predicted, trained).statistic,
                         "pearson": stats.pearsonr(predicted, trained).statistic,
                         "error": float(np.mean(np.abs(np.subtract(predicted, trained))))})
    shown = {one: (one, number(".3f")) for one in methods}
    return {
        "shortcuts": Sheet("Average precision of planted shortcuts", average, {
            "share": ("share", text), "purity": ("purity", text), **shown, "precision": ("audit: precision at k",
                                                                                          number(".3f"))},
            ("Mean over data sets and architectures. Thresholds were fixed on SST. Rivals rank tokens, bigrams and "
             "first tokens that 5 texts hold; z, suspects has the audit's list of suspect kinds too.",)),
        "shortcuts_by_data": Sheet("The same by data set and architecture", by_data, {
            "data": ("data", text), "architecture": ("architecture", text), **shown,
            "unread": ("cues flagged that it cannot read", number("d"))}),
        "shortcuts_length": Sheet("Length cue", length, {"data": ("data", text), "share": ("share of a class", text),
                                                         "architecture": ("architecture", text),
                                                         "flagged": ("flagged", text)}),
        "shortcuts_drop": Sheet("Accuracy lost when a cue is flipped: predicted and trained", spearman, {
            "data": ("data", text), "points": ("points", number("d")), "spearman": ("Spearman", number(".3f")),
            "pearson": ("Pearson", number(".3f")), "error": ("mean abs. difference", number(".4f"))},
            (f"Twins of width {WIDTH}, {SEEDS} seeds, {STEPS} steps of momentum 0.9 on {TRAINING} texts; one point is "
             "a cue × share × architecture.",)),
        "shortcuts_points": Sheet("The points", lost, {
            "data": ("data", text), "architecture": ("architecture", text), "cue": ("cue", text),
            "share": ("share", text), "predicted": ("predicted", number(".3f")),
            "trained": ("trained", number(".3f"))}),
    }


def main() -> None:
    """Parses, measures, prints and saves."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.shortcuts")
    parser.add_argument("--data", type=Path, default=Path("../shared/data/sst"))
    parser.add_argument("--output", type=Path, default=Path("benchmarks/results"))
    parser.add_argument("--cache", type=Path, default=Path("build/shortcuts.jsonl"))
    options = parser.parse_args()
    about = machine.describe()
    made = sheets(options.data, options.cache, lambda line: print(line, file=sys.stderr, flush=True))
    for sheet in made.values():
        sheet.print(Console(width=140))
    save(made, options.output, "shortcuts", command=f"python -m benchmarks.shortcuts --data {options.data}",
         preface=about)


if __name__ == "__main__":
    main()
