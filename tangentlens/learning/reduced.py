"""Gradient flow of m coefficients: the small dense problem that the flow becomes in a basis (theory, eq. 58)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import factorial

import numpy as np
from numpy.typing import NDArray

from tangentlens.data.threads import parallel, workers
from tangentlens.learning.losses import Targets

Array = NDArray[np.float64]
KEPT = 3  # steps for which a Jacobian serves while the error stays far below what is allowed
SHARED = 2**20  # entries of F above which products with it are shared between processors
BLOCK = 2**18  # entries of F that one thread bends at a time: they stay in its cache
SERIES = np.array([[1 / factorial(j + k) for k in (1, 3, 4)] for j in range(18)])  # of φ_1, φ_3 and φ_4


@dataclass
class ReducedFlow:
    """dz/dt = −(1/n) Fᵀ g(F z), g = ∂ℓ/∂f, solved by the exponential Rosenbrock method exprb43.

    The Jacobian −(1/n) Fᵀ H F is symmetric, so φ-functions are exact in its eigenbasis, and stiffness costs nothing.
    Source: Hochbruck, Ostermann, Schweitzer, SIAM J. Numer. Anal. 47 (2009), method exprb43.

    Shapes: F (n c, m) outputs of the m basis vectors on the training texts.
    """

    outputs: Array
    targets: Targets

    def f(self, z: Array) -> Array:
        """Outputs F z; shape (n, c)."""
        parts = parallel(lambda rows: self.outputs[rows] @ z, self._blocks())
        return np.concatenate(parts).reshape(self.targets.y.shape)

    def slope(self, f: Array) -> Array:
        """∂ℓ/∂f / n at outputs f; shape (n c,)."""
        return self.targets.loss.slope(f, self.targets.y).ravel() / len(self.targets.y)

    def rate(self, f: Array) -> Array:
        """dz/dt at outputs f; shape (m,)."""
        slope = self.slope(f)
        parts = parallel(lambda rows: self.outputs[rows].T @ slope[rows], self._blocks())
        return np.asarray(-np.add.reduce(parts))

    def _blocks(self) -> list[slice]:
        """One run of rows for every processor; a single one where there is too little work to share."""
        rows, m = self.outputs.shape
        size = -(-rows // workers()) if rows * m >= SHARED else rows
        return [slice(low, low + size) for low in range(0, max(rows, 1), max(size, 1))]

    def modes(self, f: Array) -> tuple[Array, Array]:
        """Eigenvalues (m,) ≤ 0 and eigenvectors (m, m) of the Jacobian at outputs f."""
        n, c = self.targets.y.shape
        outputs = self.outputs.reshape(n, c, -1)

        def gram(rows: slice) -> Array:
            bent = self.targets.loss.bend(f[rows], outputs[rows])
            bent = bent.reshape(-1, bent.shape[2])
            return np.asarray(bent.T @ bent)

        size = max(256, BLOCK // max(1, self.outputs.shape[1] * c))
        parts = parallel(gram, [slice(low, low + size) for low in range(0, n, size)])
        values, vectors = np.linalg.eigh(-np.add.reduce(parts) / n)
        return np.minimum(values, 0.0), vectors

    def path(self, z: Array, t: float, stops: Array, tolerance: float) -> Iterator[Array]:
        """The flow from z at time t through every stop, each reached exactly: yields z at the stops.

        The last stop may be infinite for the squared loss, whose flow comes to rest.
        """
        modes, age = self.modes(self.f(z)), 0
        step = next((float(stop) for stop in stops if stop > t), t) - t
        for stop in stops:
            if np.isinf(stop):
                yield self.rest()
                return
            while t < stop:
                f = self.f(z)
                rate = self.rate(f)
                if age >= KEPT:
                    modes, age = self.modes(f), 0
                last = False
                while True:
                    last = step >= stop - t
                    new, error = self._step(z, min(step, stop - t), rate, modes)
                    allowed = tolerance * max(float(np.linalg.norm(new)), 1e-300)
                    if error <= allowed:
                        break
                    if age:  # an old Jacobian may be to blame
                        modes, age = self.modes(f), 0
                        continue
                    step = min(step, stop - t) * max(0.2, 0.9 * (allowed / error) ** 0.25)
                age += 1 if error < allowed / 10 else KEPT
                taken = min(step, stop - t)
                t, z = (float(stop), new) if last else (t + taken, new)
                step = max(step if last else 0.0, taken * min(4.0, 0.9 * (allowed / max(error, 1e-300)) ** 0.25))
            yield z

    def rest(self) -> Array:
        """Where the flow of the squared loss ends: the least-squares solution of smallest norm."""
        return np.asarray(np.linalg.lstsq(self.outputs, self.targets.y.ravel(), rcond=1e-12)[0], dtype=np.float64)

    def _step(self, z: Array, h: float, rate: Array, modes: tuple[Array, Array]) -> tuple[Array, float]:
        """One step of exprb43 and the norm of its difference to the embedded third-order method."""
        values, vectors = modes
        half, (one, three, four) = phi_functions(values * (h / 2))[0], phi_functions(values * h)
        r = vectors.T @ rate

        def remainder(move: Array) -> Array:  # D = N(z + move) − N(z), in the eigenbasis
            return np.asarray(vectors.T @ self.rate(self.f(z + vectors @ move)) - r - values * move)

        second = remainder(h / 2 * half * r)
        third = remainder(h * one * (r + second))
        difference = h * four * (12 * third - 48 * second)
        new = z + vectors @ (h * (one * r + three * (16 * second - 2 * third)) + difference)
        return new, float(np.linalg.norm(difference))


def phi_functions(x: Array) -> tuple[Array, Array, Array]:
    """φ_1, φ_3 and φ_4 of x ≤ 0, where φ_k(x) = Σ_j x^j / (j + k)!."""
    near = np.abs(x) < 1.0
    small, large = np.where(near, x, 0.0), np.where(near, 1.0, x)
    first = np.expm1(large) / large
    third = ((first - 1) / large - 0.5) / large
    far = (first, third, (third - 1 / 6) / large)
    first, third, fourth = np.where(near, np.polynomial.polynomial.polyval(small, SERIES), far)
    return first, third, fourth
