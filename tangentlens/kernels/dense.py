"""Exact kernels position by position, in blocks of bounded memory: the definition, not the sparse map."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from tangentlens.data.tokens import Tokens
from tangentlens.features.patterns import same_vocabulary
from tangentlens.features.windows import Windows, pooling_weight

Array = NDArray[np.float64]
BLOCK = 2048  # tokens on each side of a block: a block holds at most about 4 million positions


def blocks(tokens: Tokens) -> Iterator[slice]:
    """Runs of texts with at most BLOCK tokens each (or a single longer text)."""
    start = 0
    while start < len(tokens):
        stop = int(np.searchsorted(tokens.offsets, tokens.offsets[start] + BLOCK, side="right")) - 1
        stop = min(max(stop, start + 1), len(tokens))
        yield slice(start, stop)
        start = stop


def kernel_by_blocks(tokens: Tokens, other: Tokens | None, block: Callable[[Tokens, Tokens], Array]) -> Array:
    """The (n, n') matrix whose blocks `block` computes; without `other`, the lower blocks mirror the upper ones."""
    right = tokens if other is None else other
    same_vocabulary(tokens.vocabulary, right.vocabulary)
    kernel = np.zeros((len(tokens), len(right)))
    for rows in blocks(tokens):
        mine = tokens[rows]
        for columns in blocks(right):
            if other is None and columns.start < rows.start:
                kernel[rows, columns] = kernel[columns, rows].T
            else:
                kernel[rows, columns] = block(mine, right[columns])
    return kernel


def matches(left: NDArray[np.int32], right: NDArray[np.int32]) -> NDArray[np.bool_]:
    """[t = t'] for two lists of token ids; unknown tokens match nothing. Shape (p, p')."""
    return np.asarray((left[:, None] == right[None, :]) & (left >= 0)[:, None])


def pooling_matrix(text: NDArray[np.int64], weight: Array) -> sparse.csr_array:
    """The (n, p) matrix that sums positions to texts, times each text's pooling weight."""
    p = len(text)
    return sparse.csr_array((weight[text], (text, np.arange(p))), shape=(len(weight), p))


def state_matrix(tokens: Tokens, pooling: str) -> sparse.csr_array:
    """The (n, total) matrix that pools states, one per token: "sum", "mean", or "last"."""
    if pooling != "last":
        return pooling_matrix(tokens.text_of_token, pooling_weight(tokens.lengths, pooling))
    filled = np.flatnonzero(tokens.lengths > 0)
    ones = np.ones(len(filled))
    return sparse.csr_array((ones, (filled, tokens.offsets[1:][filled] - 1)), shape=(len(tokens), len(tokens.ids)))


def inside(tokens: Tokens) -> NDArray[np.bool_]:
    """Whether a token has one before it in its text; shape (total,)."""
    flags = np.ones(len(tokens.ids), dtype=bool)
    flags[tokens.offsets[:-1][tokens.lengths > 0]] = False
    return flags


def pool(values: Array, left: sparse.csr_array, right: sparse.csr_array) -> Array:
    """Position-by-position values (p, p') pooled to texts (n, n')."""
    return np.asarray((right @ (left @ values).T).T)


def window_block(left: Windows, right: Windows, table: Array, pooling: str) -> Array:
    """Kernel between two blocks of texts whose windows compare through table[present, present', matches].

    table has the shape (k + 1, k + 1, k + 1); the result (n, n').
    """
    k = left.size
    count = np.zeros((len(left.start), len(right.start)), dtype=np.intp)
    for offset in range(k):
        count += matches(left.ids(offset), right.ids(offset))
    count += left.present[:, None] * (k + 1) ** 2 + right.present[None, :] * (k + 1)
    values = table.reshape(-1)[count]
    return pool(values, *(pooling_matrix(side.text, pooling_weight(side.per_text, pooling)) for side in (left, right)))
