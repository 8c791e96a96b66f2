"""A feature map stored text by text, for products where texts are many and features are few.

A product reads every text once, and adds to, or gathers from, as many numbers as there are features. Most of what it
touches are the few frequent ones: they come first and stay in the cache, however many texts there are, and several
vectors cost little more than one.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from tangentlens.data.sorting import blocks
from tangentlens.data.threads import parallel
from tangentlens.features.family import Family, Features

Array = NDArray[np.float64]
RUNS = 4  # of texts, side by side; results do not depend on the number of processors
BLOCK = 2**21  # stored counts that are weighted at a time
MANY = 50_000  # texts from which on a map is stored like this …
DENSE = 50  # … if a feature has so many stored counts, on average


def suits(maps: Sequence[Features]) -> bool:
    """Whether training texts and extra ones should be stored like this: they are many, and Φ needs no rotation, since
    each shape of pattern has one family of one group.
    """
    families = maps[0].families
    shapes = {() if family.patterns is None else family.patterns.shape for family in families}
    if len(shapes) < len(families) or any(len(one.groups) > 1 or one.ends is not None for one in families):
        return False
    stored = sum(family.stored.nnz for one in maps for family in one.families)
    return sum(map(len, maps)) >= MANY and stored >= DENSE * maps[0].columns


def rows_of(maps: Sequence[Features]) -> tuple[list[sparse.csr_array], Array]:
    """Runs of rows of Z, (some texts, shared features), those of training texts first, with Z Zᵀ + diag(own) = Θ; and
    own (n + n',), for the features that one text alone has.
    """
    counts = np.concatenate([sum(np.bincount(family.stored.indices, minlength=family.columns) for family in same)
                             for same in zip(*(one.families for one in maps), strict=True)])
    number = np.empty(len(counts), np.int32)
    number[np.argsort(-counts, kind="stable")] = np.arange(len(counts), dtype=np.int32)
    shared = int(np.count_nonzero(counts > 1))
    cuts = np.concatenate([[0], np.cumsum([len(one) for one in maps])])
    ends = np.linspace(0, cuts[-1], RUNS + 1).astype(int)
    runs, own = [], [np.zeros(0)]
    for low, high in pairwise(ends.tolist()):
        parts = [(one, max(low, first) - first, min(high, last) - first) for one, (first, last) in
                 zip(maps, pairwise(cuts.tolist()), strict=True) if max(low, first) < min(high, last)]
        run, alone = _run(parts, number, shared)
        runs.append(run)
        own.append(alone)
    return runs, np.concatenate(own)


def through(runs: Sequence[sparse.csr_array], vectors: Array) -> Array:
    """Z Zᵀ v for v of shape (n + n',) or (n + n', c)."""
    return spread(runs, gathered(runs, vectors))


def gathered(runs: Sequence[sparse.csr_array], vectors: Array) -> Array:
    """Zᵀ v, (features, c), for v of the first texts, (at most n + n', c)."""
    places = list(pairwise(np.cumsum([0, *(run.shape[0] for run in runs)]).tolist()))
    jobs = [(run, low, min(high, len(vectors))) for run, (low, high) in zip(runs, places, strict=True)
            if low < len(vectors)]
    total, *others = parallel(lambda job: _head(job[0], job[2] - job[1]).T @ vectors[job[1]:job[2]], jobs)
    for other in others:
        total += other
    return np.asarray(total)


def spread(runs: Sequence[sparse.csr_array], weights: Array) -> Array:
    """Z w, (n + n', c), for w of shape (features, c)."""
    return np.concatenate(parallel(lambda run: run @ weights, runs))


def squares(runs: Sequence[sparse.csr_array]) -> Array:
    """Σ z² of every feature, (features,)."""
    def work(run: sparse.csr_array) -> Array:
        total = np.zeros(run.shape[1])
        for low in range(0, run.nnz, BLOCK):
            part = slice(low, low + BLOCK)
            total += np.bincount(run.indices[part], weights=run.data[part] ** 2, minlength=len(total))
        return total

    return np.asarray(np.add.reduce(parallel(work, runs)))


def _head(run: sparse.csr_array, rows: int) -> sparse.csr_array:
    """The first rows, on the same memory."""
    if rows == run.shape[0]:
        return run
    end = int(run.indptr[rows])
    return sparse.csr_array((run.data[:end], run.indices[:end], run.indptr[:rows + 1]), shape=(rows, run.shape[1]))


def _run(parts: Sequence[tuple[Features, int, int]], number: NDArray[np.int32], shared: int
         ) -> tuple[sparse.csr_array, Array]:
    """One run, from some texts of some maps: written block after block into room for all of their counts."""
    room = sum(int(family.stored.indptr[high] - family.stored.indptr[low])
               for one, low, high in parts for family in one.families)
    data, indices = np.empty(room), np.empty(room, np.int32)
    sizes, own, used = [np.zeros(1, np.int64)], [], 0
    for one, low, high in parts:
        sums = np.add.reduce([family.stored.indptr[low:high + 1].astype(np.int64) for family in one.families])
        jobs = [(one, low + first, low + last) for first, last in blocks(sums, BLOCK)]
        for block, alone in parallel(lambda job: _block(*job, number, shared), jobs):
            data[used:used + block.nnz], indices[used:used + block.nnz] = block.data, block.indices
            used += block.nnz
            sizes.append(np.diff(block.indptr))
            own.append(alone)
    indptr = np.cumsum(np.concatenate(sizes))
    run = sparse.csr_array((data[:used], indices[:used], indptr.astype(np.int32 if used < 2**31 else np.int64)),
                           shape=(len(indptr) - 1, shared))
    return run, np.concatenate(own)


def _block(one: Features, low: int, high: int, number: NDArray[np.int32], shared: int
           ) -> tuple[sparse.csr_array, Array]:
    """Rows of Z, and what features of one text alone add to each."""
    starts = np.cumsum([0, *(family.columns for family in one.families)])
    parts = [_weighted(family, low, high, number[start:start + family.columns])
             for family, start in zip(one.families, starts[:-1].tolist(), strict=True)]
    rows = np.concatenate([part[0] for part in parts])
    columns, values = (np.concatenate([part[place] for part in parts]) for place in (1, 2))
    alone = columns >= shared
    own = np.bincount(rows[alone], weights=values[alone] ** 2, minlength=high - low)
    kept = ~alone
    block = sparse.csr_array((values[kept], (rows[kept], columns[kept])), shape=(high - low, shared))
    return block, np.asarray(own, np.float64)


def _weighted(family: Family, low: int, high: int, number: NDArray[np.int32]
              ) -> tuple[NDArray[np.int64], NDArray[np.int32], Array]:
    """Texts, numbers of the features, and √γ Φ, of the stored counts of some texts."""
    counts = family.part(low, high).counts
    rows = np.repeat(np.arange(high - low), np.diff(counts.indptr))
    return rows, number[counts.indices], counts.data * np.sqrt(family.coefficient)
