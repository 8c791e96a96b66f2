"""Distinct whole numbers by sorting, which is many times as fast as the hash table of `numpy.unique`; runs of texts."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray


def starts(values: NDArray[np.int64] | NDArray[np.uint64] | NDArray[np.uint32]) -> NDArray[np.int64]:
    """Where each run of equal values begins.

    >>> starts(np.array([2, 2, 5])).tolist()
    [0, 2]
    """
    if not len(values):
        return np.empty(0, np.int64)
    return np.flatnonzero(np.concatenate([[True], values[1:] != values[:-1]]))


def blocks(offsets: NDArray[np.int64], size: int) -> list[tuple[int, int]]:
    """Runs of texts, first and past the last, of about `size` entries each; offsets (n + 1,).

    >>> blocks(np.array([0, 3, 4, 9, 10]), 4)
    [(0, 2), (2, 3), (3, 4)]
    """
    marks = np.arange(offsets[0] + size, offsets[-1], size)
    cuts = np.unique([0, *np.searchsorted(offsets, marks), len(offsets) - 1])
    return [(int(low), int(high)) for low, high in pairwise(cuts)]


def distinct(values: NDArray[np.int64]) -> NDArray[np.int64]:
    """The different values, ascending.

    >>> distinct(np.array([5, 2, 5])).tolist()
    [2, 5]
    """
    values = np.sort(values)
    return values[starts(values)]
