"""Claim: attention and CNNs are weak at n-grams, multiplication-based models strong; MLP and ElmanRNN have none.

Networks are trained on SST and asked for the interactions I(a, b) of its most frequent bigrams, for the share of
interactions in what decides the texts of dev, and for their tokens' effects; each beside the prediction.

Command: python -m reproduce.interactions [--data ../shared/data/sst] [--output reproduce/results] [--rows 6920]
         [--width 256] [--seeds 16] [--work FOLDER]
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import combinations

import numpy as np
import polars as pl
from numpy.typing import NDArray
from rich.console import Console
from scipy import stats

import tangentlens as tl
from reproduce.options import command_of, parser_of
from reproduce.pictures import interactions_picture
from reproduce.sheet import Row, Sheet, number, save, text, written
from reproduce.sst import load
from tangentlens.features.patterns import frequent_patterns
from tangentlens.kernels import describe
from tangentlens.predictions.questions import Answers, Questions
from tangentlens.verification import Course, Measured, correlation, measure

Array = NDArray[np.float64]
COURSE = Course(epochs=1, batch_size=32, fall=0.95)
BIGRAMS = 400
TOKENS = 600
TEXTS = 150  # of dev, for the interaction share
ROUNDING = 1e-3  # an interaction below this share of the tokens' effects is none
POWER = {
    "network": ("network", text), "seeds": ("seeds", number("d")),
    "size": ("I ÷ effects\npred.", number(".3f")), "size_trained": ("trained", number(".3f")),
    "correlation": ("I: cor-\nrelation", number(".3f")), "interval": ("95 %\ninterval", written),
    "signs": ("signs\nright", number(".1%")), "expected": ("of that\npossible", number(".1%")),
    "clear": ("clear\nones", number("d")), "signs_clear": ("right", number(".1%")),
    "beyond": ("beyond\nnoise", number(".1%")),
    "share": ("interaction\nshare, pred.", number(".2%")), "common": ("trained,\ncommon", number(".2%")),
    "common_interval": ("95 %\ninterval", written), "single": ("one\nnetwork", number(".1%")),
}
PAIRS = {
    "pair": ("difference between", text), "effects": ("of tokens'\neffects", number(".3f")),
    "effects_interval": ("95 %\ninterval", written), "interactions": ("of inter-\nactions", number(".3f")),
    "interactions_interval": ("95 %\ninterval", written),
}
NOTES = (
    "I ÷ effects: root mean square of I over the bigrams, divided by that of the tokens' effects. correlation: of "
    "predicted I and the mean over the networks; bootstrap over bigrams and seeds. signs right: bigrams whose mean I "
    "has the predicted sign; of that possible: the share to expect if the prediction were exact, given the scatter "
    "between networks, Σ Φ(|I| / s.e.) / N. clear ones: predicted |I| above 2 s.e. beyond noise, where "
    "I = 0 is predicted: bigrams whose mean differs from 0 at the 5 % level (5 % are chance; – for I = 0 to rounding).",
    "interaction share: Var J / (Var M + Var J) over texts of dev. trained, common: of what all networks have in "
    "common (docs/theory.md, eq. 74); one network: mean over single ones, random start included.",
)


def cases() -> Iterator[tuple[tl.Architecture, int]]:
    """Networks, and the share of the seeds (one in …) that they are given."""
    yield from ((tl.MLP(), 2), (tl.SelfAttention(), 2), (tl.ElmanRNN(), 4), (tl.CNN(), 1))
    yield from ((tl.MatrixVector(residual=True), 1), (tl.LinearRNN(gate_std=0.7, max_order=24), 1))


def pairs_of(answers: Answers) -> Array:
    """I of the bigrams at the last record."""
    return np.asarray(answers.interactions[0][-1, :, 0])


def effects_of(answers: Answers) -> Array:
    """f(a) − f(□) of the tokens at the last record."""
    return np.asarray(answers.effects[-1, :, 0])


def power_row(found: Measured) -> Row:
    """One network, predicted and trained."""
    predicted, each = pairs_of(found.predicted), np.stack([pairs_of(one) for one in found.trained])
    size = rms(effects_of(found.predicted))
    row: Row = {"network": describe(found.architecture), "seeds": len(each), "size": rms(predicted) / size,
                "size_trained": rms(each.mean(axis=0)) / rms(effects_of(found.mean)),
                "share": float(found.predicted.interaction_share[-1]), "common": float(found.common_share[-1]),
                "single": float(np.mean([one.interaction_share[-1] for one in found.trained])),
                "common_interval": "{:.2%}–{:.2%}".format(*found.common_interval())}
    if rms(predicted) > ROUNDING * size:
        return row | sign_figures(predicted, each)
    return row | ({"beyond": beyond_noise(each)} if rms(each) > ROUNDING * size else {})


def beyond_noise(each: Array) -> float:
    """Share of the bigrams whose mean over networks (S, N) differs from 0 at the 5 % level (t test)."""
    return float(np.mean(stats.ttest_1samp(each, 0.0, axis=0).pvalue < 0.05))


def sign_figures(predicted: Array, each: Array) -> Row:
    """How many signs are right, and how many could be; predicted (N,), each (S, N)."""
    right = np.sign(each.mean(axis=0)) == np.sign(predicted)
    error = np.maximum(each.std(axis=0, ddof=1) / np.sqrt(len(each)), np.finfo(float).tiny)
    clear = np.abs(predicted) > 2 * error
    found, low, high = correlation(predicted, each)
    return {"correlation": found, "interval": f"{low:.3f}–{high:.3f}", "signs": float(right.mean()),
            "expected": float(stats.norm.cdf(np.abs(predicted) / error).mean()), "clear": int(clear.sum()),
            "signs_clear": float(right[clear].mean()) if clear.any() else float("nan")}


def pair_row(first: Measured, second: Measured) -> Row:
    """Differences between two networks on the same tokens and bigrams; where one has no bigrams, of tokens only."""
    row: Row = {"pair": f"{describe(first.architecture)} − {describe(second.architecture)}"}
    for name, part in (("effects", effects_of), ("interactions", pairs_of)):
        difference = part(first.predicted) - part(second.predicted)
        if rms(difference) <= ROUNDING * rms(effects_of(first.predicted)):
            continue
        trained = [part(one) - part(other) for one, other in zip(first.trained, second.trained, strict=False)]
        found, low, high = correlation(difference, trained)
        row |= {name: found, f"{name}_interval": f"{low:.3f}–{high:.3f}"}
    return row


def rms(values: Array) -> float:
    """Root mean square."""
    return float(np.sqrt(np.mean(np.square(values))))


def main(arguments: Sequence[str] | None = None) -> None:
    """Parses, trains, prints and saves."""
    parser = parser_of("interactions", rows=6920, width=256, seeds=16)
    options = parser.parse_args(arguments)
    train, dev, _ = load(options.data, options.rows)
    count = np.bincount(train.tokens.ids, minlength=len(train.tokens.vocabulary))
    questions = Questions(train.tokens.vocabulary, np.argsort(-count, kind="stable")[:TOKENS],
                          (frequent_patterns(train.tokens, (0, 1), BIGRAMS),), dev.tokens[:TEXTS])
    found = []
    for network, fewer in cases():
        print(f"{describe(network)}", flush=True)
        course = replace(COURSE, width=options.width, seeds=max(2, options.seeds // fewer))
        found.append(measure(network, train.tokens, train.labels, questions, course, folder=options.work))
    notes = (f"{len(train.texts):,} texts of SST, one epoch of SGD with batches of {COURSE.batch_size}, width "
             f"{options.width}; the {BIGRAMS} most frequent bigrams, the {TOKENS} most frequent tokens, "
             f"{len(dev.tokens[:TEXTS])} texts of dev.", *NOTES)
    sheets = {"interactions": Sheet("Interactions of bigrams", [power_row(one) for one in found], POWER, notes),
              "interaction_pairs": Sheet("The same tokens and bigrams in two architectures: correlation of differences",
                                         [pair_row(*pair) for pair in combinations(found, 2)], PAIRS)}
    for sheet in sheets.values():
        sheet.print(Console())
    save(sheets, options.output, "interactions", command=command_of(parser, options))
    drawn = [one for one in found if rms(pairs_of(one.predicted)) > ROUNDING * rms(effects_of(one.predicted))]
    interactions_picture({describe(one.architecture): pl.DataFrame({
        "predicted": pairs_of(one.predicted), "trained": pairs_of(one.mean)}) for one in drawn},
        options.output / "interactions.png")


if __name__ == "__main__":
    main()
