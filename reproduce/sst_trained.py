"""Claim: label scores of networks trained on all of SST are those of the closed form, token by token.

MLP with tanh and with ReLU, an epoch of mini-batch SGD, many seeds averaged; tokens by how often they occur.

Command: python -m reproduce.sst_trained [--data ../shared/data/sst] [--output reproduce/results] [--rows N]
         [--width 512] [--seeds 30]
"""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console

import tangentlens as tl
from reproduce.sheet import Row, Sheet, number, save, text
from reproduce.sst import DATA, Split, load
from reproduce.sst_label_scores import RESULTS
from tangentlens.kernels import describe
from tangentlens.verification import Material, foretell
from tangentlens.verification.width_study import trained_scores

BATCH = 32
FALL = 0.95  # the predicted training loss after the epoch, as a share of its start
COUNTS = ((1, 1), (2, 4), (5, 19), (20, None))
SHOWN = {
    "architecture": ("architecture", text), "occurrences": ("occurrences", text), "tokens": ("tokens", number(",d")),
    "one": ("one network", number(".4f")), "mean": ("mean over seeds", number(".4f")),
}
Array = NDArray[np.float64]


def token_scores(material: Material, options: argparse.Namespace) -> tuple[Array, Array]:
    """Main effects of all tokens at the last step: predicted (v,), and of every seed (S, v)."""
    number = [probe.family for probe in material.probes.probes].index("token")
    trained = []
    for seed in range(options.seeds):
        trained.append(trained_scores(material, options.width, seed, batch_size=BATCH)[number][-1, :, 0])
        print(f"{describe(material.architecture)}: seed {seed}", flush=True)
    return material.predicted[number][-1, :, 0], np.stack(trained)


def rows_of(case: tl.Architecture, train: Split, options: argparse.Namespace) -> list[Row]:
    """One row for every range of counts."""
    size = len(train.tokens.vocabulary)
    steps = -(-len(train.texts) // BATCH)
    loss = FALL * float(np.log(2))
    end = float(tl.learn(case.features(train.tokens), train.labels, until_loss=loss).steps[-1])
    material = foretell(case, train.tokens, train.labels, steps=steps, record=[steps], most=size,
                        learning_rate=end / steps)
    predicted, trained = token_scores(material, options)
    patterns = material.probes.patterns[1][:, 0]
    count = np.bincount(train.tokens.ids, minlength=size)[patterns]
    rows: list[Row] = []
    for low, high in COUNTS:
        mask = (count >= low) & (count <= (high or count.max()))
        single = float(np.mean([pearson(predicted[mask], one[mask]) for one in trained]))
        name = f"{low}" if low == high else f"{low}–{high}" if high else f"≥ {low}"
        rows.append({"architecture": describe(case), "occurrences": name, "tokens": int(mask.sum()), "one": single,
                     "mean": pearson(predicted[mask], trained.mean(axis=0)[mask])})
    return rows


def pearson(first: Array, second: Array) -> float:
    """Pearson's correlation."""
    return float(np.corrcoef(first, second)[0, 1])


def main(arguments: Sequence[str] | None = None) -> None:
    """Parses, trains, prints and saves."""
    parser = argparse.ArgumentParser(prog="python -m reproduce.sst_trained")
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--output", type=Path, default=RESULTS)
    parser.add_argument("--rows", type=int, help="draw so many training texts, for a quick trial")
    parser.add_argument("--width", type=int, default=512)
    parser.add_argument("--seeds", type=int, default=30)
    options = parser.parse_args(arguments)
    train = load(options.data, options.rows)[0]
    rows: list[Any] = []
    for case in (tl.MLP(activation="tanh"), tl.MLP()):
        rows += rows_of(case, train, options)
    notes = ("Pearson correlation of predicted and trained token scores (main effects, by probing). "
             f"{len(train.texts):,} texts; width {options.width}, {options.seeds} seeds, one epoch of SGD with batches "
             f"of {BATCH} texts, to the time at which the predicted loss has fallen by {1 - FALL:.0%}.",)
    sheet = Sheet("Token scores of trained MLPs against the prediction (SST)", rows, SHOWN, notes)
    sheet.print(Console())
    command = (f"python -m reproduce.sst_trained --data {shlex.quote(str(options.data))} --width {options.width} "
               f"--seeds {options.seeds}" + (f" --rows {options.rows}" if options.rows else ""))
    save({"sst_trained": sheet}, options.output, "sst_trained", command=command)


if __name__ == "__main__":
    main()
