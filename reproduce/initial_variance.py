"""Claim: the variance of the initial weights decides how strongly a network reads its bias, its tokens and its n-grams.

One option of one network at a time is varied: what the spectrum says, what the prediction says for a grammar with
negations, and what trained networks do.

Command: python -m reproduce.initial_variance [--output reproduce/results] [--rows 600] [--width 256] [--seeds 6]
         [--work FOLDER]
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import polars as pl
from rich.console import Console

import tangentlens as tl
from reproduce.options import command_of, parser_of
from reproduce.pictures import variance_picture
from reproduce.sheet import Row, Sheet, number, save, text, written
from tangentlens.kernels import describe
from tangentlens.kernels.comparing import shares
from tangentlens.predictions.questions import Answers, Questions
from tangentlens.verification import Course, Measured, measure

COURSE = Course(epochs=100, batch_size=None, fall=0.9)
POSITIVE = 0.65  # share of positive texts: a bias has something to learn
FREQUENT = 10
MORE = {tl.MatrixVector: 4, tl.LinearRNN: 4}  # times as many seeds: their networks are fast, and scatter more
SHOWN = {
    "network": ("network", text), "varied": ("varied", text), "value": ("value", number("g")),
    "ngrams": ("n-grams,\nspectrum", number(".1%")), "share": ("interaction\nshare, pred.", number(".2%")),
    "common": ("trained", number(".2%")), "common_interval": ("95 %\ninterval", written),
    "single": ("one\nnetwork", number(".1%")),
    "bias_spectrum": ("bias,\nspectrum", number(".1%")), "bias": ("bias\nshare, pred.", number(".1%")),
    "bias_trained": ("trained", number(".1%")), "bias_interval": ("95 %\ninterval", written),
}


def cases() -> Iterator[tuple[str, list[tuple[float, tl.Architecture]]]]:
    """Options, and the networks for each of their values."""
    yield "weight_std", [(std, tl.MLP(weight_std=std, bias_std=0.5)) for std in (0.5, 1.0, 2.0)]
    yield "bias_std", [(std, tl.MLP(activation="tanh", bias_std=std)) for std in (0.0, 0.5, 1.0)]
    yield "bias_std", [(std, tl.CNN(bias_std=std)) for std in (0.0, 0.5, 1.5)]
    yield "weight_std", [(std, tl.CNN(activation="tanh", weight_std=std)) for std in (0.5, 1.0, 3.0)]
    yield "weight_std", [(std, tl.MatrixVector(residual=True, weight_std=std)) for std in (0.25, 0.5, 1.0)]
    yield "gate_std", [(std, tl.LinearRNN(gate_std=std, max_order=12)) for std in (0.25, 0.5, 0.75)]


def bias(answers: Answers) -> Any:
    """Mean bias share over the tokens, at the last record."""
    return np.mean(np.nan_to_num(answers.bias_shares[-1]))


def row_of(found: Measured, varied: str, value: float) -> Row:
    """One network: spectrum, prediction, training."""
    spectrum = shares([found.architecture]).row(0, named=True)
    name = f"{type(found.architecture).__name__} {getattr(found.architecture, 'activation', '')}"
    row: Row = {"network": name.strip(),
                "varied": varied, "value": value, "ngrams": spectrum["pair"] + spectrum["longer"],
                "share": float(found.predicted.interaction_share[-1]), "common": float(found.common_share[-1]),
                "common_interval": "{:.2%}–{:.2%}".format(*found.common_interval()),
                "single": float(np.mean([one.interaction_share[-1] for one in found.trained])),
                "bias_spectrum": spectrum["bias"], "bias": float(bias(found.predicted)),
                "bias_trained": float(bias(found.mean))}
    return row | {"bias_interval": "{:.1%}–{:.1%}".format(*map(float, found.interval(bias)))}


def main(arguments: Sequence[str] | None = None) -> None:
    """Parses, trains, prints and saves."""
    parser = parser_of("initial_variance", rows=600, width=256, seeds=6)
    options = parser.parse_args(arguments)
    made = tl.negations(options.rows, seed=2, positive=POSITIVE)
    tokens = tl.tokenize(made.train, tokenizer="whitespace")
    chosen = np.flatnonzero(np.bincount(tokens.ids) >= FREQUENT)
    questions = Questions(tokens.vocabulary, chosen, (), tl.tokenize(made.held, vocabulary=tokens.vocabulary))
    rows: list[Row] = []
    for varied, networks in cases():
        for value, network in networks:
            print(describe(network), flush=True)
            more = MORE.get(type(network), 1)
            course = replace(COURSE, width=options.width, seeds=more * options.seeds)
            rows.append(row_of(measure(network, tokens, made.train.labels, questions, course, folder=options.work),
                               varied, value))
    notes = (f"{options.rows:,} sentences of the negation grammar, {POSITIVE:.0%} positive; {len(made.held)} sentences "
             f"of new combinations; {COURSE.epochs} steps of full batches, width {options.width}, {options.seeds} "
             "seeds (MatrixVector and LinearRNN 4 times as many), to a predicted training loss 10 % below its start.",
             "spectrum: shares of the kernel of a fully matched window, before any data. trained: what all networks "
             "have in common; one network: mean over single ones, random start included. bias share: mean over tokens "
             f"seen {FREQUENT} times or more.")
    sheet = Sheet("Initial variances", rows, SHOWN, notes)
    sheet.print(Console())
    save({"initial_variance": sheet}, options.output, "initial_variance", command=command_of(parser, options))
    variance_picture(pl.DataFrame(rows), options.output / "initial_variance.png")


if __name__ == "__main__":
    main()
