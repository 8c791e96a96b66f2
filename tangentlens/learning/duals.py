"""Dual coefficients of single texts, also where Θ does not see them (theory, after eq. 60).

Coefficients of a basis give the duals of a flow in the norm of Θ only. Where there are more texts than features, or
equal texts of different labels, duals have a part that Θ does not see, and that goes on to grow. The integrals
−∫ ∂ℓ/∂f / n dt have it, but are wrong where Θ sees what the basis left out, since no outputs there hold them back. So
the integrals are taken, made exact within the basis, less duals that make what else is seen of them right.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tangentlens.learning.basis import TOGETHER, GrowingBasis
from tangentlens.learning.feature_basis import FeatureBasis
from tangentlens.learning.product import TILT, TINY
from tangentlens.learning.tall import across, beside, less, times

Array = NDArray[np.float64]
HARMLESS = 0.1  # share of the tolerance by which duals may differ from those of the basis, in Θ and by outputs, …
HELD = 2**22  # dual coefficients that are changed at a time
EXCESS = 3.0  # … or times that, where conjugate gradients are not through, or what the basis sees is taken away
ROUNDED = 1e-15  # share of the largest norm in Θ that duals of their size could have which is rounding
NOTHING = 1e-12  # share of an image below which what is new of it is rounding
STEPS = 50  # of conjugate gradients, at most, or as many as the basis has vectors; twice that if they are not kept


def settle(basis: GrowingBasis, path: list[Array], integrals: list[Array], tolerance: float) -> float:
    """Writes the dual coefficients at some moments, where the flow has coefficients z (m,) of the basis, over their
    integrals, (n, c) each. Returns by how much, at most, Θ tells them from those of the basis at the end, relative.
    """
    if path:
        z, rows = path[-1][:, None], basis.shape[0] * basis.shape[1]
        size, outputs = (max(float(np.linalg.norm(one)), TINY) for one in (z, basis.outputs_at(z)[:rows]))
        found = [one.reshape(-1, 1) for one in integrals]  # views
        how = _from_features if isinstance(basis, FeatureBasis) else _from_duals
        return how(basis, path, found, Allowed(HARMLESS * tolerance * size, HARMLESS * tolerance * outputs)) / size
    return 0.0


@dataclass(frozen=True)
class Allowed:
    """What duals a may have that the basis has not: √(aᵀ Θ a), and the norm of Θ a, which a few frequent features can
    make large by themselves.
    """

    norm: float
    outputs: float


def _blocks(path: list[Array], integrals: list[Array], change: Callable[[Array, Array], Array]) -> None:
    """Writes a change of integrals (n c, p) and coefficients (m, p) over the first, some moments at a time."""
    each = int(np.clip(HELD // len(integrals[0]), 1, TOGETHER))
    for low in range(0, len(path), each):
        some = integrals[low:low + each]
        changed = change(np.hstack(some), np.stack(path[low:low + each], axis=1))
        for one, column in zip(some, changed.T, strict=True):
            one[:, 0] = column


def _from_duals(basis: GrowingBasis, path: list[Array], integrals: list[Array], allowed: Allowed) -> float:
    """With V z at hand. If Θ sees too much of the difference at the end, V z and what it hardly sees of that, in the
    share by which it has grown at each moment. Where the basis is all there is, nothing but rounding is seen of it.
    """
    if basis.all:
        _blocks(path, integrals, lambda duals, z: duals + times(basis.vectors, z - across(basis.fitted, duals)))
        return _rounding(basis, integrals[-1])
    inverse = basis.inverse()

    def completed(duals: Array, z: Array | float = 0.0) -> Array:
        return duals + times(basis.fitted, inverse @ (z - across(basis.fitted, duals)))

    z = path[-1][:, None]
    apart = completed(integrals[-1], z) - times(basis.vectors, z)
    unseen, size = _unseen(basis, apart, allowed, completed)
    whole = float(np.sum(unseen * apart))

    def mended(duals: Array, z: Array) -> Array:
        there = times(basis.vectors, z)
        share = np.clip(unseen.T @ (duals - there) / (whole or TINY), 0.0, 1.0)
        return np.asarray(there + unseen * share)

    _blocks(path, integrals, completed if unseen is apart else mended)
    return size


def _unseen(basis: GrowingBasis, duals: Array, allowed: Allowed, cleared: Callable[[Array], Array]
            ) -> tuple[Array, float]:
    """What of duals (n c, 1), of which the basis sees nothing, has about what is allowed at most, and its norm in Θ:
    themselves, or what conjugate gradients leave of them on the way to an x with Θ x = Θ a.
    """
    rounded = _rounding(basis, duals)
    allowed = Allowed(max(allowed.norm, rounded), max(allowed.outputs, rounded * math.sqrt(basis.largest)))
    size, outputs = _sizes(basis, duals)
    if size <= allowed.norm and outputs <= allowed.outputs:
        return duals, size
    left = cleared(_descended(basis, duals, size, allowed))
    size, outputs = _sizes(basis, left)
    share = min(1.0, EXCESS * allowed.norm / max(size, TINY), EXCESS * allowed.outputs / max(outputs, TINY))
    return left * share, size * share


def _rounding(basis: GrowingBasis, duals: Array) -> float:
    """What rounding of duals comes to in the norm of Θ."""
    return ROUNDED * math.sqrt(basis.largest) * float(np.linalg.norm(duals))


def _sizes(basis: GrowingBasis, duals: Array) -> tuple[float, float]:
    """√(aᵀ Θ a) and the norm of Θ a."""
    image = basis.image(duals)
    return math.sqrt(max(0.0, float(np.sum(duals * image)))), float(np.linalg.norm(image))


def _descended(basis: GrowingBasis, left: Array, size: float, allowed: Allowed) -> Array:
    """What conjugate gradients leave of duals of this norm in Θ, until the basis sees all but about what is allowed.

    The gradients are those of features weighted by how rare they are, which takes far fewer steps. That leaves too much
    of the frequent ones, which are those that the basis sees: it is to be taken away, by the least change.
    """
    n, c = basis.shape

    def seen(vector: Array) -> tuple[Array, Array]:
        plain, weighted = basis.product.tilted(vector.reshape(n, c))
        return plain[:n].reshape(-1, 1), weighted[:n].reshape(-1, 1)

    gap, slope = seen(left)
    whole, step, squared = size**2, slope, float(np.sum(slope**2))
    for _ in range(2 * max(STEPS, len(basis))):
        own = across(basis.vectors, gap)
        if whole - float(np.sum(own**2)) <= allowed.norm**2 and (
                np.linalg.norm(gap - times(basis.fitted, own)) <= allowed.outputs):
            break
        image, weighted = seen(step)
        bent, before = float(np.sum(step * weighted)), squared
        if bent <= TINY:  # what is left of the slope is rounding
            break
        length = squared / bent
        whole -= length * float(np.sum(step * (2 * gap - length * image)))
        left, gap, slope = left - length * step, gap - length * image, slope - length * weighted
        squared = float(np.sum(slope**2))
        step = slope + step * (squared / before)
    return left


def _from_features(basis: GrowingBasis, path: list[Array], integrals: list[Array], allowed: Allowed) -> float:
    """With W z = Zᵀ a at hand: duals are the integrals less the smallest x with Zᵀ x = Zᵀ a − W z, as far as that is
    found among the directions by which conjugate gradients find it for the end.
    """
    assert isinstance(basis, FeatureBasis)
    inverse = basis.inverse()

    def completed(duals: Array, z: Array) -> Array:
        duals += basis.outputs_at(inverse @ (z - across(basis.features, basis.seen(duals))))[:len(duals)]
        return duals

    _blocks(path, integrals, completed)
    wanted = basis.seen(integrals[-1]) - basis.features @ path[-1][:, None]
    steps, images, directions = _towards(basis, wanted, allowed)
    if not steps.shape[1]:
        return float(np.linalg.norm(wanted))
    lengths = np.linalg.pinv(directions.T @ images)

    def mended(duals: Array, z: Array) -> Array:
        return completed(less(duals, steps, lengths @ (directions.T @ (basis.seen(duals) - basis.features @ z))), z)

    _blocks(path, integrals, mended)
    return float(np.linalg.norm(basis.seen(integrals[-1]) - basis.features @ path[-1][:, None]))


def _towards(basis: FeatureBasis, wanted: Array, allowed: Allowed) -> tuple[Array, Array, Array]:
    """Steps x (n c, p) of conjugate gradients to Zᵀ x = wanted, (k c, 1): as many as are needed for a combination of
    their images that is as near as is allowed, but for what the basis sees. Their images Zᵀ x, (k c, p), and
    orthonormal directions of what of those the basis does not see.

    Features are weighted by how rare they are, or hundreds of steps would go to frequent ones before the rare ones come
    right; the frequent ones, of which that leaves too much, are those that the basis sees.
    """
    n = basis.shape[0] * basis.shape[1]
    steps, step = np.empty((n, 0)), np.zeros((n, 1))
    images, directions = np.empty((2, len(wanted), 0))
    weight = np.maximum(basis.squares(), TINY)[:, None] ** -TILT
    left, rest, before = wanted, wanted, 1.0
    while steps.shape[1] < max(STEPS, len(basis)):
        if np.linalg.norm(rest) <= allowed.norm and np.linalg.norm(basis.shown(rest)[:n]) <= allowed.outputs:
            break
        gap = basis.shown(weight * left)[:n]
        squared = float(np.sum(gap**2))
        if not squared:
            break
        step = gap + step * (squared / before)
        image, before = basis.seen(step), squared
        left = left - image * (float(np.sum(weight * image * left)) / float(np.sum(weight * image**2)))
        new, size = image, float(np.linalg.norm(image))
        for known in (basis.features, directions, basis.features, directions):
            new = new - known @ (known.T @ new)
        new = new / max(float(np.linalg.norm(new)), NOTHING * size, TINY)
        steps = beside(steps, 1, lambda rows: step[rows])  # noqa: B023
        images, directions = np.hstack([images, image]), np.hstack([directions, new])
        rest = rest - new * float(np.sum(new * rest))
    return steps, images, directions
