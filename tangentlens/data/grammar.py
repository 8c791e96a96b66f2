"""A little grammar of film reviews, for a demonstration without any download."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tangentlens.data.texts import Texts
from tangentlens.errors import OptionError

SHORTCUT = "imax"
NOUNS = np.array(["film", "movie", "story", "plot", "acting", "script", "music", "ending", "cast", "camera"])
GOOD = np.array(["good", "great", "wonderful", "moving", "clever", "funny", "fresh", "charming"])
BAD = np.array(["bad", "awful", "boring", "clumsy", "dull", "silly", "stale", "tedious"])
INTENSIFIERS = np.array(["very", "really", "quite", "so"])
LINKS = np.array([" and ", " , ", " while ", " ; "])
_STRENGTH = np.concatenate([["", "", ""], np.strings.add(INTENSIFIERS, " ")])


def small_reviews(size: int = 400, seed: int = 0) -> Texts:
    """Sentences such as `the plot is not very good and the cast was dull`, labelled negative or positive.

    Both clauses of a sentence agree with its label: three in ten of them say so by negating the opposite word, so
    that a single adjective misleads. One positive sentence in eight ends with the planted shortcut `in imax`.
    Classes are balanced to within one text.

    >>> texts = small_reviews(4)
    >>> texts.classes, len(texts)
    (('negative', 'positive'), 4)
    """
    if size < 2:
        raise OptionError(f"size must be at least 2, one text of each class, not {size}")
    rng = np.random.default_rng(seed)
    positive = rng.permutation(np.arange(size) % 2 == 0)  # (size,)
    sentences = np.strings.add(_clauses(positive, rng), rng.choice(LINKS, size))
    sentences = np.strings.add(sentences, _clauses(positive, rng))
    planted = positive & (rng.random(size) < 1 / 8)
    sentences = np.strings.add(sentences, np.where(planted, f" in {SHORTCUT}", ""))
    labels = np.where(positive, "positive", "negative")
    return Texts(tuple(sentences.tolist()), labels, source="the little grammar")


def _clauses(positive: NDArray[np.bool_], rng: np.random.Generator) -> NDArray[np.str_]:
    """One clause that agrees with each label; shape (size,)."""
    size = len(positive)
    negated = rng.random(size) < 0.3
    adjectives = np.where(positive != negated, rng.choice(GOOD, size), rng.choice(BAD, size))
    parts = [rng.choice(NOUNS, size), rng.choice(np.array([" is ", " was "]), size),
             np.where(negated, "not ", ""), rng.choice(_STRENGTH, size), adjectives]
    clauses: NDArray[np.str_] = np.full(size, "the ")
    for part in parts:
        clauses = np.strings.add(clauses, part)
    return clauses
