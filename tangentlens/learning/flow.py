"""Gradient flow to any time by projection onto a growing basis of dual vectors (theory, eq. 58 to 60).

A basis vector costs one product with Θ, and that product is all the large-scale work there is: with V orthonormal in
the inner product of Θ and F = Θ V, the flow in the basis is the flow of the same loss with m features F. Time advances
in segments; within a segment the basis grows by what the projected flow leaves out until the solution stands still.
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
GROWTH = 2  # vectors added at a time
NEGLIGIBLE = 1e-10  # squared norm relative to what it was before projection: below, a direction is rounding …
NULL = 1e-13  # … and below this share of the largest one seen, it lies in the null space of Θ
MOST = 400  # basis vectors


@dataclass
class GalerkinFlow:
    """The state of a gradient flow: time t, basis V (n c, m), its outputs F (rows c, m), coefficients z (m,).

    `error` sums, over the segments, the relative change that the last growth of the basis made: an upper estimate of
    the relative error of f in the norm of Θ.
    """

    product: KernelProduct
    targets: Targets
    tolerance: float
    t: float = 0.0
    basis: Array = field(init=False, repr=False)
    outputs: Array = field(init=False, repr=False)
    z: Array = field(init=False, repr=False)
    error: float = 0.0
    largest: float = 0.0  # largest squared norm wᵀ Θ w of a unit vector so far

    def __post_init__(self) -> None:
        n, c = self.targets.y.shape
        self.basis = np.empty((n * c, 0))
        self.outputs = np.empty((self.product.rows * c, 0))
        start = -self.reduced().slope(np.zeros(0))[:, None]
        for _ in range(START):
            added = self._grow(start)
            if added is None:
                break
            start = added
        self.z = np.zeros(self.basis.shape[1])

    def reduced(self) -> ReducedFlow:
        """The projected flow on the training texts."""
        return ReducedFlow(self.outputs[:self.basis.shape[0]], self.targets)

    @property
    def fastest(self) -> float:
        """The largest rate at which anything decays at the start; its inverse is the natural unit of time."""
        if not self.basis.shape[1]:
            return 0.0
        return -float(self.reduced().modes(np.zeros(self.basis.shape[1]))[0][0])

    def advance(self, stops: Array) -> list[Array]:
        """Moves through the stops (ascending times) and returns the coefficients z (m,) at each."""
        previous: Array | None = None
        while True:
            flow = self.reduced()
            path = [z for _, z in flow.path(self._padded(self.z), self.t, stops, self.tolerance / 10)]
            change = np.inf if previous is None else _relative(path[-1], self._padded(previous))
            if change < self.tolerance or self.basis.shape[1] >= MOST or not self._enrich(flow, path, stops):
                break
            previous = path[-1]
        self.error += change if np.isfinite(change) else 0.0
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

    def _enrich(self, flow: ReducedFlow, path: list[Array], stops: Array) -> bool:
        """Adds the main directions of the residual −g/n − V ż (eq. 59) along the path; False if there are none."""
        slopes = np.stack([flow.slope(z) for z in path], axis=1)
        residual = -slopes + self.basis @ (flow.outputs.T @ slopes)
        weight = np.diff(np.concatenate([[self.t], stops]))
        directions, size, _ = np.linalg.svd(residual * np.sqrt(weight), full_matrices=False)
        return self._grow(directions[:, :GROWTH][:, size[:GROWTH] > 1e-2 * size[0]]) is not None

    def _grow(self, vectors: Array) -> Array | None:
        """Adds dual vectors (n c, p) to the basis; returns Θ times them, or None where they are already in it."""
        n, c = self.targets.y.shape
        p = vectors.shape[1]
        vectors = vectors / np.maximum(np.linalg.norm(vectors, axis=0), np.finfo(np.float64).tiny)
        columns = vectors.reshape(n, c * p)
        image = (self.product @ columns).reshape(self.product.rows * c, p)
        before = np.einsum("ij,ij->j", vectors, image[:n * c])
        grown = image
        for _ in range(2):
            overlap = self.outputs[:n * c].T @ vectors
            vectors, image = vectors - self.basis @ overlap, image - self.outputs @ overlap
        gram = vectors.T @ image[:n * c]
        values, modes = np.linalg.eigh((gram + gram.T) / 2)
        self.largest = max(self.largest, float(before.max(initial=0.0)))
        floor = max(NEGLIGIBLE * float(before.max(initial=0.0)), NULL * self.largest, np.finfo(np.float64).tiny)
        keep = values > floor
        if not keep.any():
            return None
        scale = modes[:, keep] / np.sqrt(values[keep])
        self.basis = np.hstack([self.basis, vectors @ scale])
        self.outputs = np.hstack([self.outputs, image @ scale])
        return np.asarray(grown[:n * c])


def _relative(new: Array, old: Array) -> float:
    return float(np.linalg.norm(new - old) / max(float(np.linalg.norm(new)), 1e-300))
