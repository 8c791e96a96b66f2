"""Claim: label scores of trained networks approach the prediction like width^(−1/2), for every architecture and family.

Trains networks of four widths and several seeds on a sample of SST by full-batch gradient descent, at the prediction's
learning rate, and asks prediction and networks the same probe texts.

Command: python -m reproduce.score_widths [--data ../shared/data/sst] [--output reproduce/results] [--texts 60]
         [--seeds 8] [--steps 200] [--work DIR]
"""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import polars as pl
from rich.console import Console

import tangentlens as tl
from reproduce.pictures import widths_picture
from reproduce.sheet import Row, Sheet, number, save, text, written
from reproduce.sst import DATA
from reproduce.sst_label_scores import RESULTS
from tangentlens.verification import foretell, sample, width_study

WIDTHS = (64, 128, 256, 512)
CASES: tuple[tl.Architecture, ...] = (
    tl.MLP(), tl.MLP(activation="tanh", pooling="sum"), tl.CNN(padding="valid"),
    tl.CNN(activation="gelu", pooling="sum"), tl.SelfAttention(), tl.SelfAttention(scores="tied"), tl.MatrixVector(),
    tl.MatrixVector(residual=True), tl.LinearRNN(), tl.ElmanRNN(),
)
BIASED = {tl.MLP(), tl.CNN(padding="valid")}  # their bias is one number, so its slope needs more seeds
MORE = 4  # times as many
SHOWN = {
    "architecture": ("architecture", text), "family": ("family", text),
    "error_narrowest": ("error,\nnarrowest", number(".3f")), "error_widest": ("error,\nwidest", number(".3f")),
    "slope": ("slope", number(".3f")), "interval": ("95 % interval", written),
}


def main(arguments: Sequence[str] | None = None) -> None:
    """Parses, trains, prints and saves."""
    parser = argparse.ArgumentParser(prog="python -m reproduce.score_widths")
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--output", type=Path, default=RESULTS)
    for name, default in (("texts", 60), ("seeds", 8), ("steps", 200)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--work", type=Path, help="keep scores of finished networks here, and go on from them")
    options = parser.parse_args(arguments)
    chosen = sample(tl.read_texts(options.data / "train.csv"), options.texts)
    tokens = tl.tokenize(chosen, tokenizer="whitespace")
    rows: list[Row] = []
    tables = []
    for case in CASES:
        material = foretell(case, tokens, chosen.labels, steps=options.steps, record=[options.steps], most=100)
        seeds = options.seeds * (MORE if case in BIASED else 1)
        study = width_study(material, widths=WIDTHS, seeds=seeds, folder=options.work)
        found = [_row(row) for row in study.slopes().to_dicts()]
        print(*found, sep="\n", flush=True)
        rows += found
        tables.append(study.errors)
    inside = sum(abs(float(row["slope"]) + 0.5) <= 0.15 for row in rows)
    size = f"{len(tokens)} texts of SST, {len(tokens.vocabulary)} distinct tokens; widths {', '.join(map(str, WIDTHS))}"
    notes = (f"{size}, {options.seeds} seeds ({MORE * options.seeds} of MLP and CNN valid); {options.steps} steps of "
             "full-batch descent, to the time at which the predicted loss has fallen by 5 %. Error: relative L2 "
             "distance of the label scores of the 100 most frequent patterns of the family, root mean square over "
             "seeds of single networks; where the prediction is 0, relative to all families together. Theory: −0.5; "
             f"{inside} of {len(rows)} slopes lie within 0.15 of it.",)
    sheet = Sheet("Label scores of trained networks against the prediction", rows, SHOWN, notes)
    sheet.print(Console())
    command = (f"python -m reproduce.score_widths --data {shlex.quote(str(options.data))} --texts {options.texts} "
               f"--seeds {options.seeds} --steps {options.steps}")
    save({"score_widths": sheet}, options.output, "score_widths", command=command)
    widths_picture(pl.concat(tables), options.output / "score_widths.png")


def _row(found: dict[str, Any]) -> Row:
    return {**found, "interval": f"{found['low']:.3f} to {found['high']:.3f}"}


if __name__ == "__main__":
    main()
