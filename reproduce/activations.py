"""Claim: ReLU puts a bias into every feature, GELU and SiLU less, tanh none; class imbalance and text length feed it.

Networks are trained on part of SST with more positive than negative texts, and asked for their responses to single
tokens; then what feeds the bias is varied, in the prediction.

Command: python -m reproduce.activations [--data ../shared/data/sst] [--output reproduce/results] [--rows 600]
         [--width 1024] [--seeds 4] [--work FOLDER]
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray
from rich.console import Console

import tangentlens as tl
from reproduce.options import command_of, parser_of
from reproduce.pictures import bias_picture
from reproduce.sheet import Row, Sheet, number, save, text, written
from reproduce.sst import imbalanced
from tangentlens.kernels import describe
from tangentlens.predictions.questions import Answers, Questions
from tangentlens.verification import Course, Measured, correlation, measure

Array = NDArray[np.float64]
ACTIVATIONS = ("relu", "gelu", "silu", "tanh")
POSITIVE = 0.6  # share of the texts that networks are trained on
FREQUENT = 10  # occurrences of a token that is asked about
COURSE = Course(epochs=25, batch_size=None, fall=0.8)
SHARES = (0.5, 0.6, 0.7, 0.8, 0.9)
BIAS = {
    "network": ("network", text), "texts": ("texts", number(",d")), "seeds": ("seeds", number("d")),
    "bias": ("f(□)\npred.", number(".3f")), "bias_trained": ("trained", number(".3f")),
    "share": ("bias\nshare", number(".3f")), "share_trained": ("trained", number(".3f")),
    "share_interval": ("95 %\ninterval", written), "share_single": ("one\nnetwork", number(".3f")),
    "flipped": ("sign\nflipped", number(".1%")), "flipped_trained": ("trained", number(".1%")),
    "neutral": ("neutral\n÷ polar", number(".2f")), "neutral_trained": ("trained", number(".2f")),
}
PAIRS = {
    "pair": ("difference between", text), "tokens": ("tokens", number("d")),
    "size": ("size, pred.", number(".3f")), "size_trained": ("trained", number(".3f")),
    "correlation": ("correlation", number(".3f")), "interval": ("95 % interval", written),
    "own": ("of own effects", number(".3f")), "own_interval": ("95 % interval", written),
}
SOURCES = {
    "network": ("network", text), "positive": ("positive\ntexts", number(".0%")), "bias": ("f(□)", number(".3f")),
    "classes": ("net push\nof all texts", number(".3f")), "lengths": ("of text\nlengths", number(".3f")),
    "share": ("bias\nshare", number(".3f")), "flipped": ("sign\nflipped", number(".1%")),
}
PAIR_NOTE = ("size: root mean square over tokens of the difference of responses. Intervals: bootstrap over tokens and "
             "seeds.")
SOURCE_NOTE = ("Learned to a training loss 20 % below that of the best constant answer. f(□) = net push of all texts + "
               "what their lengths do, exactly (docs/theory.md, eq. 72).")


@dataclass(frozen=True)
class Asked:
    """Which of the tokens that are asked about are neutral, and which polar, in the training texts."""

    neutral: NDArray[np.bool_]
    polar: NDArray[np.bool_]

    @classmethod
    def about(cls, tokens: tl.Tokens, positive: NDArray[np.bool_], chosen: NDArray[np.int64]) -> Asked:
        """By the share of a token's occurrences in positive texts, next to the share of positive tokens at all."""
        positive = positive[tokens.text_of_token]
        inside = np.bincount(tokens.ids[positive], minlength=len(tokens.vocabulary))[chosen]
        lean = inside / np.bincount(tokens.ids, minlength=len(tokens.vocabulary))[chosen] - positive.mean()
        return cls(np.abs(lean) < 0.05, np.abs(lean) > 0.15)

    def ratio(self, response: Array) -> float:
        """Mean |f(a)| of neutral tokens divided by that of polar ones."""
        return float(np.abs(response[self.neutral]).mean() / np.abs(response[self.polar]).mean())


def cases() -> Iterator[tuple[tl.Architecture, int, int]]:
    """Networks, and the shares of the texts and of the seeds (one in …) that they are given."""
    yield from ((tl.MLP(activation=activation), 1, 1) for activation in ACTIVATIONS)
    yield from ((tl.CNN(activation=activation), 3, 2) for activation in ("relu", "tanh"))


def flipped(answers: Answers) -> float:
    """Share of the tokens whose response has another sign than their own effect."""
    return float(np.mean(np.sign(answers.responses[-1]) * np.sign(answers.effects[-1]) < 0))


def share(answers: Answers) -> Array:
    """Mean bias share over the tokens, at the last record."""
    return np.asarray(np.mean(np.nan_to_num(answers.bias_shares[-1])))


def bias_row(found: Measured, asked: Asked) -> Row:
    """One network, predicted and trained."""
    mean, predicted = found.mean, found.predicted
    low, high = found.interval(share)
    return {
        "network": describe(found.architecture), "texts": len(found.trajectory.features), "seeds": len(found.trained),
        "bias": predicted.nothing[-1, 0], "bias_trained": mean.nothing[-1, 0],
        "share": float(share(predicted)), "share_trained": float(share(mean)),
        "share_interval": f"{float(low):.3f}–{float(high):.3f}",
        "share_single": float(np.mean([share(one) for one in found.trained])),
        "flipped": flipped(predicted), "flipped_trained": flipped(mean),
        "neutral": asked.ratio(predicted.responses[-1, :, 0]), "neutral_trained": asked.ratio(mean.responses[-1, :, 0]),
    }


