"""The tables of the benchmark of shortcuts, from their cells. Part of: python -m benchmarks.shortcuts"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from scipy import stats

from benchmarks.planting import CUES
from benchmarks.rivals import RIVALS, SUSPECTS
from benchmarks.shortcut_cells import LEAST_RATED, READS, Cell
from benchmarks.shortcut_drops import HELD, PART, SEEDS, STEPS, TRAINING, WIDTH
from reproduce.sheet import Row, Sheet, number, text
from tangentlens.kernels import describe

METHODS = ("audit", "flags alone", *RIVALS, *(name + SUSPECTS for name in RIVALS))
ALL = max(READS, key=lambda one: len(READS[one]))


def tables(detection: list[Cell], length: list[Cell], lost: list[Cell], natural: list[Cell]) -> dict[str, Sheet]:
    """The cells, averaged and laid out."""
    return {"shortcuts": by_method(detection), "shortcuts_by_share": by_share(detection), "shortcuts_by_data":
            by_data(detection), "shortcuts_natural": ratings(natural), "shortcuts_length": lengths(length),
            "shortcuts_drop": drops(lost), "shortcuts_points": points(lost)}


def mean(rows: Iterable[Cell], key: str = "average", **fixed: object) -> float:
    """Mean of a figure over the rows in which these columns have these values; NaN if there are none."""
    found = [row[key] for row in rows if all(row[name] == value for name, value in fixed.items())]
    return float(np.mean(found)) if found else float("nan")


def by_method(detection: list[Cell]) -> Sheet:
    """One row for every method, averaged over everything, and over parts."""
    names = list(dict.fromkeys(row["data"] for row in detection))
    told = [row for row in detection if row["told"]]
    rows: list[Row] = [{
        "method": method, "all": mean(detection, method=method), "told": mean(told, method=method),
        "cnn": mean(told, method=method, architecture=describe(ALL)),
        "precision": mean(told, "precision", method=method),
        **{name: mean(told, method=method, data=name) for name in names}} for method in METHODS]
    figure = number(".3f")
    settings = {(row["data"], row["share"], row["purity"]): row["told"] for row in detection}
    return Sheet("Average precision of planted shortcuts", rows, {
        "method": ("ranking", text), "all": ("all\nsettings", figure), "told": ("told from\nchance", figure),
        "cnn": ("of these,\nCNN", figure), "precision": ("precision\nat k", figure),
        **{name: (name, figure) for name in names}},
        (f"Mean over settings (data × share × purity) and architectures. In {sum(settings.values())} of "
         f"{len(settings)} settings counts can tell every cue from chance: its binomial p-value times the number of "
         "features is below 0.05. Precision and data sets: those settings.",
         "A CNN reads all four cues; for an MLP a bigram or a position in front counts as a mistake, which rivals "
         "cannot know. Thresholds were fixed on SST. audit: the flags, then all suspects as if without thresholds. "
         "Rivals rank tokens, bigrams and first tokens that 5 texts hold; “suspects”: only those of kinds that the "
         "audit suspects. IG: sum of the integrated gradients over the root of the number of texts, the best of three "
         "ways on SST."))


def by_share(detection: list[Cell]) -> Sheet:
    """One row for every share and purity."""
    rows: list[Row] = []
    for share in dict.fromkeys(row["share"] for row in detection):
        for pure in dict.fromkeys(row["purity"] for row in detection):
            mine = [row for row in detection if (row["share"], row["purity"]) == (share, pure)]
            rows.append({"share": f"{100 * share:g} %", "purity": pure,
                         **{method: mean(mine, method=method) for method in METHODS},
                         "precision": mean(mine, "precision", method="flags alone"), "told": mean(mine, "told")})
    shown = ["audit", "flags alone", *RIVALS, "z" + SUSPECTS, "logistic" + SUSPECTS]
    return Sheet("Average precision by share of a class and purity", rows, {
        "share": ("share", text), "purity": ("purity", text), "told": ("told from\nchance", number(".2f")),
        **{method: (method.replace(SUSPECTS, ",\nsuspects"), number(".3f")) for method in shown},
        "precision": ("flags:\nprec. at k", number(".3f"))})


def by_data(detection: list[Cell]) -> Sheet:
    """One row for every data set and architecture, and the flags of cues that it cannot read."""
    rows: list[Row] = []
    for name in dict.fromkeys(row["data"] for row in detection):
        for kind in map(describe, READS):
            mine = [row for row in detection if (row["data"], row["architecture"]) == (name, kind)]
            told = [row for row in mine if row["told"]]
            rows.append({"data": name, "architecture": kind, **{one: mean(told, method=one) for one in METHODS},
                         "unread": sum(row.get("flagged_though_unread", 0) for row in mine),
                         "flags": mean(mine, "flags", method="flags alone")})
    shown = ["audit", "flags alone", *RIVALS, "z" + SUSPECTS, "logistic" + SUSPECTS]
    return Sheet("Average precision by data set and architecture, cues that can be told from chance", rows, {
        "data": ("data", text), "architecture": ("architecture", text),
        **{method: (method.replace(SUSPECTS, ",\nsuspects"), number(".3f")) for method in shown},
        "flags": ("flags", number(".1f")), "unread": ("unread cues\nflagged", number("d"))})


def ratings(natural: list[Cell]) -> Sheet:
    """Ratings in IMDB reviews."""
    wanted = natural[0]["wanted"] if natural else 0
    return Sheet("Natural shortcuts: ratings such as 7/10 in IMDB reviews", natural, {
        "method": ("ranking", text), "first": ("first rating\nat place", text), "ten": ("ratings among\nfirst 10",
        number("d")), "found": (f"of {wanted} ratings,\nin first 100", number("d")),
        "top": ("first places", text)},
        (f"4,000 whole reviews; {wanted} ratings stand in at least {LEAST_RATED} of them. An MLP reads no n-gram.",))


def lengths(length: list[Cell]) -> Sheet:
    """The length cue."""
    return Sheet("Length cue", length, {"data": ("data", text), "share": ("share of a class", text), "architecture": (
        "architecture", text), "place": ("place of the\nlength among flags", text), "flags": ("flags", number("d"))},
        ("Texts of one class made three times as long. The bias of a mean does not read it.",))


def drops(lost: list[Cell]) -> Sheet:
    """Agreement of predicted and trained losses of accuracy."""
    rows: list[Row] = []
    names = list(dict.fromkeys(row["data"] for row in lost))
    kinds = list(dict.fromkeys(row["architecture"] for row in lost))
    groups = [("all", lost), *((name, [row for row in lost if row["data"] == name]) for name in names),
              *((kind, [row for row in lost if row["architecture"] == kind]) for kind in kinds)]
    for name, mine in groups:
        good = [row for row in mine if np.isfinite(row["trained"])]
        if len(good) < 3:
            continue
        predicted, trained = [row["predicted"] for row in good], [row["trained"] for row in good]
        seeds = np.array([row["seeds"][:2] for row in good]).T
        rows.append({"points of": name, "points": len(good), "diverged": len(mine) - len(good),
                     "spearman": stats.spearmanr(predicted, trained).statistic,
                     "seeds": stats.spearmanr(*seeds).statistic if len(seeds) > 1 else None,
                     "pearson": stats.pearsonr(predicted, trained).statistic,
                     "error": float(np.mean(np.abs(np.subtract(predicted, trained))))})
    return Sheet("Accuracy lost when a cue is flipped: predicted and trained", rows, {
        "points of": ("points of", text), "points": ("points", number("d")), "diverged": ("diverged", number("d")),
        "spearman": ("Spearman", number(".3f")),
        **({"seeds": ("Spearman of\ntwo networks", number(".3f"))} if SEEDS > 1 else {}),
        "pearson": ("Pearson", number(".3f")), "error": ("mean abs.\ndifference", number(".3f"))},
        (f"A point is a cue × share × architecture: accuracy lost on those of {HELD} held-out texts that are of the "
         f"other class, with the cue in all. Networks: width {WIDTH}, {SEEDS} for each point, {STEPS} steps with "
         f"momentum 0.9 at 1/{PART} of the critical rate, on {TRAINING:,} texts.",))


def points(lost: Sequence[Cell]) -> Sheet:
    """By data set, architecture and share: predicted and trained for every cue."""
    keys = list(dict.fromkeys((row["data"], row["architecture"], row["share"]) for row in lost))
    rows: list[Row] = []
    for key in keys:
        mine = [row for row in lost if (row["data"], row["architecture"], row["share"]) == key]
        cells = {f"{row['cue']} {what}": row[what] for row in mine for what in ("predicted", "trained")}
        rows.append({"data": key[0], "architecture": key[1], "share": f"{100 * key[2]:g} %", **cells})
    return Sheet("The points: accuracy lost, predicted and trained", rows, {
        "data": ("data", text), "architecture": ("architecture", text), "share": ("share", text),
        **{f"{cue} {what}": (f"{cue},\n{what}", number(".2f")) for cue in CUES for what in ("predicted", "trained")}})
