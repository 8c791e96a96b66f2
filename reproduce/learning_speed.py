"""Claim: the architecture decides which features are learned first, and the prediction knows when.

The step at which every feature reaches half of its final effect, predicted and on trained networks; which families
come first.

Command: python -m reproduce.learning_speed [--data ../shared/data/sst] [--output reproduce/results] [--rows 600]
         [--width 256] [--seeds 6] [--work FOLDER]
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from scipy import stats

import tangentlens as tl
from reproduce.options import command_of, parser_of
from reproduce.sheet import Row, Sheet, number, save, text
from reproduce.sst import imbalanced
from tangentlens.features.patterns import frequent_patterns
from tangentlens.kernels import describe
from tangentlens.predictions.questions import Answers, Questions
from tangentlens.predictions.scores import crossing
from tangentlens.verification import Course, Measured, measure

Array = NDArray[np.float64]
COURSE = Course(epochs=120, batch_size=None, fall=0.65, records=30)
POSITIVE = 0.6
FREQUENT = 10
BIGRAMS = 60
SHOWN = {
    "network": ("network", text), "family": ("features", text), "features": ("number", number("d")),
    "half": ("half step,\npred.", number(".1f")), "half_trained": ("trained", number(".1f")),
    "correlation": ("Spearman", number(".2f")), "low": ("95 % from", number(".2f")), "high": ("to", number(".2f")),
    "place": ("place,\npred.", number("d")), "place_trained": ("trained", number("d")),
}


def cases() -> Iterator[tl.Architecture]:
    """The architectures compared."""
    yield from (tl.MLP(), tl.CNN(), tl.MatrixVector(residual=True), tl.LinearRNN(gate_std=0.7, max_order=24))


def halves(answers: Answers, steps: Array) -> dict[str, Array]:
    """Half steps of the bias, of the tokens' effects and of the interactions."""
    paths = {"bias": answers.nothing[:, None, 0], "token": answers.effects[:, :, 0],
             "pair": answers.interactions[0][:, :, 0]}
    started = np.concatenate([[0.0], steps])
    return {name: crossing(np.vstack([np.zeros(path.shape[1]), path]).T, path[-1], started)
            for name, path in paths.items()}


def weights(answers: Answers) -> dict[str, Array]:
    """Sizes of the final effects: features that hardly move have no half step worth counting."""
    return {"bias": np.abs(answers.nothing[-1, :1]), "token": np.abs(answers.effects[-1, :, 0]),
            "pair": np.abs(answers.interactions[0][-1, :, 0])}


def rows_of(found: Measured) -> Iterator[Row]:
    """One row for each family that the architecture has."""
    steps = np.array(found.steps, dtype=np.float64)
    size = weights(found.predicted)
    predicted, trained = halves(found.predicted, steps), halves(found.mean, steps)
    largest = max(float(part.max(initial=0.0)) for part in size.values())
    kept = {name: size[name] > 0.05 * size[name].max(initial=0.0) for name in size
            if size[name].max(initial=0.0) > 1e-6 * largest}
    medians = {name: (median(predicted[name][mask]), median(trained[name][mask])) for name, mask in kept.items()}
    for name, mask in kept.items():
        row: Row = {"network": describe(found.architecture), "family": name, "features": int(mask.sum()),
                    "half": medians[name][0], "half_trained": medians[name][1]}
        for column, place in (("place", 0), ("place_trained", 1)):
            row |= {column: 1 + sum(other[place] < medians[name][place] for other in medians.values())}
        yield row | (spearman(predicted[name][mask], trained[name][mask]) if mask.sum() > 3 else {})


def median(values: Array) -> float:
    """Of those that were reached."""
    return float(np.nanmedian(values))


def spearman(first: Array, second: Array) -> Row:
    """Rank correlation, with a 95 % interval: bootstrap over features."""
    rng = np.random.default_rng(0)
    good = np.isfinite(first) & np.isfinite(second)
    first, second = first[good], second[good]
    draws = [rng.integers(len(first), size=len(first)) for _ in range(1000)]
    low, high = np.nanquantile([stats.spearmanr(first[d], second[d])[0] for d in draws], [0.025, 0.975])
    return {"correlation": float(stats.spearmanr(first, second)[0]), "low": float(low), "high": float(high)}


def main(arguments: Sequence[str] | None = None) -> None:
    """Parses, trains, prints and saves."""
    parser = parser_of("learning_speed", rows=600, width=256, seeds=6)
    options = parser.parse_args(arguments)
    texts = imbalanced(tl.read_texts(options.data / "train.csv"), options.rows, POSITIVE)
    tokens = tl.tokenize(texts, tokenizer="whitespace")
    chosen = np.flatnonzero(np.bincount(tokens.ids) >= FREQUENT)
    questions = Questions(tokens.vocabulary, chosen, (frequent_patterns(tokens, (0, 1), BIGRAMS),))
    rows: list[Row] = []
    for network in cases():
        print(describe(network), flush=True)
        course = replace(COURSE, width=options.width, seeds=options.seeds)
        rows += rows_of(measure(network, tokens, texts.labels, questions, course, folder=options.work))
    notes = (f"{len(texts):,} texts of SST, {POSITIVE:.0%} positive; {COURSE.epochs} steps of full batches, width "
             f"{options.width}, mean of {options.seeds} networks. Half step: first (interpolated) step at which an "
             "effect has the sign, and half of the size, that it has at the end. Tokens: seen "
             f"{FREQUENT} times or more; pairs: the {BIGRAMS} most frequent bigrams; those whose predicted effect is "
             "above 5 % of the family's largest.",
             "place: the order of the families by their median half step.")
    sheet = Sheet("What is learned first", rows, SHOWN, notes)
    sheet.print(Console())
    save({"learning_speed": sheet}, options.output, "learning_speed", command=command_of(parser, options))


if __name__ == "__main__":
    main()
