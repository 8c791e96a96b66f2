"""A basis that is kept in the space of the features, for maps stored by texts: many texts, few features."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tangentlens.learning.basis import KEPT, ROUNDING, SPANNED, GrowingBasis, across, beside, less, norms, times
from tangentlens.learning.product import TINY, KernelProduct

Array = NDArray[np.float64]
ROUNDED = 1e7  # by how much more outputs of 32 bits round than those of 64


class FeatureBasis(GrowingBasis):
    """Orthonormal feature weights W (k c, m) and their outputs F = Z W (rows c, m), for Z with Z Zᵀ = Θ.

    Duals V with W = Zᵀ V are not kept, and nothing that Θ does not see comes in: the inner product of Θ is the plain
    one here, so that vectors are made orthogonal where they are short, and F alone, which may be of 32 bits, is as tall
    as there are texts. What the basis leaves out of duals is left out of Zᵀ a.
    """

    def __init__(self, product: KernelProduct, shape: tuple[int, int], balanced: bool,
                 dtype: type[np.floating[Any]]) -> None:
        super().__init__(product, shape, balanced)
        self.features = np.empty((product.columns * shape[1], 0))
        self.outputs = self.outputs.astype(dtype)
        self.last_inverse: Array | None = None  # of F before it was let go
        self.brightest = 0.0  # largest norm of Zᵀ a for a of norm 1 so far

    def __len__(self) -> int:
        return int(self.features.shape[1])

    def fitted_in_32_bits(self) -> NDArray[np.float32]:
        """The outputs on the training texts."""
        return self.fitted if self.outputs.dtype == np.float32 else super().fitted_in_32_bits()

    def seen(self, duals: Array) -> Array:
        """Zᵀ a, (k c, p), for duals (n c, p)."""
        (n, c), p = self.shape, duals.shape[1]
        return self.product.gathered(duals.reshape(n, c * p)).reshape(-1, p)

    def shown(self, weights: Array) -> Array:
        """Z w on all rows, (rows c, p), for feature weights (k c, p)."""
        self.product.products += self.shape[1] * weights.shape[1]
        return self._spread(weights)

    def _spread(self, weights: Array) -> Array:
        c, p = self.shape[1], weights.shape[1]
        return self.product.spread(weights.reshape(-1, c * p)).reshape(-1, p)

    def squares(self) -> Array:
        """Σ z² of every feature, (k c,)."""
        return np.repeat(self.product.squares(), self.shape[1])

    def outputs_at(self, points: Array) -> Array:
        """Outputs on all rows, (rows c, p), for coefficients (m, p)."""
        return super().outputs_at(points) if self.last_inverse is None else self._spread(self.features @ points)

    def let_go(self) -> None:
        """Lets go of F, the largest array of all: Z (W z) takes the place of F z, and nothing grows any more."""
        self.last_inverse = self.inverse()
        self.outputs = self.outputs[:, :0].copy()

    def inverse(self) -> Array:
        """As of any basis; of F as it was when it was let go."""
        return super().inverse() if self.last_inverse is None else self.last_inverse

    def left_out(self, duals: Array) -> tuple[Array, float, float]:
        """What the basis leaves out of Zᵀ a for duals (n c, p), (k c, p); the largest norm of Zᵀ a, and the norm below
        which the first is rounding: where there are more texts than features, Θ sees little of most duals.
        """
        w = self.seen(duals)
        size, whole = norms(w), norms(duals)
        self.brightest = max(self.brightest, float(np.max(size / np.maximum(whole, TINY))))
        noise = ROUNDING * self.brightest * float(np.max(whole))
        return less(w, self.features, across(self.features, w)), float(np.max(size)), noise

    def driven(self, before: int, residual: Array) -> Array:
        """The part of residuals (k c, p) in the vectors from `before` on."""
        return across(self.features[:, before:], residual)

    def norm(self, vector: Array) -> float:
        """The norm of weights, (k c,)."""
        return float(np.linalg.norm(vector))

    def grow(self, vectors: Array) -> int:
        """Adds Zᵀ a for dual vectors (n c, p), as far as it is new; returns how many vectors were added."""
        residual, _, noise = self.left_out(vectors)
        noise *= ROUNDED if self.outputs.dtype == np.float32 else 1.0
        return self.add(residual[:, norms(residual) > noise])

    def add(self, residual: Array) -> int:
        """Adds feature weights (k c, p), as far as they are new; returns how many vectors were added."""
        assert self.last_inverse is None, "F was let go"
        w, least = residual, 0.0
        while True:
            size = norms(w)
            w = w[:, size > least] / size[size > least]
            if not w.shape[1]:
                return 0
            if least and np.all(size > KEPT):  # nothing is lost that a further projection would bring back
                break
            w, least = less(w, self.features, across(self.features, w)), KEPT if least else SPANNED
        w = self._even(w)
        w = times(w, self._scale(across(w, w)))
        image, q = self.shown(w), int(w.shape[1])
        self.features = beside(self.features, q, lambda rows: w[rows])
        self.outputs = beside(self.outputs, q, lambda rows: image[rows])
        return q
