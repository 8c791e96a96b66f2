"""Products with a feature map text by text, on the memory of its counts, where texts are many and features are few.

A product reads every text once, and adds to, or gathers from, as many numbers as there are features. Most of what it
touches are the few frequent ones: tokens are numbered by how often they occur, so that those stay in the cache, however
many texts there are. Weights of texts and coefficients are multiplied into the vectors: counts are stored once, for
products and for all else.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from tangentlens.data.sorting import blocks
from tangentlens.data.threads import parallel, summed
from tangentlens.features.counting import MANY, multiplied, rows_of, transposed, valued
from tangentlens.features.family import Family, Features

Array = NDArray[np.float64]
RUNS = 4  # of training texts, and of extra ones, side by side; results do not depend on the number of processors
BLOCK = 2**21  # stored counts that are squared at a time
DENSE = 50  # stored counts that a feature has, on average, for a map to be multiplied like this, with MANY texts


def suits(maps: Sequence[Features]) -> bool:
    """Whether training texts and extra ones should be multiplied like this: they are many, and Φ needs no rotation."""
    if not unrotated(maps[0]):
        return False
    stored = sum(family.stored.nnz for one in maps for family in one.families)
    return sum(map(len, maps)) >= MANY and stored >= DENSE * maps[0].columns


def unrotated(features: Features) -> bool:
    """Whether each shape of pattern has one family of one group."""
    families = features.families
    shapes = {() if family.patterns is None else family.patterns.shape for family in families}
    return len(shapes) == len(families) and all(len(one.groups) == 1 and one.ends is None for one in families)


@dataclass(frozen=True, eq=False)
class Run:
    """Some texts: of every family their counts (some, columns), what each of them is multiplied by, (some, 1), and what
    each column is, a number or (columns, 1).
    """

    counts: tuple[sparse.csr_array, ...]
    weights: tuple[Array, ...]
    factors: tuple[Array, ...]

    def __len__(self) -> int:
        return int(self.counts[0].shape[0])

    @property
    def nnz(self) -> int:
        """Stored counts."""
        return sum(one.nnz for one in self.counts)

    def spread(self, weights: Array) -> Array:
        """Z w, (some, c), for w of shape (features, c)."""
        total: Array | None = None
        for counts, weight, factor, part in zip(self.counts, self.weights, self.factors, self._split(weights),
                                                strict=True):
            found = multiplied(counts, factor * part)
            found *= weight
            total = found if total is None else np.add(total, found, out=total)
        return np.asarray(total)

    def gathered(self, vectors: Array) -> Array:
        """Zᵀ v, (features, c), for v of the first texts, (at most some, c)."""
        rows = len(vectors)
        found = [np.asarray(transposed(rows_of(counts, 0, rows)) @ (weight[:rows] * vectors))
                 for counts, weight in zip(self.counts, self.weights, strict=True)]
        return np.concatenate([factor * part for factor, part in zip(self.factors, found, strict=True)])

    def squares(self) -> Array:
        """Σ z² of every feature, (features,)."""
        found = []
        for counts, weight, factor in zip(self.counts, self.weights, self.factors, strict=True):
            total, each = np.zeros((counts.shape[1], 1)), np.diff(counts.indptr)
            for low, high in blocks(counts.indptr.astype(np.int64), BLOCK):
                part = slice(int(counts.indptr[low]), int(counts.indptr[high]))
                values = counts.data[part] * np.repeat(weight[low:high, 0], each[low:high])
                total[:, 0] += np.bincount(counts.indices[part], weights=values**2, minlength=len(total))
            found.append(total * factor**2)
        return np.concatenate(found)[:, 0]

    def _split(self, weights: Array) -> list[Array]:
        return np.split(weights, np.cumsum([one.shape[1] for one in self.counts])[:-1])


def runs_of(maps: Sequence[Features]) -> list[Run]:
    """Runs of rows of Z, those of training texts first, with Z Zᵀ = Θ."""
    runs = []
    for one in maps:
        numbers = [_numbers(family) for family in one.families]
        for low, high in pairwise(np.unique(np.linspace(0, len(one), RUNS + 1).astype(int)).tolist()):
            runs.append(Run(tuple(rows_of(counts, low, high) for counts, _ in numbers),
                            tuple(weight[low:high] for _, weight in numbers),
                            tuple(_factor(family) for family in one.families)))
    return runs


def through(runs: Sequence[Run], vectors: Array) -> Array:
    """Z Zᵀ v for v of shape (n + n',) or (n + n', c)."""
    columns = vectors.reshape(len(vectors), -1)
    return spread(runs, gathered(runs, columns)).reshape(vectors.shape)


def gathered(runs: Sequence[Run], vectors: Array) -> Array:
    """Zᵀ v, (features, c), for v of the first texts, (at most n + n', c)."""
    places = pairwise(np.cumsum([0, *map(len, runs)]).tolist())
    jobs = [(run, low, high) for run, (low, high) in zip(runs, places, strict=True) if low < len(vectors)]
    return summed(lambda job: job[0].gathered(vectors[job[1]:job[2]]), jobs)


def spread(runs: Sequence[Run], weights: Array) -> Array:
    """Z w, (n + n', c), for w of shape (features, c)."""
    return np.concatenate(parallel(lambda run: run.spread(weights), runs))


def squares(runs: Sequence[Run]) -> Array:
    """Σ z² of every feature, (features,)."""
    return np.asarray(np.add.reduce(parallel(Run.squares, runs)))


def _numbers(family: Family) -> tuple[sparse.csr_array, Array]:
    """Counts in 64 bits, if possible those that are stored, and what they are multiplied by to be pooled."""
    stored, values = family.stored, family.values
    data = stored.data.astype(np.float64, copy=False) if values is None else values
    weight = family.weight if values is None else np.ones(len(family.weight))
    return valued(stored, data), weight[:, None]


def _factor(family: Family) -> Array:
    """√γ, for every column if they differ."""
    scale = np.ones(1) if family.scale is None else family.scale
    return np.asarray(np.sqrt(family.coefficient) * scale[:, None])


