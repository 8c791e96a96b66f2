"""Gradient flow to any time by projection onto a growing basis of dual vectors (theory, eq. 58 to 60).

A basis vector costs one product with Θ, and that product is all the large-scale work there is: with V orthonormal in
the inner product of Θ and F = Θ V, the flow in the basis is the flow of the same loss with m features F. Time advances
in segments; within a segment the basis grows by what the projected flow leaves out until the solution stands still.
At the end the whole path is refined in the same way, which also tells how much is still missing.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from tangentlens.learning.losses import Targets
from tangentlens.learning.product import KernelProduct
from tangentlens.learning.reduced import ReducedFlow

Array = NDArray[np.float64]
START = 6  # Krylov vectors before the first step
GROWTH = 2  # vectors added at a time while time advances …
REFINED = 3  # … and, at least, while the whole path is refined: one for every output …
SHARE = 10  # … and one for so many that there are
RATIOS = 0.25, 0.9  # by which changes are taken to shrink from round to round
SURE = 0.7  # share of the tolerance that the estimate must fall to: in 1 of 5 cases it is too small, by up to 1.4
ROUNDS = 12  # of refinement
SPARED = 2  # what a path leaves out is looked at in one in this of its moments
FEW = 8  # … if it has more
STEPPING = 2  # one in this of the tolerance is what a step in time is given; what it errs by is a fifteenth of that
SPANNED = 1e-10  # a unit vector that projection leaves shorter than this lies in the basis
DEPENDENT = 1e-8  # new vectors with a smaller share of squared norm depend on the others
NULL = 1e-14  # a unit vector with a smaller share of the largest wᵀ Θ w lies in the null space of Θ
ROUNDING = 1e-13  # a residual with a smaller share of the slopes is zero
UNRESOLVED = 0.03  # share of the tolerance below which the time steps decide
NARROW = 5e-3  # tolerance from which on the projected flow is worked out in 32 bits …
LARGE = 2**20  # … if it has so many outputs
MOST = 400  # basis vectors
ROOM = 16  # vectors that there is room for when an array of them is made


@dataclass
class GalerkinFlow:
    """The state of a gradient flow: time t, basis V (n c, m), its outputs F (rows c, m), coefficients z (m,).

    `error` estimates the relative error at the end, in the norm of Θ (that of the label scores); see `refine`.
    """

    product: KernelProduct
    targets: Targets
    tolerance: float
    t: float = 0.0
    basis: Array = field(init=False, repr=False)
    outputs: Array = field(init=False, repr=False)
    z: Array = field(init=False, repr=False)
    null: Array = field(init=False, repr=False)  # (n c, q), directions found to lie in the null space of Θ
    passed: list[Array] = field(default_factory=list, repr=False)  # z at all stops so far
    left: list[float] = field(default_factory=list, repr=False)  # norms of what paths left out
    error: float = 0.0
    largest: float = 0.0  # largest squared norm wᵀ Θ w of a unit vector so far

    def __post_init__(self) -> None:
        n, c = self.targets.y.shape
        self.basis, self.null = np.empty((n * c, 0)), np.empty((n * c, 0))
        self.outputs = np.empty((self.product.rows * c, 0))
        start = -self.reduced().slope(np.zeros_like(self.targets.y))[:, None]
        for _ in range(START):
            added = self._grow(start)
            if added is None:
                break
            start = added
        self.z = np.zeros(self.basis.shape[1])

    def reduced(self, tolerance: float = 0.0) -> ReducedFlow:
        """The projected flow on the training texts; of 32 bits where it is large and the tolerance allows."""
        outputs = self.outputs[:self.basis.shape[0]]
        narrow = tolerance >= NARROW and outputs.size >= LARGE
        return ReducedFlow(outputs.astype(np.float32) if narrow else outputs, self.targets)

    @property
    def fastest(self) -> float:
        """The largest rate at which anything decays at the start; its inverse is the natural unit of time."""
        if not self.basis.shape[1]:
            return 0.0
        return -float(self.reduced().modes(np.zeros_like(self.targets.y))[0][0])

    def advance(self, stops: Array) -> list[Array]:
        """Moves through the stops (ascending times) and returns the coefficients z (m,) at each."""
        previous: Array | None = None
        while True:
            flow = self.reduced(self.tolerance)
            path = list(flow.path(self._padded(self.z), self.t, stops, self.tolerance / STEPPING))
            if previous is not None and _relative(path[-1], self._padded(previous)) < self.tolerance:
                break
            if self.basis.shape[1] >= MOST or not self._enrich(path, np.concatenate([[self.t], stops]), GROWTH):
                break
            previous = path[-1]
        self.z, self.t = path[-1], float(stops[-1])
        self.passed += path
        return path

    def refine(self, stops: Array, tolerance: float) -> list[Array]:
        """The whole path again, from 0 through all stops, the basis growing by what is left out anywhere on it.

        Rounds of growth change the end by d_1, d_2, …; if the changes go on to shrink by r, the mean of their last two
        ratios, or of those of what paths left out if that is larger, what remains is d_k r / (1 − r): the `error`.
        Rounds go on until it is clearly below the tolerance. It does not see the error of the time steps, so it is
        never less than 0.03 of that.
        """
        growth = min(max(REFINED, self.targets.y.shape[1]), 8)
        finite = stops[np.isfinite(stops)]
        self._enrich([self._padded(z) for z in self.passed], np.concatenate([[0.0], finite]), growth)
        changes: list[float] = []
        previous: Array | None = None
        for _ in range(ROUNDS):
            flow = self.reduced(tolerance)
            path = list(flow.path(np.zeros(self.basis.shape[1]), 0.0, stops, tolerance / STEPPING))
            if previous is not None:
                changes.append(_relative(path[-1], self._padded(previous)))
                self.error = _remaining(changes, self.left)
                if len(changes) > 1 and self.error <= SURE * tolerance:
                    break
            if self.basis.shape[1] >= MOST:
                self.error = max(self.error, changes[-1] if changes else np.inf)
                break
            if not self._enrich(path, np.concatenate([[0.0], stops]), max(growth, self.basis.shape[1] // SHARE)):
                self.error = tolerance / STEPPING
                break
            previous = path[-1]
        self.error = max(self.error, UNRESOLVED * tolerance)
        path = [self._padded(z) for z in path]
        self.z, self.t = path[-1], float(stops[-1])
        return path

    def duals(self, z: Array) -> Array:
        """Dual coefficients a = V z; shape (n, c)."""
        return np.asarray(self.basis[:, :len(z)] @ z).reshape(self.targets.y.shape)

    def f(self, z: Array) -> Array:
        """Outputs on all rows of the product, training texts first; shape (rows, c)."""
        return np.asarray(self.outputs[:, :len(z)] @ z).reshape(self.product.rows, -1)

    def _padded(self, z: Array) -> Array:
        return np.concatenate([z, np.zeros(self.basis.shape[1] - len(z))])

    def _enrich(self, path: list[Array], times: Array, growth: int) -> bool:
        """Adds the main directions of the residual −g/n − V ż (eq. 59) along the path; False if there are none."""
        if len(path) > FEW:
            path, times = path[::-1][::SPARED][::-1], np.concatenate([times[:1], times[1:][::-1][::SPARED][::-1]])
        flow = self.reduced()  # of 64 bits: what is left out is far smaller than what 32 bits round off
        outputs = (flow.outputs @ np.stack(path, axis=1)).T.reshape(len(path), *self.targets.y.shape)
        slopes = np.stack([flow.slope(f) for f in outputs], axis=1)
        weight = np.sqrt(np.diff(np.minimum(times, 10 * times[-2]) if np.isinf(times[-1]) else times))
        residual = (-slopes + self.basis @ (flow.outputs.T @ slopes)) * weight
        self.left.append(float(np.linalg.norm(residual)))
        while True:
            known = self.null.shape[1]
            residual = residual - self.null @ (self.null.T @ residual)
            directions, size = _main(residual)
            if size[0] <= ROUNDING * float(np.max(np.linalg.norm(slopes, axis=0) * weight)):
                return False
            size_before = self.basis.shape[1]
            grown = self._grow(directions[:, :growth][:, size[:growth] > 1e-2 * size[0]])
            if grown is not None:
                while grown is not None and self.basis.shape[1] < size_before + growth:  # too few: go on as Lanczos
                    grown = self._grow(grown)
                return True
            if self.null.shape[1] == known:
                return False

    def _grow(self, vectors: Array) -> Array | None:
        """Adds dual vectors (n c, p) to the basis; returns Θ times what is new in them, or None if there is nothing.

        They are projected before they are multiplied with Θ: an image that is projected afterwards would lose digits.
        """
        n, c = self.targets.y.shape
        vectors = self._new_in(vectors)
        p = vectors.shape[1]
        if p == 0:
            return None
        image = (self.product @ vectors.reshape(n, c * p)).reshape(self.product.rows * c, p)
        overlap = self.outputs[:n * c].T @ vectors
        vectors, image = vectors - self.basis @ overlap, image - self.outputs @ overlap
        gram = vectors.T @ image[:n * c]
        values, modes = np.linalg.eigh((gram + gram.T) / 2)
        self.largest = max(self.largest, float(values[-1]))
        keep = values > max(NULL * self.largest, DEPENDENT * float(values[-1]), np.finfo(np.float64).tiny)
        if not keep.any():
            return self._beside_null(vectors, image[:n * c])
        scale = modes[:, keep] / np.sqrt(values[keep])
        self.basis = _beside(self.basis, vectors @ scale)
        self.outputs = _beside(self.outputs, image @ scale)
        return np.asarray(image[:n * c])

    def _beside_null(self, vectors: Array, image: Array) -> Array | None:
        """Directions in the null space of Θ are noted, to be left out from now on; the trace of others that they carry
        shows in their image under Θ, and is added to the basis.
        """
        size = np.linalg.norm(image, axis=0)
        traces = image[:, size > ROUNDING * self.largest]
        self.null = _extended(self.null, vectors - _span(traces) @ (_span(traces).T @ vectors))
        return self._grow(traces) if traces.shape[1] else None

    def _new_in(self, vectors: Array) -> Array:
        """The part of dual vectors (n c, p) that is orthogonal to the basis, as unit vectors; rounding is left out."""
        tiny = np.finfo(np.float64).tiny
        vectors = vectors / np.maximum(np.linalg.norm(vectors, axis=0), tiny)
        for _ in range(2):
            vectors = vectors - self.basis @ (self.outputs[:len(vectors)].T @ vectors)
        size = np.linalg.norm(vectors, axis=0)
        vectors = vectors[:, size > SPANNED] / size[size > SPANNED]
        return vectors - self.basis @ (self.outputs[:len(vectors)].T @ vectors)


def _beside(columns: Array, more: Array) -> Array:
    """More columns beside some: written into the room that their array has left, or into a new one with room for a
    third more.
    """
    m, p = columns.shape[1], more.shape[1]
    array = columns if columns.base is None else columns.base
    if array.ndim != 2 or array.shape[1] < m + p:
        array = np.empty((len(columns), m + max(p, ROOM, m // 3)))
        array[:, :m] = columns
    array[:, m:m + p] = more
    return array[:, :m + p]


def _main(vectors: Array) -> tuple[Array, Array]:
    """Left singular vectors and values of a tall matrix, largest first, from its small Gram matrix: the first ones."""
    values, modes = np.linalg.eigh(vectors.T @ vectors)
    size = np.sqrt(np.maximum(values[::-1], 0.0))
    return vectors @ modes[:, ::-1] / np.maximum(size, np.finfo(np.float64).tiny), size


def _span(vectors: Array) -> Array:
    """Orthonormal columns that span the vectors."""
    return np.linalg.qr(vectors)[0]


def _extended(orthonormal: Array, vectors: Array) -> Array:
    """The orthonormal columns and what the vectors add to them."""
    for _ in range(2):
        vectors = vectors - orthonormal @ (orthonormal.T @ vectors)
    directions, size, _ = np.linalg.svd(vectors, full_matrices=False)
    return np.hstack([orthonormal, directions[:, size > 1e-3]])


def _remaining(changes: list[float], left: list[float]) -> float:
    """What a shrinking sequence of changes leaves to come, by its last two ratios or those of what paths left out."""
    if len(changes) < 2 or changes[-1] == 0.0:
        return changes[-1]
    last = [np.maximum(row[-3:], np.finfo(np.float64).tiny) for row in (changes, left)]
    ratio = float(np.clip(max((row[-1] / row[0]) ** (1 / (len(row) - 1)) for row in last), *RATIOS))
    return changes[-1] * ratio / (1 - ratio)


def _relative(new: Array, old: Array) -> float:
    return float(np.linalg.norm(new - old) / max(float(np.linalg.norm(new)), 1e-300))
