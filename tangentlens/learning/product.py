"""Products with the tangent kernel, Θ a, through the sparse feature map; the n × n matrix is never formed."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.sparse.linalg import LinearOperator, eigsh

from tangentlens.data.threads import parallel, summed, workers
from tangentlens.features.counting import count_matrix, multiplied, rows_of, transposed, valued
from tangentlens.features.family import Family, Features
from tangentlens.learning import by_text

Array = NDArray[np.float64]
LANES = 12  # runs of columns that are multiplied side by side; results do not depend on the number of processors
LANE = 2**17  # stored counts of a lane, at least about
LONG = 8  # entries of a column that is read as fast wherever it stands
SMALL = 200_000  # stored counts below which there is one lane only
TINY = float(np.finfo(np.float64).tiny)
FEW = 128  # texts without a feature of their own, or features, that Z is looked at by itself for …
LARGE = 2**18  # … if it has no more entries then …
STORED = 2**22  # … and is not looked for among more stored counts
TILT = 0.75  # power of the squares of a feature by which it is weighted less: more would favour rare ones too much


@dataclass
class KernelProduct:
    """Θ = Z Zᵀ + diag(own): Z holds the features that two or more texts share.

    A feature that stands in one text only acts on that text alone, so it goes to the diagonal; most n-grams are like
    that. Coefficient matrices between groups are split by Cholesky, γ = L Lᵀ, and the families of one pattern shape
    at several offsets, nearly equal columns, are rotated to their mean and their (sparse) differences: Θ stays the
    same, to rounding, with far fewer stored counts.

    Z is stored once, by columns: Zᵀ a reads each of them, Z u adds each of them up, and both gather and scatter in
    vectors as short as there are texts, which stay in the cache. Short columns are ordered by their number of entries.
    Where texts are many and features are few, products use the counts by text as the features have them (`by_text`).

    `extra` texts (validation) take part as rows: a product with duals of the n training texts then gives outputs on
    n + n' rows, training texts first. `products` counts products with Θ, one for each column of the right-hand side;
    one product = Z and Zᵀ together.
    """

    features: Features
    extra: Features | None = None
    products: int = 0
    lanes: list[sparse.csr_array] = field(init=False, repr=False)  # runs of rows of Zᵀ, (some, n + n'); or none …
    runs: list[by_text.Run] = field(default_factory=list, init=False, repr=False)  # … but runs of rows of Z
    own: Array = field(init=False, repr=False)  # (n + n',)
    textwise: ClassVar[bool] = True  # whether Z may be stored by texts

    def __post_init__(self) -> None:
        maps = [self.features] if self.extra is None else [self.features, self.extra]
        self.own = np.zeros(self.rows)
        if self.textwise and by_text.suits(maps):
            self.lanes, self.runs = [], by_text.runs_of(maps)
            return
        blocks, shared = _rotated(self.features, self.extra)[::-1], []
        while blocks:
            wave = [blocks.pop() for _ in range(min(workers(), len(blocks)))]
            for columns, alone in parallel(_by_columns, wave, enough=wave[0].nnz >= SMALL // 4):
                self.own += alone
                shared += columns
        self.lanes = _lanes(shared)

    @property
    def rows(self) -> int:
        """Number of rows: training texts, then extra texts."""
        return len(self.features) + (len(self.extra) if self.extra else 0)

    @property
    def nnz(self) -> int:
        """Stored counts in Z."""
        return sum(lane.nnz for lane in self.lanes) + sum(run.nnz for run in self.runs)

    def __matmul__(self, duals: Array) -> Array:
        """Θ a for a of shape (n,) or (n, c); the result has one row for every training and extra text."""
        self.products += 1 if duals.ndim == 1 else duals.shape[1]
        padded = self._padded(duals)
        found = self._shared(padded)
        found += (self.own * padded.T).T
        return found

    def _padded(self, duals: Array) -> Array:
        """The duals (n,) or (n, c), and zeros for the extra texts."""
        return np.concatenate([duals, np.zeros((self.rows - len(duals), *duals.shape[1:]))]) if self.extra else duals

    def tilted(self, duals: Array) -> tuple[Array, Array]:
        """Θ a and Z W Zᵀ a, for a of shape (n, c), where W divides by the power TILT of a feature's Σ z², so that rare
        ones and frequent ones count more alike; what one text alone has is one feature. Where Z is not stored by
        columns, Θ a stands for both.
        """
        if not self.lanes:
            found = self @ duals
            return found, found
        self.products += 2 * duals.shape[1]
        padded = self._padded(duals)
        found = summed(lambda lane: _tilted(*lane, padded), zip(self._both_ways, self._tilts, strict=True))
        found += self._own_tilted * padded
        return found[0], found[1]

    @cached_property
    def _own_tilted(self) -> Array:
        """What each text alone adds to both, (2, n + n', 1)."""
        return np.stack([self.own, self.own ** (1 - TILT)])[:, :, None]

    @cached_property
    def _tilts(self) -> list[Array]:
        """W, (some, 1) for every run of rows of Zᵀ, of which none is empty."""
        squares = (np.add.reduceat(lane.data**2, lane.indptr[:-1]) for lane in self.lanes)
        return [np.maximum(one, TINY)[:, None] ** -TILT for one in squares]

    @cached_property
    def lacking(self) -> tuple[NDArray[np.intp], sparse.csr_array] | None:
        """The training texts that have no feature of their own, (q,), and their rows of Z, (q, k); None where those are
        many, and features too, or Z is large.
        """
        n = len(self.features)
        if self.runs:
            few = n <= few_texts(self.columns)
            return (np.arange(n), sparse.csr_array(self.spread(np.eye(self.columns))[:n])) if few else None
        texts = np.flatnonzero(self.own[:n] == 0)
        if len(texts) > few_texts(sum(lane.shape[0] for lane in self.lanes)) or self.nnz > STORED:
            return None
        rows = [sparse.csr_array((0, len(texts))), *(lane[:, texts] for lane in self.lanes)]
        return texts, sparse.csr_array(sparse.vstack(rows).T)

    @property
    def columns(self) -> int:
        """Number of features, where Z is stored by texts."""
        return self.features.columns

    def gathered(self, duals: Array) -> Array:
        """Zᵀ a, (columns, c), for a of shape (n, c), where Z is stored by texts."""
        return by_text.gathered(self.runs, duals)

    def spread(self, weights: Array) -> Array:
        """Z w, (n + n', c), for w of shape (columns, c), where Z is stored by texts. `products` does not count it."""
        return by_text.spread(self.runs, weights)

    def squares(self) -> Array:
        """Σ z² of every feature, (columns,), where Z is stored by texts."""
        return by_text.squares(self.runs)

    def _shared(self, vectors: Array) -> Array:
        """Z Zᵀ v for v of shape (n + n',) or (n + n', c)."""
        if self.runs:
            return by_text.through(self.runs, vectors)
        if not self.lanes:
            return np.zeros(vectors.shape)
        return summed(lambda both: np.asarray(both[1] @ multiplied(both[0], vectors)), self._both_ways)

    @cached_property
    def _both_ways(self) -> list[tuple[sparse.csr_array, sparse.csc_array]]:
        """Runs of rows of Zᵀ, and their transposes on the same memory."""
        return [(lane, transposed(lane)) for lane in self.lanes]

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


def few_texts(features: int) -> int:
    """How many texts are few beside so many features."""
    return FEW if features > FEW else LARGE // max(features, 1)


def _tilted(ways: tuple[sparse.csr_array, sparse.csc_array], weights: Array, vectors: Array) -> Array:
    """Z Zᵀ v and Z W Zᵀ v of a run of features, (2, n + n', c)."""
    gathered = multiplied(ways[0], vectors)
    return np.stack([ways[1] @ gathered, ways[1] @ (weights * gathered)])


def _rotated(features: Features, extra: Features | None) -> list[sparse.csr_array]:
    """Blocks Ψ with Σ Ψ Ψᵀ = Θ."""
    alike: dict[tuple[tuple[int, ...], str], list[sparse.csr_array]] = {}
    lags: list[list[Family]] = []
    blocks: list[sparse.csr_array] = []
    ordinary: list[list[Family]] = []
    for same in zip(features.families, *([extra.families] if extra else []), strict=True):
        (lags if same[0].ends is not None else ordinary).append(list(same))
    enough = sum(family.stored.nnz for same in ordinary for family in same) >= SMALL
    for (family, *_), (full, *rest) in zip(ordinary, parallel(_of_family, ordinary, enough=enough), strict=True):
        shape = family.patterns.shape if family.patterns is not None else ()
        if family.style == "lag":
            blocks.append(full)
        else:
            alike.setdefault((shape, family.style), []).append(full)
        blocks += rest
    for group in parallel(_helmert, alike.values(), enough=enough):
        blocks += group
    return blocks + (_nested(lags) if lags else [])


def _of_family(same: list[Family]) -> list[sparse.csr_array]:
    """The blocks of one family, of the training texts and the extra ones; that of the full window first."""
    family, size = same[0], len(same[0])
    counts = _stacked(family.counts for family in same)
    if len(family.groups) == 1:
        room = None if np.may_share_memory(counts.data, family.values) else counts.data
        return [_scaled(counts, np.sqrt(family.coefficient), room)]
    return _uncoupled([counts[:, g * size:(g + 1) * size] for g in range(len(family.groups))], family.coefficients)


def _scaled(matrix: sparse.csr_array, factor: float, room: Array | None = None) -> sparse.csr_array:
    """The matrix times a number, on the same indices; its values in `room` if that is given."""
    return valued(matrix, np.multiply(matrix.data, factor, out=room))


def _uncoupled(parts: list[sparse.csr_array], coefficients: Array) -> list[sparse.csr_array]:
    """Ψ_e = Σ_g Φ_g L[g, e] with L Lᵀ = γ, groups from the last (the full window) down: L then has few entries."""
    factor = _cholesky(coefficients[::-1, ::-1])
    parts = parts[::-1]
    blocks = []
    for e in range(len(parts)):
        small_first = [g for g in reversed(range(e, len(parts))) if factor[g, e] and parts[g].nnz]
        scaled = [_scaled(parts[g], factor[g, e]) for g in small_first]
        blocks.append(sum(scaled[1:], start=scaled[0]) if scaled else sparse.csr_array(parts[0].shape))
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
    if len(blocks) == 1:
        return blocks
    result = []
    total = blocks[0]
    for count, block in enumerate(blocks[1:], start=1):
        difference = _scaled(total - _scaled(block, count), 1 / np.sqrt(count * (count + 1)))
        difference.data[np.abs(difference.data) <= 1e-15] = 0.0
        difference.eliminate_zeros()
        result.append(difference)
        total = total + block
    return [_scaled(total, 1 / np.sqrt(len(blocks))), *result]


def _by_columns(block: sparse.csr_array) -> tuple[list[sparse.csr_array], NDArray[Any]]:
    """The columns with several entries, as rows: as they come up to the first short one, for the sake of tokens, which
    are numbered by how often they occur, and the others those with many first. And Σ z² over those with one, by text.
    """
    columns = block.tocsc()
    entries = np.diff(columns.indptr)
    single = columns.indptr[:-1][entries == 1]
    alone = np.bincount(columns.indices[single], weights=columns.data[single] ** 2, minlength=block.shape[0])
    long = int(np.argmin(np.append(entries, 0) >= LONG))
    order = long + np.argsort(-entries[long:], kind="stable")[:np.count_nonzero(entries[long:] > 1)]
    rows = sparse.csr_array((columns.data, columns.indices, columns.indptr), shape=block.shape[::-1])
    first, others = rows_of(rows, 0, long), sparse.csr_array(rows[order])
    first = first if 2 * first.nnz > rows.nnz else first.copy()  # a view would keep all of the memory
    return [part for part in (first, others) if part.nnz], alone


def _lanes(blocks: list[sparse.csr_array]) -> list[sparse.csr_array]:
    """The blocks cut into runs of rows, about LANES in all, large ones first; small blocks together."""
    total = sum(block.nnz for block in blocks)
    if total < SMALL:
        return [sparse.csr_array(sparse.vstack(blocks))] if total else []
    size, lanes = max(LANE, total // LANES), list[sparse.csr_array]()
    small = [block for block in blocks if block.nnz < size // 4]
    together = [sparse.csr_array(sparse.vstack(small))] if small else []
    for block in [*(one for one in blocks if one.nnz >= size // 4), *together]:
        cuts = np.searchsorted(block.indptr, np.linspace(0, block.nnz, max(1, round(block.nnz / size)) + 1)[1:-1])
        lanes += [rows_of(block, low, high) for low, high in pairwise([0, *map(int, cuts), block.shape[0]])]
    return sorted((lane for lane in lanes if lane.nnz), key=lambda lane: -lane.nnz)
