"""Products of tall matrices with few columns, on all processors where they are large; in 32 bits or in 64."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tangentlens.data.threads import parallel, workers
from tangentlens.learning.memory import free
from tangentlens.learning.product import TINY

Array = NDArray[np.float64]
BLOCK = 2**22  # bytes of a matrix that a thread works on at a time: in smaller ones, turns between threads take longer
FEW = 3  # columns that are multiplied one after another: together two take twice as long
ROOM = 16, 600  # columns that there is room for in a new array: if it is to be kept small, and if memory is there
SHARED = 2**19  # entries of a tall matrix above which processors share its rows
ROUNDED = 1e-8  # singular values of a smaller share of the largest are rounding of their squares
SPARE = 0.5  # share of the free memory that room for columns may be set aside in


def runs_of(rows: int, columns: int) -> list[slice]:
    """The rows of a tall matrix, a run for every processor if it is large."""
    count = workers() if rows * columns >= SHARED else 1
    return [slice(rows * place // count, rows * (place + 1) // count) for place in range(count)]


def _blocks(rows: slice, matrix: NDArray[Any]) -> list[slice]:
    """The rows in blocks, for a matrix of 32 bits: sums over a block are of 32 bits, sums of blocks of 64."""
    each = rows.stop - rows.start if matrix.dtype == np.float64 else max(1, BLOCK // max(1, 4 * matrix.shape[1]))
    return [slice(low, min(low + each, rows.stop)) for low in range(rows.start, rows.stop, max(1, each))]


def _at_once(matrix: NDArray[Any]) -> bool:
    """Whether a matrix has neither blocks nor runs: much of the time that small products take is finding that out."""
    return matrix.size < SHARED and matrix.dtype == np.float64


def norms(vectors: Array) -> Array:
    """Of the columns, (p,): one after another, which takes a fifth of what all at once does."""
    return np.sqrt([column @ column for column in vectors.T])


def columnwise(left: NDArray[Any], right: NDArray[Any]) -> NDArray[Any]:
    """left right, few columns one after another; in 64 bits columns lie one after another, as they are read."""
    if not 1 < right.shape[1] <= FEW:  # in 32 bits, rows one after another round a third as much
        return np.asarray(left @ right if left.dtype == np.float32 else (right.T @ left.T).T)
    product = np.empty((right.shape[1], len(left)), left.dtype)
    for column, out in zip(right.T, product, strict=True):
        np.matmul(left, column, out=out)
    return np.asarray(product.T)


def across(left: NDArray[Any], right: NDArray[Any]) -> Array:
    """leftᵀ right of tall matrices (rows, m) and (rows, p); shape (m, p)."""
    if _at_once(left):
        return columnwise(left.T, right)

    def work(run: slice) -> Array:
        total = np.zeros((left.shape[1], right.shape[1]))
        for rows in _blocks(run, left):
            total += columnwise(left[rows].T, right[rows].astype(left.dtype, copy=False))
        return total

    return np.asarray(np.add.reduce(parallel(work, runs_of(*left.shape))))


def times(left: NDArray[Any], right: Array) -> Array:
    """left right of a tall matrix (rows, m) and a small one (m, p); shape (rows, p)."""
    if _at_once(left):
        return columnwise(left, right)
    product, small = np.empty((len(left), right.shape[1]), order="F"), right.astype(left.dtype, copy=False)

    def work(run: slice) -> None:
        for rows in _blocks(run, left):
            product[rows] = columnwise(left[rows], small)

    parallel(work, runs_of(*left.shape))
    return product


def less(from_: Array, left: NDArray[Any], right: Array) -> Array:
    """from_ − left right of tall matrices (rows, p) and (rows, m), and a small one (m, p); written over from_."""
    if _at_once(left):
        from_ -= columnwise(left, right)
        return from_
    small = right.astype(left.dtype, copy=False)

    def work(run: slice) -> None:
        for rows in _blocks(run, left):
            from_[rows] -= columnwise(left[rows], small)

    if left.shape[1]:
        parallel(work, runs_of(*left.shape))
    return from_


def directions_of(vectors: Array, count: int) -> tuple[Array, Array]:
    """The first left singular vectors of a tall matrix, largest first, and all values, from its small Gram matrix."""
    values, modes = np.linalg.eigh(across(vectors, vectors))
    size = np.sqrt(np.maximum(values[::-1], 0.0))
    floor = max(ROUNDED * float(size[0]), TINY)
    return times(vectors, (modes[:, ::-1] / np.maximum(size, floor))[:, :count]), size


def beside(columns: NDArray[Any], more: int, new: Callable[[slice], NDArray[Any]]) -> NDArray[Any]:
    """Columns and, beside them, as many more, which `new` gives for any rows: written into the room that their array
    has left, or into a new one. Columns lie one after another: what is not written yet takes no memory.
    """
    rows, m = columns.shape
    array = columns if columns.base is None else columns.base
    fits = array.ndim == 2 and array.shape[1] >= m + more
    if not fits:
        least, most = ROOM
        roomy = max(most, m + more) * rows * columns.itemsize < SPARE * free()
        array = np.empty((rows, m + max(more, most - m if roomy else 0, least, m // 3)), columns.dtype, order="F")

    def work(part: slice) -> None:
        if not fits:
            array[part, :m] = columns[part]
        array[part, m:m + more] = new(part)

    parallel(work, runs_of(rows, m + more))
    return array[:, :m + more]
