"""Products with the counts of one family, some texts at a time: counts are weighted where they are used, never all."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from tangentlens.data.sorting import blocks
from tangentlens.data.threads import parallel, workers
from tangentlens.features.counting import transposed

if TYPE_CHECKING:
    from tangentlens.features.family import Family

Array = NDArray[np.float64]
Entries = tuple[NDArray[np.int32], NDArray[np.int32], Array]
BLOCK = 2**22  # stored counts of the texts that are worked on at a time, at least …
SHARE = 2  # … or so many for each number of a result as tall as there are columns


def pushed(family: Family, vectors: Array) -> Array:
    """Φᵀ v, (columns, k), for v of shape (n, k)."""
    return _summed(family, vectors, lambda part, v: transposed(part.counts) @ v)


def occurred(family: Family, vectors: NDArray[np.int64]) -> NDArray[np.int64]:
    """The same with plain occurrences and whole numbers."""
    return _summed(family, vectors, lambda part, v: (transposed(part.occurrences) @ v).astype(np.int64, copy=False))


def pulled(family: Family, scores: Array) -> Array:
    """Φ s, (n, k), for s of shape (columns, k)."""
    parts = parallel(lambda ends: family.part(*ends).counts @ scores, _cut(family, BLOCK))
    return np.concatenate(parts) if len(parts) > 1 else np.asarray(parts[0])


def texts_with(family: Family) -> NDArray[np.int64]:
    """How many texts hold each column of what is stored; (columns,)."""
    def work(ends: tuple[int, int]) -> NDArray[np.int64]:
        low, high = family.stored.indptr[list(ends)].tolist()
        return np.bincount(family.stored.indices[low:high], minlength=family.columns)

    return np.asarray(sum(parallel(work, _cut(family, max(BLOCK, SHARE * family.columns)))))


def columns_of(family: Family, low: int, high: int) -> sparse.csc_array:
    """The columns low … high − 1 of what is stored, or of `values`, (n, high − low), column by column."""
    stored = family.stored
    data: NDArray[Any] = stored.data if family.values is None else family.values
    dtype: type[np.number[Any]] = np.int32 if family.values is None else np.float64

    def work(ends: tuple[int, int]) -> tuple[NDArray[Any], NDArray[np.int32], NDArray[np.int64]]:
        start, stop = stored.indptr[list(ends)].tolist()
        indices = stored.indices[start:stop]
        inside = (indices >= low) & (indices < high)
        before = np.concatenate([[0], np.cumsum(inside)])
        return data[start:stop][inside].astype(dtype, copy=False), indices[inside] - np.int32(low), np.diff(
            before[stored.indptr[ends[0]:ends[1] + 1] - start])

    parts = parallel(work, _cut(family, BLOCK))
    values, columns, sizes = (np.concatenate(part) for part in zip(*parts, strict=True))
    indptr = np.concatenate([[0], np.cumsum(sizes)]).astype(columns.dtype if len(columns) < 2**31 else np.int64)
    return sparse.csr_array((values, columns, indptr), shape=(stored.shape[0], high - low)).tocsc()


def entries(family: Family, found: Callable[[Family], Entries]) -> Entries:
    """Texts, columns and values of entries that are found in some texts at a time; of all texts."""
    cut = _cut(family, BLOCK)
    parts = parallel(lambda ends: found(family.part(*ends)), cut)
    for (low, _), (rows, _, _) in zip(cut, parts, strict=True):
        rows += low
    rows, columns, values = (np.concatenate(part) if len(parts) > 1 else part[0] for part in zip(*parts, strict=True))
    return rows, columns, values


def _summed(family: Family, vectors: NDArray[Any], work: Callable[[Family, NDArray[Any]], NDArray[Any]]
            ) -> NDArray[Any]:
    """Results of all parts, added in their order: the same on any number of processors."""
    cut = _cut(family, max(BLOCK, SHARE * family.columns * vectors.shape[1]))
    if len(cut) == 1:
        return np.asarray(work(family, vectors))
    total = np.zeros((family.columns, vectors.shape[1]), vectors.dtype)
    for start in range(0, len(cut), workers()):
        for one in parallel(lambda ends: work(family.part(*ends), vectors[slice(*ends)]), cut[start:start + workers()]):
            total += one
    return total


def _cut(family: Family, size: int) -> list[tuple[int, int]]:
    """Runs of texts of about so many stored counts; one at least."""
    return blocks(family.stored.indptr.astype(np.int64), size) or [(0, len(family.weight))]
