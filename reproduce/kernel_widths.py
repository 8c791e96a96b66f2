"""Claim: the empirical NTK of every finite network approaches the closed form like width^(−1/2).

Networks at their start, on real texts with repeated tokens (SST); error = ‖Θ̂ − Θ‖ / ‖Θ‖ of single networks, root mean
square over seeds.

Command: python -m reproduce.kernel_widths [--data ../shared/data/sst] [--output reproduce/results] [--seeds 100]
"""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import polars as pl
from rich.console import Console

import tangentlens as tl
from reproduce.sheet import Row, Sheet, number, save, text, written
from reproduce.sst import DATA
from reproduce.sst_label_scores import RESULTS
from tangentlens.kernels import describe
from tangentlens.verification import kernel_slope, kernel_study

WIDTHS = (64, 128, 256, 512)
FULL = (8, 16, 32, 64)  # of MatrixVector with full matrices: m³ weights
TEXTS = 10
ACTIVATIONS = ("relu", "tanh", "gelu", "identity")
SHOWN = {
    "architecture": ("architecture", text), "widths": ("widths", written),
    "narrowest": ("error,\nnarrowest", number(".3f")), "widest": ("error,\nwidest", number(".3f")),
    "slope": ("slope", number(".3f")), "interval": ("95 % interval", written),
}


def cases() -> Iterator[tl.Architecture]:
    """Every architecture, with every activation where it has one."""
    yield from (tl.MLP(activation=activation) for activation in ACTIVATIONS)
    yield tl.MLP(depth=2, bias_std=0.3, pooling="sum")
    yield from (tl.CNN(activation=activation) for activation in ACTIVATIONS)
    yield tl.CNN(padding="valid", pooling="sum")
    yield from (tl.SelfAttention(activation=activation) for activation in (None, "relu", "tanh", "gelu"))
    yield from (tl.SelfAttention(scores="tied", activation=activation) for activation in (None, "relu", "tanh", "gelu"))
    yield tl.SelfAttention(scores="tied", positions=True)
    yield from (tl.MatrixVector(), tl.MatrixVector(order=3, residual=True), tl.MatrixVector(matrices="full"))
    yield from (tl.LinearRNN(), tl.LinearRNN(pooling="last"), tl.ElmanRNN(), tl.ElmanRNN(pooling="last"))


def texts(folder: Path) -> tl.Tokens:
    """The first TEXTS training texts of 8 to 16 tokens in which some token occurs twice."""
    everything = tl.tokenize(tl.read_texts(folder / "train.csv"), tokenizer="whitespace")
    lengths = everything.lengths
    chosen = [row for row in np.flatnonzero((lengths >= 8) & (lengths <= 16))
              if len(np.unique(everything[row].ids)) < lengths[row]][:TEXTS]
    found = everything[chosen]
    used, ids = np.unique(found.ids, return_inverse=True)
    return tl.Tokens(ids.astype(np.int32), found.offsets,
                     tl.Vocabulary(tuple(everything.vocabulary[token] for token in used)))


def row_of(architecture: tl.Architecture, tokens: tl.Tokens, seeds: int) -> Row:
    """One line of the table."""
    full = getattr(architecture, "matrices", "") == "full"
    errors = kernel_study(architecture, tokens, widths=FULL if full else WIDTHS, seeds=seeds)
    slope, low, high = kernel_slope(errors)
    rms = errors.group_by("width", maintain_order=True).agg(pl.col("error").pow(2).mean().sqrt())
    widths = rms["width"].to_list()
    return {"architecture": describe(architecture), "widths": f"{widths[0]}–{widths[-1]}", "narrowest": rms["error"][0],
            "widest": rms["error"][-1], "slope": slope, "interval": f"{low:.3f} to {high:.3f}"}


def main(arguments: Sequence[str] | None = None) -> None:
    """Parses, computes, prints and saves."""
    parser = argparse.ArgumentParser(prog="python -m reproduce.kernel_widths")
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--output", type=Path, default=RESULTS)
    parser.add_argument("--seeds", type=int, default=100)
    options = parser.parse_args(arguments)
    tokens = texts(options.data)
    rows = []
    for case in cases():
        rows.append(row_of(case, tokens, options.seeds))
        print(rows[-1], flush=True)
    inside = sum(abs(float(row["slope"]) + 0.5) <= 0.1 for row in rows)
    notes = (f"{len(tokens)} texts with repeated tokens, {int(tokens.lengths.sum())} tokens, {len(tokens.vocabulary)} "
             f"distinct; {options.seeds} seeds for each width. The interval is a bootstrap over seeds. Theory: −0.5; "
             f"{inside} of {len(rows)} slopes lie within 0.1 of it.",)
    sheet = Sheet("Empirical NTK of finite networks against the closed form", rows, SHOWN, notes)
    sheet.print(Console())
    command = f"python -m reproduce.kernel_widths --data {shlex.quote(str(options.data))} --seeds {options.seeds}"
    save({"kernel_widths": sheet}, options.output, "kernel_widths", command=command)


if __name__ == "__main__":
    main()
