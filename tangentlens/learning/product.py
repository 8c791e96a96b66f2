"""Products with the tangent kernel, Θ a, through the sparse feature map; the n × n matrix is never formed."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.sparse.linalg import LinearOperator, eigsh

from tangentlens.data.threads import parallel, workers
from tangentlens.features.counting import count_matrix
from tangentlens.features.family import Family, Features

Array = NDArray[np.float64]
FREQUENT = 16, 256  # texts that hold a column: from where on it is placed before rarer ones
SMALL = 200_000  # stored counts below which one thread is faster than two


@dataclass
class KernelProduct:
    """Θ = Z Zᵀ + diag(own): Z holds the features that two or more texts share.

    A feature that stands in one text only acts on that text alone, so it goes to the diagonal; most n-grams are like
    that. Coefficient matrices between groups are split by Cholesky, γ = L Lᵀ, and the families of one pattern shape
    at several offsets, nearly equal columns, are rotated to their mean and their (sparse) differences: Θ stays the
    same, to rounding, with far fewer stored counts.

    `extra` texts (validation) take part as rows: a product with duals of the n training texts then gives outputs on
    n + n' rows, training texts first. `products` counts products with Θ, one for each column of the right-hand side;
    one product = Z and Zᵀ together.
    """

    features: Features
    extra: Features | None = None
    products: int = 0
    forward: list[sparse.csr_array] = field(init=False, repr=False)  # row blocks of Z, (n, d')
    backward: list[sparse.csr_array] = field(init=False, repr=False)  # row blocks of Zᵀ, (d', n)
    own: Array = field(init=False, repr=False)  # (n,)

    def __post_init__(self) -> None:
        self.own = np.zeros(self.rows)
        stacked = self._shared()
        self.forward = _row_blocks(stacked)
        self.backward = _row_blocks(sparse.csr_array(stacked[:len(self.features)].T))

    def _shared(self) -> sparse.csr_array:
        """Z; what stands in one text only is added to `own`."""
        n = self.rows
        blocks, shared = _rotated(self.features, self.extra)[::-1], []
        while blocks:
            block = blocks.pop()
            entries = np.bincount(block.indices, minlength=block.shape[1])
            rare = entries[block.indices] == 1
            rows = np.repeat(np.arange(n), np.diff(block.indptr))
            self.own += np.bincount(rows[rare], weights=block.data[rare] ** 2, minlength=n)
            shared.append(_columns(block, ~rare, rows, entries))
        return sparse.csr_array(sparse.hstack(shared, format="csr")) if shared else sparse.csr_array((n, 0))

    @property
    def rows(self) -> int:
        """Number of rows: training texts, then extra texts."""
        return len(self.features) + (len(self.extra) if self.extra else 0)

    @property
    def nnz(self) -> int:
        """Stored counts in Z."""
        return sum(block.nnz for block in self.forward)

    def __matmul__(self, duals: Array) -> Array:
        """Θ a for a of shape (n,) or (n, c); the result has one row for every training and extra text."""
        self.products += 1 if duals.ndim == 1 else duals.shape[1]
        n = len(self.features)
        pulled = _multiply(self.forward, _multiply(self.backward, np.ascontiguousarray(duals)))
        pulled[:n] += (self.own[:n] if duals.ndim == 1 else self.own[:n, None]) * duals
        return pulled

    def largest_eigenvalue(self) -> float:
        """λ_max(Θ) by Lanczos, to a relative 1e-4."""
        n = len(self.features)
        if n < 20:
            return float(np.linalg.eigvalsh((self @ np.eye(n))[:n])[-1]) if n else 0.0
        operator = LinearOperator((n, n), matvec=lambda x: (self @ x.ravel())[:n], dtype=np.float64)
        start = np.ones(n)
        if not (self @ start)[:n].any():  # the entries of Θ are not negative, so this means Θ = 0
            return 0.0
        return float(eigsh(operator, k=1, which="LA", tol=1e-4, v0=start, return_eigenvectors=False)[0])


def _rotated(features: Features, extra: Features | None) -> list[sparse.csr_array]:
    """Blocks Ψ with Σ Ψ Ψᵀ = Θ."""
    alike: dict[tuple[tuple[int, ...], str], list[sparse.csr_array]] = {}
    lags: list[list[Family]] = []
    blocks: list[sparse.csr_array] = []
    for same in zip(features.families, *([extra.families] if extra else []), strict=True):
        family, size = same[0], len(same[0])
        if family.ends is not None:
            lags.append(list(same))
            continue
        counts = _stacked(family.counts for family in same)
        if family.style == "lag":
            blocks.append(sparse.csr_array(counts * np.sqrt(family.coefficient)))
            continue
        parts = [counts[:, g * size:(g + 1) * size] for g in range(len(family.groups))] if size < counts.shape[1] else (
            [counts])
        full, *rest = _uncoupled(parts, family.coefficients)
        shape = family.patterns.shape if family.patterns is not None else ()
        alike.setdefault((shape, family.style), []).append(full)
        blocks += rest
    for group in alike.values():
        blocks += _helmert(group)
    return blocks + (_nested(lags) if lags else [])


def _uncoupled(parts: list[sparse.csr_array], coefficients: Array) -> list[sparse.csr_array]:
    """Ψ_e = Σ_g Φ_g L[g, e] with L Lᵀ = γ, groups from the last (the full window) down: L then has few entries."""
    factor = _cholesky(coefficients[::-1, ::-1])
    parts = parts[::-1]
    blocks = []
    for e in range(len(parts)):
        small_first = reversed(range(e, len(parts)))
        scaled = (parts[g] * factor[g, e] for g in small_first if factor[g, e] and parts[g].nnz)
        blocks.append(sum(scaled, start=sparse.csr_array(parts[0].shape)))
    return [blocks[0], *(block for block in blocks[1:] if block.nnz)]


def _nested(lags: list[list[Family]]) -> list[sparse.csr_array]:
    """Ψ for the lags 0, 1, … of texts and extra texts: the nearly empty D_l = Φ_l − Φ_{l+1}, the tokens with exactly l
    after them, coupled by C[a, b] = Σ_{l ≤ a, b} γ_l.
    """
    parts = [_stacked(at_lag(family, lag) for family in same) for lag, same in enumerate(lags[:-1])]
    parts.append(_stacked(family.counts for family in lags[-1]))
    gamma = np.cumsum([same[0].coefficient for same in lags])
    return _uncoupled(parts, np.minimum.outer(gamma, gamma))


def at_lag(family: Family, lag: int) -> sparse.csr_array:
    """Pooled counts of the tokens that have exactly `lag` after them."""
    assert family.ends is not None
    ended = count_matrix(np.arange(len(family.ends)), family.ends[:, lag].astype(np.int64), family.stored.shape)
    return family.pooled(ended)


def _stacked(parts: Iterable[sparse.csr_array]) -> sparse.csr_array:
    """The rows of all parts."""
    first, *rest = parts
    return sparse.csr_array(sparse.vstack([first, *rest])) if rest else first


def _cholesky(matrix: Array) -> Array:
    """Lower triangular L with L Lᵀ = matrix, for a positive semi-definite matrix that may be singular."""
    size = len(matrix)
    factor = np.zeros_like(matrix)
    rest = matrix.copy()
    for e in range(size):
        if rest[e, e] > 1e-14 * matrix[e, e]:
            factor[e:, e] = rest[e:, e] / np.sqrt(rest[e, e])
            rest -= np.outer(factor[:, e], factor[:, e])
    return factor


def _helmert(blocks: list[sparse.csr_array]) -> list[sparse.csr_array]:
    """An orthogonal rotation of blocks of one shape: their scaled sum first, then differences that are nearly empty."""
    result = []
    total = blocks[0]
    for count, block in enumerate(blocks[1:], start=1):
        difference = sparse.csr_array((total - block * count) / np.sqrt(count * (count + 1)))
        difference.data[np.abs(difference.data) <= 1e-15] = 0.0
        difference.eliminate_zeros()
        result.append(difference)
        total = total + block
    return [sparse.csr_array(total / np.sqrt(len(blocks))), *result]


def _columns(block: sparse.csr_array, keep: NDArray[np.bool_], rows: NDArray[np.int64], entries: NDArray[np.int64]
             ) -> sparse.csr_array:
    """The kept entries, in the columns with several; columns with many come first, so that they stay in the cache."""
    n = block.shape[0]
    levels = [(entries >= low) & (entries < high) for low, high in pairwise((2, *FREQUENT, len(rows) + 1))][::-1]
    number, used = np.empty(len(entries), np.int32), 0
    for level in levels:
        size = np.count_nonzero(level)
        number[level] = np.arange(used, used + size)
        used += int(size)
    kept = number[block.indices[keep]]
    indptr = np.concatenate([[0], np.cumsum(np.bincount(rows[keep], minlength=n))])
    index = np.int32 if len(kept) < np.iinfo(np.int32).max else np.int64
    return sparse.csr_array((block.data[keep], kept, indptr.astype(index)), shape=(n, used))


def _row_blocks(matrix: sparse.csr_array) -> list[sparse.csr_array]:
    """The matrix cut into as many runs of rows as there are processors, with about equally many entries each."""
    runs = workers() if matrix.nnz >= SMALL else 1
    cuts = np.searchsorted(matrix.indptr, np.linspace(0, matrix.nnz, runs + 1)[1:-1])
    return [_rows(matrix, low, high) for low, high in pairwise([0, *map(int, cuts), matrix.shape[0]])]


def _rows(matrix: sparse.csr_array, low: int, high: int) -> sparse.csr_array:
    """Some rows, on the same memory."""
    first, last = matrix.indptr[low], matrix.indptr[high]
    part = (matrix.data[first:last], matrix.indices[first:last], matrix.indptr[low:high + 1] - first)
    return sparse.csr_array(part, shape=(high - low, matrix.shape[1]))


def _multiply(blocks: list[sparse.csr_array], vector: Array) -> Array:
    if len(blocks) == 1:
        return np.asarray(blocks[0] @ vector)
    ends = np.cumsum([0, *(block.shape[0] for block in blocks)])
    result = np.empty((ends[-1], *vector.shape[1:]))

    def multiply(place: int) -> None:
        result[ends[place]:ends[place + 1]] = blocks[place] @ vector

    parallel(multiply, range(len(blocks)))
    return result
