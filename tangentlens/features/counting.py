"""Pattern counts as sparse matrices, and patterns by number.

Both sort whole numbers that hold two things: sorting nothing but values is what processors do fastest.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from tangentlens.data.sorting import blocks, distinct, starts
from tangentlens.data.threads import parallel, workers

Ints = NDArray[np.int64]
Ids = NDArray[np.int32] | NDArray[np.int64]
Matrix = TypeVar("Matrix", sparse.csr_array, sparse.csc_array)
MANY = 50_000  # texts from which on products use counts of tokens as they are stored: in 64 bits
FEW = 3  # vectors that are multiplied one after another
BLOCK = 2**21  # keys that one thread sorts at a time …
EVENTS = 2**18  # … and events: so few that text and column often fit into 32 bits
_BITS = 63


def count_matrix(text: Ints, column: Ids, shape: tuple[int, int]) -> sparse.csr_array:
    """How often each column occurs in each text; events with column −1 do not count.

    `text` must not decrease. Returns a sparse (n, d) matrix of 32-bit whole numbers with sorted columns.

    >>> count_matrix(np.array([0, 0, 0, 1]), np.array([2, 2, -1, 0]), (2, 3)).toarray().tolist()
    [[0, 0, 2], [1, 0, 0]]
    """
    return count_texts(np.searchsorted(text, np.arange(shape[0] + 1)), column, shape[1])


def count_texts(offsets: Ints, column: Ids, columns: int, dtype: type[np.number[Any]] = np.int32) -> sparse.csr_array:
    """The same where text i has the events offsets[i] … offsets[i + 1] − 1; offsets (n + 1,). dtype: of the counts.

    Blocks of texts are counted side by side, and written one after another into room that is touched as it fills.
    """
    last, small = int(offsets[-1]), np.iinfo(np.int32).max
    cut = blocks(offsets, EVENTS)
    data: NDArray[Any] = np.empty(last - int(offsets[0]), dtype)
    indices: Ids = np.empty(len(data), np.int32 if max(len(data), columns) <= small else np.int64)  # type: ignore[assignment]
    indptr, used = np.zeros(len(offsets), np.int64), 0
    bits = max(1, (columns - 1).bit_length())
    for start in range(0, len(cut), workers()):
        wave = cut[start:start + workers()]
        parts = parallel(lambda ends: _counted(offsets[ends[0]:ends[1] + 1], column, bits), wave)
        for (low, high), (found, counts, sizes) in zip(wave, parts, strict=True):
            indices[used:used + len(found)], data[used:used + len(found)] = found, counts
            indptr[low + 1:high + 1] = sizes
            used += len(found)
    np.cumsum(indptr, out=indptr)
    return sparse.csr_array((_shrunk(data, used), _shrunk(indices, used), indptr.astype(indices.dtype)),
                            shape=(len(offsets) - 1, columns))


def _counted(offsets: Ints, column: Ids, bits: int) -> tuple[Ints, Ints, Ints]:
    """Of the events of some texts: columns and counts, (m,) each, in order and without repeats; and how many columns
    each text has, (n,).
    """
    column, texts = column[offsets[0]:offsets[-1]], len(offsets) - 1
    kind: Any = np.uint32 if bits + (texts - 1).bit_length() <= 32 else np.uint64
    keys = np.repeat(np.arange(texts, dtype=kind) << kind(bits), np.diff(offsets))
    keys |= column.astype(kind)
    keys = keys[column >= 0] if len(column) and column.min() < 0 else keys
    keys.sort()
    first = starts(keys)
    counts = np.diff(np.append(first, len(keys)))
    keys = keys[first]
    found = (keys & kind((1 << bits) - 1)).astype(np.int64)
    return found, counts, np.bincount((keys >> kind(bits)).astype(np.int64), minlength=texts)


def rows_of(matrix: sparse.csr_array, low: int, high: int) -> sparse.csr_array:
    """The rows low … high − 1, on the same memory."""
    if (low, high) == (0, matrix.shape[0]):
        return matrix
    part = slice(*matrix.indptr[[low, high]])
    made = sparse.csr_array((high - low, matrix.shape[1]), dtype=matrix.dtype)
    return _filled(made, matrix.data[part], matrix.indices[part], matrix.indptr[low:high + 1] - part.start)


def valued(matrix: sparse.csr_array, data: NDArray[Any]) -> sparse.csr_array:
    """The matrix with other values, on the same indices."""
    return _filled(sparse.csr_array(matrix.shape, dtype=data.dtype), data, matrix.indices, matrix.indptr)


def transposed(matrix: sparse.csr_array) -> sparse.csc_array:
    """The transpose, on the same memory."""
    made = sparse.csc_array(matrix.shape[::-1], dtype=matrix.dtype)
    return _filled(made, matrix.data, matrix.indices, matrix.indptr)


def multiplied(matrix: sparse.csr_array, vectors: NDArray[Any]) -> NDArray[Any]:
    """matrix @ vectors, (n,) or (n, c), for vectors of shape (columns,) or (columns, c): few of them one after another,
    since by rows SciPy takes longer for two together.
    """
    if vectors.ndim == 1 or not 0 < vectors.shape[1] <= FEW:
        return np.asarray(matrix @ vectors)
    return np.stack([matrix @ np.ascontiguousarray(one) for one in vectors.T], axis=1)


def _filled(empty: Matrix, data: NDArray[Any], indices: NDArray[Any], indptr: NDArray[Any]) -> Matrix:
    """An empty matrix with these arrays: given to its constructor, views of less than half of an array are copied."""
    empty.data, empty.indices, empty.indptr = data, indices, indptr
    return empty


def _shrunk(values: Any, used: int) -> Any:
    """The first `used` values; without the room behind them where there is much of it."""
    return values[:used].copy() if used < len(values) // 2 else values[:used]


def ranked(keys: Ints) -> tuple[Ints, NDArray[np.int32]]:
    """Sorted distinct keys ≥ 0, and for every key its place among them (−1 for −1).

    Keys are sorted some at a time, each together with its place; then the sorted lists are joined.

    >>> ranked(np.array([7, -1, 3, 7]))
    (array([3, 7]), array([ 1, -1,  0,  1], dtype=int32))
    """
    largest = int(keys.max(initial=-1))
    room = _BITS - max(1, largest.bit_length())
    ids = np.full(len(keys), -1, np.int32)
    if room < 10:
        kept = np.flatnonzero(keys >= 0)
        found, ids[kept] = np.unique(keys[kept], return_inverse=True)
        return found, ids
    size = min(BLOCK, 1 << room)
    cuts = list(pairwise([*range(0, len(keys), size), len(keys)]))
    parts = parallel(lambda ends: _ranked_block(keys[slice(*ends)], ids[slice(*ends)], size), cuts)
    found = distinct(np.concatenate([keys[:0], *parts])) if len(parts) != 1 else parts[0]
    parallel(lambda job: _renumber(job[0], ids[slice(*job[1])], found),
             list(zip(parts, cuts, strict=True)) if len(parts) > 1 else [])
    return found, ids


def _ranked_block(keys: Ints, ids: NDArray[np.int32], size: int) -> Ints:
    """Sorted distinct keys of a block; writes the place of each key among them into `ids`."""
    bits = (size - 1).bit_length()
    packed = keys << bits
    packed |= np.arange(len(keys))
    packed = packed[keys >= 0]
    packed.sort()
    place = packed & ((1 << bits) - 1)
    packed >>= bits
    new = np.concatenate([[True], packed[1:] != packed[:-1]])[:len(packed)]
    ids[place] = np.cumsum(new, dtype=np.int32) - 1
    return np.asarray(packed[new])


def _renumber(distinct: Ints, ids: NDArray[np.int32], found: Ints) -> None:
    table = np.append(np.searchsorted(found, distinct), -1).astype(np.int32)
    ids[:] = table[ids]
