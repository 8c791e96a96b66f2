"""A basis that is kept in the space of the features, for maps stored by texts: many texts, few features."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tangentlens.learning.basis import KEPT, ROUNDING, SPANNED, TOGETHER, GrowingBasis
from tangentlens.learning.product import TINY, KernelProduct
from tangentlens.learning.tall import across, beside, less, norms, times

Array = NDArray[np.float64]
FEW = 128  # features of which what texts have of weights is taken exactly
EPSILON = 1e-15  # share that rounding makes of Zᵀ a: it grows from vector to vector, if those are small differences …
STRAY = 1e-4  # … until it may be more than this; then what texts have of them is taken nearly …
MANY = 20_000  # … of so many features: the basis is far from having all of more
RANK = 1e-12  # share of the largest eigenvalue of ZᵀZ below which one is rounding
MOSTLY = 0.5  # share of the squared norm of weights that is enough to take them as they are …
NEAR, STEPS = 0.01, 30  # … else weights near them are taken, to this share of their outputs, or so many steps
COARSER = 1e7  # by how much more outputs of 32 bits round than those of 64


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
        self.astray = np.empty(0)  # of every vector about how much is no Zᵀ a of any a, but made by rounding, …
        self.unsure = 0.0  # … and how much of the residuals that were left out last
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

    def widen(self) -> None:
        """Makes outputs of 32 bits, if they are, anew in 64: Z W."""
        if self.outputs.dtype == np.float32:
            self.outputs = self.shown(self.features).copy(order="F")

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
        noise, overlap = ROUNDING * self.brightest * float(np.max(whole)), across(self.features, w)
        self.unsure = EPSILON * noise / ROUNDING + float(np.max(self._astray(overlap)))
        return less(w, self.features, overlap), float(np.max(size)), noise

    def driven(self, before: int, residual: Array) -> Array:
        """The part of residuals (k c, p) in the vectors from `before` on."""
        return across(self.features[:, before:], residual)

    def norm(self, vector: Array) -> float:
        """The norm of weights, (k c,)."""
        return float(np.linalg.norm(vector))

    def grow(self, vectors: Array) -> int:
        """Adds Zᵀ a for dual vectors (n c, p), as far as it is new; returns how many vectors were added."""
        residual, _, noise = self.left_out(vectors)
        noise *= COARSER if self.outputs.dtype == np.float32 else 1.0
        return self.add(residual[:, norms(residual) > noise])

    def add(self, residual: Array) -> int:
        """Adds feature weights (k c, p) left out last, as far as they are new; returns how many vectors were added."""
        assert self.last_inverse is None, "F was let go"
        w, least, astray = residual, 0.0, np.full(residual.shape[1], self.unsure)
        while True:
            size = norms(w)
            w, astray = (one[..., size > least] / size[size > least] for one in (w, astray))
            if not w.shape[1]:
                return 0
            if least and np.all(size > KEPT):  # nothing is lost that a further projection would bring back
                break
            if self.product.columns <= FEW:
                w = self._had(w)
            elif np.any(astray > STRAY) and self.product.columns <= MANY:
                w, astray = self._nearly_had(w), np.full(w.shape[1], EPSILON)
            overlap = across(self.features, w)
            astray = astray + self._astray(overlap)
            w, least = less(w, self.features, overlap), KEPT if least else SPANNED
        w = self._even(w)
        scale = self._scale(across(w, w))
        w, q = times(w, scale), int(scale.shape[1])
        if not q:  # nothing was left of those that are to add up to zero
            return 0
        image = self.shown(w)
        self.features = beside(self.features, q, lambda rows: w[rows])
        self.outputs = beside(self.outputs, q, lambda rows: image[rows])
        self.astray = np.append(self.astray, np.abs(scale).T @ astray)
        return q

    def _astray(self, overlap: Array) -> Array:
        """How much that no text has may come with so much of each vector, (m, p); shape (p,)."""
        return norms(self.astray[:, None] * overlap)

    def _had(self, weights: Array) -> Array:
        """The part of weights (k c, p) that is Zᵀ a for some a."""
        table = weights.reshape(self.product.columns, -1)
        return np.asarray(self._space @ (self._space.T @ table)).reshape(weights.shape)

    @cached_property
    def _space(self) -> Array:
        """An orthonormal basis of all Zᵀ a, (k, r)."""
        n, k = self.shape[0], self.product.columns
        gram = np.hstack([self.product.gathered(self.product.spread(some)[:n])
                          for some in np.array_split(np.eye(k), -(-k // TOGETHER), axis=1)])
        values, modes = np.linalg.eigh((gram + gram.T) / 2)
        return np.asarray(modes[:, values > RANK * values[-1]])

    def _nearly_had(self, weights: Array) -> Array:
        """Unit weights (k c, p) if most of them is some Zᵀ a, or else Zᵀ a near them, by conjugate gradients: what
        those find grows in norm up to what texts have of the weights.
        """
        rows, found = self.shape[0] * self.shape[1], np.zeros_like(weights)
        gap = self._spread(weights)[:rows]
        step, squared = gap, np.sum(gap**2, axis=0)
        enough = NEAR**2 * squared
        for _ in range(STEPS):
            image = self.seen(step)
            found += image * (squared / np.maximum(np.sum(image**2, axis=0), TINY))
            if np.all(np.sum(found**2, axis=0) >= MOSTLY):
                return weights
            gap, before = self._spread(weights - found)[:rows], squared
            squared = np.sum(gap**2, axis=0)
            if np.all(squared <= enough):
                break
            step = gap + step * (squared / np.maximum(before, TINY))
        return found
