"""Binomial tails and the procedure of Benjamini and Hochberg, from scipy.special: scipy.stats would double the time in
which the command starts.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

Array = NDArray[np.float64]


def at_least(hits: ArrayLike, trials: ArrayLike, share: ArrayLike) -> Array:
    """P(Binomial(trials, share) ≥ hits).

    >>> at_least([0, 1, 2], 2, 0.5).tolist()
    [1.0, 0.75, 0.25]
    """
    hits, trials, share = np.asarray(hits), np.asarray(trials), np.asarray(share, dtype=float)
    return np.where(hits > 0, special.betainc(np.maximum(hits, 1), trials - hits + 1, share), 1.0)


def at_most(hits: ArrayLike, trials: ArrayLike, share: ArrayLike) -> Array:
    """P(Binomial(trials, share) ≤ hits).

    >>> at_most([0, 1, 2], 2, 0.5).tolist()
    [0.25, 0.75, 1.0]
    """
    hits, trials, share = np.asarray(hits), np.asarray(trials), np.asarray(share, dtype=float)
    return np.where(hits < trials, special.betaincc(hits + 1, np.maximum(trials - hits, 1), share), 1.0)


def lowest_share(hits: ArrayLike, trials: ArrayLike, level: float) -> Array:
    """The share at which P(Binomial(trials, share) ≥ hits) is the level: Clopper and Pearson's lower bound.

    >>> lowest_share([0, 1], 1, 0.05).round(12).tolist()
    [0.0, 0.05]
    """
    hits, trials = np.asarray(hits), np.asarray(trials)
    return np.where(hits > 0, special.betaincinv(np.maximum(hits, 1), trials - hits + 1, level), 0.0)


def discovery_rates(p: NDArray[Any]) -> Array:
    """Of every p (N,), the lowest level of Benjamini and Hochberg's procedure at which it is a discovery.

    >>> discovery_rates(np.array([0.01, 0.5, 0.03])).round(3).tolist()
    [0.03, 0.5, 0.045]
    """
    falling = np.argsort(p)[::-1]
    rates = np.empty(len(p))
    rates[falling] = np.minimum.accumulate(p[falling] * (len(p) / np.arange(len(p), 0, -1)))
    return np.minimum(rates, 1.0)


def rate_error(hits: int, count: int) -> float:
    """Standard error of hits / count as Agresti and Coull have it, with two more hits and two more misses: never 0.

    >>> round(rate_error(3, 3), 3), round(rate_error(320, 400), 3), rate_error(0, 0)
    (0.171, 0.02, nan)
    """
    share = (hits + 2) / (count + 4)
    return float(np.sqrt(share * (1 - share) / (count + 4))) if count else float("nan")
