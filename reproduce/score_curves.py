"""Claim, the paper's central figure: over the epochs, label scores of positive tokens rise, of negative ones fall, and
trained networks do what the infinitely wide ones are predicted to do.

Mini-batch SGD on SST (all of it) and on short IMDB reviews, against the prediction of the gradient flow at the same
time, learning rate × steps; the label score of a token is the response f(a) − f_0(a) to the one-token text, averaged
over seeds.

Command: python -m reproduce.score_curves [--data ../shared/data/sst] [--output reproduce/results] [--work DIR]
         [--rows N] [--only SST|IMDB] [--width 256] [--seeds 8]
"""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray
from rich.console import Console

import tangentlens as tl
from reproduce.pictures import curves_picture
from reproduce.sheet import Sheet, number, save, text
from reproduce.sst import DATA, Groups, Split, groups, load
from reproduce.sst_label_scores import RESULTS
from tangentlens.data.storage import read_arrays, write_arrays
from tangentlens.kernels import describe

EPOCHS = 6
BATCHES = {"SST": 32, "IMDB": 8}  # fewer reviews: smaller batches, so that an epoch has as many steps
FEWER = 4  # times fewer seeds of IMDB
MORE = 3  # times more of MatrixVector, whose first epoch is the noisiest
END = 0.3  # the predicted training loss after the last epoch
IMDB = (2000, 120)  # reviews, and the most tokens in one
CASES: tuple[tl.Architecture, ...] = (
    tl.MLP(), tl.MLP(activation="tanh"), tl.CNN(), tl.SelfAttention(scores="tied"), tl.MatrixVector(residual=True),
    tl.LinearRNN(),
)
SHOWN = {
    "data": ("data", text), "architecture": ("architecture", text), "epoch": ("epoch", number(",d")),
    "positive_predicted_share": ("pos. > 0,\npredicted", number(".1%")),
    "positive_trained_share": ("pos. > 0,\ntrained", number(".1%")),
    "negative_predicted_share": ("neg. < 0,\npredicted", number(".1%")),
    "negative_trained_share": ("neg. < 0,\ntrained", number(".1%")),
    "neutral_predicted": ("neutral f,\npredicted", number(".2e")),
    "neutral_trained": ("neutral f,\ntrained", number(".2e")),
    "diverged": ("di-\nverged", number(",d")),
    "correlation": ("corre-\nlation", number(".3f")),
}
Array = NDArray[np.float64]


def data(folder: Path, rows: int | None) -> Iterator[tuple[str, Split]]:
    """SST, and reviews of at most so many tokens."""
    yield "SST", load(folder, rows)[0]
    reviews = tl.movie_reviews()
    lengths = tl.tokenize(reviews).lengths
    short = reviews[np.flatnonzero(lengths <= IMDB[1])].sample(min(IMDB[0], rows or IMDB[0]))
    positive = sorted(short.classes)[-1]
    labelled = tl.read_texts(list(short.texts), [int(label == positive) for label in short.labels])
    yield "IMDB", Split(labelled, tl.tokenize(labelled))


