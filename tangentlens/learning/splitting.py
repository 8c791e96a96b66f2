"""A feature map as blocks Ψ with Θ = Σ Ψ Ψᵀ, few of their entries stored; the same blocks whatever the texts.

The families of one shape of pattern, at several offsets and in several groups, have counts Φ_1 … Φ_J and coefficients
C (J, J). With W (B, J) such that Wᵀ W = C, the blocks are Ψ_b = Σ_j W[b, j] Φ_j, and label scores s = C Φᵀ a are
Wᵀ (Ψᵀ a).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from tangentlens.features.family import Family, Features
from tangentlens.learning.columns import at_lag

Array = NDArray[np.float64]
ROUNDING = 1e-14  # an entry below this share of the largest is the rounding of a difference


@dataclass(frozen=True, eq=False)
class Split:
    """The blocks of one shape of pattern. members: (family, group) of each of the J counts; weights W (B, J); with
    `lagged`, blocks are made from the tokens with exactly l after them, mixed by `inner` (B, J), not from Φ.
    """

    shape: tuple[int, ...]
    members: tuple[tuple[int, int], ...]
    weights: Array
    inner: Array
    lagged: bool = False


def splits_of(features: Features) -> tuple[Split, ...]:
    """How the families of a feature map are split; does not depend on its texts."""
    alike: dict[tuple[tuple[int, ...], str, bool], list[int]] = {}
    for number, family in enumerate(features.families):
        shape = () if family.patterns is None else family.patterns.shape
        alike.setdefault((shape, family.style, family.ends is not None), []).append(number)
    made = []
    for (shape, style, lagged), numbers in alike.items():
        families = [features.families[number] for number in numbers]
        members = tuple((number, group) for number in numbers for group in range(len(features.families[number].groups)))
        if lagged:
            gamma = np.cumsum([family.coefficient for family in families])
            inner = _factor(np.minimum.outer(gamma, gamma))
            exactly = np.eye(len(gamma)) - np.eye(len(gamma), k=1)  # D_l = Φ_l − Φ_{l+1}
            made.append(Split(shape, members, inner @ exactly, inner, lagged=True))
        else:
            weights = _weights([family.coefficients for family in families], rotate=style != "lag")
            made.append(Split(shape, members, weights, weights))
    return tuple(made)


def blocks_of(features: Features, split: Split) -> list[sparse.csr_array]:
    """The blocks Ψ_b (n, patterns) of one shape."""
    if split.lagged:
        *before, (last, _) = split.members
        parts = [at_lag(family, family.first) for family in (features.families[number] for number, _ in before)]
        parts.append(features.families[last].counts)
    else:
        parts = [part for number in dict.fromkeys(number for number, _ in split.members)
                 for part in _by_group(features.families[number])]
    return [_mixed(parts, row) for row in split.inner]


def _by_group(family: Family) -> list[sparse.csr_array]:
    counts, size = family.counts, len(family)
    if len(family.groups) == 1:
        return [counts]
    return [counts[:, group * size:(group + 1) * size] for group in range(len(family.groups))]


def _mixed(parts: list[sparse.csr_array], row: Array) -> sparse.csr_array:
    """Σ_j row[j] parts[j] without entries that are only rounding; small parts are added first."""
    order = sorted((j for j in range(len(parts)) if row[j] and parts[j].nnz), key=lambda j: parts[j].nnz)
    total = sparse.csr_array(parts[0].shape)
    for place, j in enumerate(order):
        scaled = parts[j] * row[j]
        total = scaled if not place else total + scaled
    if len(order) > 1:
        total.data[np.abs(total.data) <= ROUNDING * np.abs(total.data).max(initial=0.0)] = 0.0
        total.eliminate_zeros()
    return sparse.csr_array(total)


def _weights(coefficients: list[Array], *, rotate: bool) -> Array:
    """W for families that do not mix: each by Cholesky; then the main rows, nearly equal counts at several offsets, are
    rotated to their mean and their differences.
    """
    sizes = [len(matrix) for matrix in coefficients]
    starts = np.concatenate([[0], np.cumsum(sizes)])
    firsts, rests = [], []
    for matrix, start in zip(coefficients, starts[:-1], strict=True):
        rows = np.zeros((len(matrix), starts[-1]))
        rows[:, start:start + len(matrix)] = _factor(matrix)
        firsts.append(rows[0])
        rests += list(rows[1:])
    mains = np.stack(firsts)
    if rotate:
        mains = _helmert(len(mains)) @ mains
    return np.stack([row for row in [*mains, *rests] if row.any()])


def _factor(matrix: Array) -> Array:
    """W, upper left to lower right from the last entry (the full window) down, with Wᵀ W = matrix, which may be
    singular.
    """
    size, rest = len(matrix), matrix[::-1, ::-1].copy()
    factor = np.zeros_like(rest)
    for e in range(size):
        if rest[e, e] > 1e-14 * matrix[size - 1 - e, size - 1 - e]:
            factor[e:, e] = rest[e:, e] / np.sqrt(rest[e, e])
            rest -= np.outer(factor[:, e], factor[:, e])
    return factor.T[:, ::-1]


def _helmert(size: int) -> Array:
    """An orthogonal matrix: the scaled mean, and differences of each from those before it."""
    rows = [np.full(size, 1 / np.sqrt(size))]
    for count in range(1, size):
        row = np.zeros(size)
        row[:count], row[count] = 1.0, -float(count)
        rows.append(row / np.sqrt(count * (count + 1)))
    return np.stack(rows)
