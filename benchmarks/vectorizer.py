"""Tokenising, and counting unigrams to trigrams: scikit-learn's CountVectorizer and this package.

Command: python -m benchmarks --only vectorizer [--sizes 25000]
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from typing import Any

import numpy as np
import polars as pl
from scipy import sparse
from sklearn.feature_extraction.text import CountVectorizer

import tangentlens as tl
from benchmarks.asked import Asked
from benchmarks.paired import in_turns, seconds
from reproduce.sheet import Sheet, number, text, written

LONGEST = 3  # unigrams to trigrams
SIZES = (25_000,)
SHOWN = {
    "data": ("data", text), "texts": ("texts", number(",d")), "columns": ("n-grams", number(",d")),
    "counts": ("stored counts", number(",d")), "ours": ("tangentlens\ns", written),
    "theirs": ("CountVectorizer\ns", written), "ratio": ("times\nfaster", number(".2f")),
    "naming": ("our names\ns", number(".3g")),
}
NOTES = (
    f"CountVectorizer(ngram_range=(1, {LONGEST})).fit_transform(texts), its built-in analyser, against "
    f'tl.tokenize(texts, tokenizer="scikit-learn") and tl.LinearRNN(max_order={LONGEST}, pooling="sum").features(…) '
    "with the whole-number counts of every order. Names and counts were compared once, before, and are identical; that "
    "is not timed. Theirs keeps all names as strings in a dictionary; ours keeps numbers, and making strings of all of "
    "them takes the last column besides.",
    "Median (least–largest) of runs in turns, in one process after one untimed run of each; ratio: median over pairs.",
)


def ours(texts: Sequence[str]) -> tuple[tl.Features, list[sparse.csr_array]]:
    """Counts of every order."""
    tokens = tl.tokenize(texts, tokenizer="scikit-learn")
    features = tl.LinearRNN(max_order=LONGEST, pooling="sum").features(tokens)
    return features, [family.occurrences for family in features.families]


def theirs(texts: Sequence[str]) -> tuple[CountVectorizer, Any]:
    """Counts of all orders in one matrix."""
    vectorizer = CountVectorizer(ngram_range=(1, LONGEST))
    return vectorizer, vectorizer.fit_transform(texts)


def names_of(features: tl.Features) -> list[str]:
    """Names of all columns; without escapes, for these tokens hold no backslash."""
    names = pl.concat([family.names for family in features.families]).str.replace_all("\\", "", literal=True)
    return names.to_list()


def check(mine: tuple[tl.Features, list[sparse.csr_array]], other: tuple[CountVectorizer, Any]) -> None:
    """Raises AssertionError unless vocabulary and counts are identical."""
    (features, counts), (vectorizer, matrix) = mine, other
    names, place = names_of(features), vectorizer.vocabulary_
    assert len(names) == len(place), f"{len(names)} n-grams, scikit-learn has {len(place)}"
    columns = np.array([place.get(name, -1) for name in names])
    assert (columns >= 0).all(), f"n-gram {names[int(np.argmin(columns))]!r} is unknown to scikit-learn"
    assert len(np.unique(columns)) == len(columns), "two columns have one name"
    mine_sorted = sparse.csr_array(sparse.hstack(counts, format="csr"))
    mine_sorted = sparse.csr_array((mine_sorted.data, columns[mine_sorted.indices], mine_sorted.indptr),
                                   shape=mine_sorted.shape)
    mine_sorted.sort_indices()
    matrix.sort_indices()
    for part in ("indptr", "indices", "data"):
        assert np.array_equal(getattr(mine_sorted, part), getattr(matrix, part)), f"{part} of the counts differ"


def sheets(asked: Asked) -> dict[str, Sheet]:
    """Both sides on the same reviews."""
    reviews = tl.movie_reviews()
    rows = []
    for size in asked.sizes or SIZES:
        texts = list(reviews.texts[:size])
        found: dict[str, float] = {}

        def same(mine: Any, other: Any, found: dict[str, float] = found) -> None:
            check(mine, other)
            naming = statistics.median(seconds(lambda: [family.names for family in mine[0].families]) for _ in range(3))
            found |= {"columns": mine[0].columns, "counts": int(other[1].nnz), "naming": naming}

        asked.say(f"vectorizer: {size:,} reviews")
        paired = in_turns(lambda t=texts: ours(t), lambda t=texts: theirs(t), same, asked.repeats)
        rows.append({"data": "IMDB", "texts": len(texts), **found, **paired.row()})
    return {"vectorizer": Sheet("Tokenising and counting unigrams to trigrams", rows, SHOWN, NOTES)}
