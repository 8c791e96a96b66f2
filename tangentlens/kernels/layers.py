"""The layer recursion for the covariance Σ and the tangent kernel Θ of two positions (theory, section "Layers")."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tangentlens.kernels.activations import activation

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Pair:
    """Two positions at one layer: their variances a, b, covariance Σ and tangent kernel Θ, arrays of one shape."""

    a: Array
    b: Array
    covariance: Array
    tangent: Array

    def dense(self, weight_std: float, bias_std: float = 0.0) -> Pair:
        """Σ ← weight_std² Σ + bias_std², Θ ← weight_std² Θ + Σ."""
        w, b = weight_std**2, bias_std**2
        covariance = w * self.covariance + b
        return Pair(w * self.a + b, w * self.b + b, covariance, w * self.tangent + covariance)

    def activate(self, name: str) -> Pair:
        """Σ ← Q(Σ), Θ ← Q'(Σ) Θ."""
        phi = activation(name)
        a, b, q = self.a, self.b, self.covariance
        return Pair(phi.covariance(a, a, a), phi.covariance(b, b, b), phi.covariance(a, b, q),
                    phi.slope_covariance(a, b, q) * self.tangent)

    def readout(self, std: float) -> Pair:
        """Θ ← std² (Θ + Σ), Σ ← std² Σ."""
        s = std**2
        return Pair(s * self.a, s * self.b, s * self.covariance, s * (self.tangent + self.covariance))

    def value(self, kind: str) -> Array:
        """Θ for "ntk", Σ for "nngp"."""
        return self.tangent if kind == "ntk" else self.covariance


def embedded(a: ArrayLike, b: ArrayLike, covariance: ArrayLike, *, trained: bool) -> Pair:
    """The embedding layer: Θ = Σ, or 0 where it is frozen."""
    first, second, both = np.broadcast_arrays(*(np.asarray(x, dtype=np.float64) for x in (a, b, covariance)))
    return Pair(first, second, both, both if trained else np.zeros_like(both))
