"""Gradient flow to any time by projection onto a growing basis of dual vectors (theory, eq. 58 to 60).

A basis vector costs one product with Θ, and that product is all the large-scale work there is: with V orthonormal in
the inner product of Θ and F = Θ V, the flow in the basis is the flow of the same loss with m features F. Where the end
is searched for, time advances in segments; within a segment the basis grows by what the projected flow leaves out until
that would change little. Then the whole path is refined in the same way, which also tells how much is still missing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from tangentlens.data.threads import parallel
from tangentlens.learning.basis import GrowingBasis, across, runs_of, times
from tangentlens.learning.losses import Targets
from tangentlens.learning.product import KernelProduct
from tangentlens.learning.reduced import ReducedFlow

Array = NDArray[np.float64]
START = 6  # Krylov vectors before the first step
GROWTH = 2  # vectors added at a time while time advances …
REFINED = 3  # … and, at least, while the whole path is refined: one for every output …
SHARE = 10  # … and one for so many that there are
DISTANT = 3  # … or for so many while the end is still …
FAR = 10  # … as many tolerances away
COMING = 3  # change that is left to refinement, in tolerances of the search
COARSE = 0.03  # step tolerance while it is; or a tenth of the last change, if that is less
RATIOS = 0.25, 0.9  # by which changes are taken to shrink from round to round
UNKNOWN = 0.75  # … before that shows
SURE = 0.9  # share of the tolerance that the estimate must fall to
STILL = 0.03  # a path that changes by no more than this share of the tolerance is taken as it is
ROUNDS = 30  # of refinement
SPARED = 2  # what a path leaves out is looked at in one in this of its moments
FEW = 8  # … if it has more
STEPPING = 0.7  # one in this of the tolerance is what a step in time is given; what it errs by is a fifteenth of that
ROUNDING = 1e-13  # a residual with a smaller share of the slopes is zero
UNRESOLVED = 0.1  # share of the tolerance below which the time steps decide
NARROW = 5e-3  # tolerance from which on the projected flow is worked out in 32 bits …
LARGE = 2**20  # … if it has so many outputs
MOST = 400  # basis vectors
TOGETHER = 8  # points of a path that are worked out together


@dataclass
class GalerkinFlow:
    """The state of a gradient flow: time t, a basis of m vectors, coefficients z (m,).

    `error` estimates the relative error at the end, in the norm of Θ (that of the label scores); see `refine`.
    """

    product: KernelProduct
    targets: Targets
    tolerance: float
    t: float = 0.0
    basis: GrowingBasis = field(init=False, repr=False)
    z: Array = field(init=False, repr=False)
    passed: list[Array] = field(default_factory=list, repr=False)  # z at all stops so far
    left: list[float] = field(default_factory=list, repr=False)  # norms of what paths left out
    coming: float = 0.0  # by how much the vectors added last will change the end, relative
    error: float = 0.0

    def __post_init__(self) -> None:
        self.basis = GrowingBasis(self.product, self.targets.y.shape)
        start = -self.reduced().slope(np.zeros_like(self.targets.y))[:, None]
        for _ in range(START):
            added = self.basis.grow(start)
            if added is None:
                break
            start = added
        self.z = np.zeros(len(self.basis))

    def reduced(self, tolerance: float = 0.0) -> ReducedFlow:
        """The projected flow on the training texts; of 32 bits where it is large and the tolerance allows."""
        outputs = self.basis.fitted
        narrow = tolerance >= NARROW and outputs.size >= LARGE
        return ReducedFlow(outputs.astype(np.float32) if narrow else outputs, self.targets)

    @property
    def fastest(self) -> float:
        """The largest rate at which anything decays at the start; its inverse is the natural unit of time."""
        if not len(self.basis):
            return 0.0
        return -float(self.reduced().modes(np.zeros_like(self.targets.y))[0][0])

    def advance(self, stops: Array) -> list[Array]:
        """Moves through the stops (ascending times) and returns the coefficients z (m,) at each."""
        while True:
            path = list(self.reduced(self.tolerance).path(self._padded(self.z), self.t, stops,
                                                          self.tolerance / STEPPING))
            grown = len(self.basis) < MOST and self._enrich(path, np.concatenate([[self.t], stops]), GROWTH)
            if not grown or self.coming < COMING * self.tolerance:
                break
        self.z, self.t = path[-1], float(stops[-1])
        self.passed += path
        return path

    def refine(self, stops: Array, tolerance: float, wanted: int | None = None) -> list[Array]:
        """The whole path again, from 0 through all stops, the basis growing by what is left out anywhere on it.

        Rounds of growth change the end by d_1, d_2, …; if the changes go on to shrink by r, the mean of their last two
        ratios, or of those of what paths left out if that is larger, what remains is d_k r / (1 − r): the `error`.
        Rounds go on until it is clearly below the tolerance. It does not see the error of the time steps, so it is
        never less than 0.03 of that.

        wanted: number of stops, if not all, for which the tolerance holds; those after them are passed in the basis of
        the others.
        """
        last = stops if wanted is None else stops[:wanted]
        path = self._refined(last, tolerance)
        self.error = max(self.error, UNRESOLVED * tolerance)
        path += self.reduced(tolerance).path(path[-1], float(last[-1]), stops[len(last):], tolerance / STEPPING)
        self.z, self.t = path[-1], float(stops[-1])
        return path

    def _refined(self, stops: Array, tolerance: float) -> list[Array]:
        """The path through the stops, and `error`. A round begins where the last one changed nothing to speak of."""
        least, moments = min(max(REFINED, self.targets.y.shape[1]), 8), np.concatenate([[0.0], stops])
        before, still, changes = [self._padded(z) for z in self.passed[:len(stops)]], 0, []
        if before:
            self._enrich(before, moments[:len(before) + 1], least)
        path = before
        for _ in range(ROUNDS):
            before = [self._padded(z) for z in path]
            begin = before[still - 1] if still else np.zeros(len(self.basis))
            flow = self.reduced(tolerance).path(begin, float(moments[still]), stops[still:], tolerance / STEPPING)
            path = before[:still] + list(flow)
            if len(before) == len(path):
                changed = [_relative(new, old) for new, old in zip(path, before, strict=True)]
                changes.append(changed[-1])
                self.error = _remaining(changes, self.left)
                if len(changes) > 2 and self.error <= SURE * tolerance:
                    break
                if len(changes) > 1:
                    still = int(np.argmax(np.array([*changed[:-1], np.inf]) > STILL * tolerance))
            if len(self.basis) >= MOST:
                self.error = max(self.error, changes[-1] if changes else np.inf)
                break
            begun = max(still - 1, 0)
            if not self._enrich(path[begun:], moments[begun:], max(least, len(self.basis) // SHARE)):
                self.error = tolerance / 2
                break
            self.error = self.coming / (1 - _ratio(self.left))
            if self.error <= SURE * tolerance:
                break
        return [self._padded(z) for z in path]

    def states(self, path: Sequence[Array]) -> Iterator[tuple[Array, Array]]:
        """Dual coefficients a = V z (n, c), and outputs on all rows of the product (rows, c), training texts first, at
        some points of one length.
        """
        c = self.targets.y.shape[1]
        for low in range(0, len(path), TOGETHER):
            points = np.stack(path[low:low + TOGETHER], axis=1)
            size = len(points)
            duals = times(self.basis.vectors[:, :size], points)
            outputs = times(self.basis.outputs[:, :size], points)
            for place in range(points.shape[1]):
                yield duals[:, place].reshape(-1, c), outputs[:, place].reshape(-1, c)

    def _padded(self, z: Array) -> Array:
        return np.concatenate([z, np.zeros(len(self.basis) - len(z))])

    def _enrich(self, path: list[Array], moments: Array, growth: int) -> bool:
        """Adds the main directions of the residual −g/n − V ż (eq. 59) along the path; False if there are none."""
        if len(path) > FEW:
            path, moments = path[::-1][::SPARED][::-1], np.concatenate([moments[:1], moments[1:][::-1][::SPARED][::-1]])
        weight = np.sqrt(np.diff(np.minimum(moments, 10 * moments[-2]) if np.isinf(moments[-1]) else moments))
        residual, slopes = self._residual(path, weight)
        self.left.append(float(np.linalg.norm(residual)))
        before = len(self.basis)
        while True:
            known = self.basis.null.shape[1]
            residual = residual - self.basis.null @ (self.basis.null.T @ residual)
            directions, size = _main(residual, growth)
            if size[0] <= ROUNDING * slopes:
                return False
            grown = self.basis.grow(directions[:, size[:growth] > 1e-2 * size[0]])
            if grown is not None:
                while grown is not None and len(self.basis) < before + growth:  # too few: go on as Lanczos
                    grown = self.basis.grow(grown)
                driven = across(self.basis.fitted[:, before:], residual) @ weight
                whole = float(np.linalg.norm(size) / np.linalg.norm(size[:growth]))
                self.coming = whole * float(np.linalg.norm(driven) / max(float(np.linalg.norm(path[-1])), 1e-300))
                return True
            if self.basis.null.shape[1] == known:
                return False

    def _residual(self, path: list[Array], weight: Array) -> tuple[Array, float]:
        """What the basis leaves out of the velocity at some points, times their weights, (n c, points); and the
        largest norm of a weighted slope. Of 64 bits: it is far smaller than what 32 bits round off.
        """
        flow, points = ReducedFlow(self.basis.fitted, self.targets), np.stack(path, axis=1)
        n, c = self.targets.y.shape
        slopes = np.empty((n * c, len(path)))

        def slope(rows: slice) -> Array:
            part = slice(rows.start * c, rows.stop * c)
            for column, f in enumerate((flow.outputs[part] @ points).T):
                slopes[part, column] = flow.slope(f.reshape(-1, c), rows) * weight[column]
            return flow.outputs[part].T @ slopes[part]

        def leave(rows: slice) -> None:
            part = slice(rows.start * c, rows.stop * c)
            slopes[part] = self.basis.vectors[part] @ rates - slopes[part]

        runs = runs_of(n, c * len(self.basis))
        rates = sum(parallel(slope, runs))
        largest = float(np.max(np.linalg.norm(slopes, axis=0)))
        parallel(leave, runs)
        return slopes, largest


def _main(vectors: Array, count: int) -> tuple[Array, Array]:
    """The first left singular vectors of a tall matrix, largest first, and all values, from its small Gram matrix."""
    values, modes = np.linalg.eigh(across(vectors, vectors))
    size = np.sqrt(np.maximum(values[::-1], 0.0))
    return vectors @ (modes[:, ::-1] / np.maximum(size, np.finfo(np.float64).tiny))[:, :count], size


def _remaining(changes: list[float], left: list[float]) -> float:
    """What a shrinking sequence of changes leaves to come, by its last two ratios or those of what paths left out."""
    if len(changes) < 2 or changes[-1] == 0.0:
        return changes[-1]
    ratio = max(_ratio(changes), _ratio(left))
    return changes[-1] * ratio / (1 - ratio)


def _ratio(shrinking: list[float]) -> float:
    """By which a sequence shrinks: the mean of its last two ratios."""
    last = np.maximum(shrinking[-3:], np.finfo(np.float64).tiny)
    return float(np.clip((last[-1] / last[0]) ** (1 / (len(last) - 1)), *RATIOS)) if len(last) > 2 else UNKNOWN


def _relative(new: Array, old: Array) -> float:
    return float(np.linalg.norm(new - old) / max(float(np.linalg.norm(new)), 1e-300))