def pair_row(first: Measured, second: Measured) -> Row:
    """Differences between two networks on the same tokens: predicted against trained."""
    row: Row = {"pair": f"{describe(first.architecture)} − {describe(second.architecture)}",
                "tokens": len(first.questions.tokens)}
    for name, part in (("", "responses"), ("own", "effects")):
        values = [getattr(first.predicted, part)[-1, :, 0] - getattr(second.predicted, part)[-1, :, 0],
                  *(getattr(one, part)[-1, :, 0] - getattr(other, part)[-1, :, 0]
                    for one, other in zip(first.trained, second.trained, strict=True))]
        found, low, high = correlation(values[0], values[1:])
        row |= {name or "correlation": found, f"{name}_interval" if name else "interval": f"{low:.3f}–{high:.3f}"}
        if not name:
            row |= {"size": float(np.sqrt(np.mean(values[0] ** 2))),
                    "size_trained": float(np.sqrt(np.mean(np.mean(values[1:], axis=0) ** 2)))}
    return row


def source_rows(texts: tl.Texts, rows: int) -> list[Row]:
    """What imbalance and length put into the bias, predicted, per activation and pooling."""
    found: list[Row] = []
    for pooling in ("mean", "sum"):
        for activation in ACTIVATIONS:
            for positive in SHARES:
                part = imbalanced(texts, rows, positive)
                tokens = tl.tokenize(part, tokenizer="whitespace")
                network = tl.MLP(activation=activation, pooling=pooling)
                trajectory = tl.learn(network.features(tokens), part.labels, until_loss=0.8 * entropy(positive))
                classes, lengths = tl.bias_sources(network, trajectory)
                table = tl.bias_split(network, trajectory, tokens).filter(pl.col("count") >= FREQUENT)
                found.append({"network": describe(network), "positive": positive, "bias": table["bias"][0],
                              "classes": classes[0], "lengths": lengths[0], "share": table["share"].fill_nan(0).mean(),
                              "flipped": table["flipped"].mean()})
    return found


def entropy(positive: float) -> float:
    """The training loss of the best constant answer."""
    return float(-positive * np.log(positive) - (1 - positive) * np.log(1 - positive))


def trained(texts: tl.Texts, rows: int, course: Course, folder: Path | None) -> Iterator[tuple[Measured, Asked]]:
    """Every network of `cases`, really trained."""
    for network, fewer, seeds in cases():
        part = imbalanced(texts, rows // fewer, POSITIVE)
        tokens = tl.tokenize(part, tokenizer="whitespace")
        chosen = np.flatnonzero(np.bincount(tokens.ids, minlength=len(tokens.vocabulary)) >= FREQUENT)
        print(f"{describe(network)}: {len(tokens):,} texts, {len(chosen)} tokens", flush=True)
        yield measure(network, tokens, part.labels, Questions(tokens.vocabulary, chosen),
                      replace(course, seeds=max(2, course.seeds // seeds)), folder=folder), Asked.about(
                          tokens, np.asarray(part.labels) == part.classes[-1], chosen)


def main(arguments: Sequence[str] | None = None) -> None:
    """Parses, trains, prints and saves."""
    parser = parser_of("activations", rows=600, width=1024, seeds=4)
    options = parser.parse_args(arguments)
    texts = tl.read_texts(options.data / "train.csv")
    course = replace(COURSE, width=options.width, seeds=options.seeds)
    pairs = list(trained(texts, options.rows, course, options.work))
    found = [one for one, _ in pairs]
    mlps = [one for one in found if isinstance(one.architecture, tl.MLP)]
    sheets = {
        "activations": Sheet("Bias: predicted and trained", [bias_row(*pair) for pair in pairs], BIAS,
                             bias_notes(found)),
        "activation_pairs": Sheet("The same token under two activations",
                                  [pair_row(a, b) for a, b in combinations(mlps, 2)], PAIRS, (PAIR_NOTE,)),
        "activation_sources": Sheet("What feeds the bias (predicted)", source_rows(texts, options.rows), SOURCES, (
            f"Parts of SST with {options.rows:,} texts. {SOURCE_NOTE}",)),
    }
    for sheet in sheets.values():
        sheet.print(Console())
    save(sheets, options.output, "activations", command=command_of(parser, options))
    bias_picture(pl.DataFrame(sheets["activation_sources"].rows), options.output / "activations.png")


def bias_notes(found: Sequence[Measured]) -> tuple[str, ...]:
    """How to read the first table, and its largest error."""
    errors = [abs(float(share(one.mean)) / float(share(one.predicted)) - 1) for one in found
              if float(share(one.predicted)) > 0]
    return (f"Full batches, {COURSE.epochs} steps, {POSITIVE:.0%} of the texts positive. Tokens seen {FREQUENT} times "
            "or more. trained: the mean network over the seeds; one network: mean over single ones, whose random start "
            "adds to both parts. sign flipped: tokens whose response has another sign than their own effect "
            "f(a) − f(□). neutral ÷ polar: mean |f(a)| of tokens within 5 points of the mean share of positive texts, "
            "divided by that of tokens more than 15 points off.",
            f"Largest relative error of a bias share that is not 0: {max(errors, default=0):.1%}.")


if __name__ == "__main__":
    main()
