"""Z by columns, from the families of a feature map: Σ Ψ Ψᵀ = Θ, as runs of rows of Zᵀ."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from tangentlens.data.threads import parallel, workers
from tangentlens.features.counting import count_matrix, rows_of, valued
from tangentlens.features.family import Family, Features

Array = NDArray[np.float64]
LANES = 12  # runs of columns that are multiplied side by side, so many that processors end at about the same time: …
# … results do not depend on the number of processors
LANE = 2**17  # stored counts of a lane, at least about
LONG = 8  # entries of a column that is read as fast wherever it stands
SMALL = 200_000  # stored counts below which there is one lane only


def in_columns(features: Features, extra: Features | None) -> tuple[list[sparse.csr_array], Array]:
    """Runs of rows of Zᵀ, (some, n + n'), with the columns that two or more texts have, and the diagonal that others
    make, (n + n',).
    """
    blocks, shared = rotated(features, extra)[::-1], list[sparse.csr_array]()
    own = np.zeros(len(features) + (len(extra) if extra else 0))
    while blocks:
        wave = [blocks.pop() for _ in range(min(workers(), len(blocks)))]
        for columns, alone in parallel(by_columns, wave, enough=wave[0].nnz >= SMALL // 4):
            own += alone
            shared += columns
    return lanes_of(shared), own


def rotated(features: Features, extra: Features | None) -> list[sparse.csr_array]:
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


def by_columns(block: sparse.csr_array) -> tuple[list[sparse.csr_array], NDArray[Any]]:
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


def lanes_of(blocks: list[sparse.csr_array]) -> list[sparse.csr_array]:
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
