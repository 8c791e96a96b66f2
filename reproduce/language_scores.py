"""Label scores of context tokens: counts that they are compared with, extreme targets, and rank correlations.

Part of: python -m reproduce.language_models
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import combinations

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

Array = NDArray[np.float64]
Ints = NDArray[np.int64]
MOST, SEEN = 10, 50  # targets at either end, among those that occur so often
TOKENS = 20  # context tokens of the box plot
PAIR = 20  # a pair counts from so many co-occurrences
DRAWS = 1000


@dataclass(frozen=True)
class Counted:
    """Counts of k context tokens with v targets: in the window, and as neighbours. Shapes: window, bigrams (k, v);
    unigram (v,), the targets' distribution; targets (v,), how often each is a target.
    """

    window: Array
    bigrams: Array
    unigram: Array
    targets: Ints

    @cached_property
    def lift(self) -> Array:
        """(count + ½) / (expected count + ½) in the window, if context and target were independent; (k, v)."""
        expected = self.window.sum(axis=1, keepdims=True) * self.unigram
        return np.asarray((self.window + 0.5) / (expected + 0.5))

    def baselines(self) -> dict[str, Array]:
        """What counts say about every pair, by name; (k, v)."""
        expected = self.window.sum(axis=1, keepdims=True) * self.unigram
        bigram = np.log((self.bigrams + 1) / (self.bigrams.sum(axis=1, keepdims=True) + len(self.unigram)))
        with np.errstate(divide="ignore"):
            pmi = np.log(self.window / expected)
        return {"PMI in the window": pmi, "co-occurrence count": self.window, "bigram log p(w | a)": bigram,
                "bigram PMI, log p(w | a) / p(w)": bigram - np.log(self.unigram)}

    def ends(self, rule: str) -> tuple[Ints, Ints]:
        """The MOST targets of the first TOKENS tokens with the greatest and the least "lift" or "count", (TOKENS, MOST)
        each, among targets seen SEEN times. Of equal ones the most frequent target comes first at either end.
        """
        chosen = np.flatnonzero(self.targets >= SEEN)
        values = (self.lift if rule == "lift" else self.window)[:TOKENS, chosen]
        top, bottom = (np.argsort(sign * values, axis=1, kind="stable")[:, :MOST] for sign in (-1, 1))
        return chosen[top], chosen[bottom]


def boxes(scores: Array, ends: tuple[Ints, Ints]) -> tuple[Array, Array]:
    """Scores at the top and the bottom targets of each token, (TOKENS, MOST) each."""
    top, bottom = (np.take_along_axis(scores[:TOKENS], end, axis=1) for end in ends)
    return top, bottom


def separated(scores: Array, ends: tuple[Ints, Ints]) -> tuple[int, int]:
    """For how many tokens the median of the top targets is the higher one; for how many it is also above 0, and that
    of the bottom targets below.
    """
    top, bottom = (np.median(part, axis=1) for part in boxes(scores, ends))
    return int(np.sum(top > bottom)), int(np.sum((top > 0) & (bottom < 0)))


@dataclass(frozen=True)
class Share:
    """A Spearman correlation with the mean network, as a share of the ceiling, and its bootstrap draws."""

    spearman: float
    value: float
    draws: Array

    @property
    def interval(self) -> str:
        """The 95 % interval of the share."""
        return interval(self.draws)


def interval(draws: Array) -> str:
    """The middle 95 % of bootstrap draws."""
    low, high = np.quantile(draws, [0.025, 0.975])
    return f"{low:.3f}–{high:.3f}"


@dataclass(frozen=True, eq=False)
class Ranks:
    """Spearman correlations over pairs of a context token and a target, with a bootstrap over context tokens.

    Ranks are those among all pairs; a draw weighs the pairs of a token by how often it was drawn. Shapes: rows,
    columns (n,); weights (DRAWS + 1, tokens), the first row without drawing.
    """

    rows: Ints
    columns: Ints
    weights: Array = field(init=False)

    def __post_init__(self) -> None:
        size = int(self.rows.max()) + 1
        present = np.bincount(self.rows, minlength=size) > 0
        drawn = np.zeros((DRAWS, size))
        drawn[:, present] = np.random.default_rng(0).multinomial(
            present.sum(), np.full(present.sum(), 1 / present.sum()), size=DRAWS)
        object.__setattr__(self, "weights", np.concatenate([np.ones((1, size)), drawn]))

    @classmethod
    def of(cls, counted: Counted) -> Ranks:
        """Of all pairs seen PAIR times in the window."""
        return cls(*np.nonzero(counted.window >= PAIR))

    def among(self, scores: Array) -> Array:
        """Ranks of the pairs' scores (k, v), with mean 0 and variance 1; (n,)."""
        ranks = rankdata(scores[self.rows, self.columns])
        return np.asarray((ranks - ranks.mean()) / ranks.std())

    def correlations(self, x: Array, y: Array) -> Array:
        """Of two arrays (n,): without drawing, then of every draw; (DRAWS + 1,)."""
        parts = [np.bincount(self.rows, weights=values) for values in (np.ones(len(x)), x, y, x * x, y * y, x * y)]
        size, mx, my, xx, yy, xy = (self.weights @ part for part in parts)
        mx, my = mx / size, my / size
        return np.asarray((xy / size - mx * my) / np.sqrt((xx / size - mx**2) * (yy / size - my**2)))

    def mean(self, each: Sequence[Array]) -> Array:
        """Ranks of the mean over networks of their standardised scores (k, v); (n,)."""
        picked = np.stack([one[self.rows, self.columns] for one in each])
        picked = (picked - picked.mean(axis=1, keepdims=True)) / picked.std(axis=1, keepdims=True)
        ranks = rankdata(picked.mean(axis=0))
        return np.asarray((ranks - ranks.mean()) / ranks.std())

    def ceiling(self, each: Sequence[Array]) -> tuple[Array, Array]:
        """r, the mean correlation of two networks, and the ceiling (theory, eq. 67); (DRAWS + 1,) each."""
        ranks = [self.among(one) for one in each]
        r = np.mean([self.correlations(a, b) for a, b in combinations(ranks, 2)], axis=0)
        return r, np.sqrt(np.clip(len(each) * r / (1 + (len(each) - 1) * r), 1e-12, None))

    def share(self, scores: Array, each: Sequence[Array]) -> Share:
        """Of a prediction or baseline (k, v) with the mean over networks, each (k, v)."""
        found = self.correlations(self.among(scores), self.mean(each))
        shares = found / self.ceiling(each)[1]
        return Share(float(found[0]), float(shares[0]), shares[1:])