def responses(case: tl.Architecture, split: Split, options: argparse.Namespace, data: str
              ) -> tuple[Array, Array, NDArray[np.int64]]:
    """Responses to all one-token texts after every epoch, predicted and trained, (EPOCHS, v) each; and how many seeds
    had diverged by then, (EPOCHS,). The mean is over the others.
    """
    size, epoch = len(split.tokens.vocabulary), -(-len(split.tokens) // BATCHES[data])
    probes = tl.Tokens(np.arange(size, dtype=np.int32), np.arange(size + 1), split.tokens.vocabulary)
    features = case.features(split.tokens)
    end = float(tl.learn(features, split.labels, until_loss=END).steps[-1])
    times = np.linspace(end / EPOCHS, end, EPOCHS)
    trajectory = tl.learn(features, split.labels, time=end, record=times)
    asked = case.features(probes, columns=features)
    predicted = np.stack([trajectory.decision(asked, step)[:, 0] for step in range(1, EPOCHS + 1)])
    trained = []
    seeds = options.seeds * (MORE if isinstance(case, tl.MatrixVector) else 1)
    for seed in range(seeds if data == "SST" else -(-seeds // FEWER)):
        name = f"{describe(case).replace(':', '-')}-{len(split.tokens)}-{size}-{options.width}-{seed}.npz"
        path = options.work and options.work / name
        if not path or not path.exists():
            network = tl.networks.build(case, vocabulary_size=size, width=options.width, seed=seed)
            done = tl.networks.train(network, split.tokens, split.labels, learning_rate=end / (EPOCHS * epoch),
                                     seed=seed, steps=EPOCHS * epoch, batch_size=BATCHES[data], probes=probes,
                                     record=[epoch * number for number in range(1, EPOCHS + 1)])
            found = done.probes[1:, :, 0]
            if path:
                path.parent.mkdir(parents=True, exist_ok=True)
                write_arrays(path, {"kind": "responses"}, {"responses": found})
        else:
            found = read_arrays(path)[1]["responses"]
        trained.append(found)
    found = np.stack(trained)
    finite = np.isfinite(found).all(axis=2)  # (seeds, EPOCHS)
    mean = np.where(finite[:, :, None], found, 0.0).sum(axis=0) / finite.sum(axis=0)[:, None]
    return predicted, mean, (~finite).sum(axis=0)


def rows_of(predicted: Array, trained: Array, diverged: NDArray[np.int64], tokens: Groups) -> list[dict[str, Any]]:
    """One row per recorded epoch."""
    rows = []
    polar = tokens.positive | tokens.negative
    for epoch, first, second in zip(range(1, EPOCHS + 1), predicted, trained, strict=True):
        row: dict[str, Any] = {"epoch": epoch, "diverged": int(diverged[epoch - 1])}
        for kind, f in (("predicted", first), ("trained", second)):
            row |= {f"positive_{kind}_share": share(f[tokens.positive] > 0, f),
                    f"negative_{kind}_share": share(f[tokens.negative] < 0, f)}
            row |= {f"{group}_{kind}": np.mean(f[mask]) for group, mask in vars(tokens).items()}
        row["correlation"] = np.corrcoef(first[polar], second[polar])[0, 1]
        rows.append({key: value if isinstance(value, int) else float(value) for key, value in row.items()})
    return rows


def share(holds: NDArray[np.bool_], f: Array) -> float:
    """How often it holds; NaN where every network has diverged."""
    return float(np.mean(holds)) if np.isfinite(f).all() else float("nan")


def main(arguments: Sequence[str] | None = None) -> None:
    """Parses, trains, prints and saves."""
    parser = argparse.ArgumentParser(prog="python -m reproduce.score_curves")
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--output", type=Path, default=RESULTS)
    parser.add_argument("--work", type=Path, help="keep responses of finished networks here, and go on from them")
    parser.add_argument("--rows", type=int, help="draw so many training texts, for a quick trial")
    parser.add_argument("--only", choices=("SST", "IMDB"))
    parser.add_argument("--width", type=int, default=256)
    parser.add_argument("--seeds", type=int, default=8)
    options = parser.parse_args(arguments)
    options.output.mkdir(parents=True, exist_ok=True)
    rows, notes = [], []
    for name, split in data(options.data, options.rows):
        if options.only in (None, name):
            tokens, curves = groups(split), {}
            for case in CASES:
                found = rows_of(*responses(case, split, options, name), tokens)
                rows += [{"data": name, "architecture": describe(case), **row} for row in found]
                curves[describe(case)] = pl.DataFrame(found)
                print(rows[-1], flush=True)
            size = f"{len(split.texts):,} texts, {len(split.tokens.vocabulary):,} distinct tokens"
            notes.append(f"{name}: {size}; {tokens}.")
            curves_picture(curves, options.output / f"score_curves_{name.lower()}.png")
    notes.append(
        f"Networks of width {options.width}, mean over {options.seeds} seeds ({MORE * options.seeds} of "
        f"MatrixVector; IMDB: a quarter) but those that diverged (a linear recurrence has no bound); SGD with "
        f"batches of {BATCHES['SST']} (IMDB: {BATCHES['IMDB']}) texts, {EPOCHS} epochs, to the time at which the "
        f"predicted training loss is {END}. correlation: "
        "Pearson's, of predicted and trained responses over the positive and negative tokens. Largest gap between a "
        f"predicted and a trained share: {_gaps(rows)}. Signs and order follow the prediction, sizes do not for long: "
        "mean score of the positive tokens, trained over predicted, after the first and the last epoch that is left: "
        f"{_ratios(rows)}: networks of this width learn features by then.")
    sheet = Sheet("Label scores over the epochs, predicted and trained", rows, SHOWN, notes)
    sheet.print(Console(width=150))
    command = f"python -m reproduce.score_curves --data {shlex.quote(str(options.data))}"
    command += f" --width {options.width} --seeds {options.seeds}" + (f" --rows {options.rows}" if options.rows else "")
    save({"score_curves": sheet}, options.output, "score_curves", command=command)


def _gaps(rows: Sequence[dict[str, Any]]) -> str:
    """The largest gap of every architecture, in points."""
    table = pl.DataFrame(rows)
    gap = pl.max_horizontal(*((pl.col(f"{group}_predicted_share") - pl.col(f"{group}_trained_share")).abs()
                              for group in ("positive", "negative")))
    found = table.group_by("data", "architecture", maintain_order=True).agg(gap.drop_nans().max().alias("gap"))
    return "; ".join(f"{row['data']} {row['architecture']} {100 * row['gap']:.1f} points" for row in found.to_dicts())


def _ratios(rows: Sequence[dict[str, Any]]) -> str:
    """How many times larger the trained scores of positive tokens are than the predicted ones."""
    ratio = pl.col("positive_trained") / pl.col("positive_predicted")
    found = pl.DataFrame(rows).group_by("data", "architecture", maintain_order=True).agg(
        ratio.first().alias("first"), ratio.drop_nans().last().alias("last"))
    return "; ".join(f"{row['data']} {row['architecture']} {row['first']:.1f}, {row['last']:.1f}"
                     for row in found.to_dicts())


if __name__ == "__main__":
    main()
