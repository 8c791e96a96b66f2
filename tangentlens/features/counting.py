"""Pattern counts as sparse matrices."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import sparse


def count_matrix(text: NDArray[np.int64], column: NDArray[np.int64], shape: tuple[int, int]) -> sparse.csr_array:
    """How often each column occurs in each text; events with column −1 do not count.

    `text` must not decrease. Returns a sparse (n, d) matrix of 32-bit whole numbers with sorted columns.

    >>> count_matrix(np.array([0, 0, 0, 1]), np.array([2, 2, -1, 0]), (2, 3)).toarray().tolist()
    [[0, 0, 2], [1, 0, 0]]
    """
    keep = column >= 0
    text, column = text[keep], column[keep]
    indptr = np.searchsorted(text, np.arange(shape[0] + 1)).astype(np.int64)
    small = len(column) < np.iinfo(np.int32).max
    index = np.int32 if small else np.int64
    matrix = sparse.csr_array((np.ones(len(column), np.int32), column.astype(index), indptr.astype(index)), shape=shape)
    matrix.sum_duplicates()
    return matrix.copy()  # without the room that repeated events took
