"""A growing basis of dual vectors, orthonormal in the inner product of Θ (theory, eq. 58)."""

from __future__ import annotations

import math
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tangentlens.learning.kernel_range import KernelRange, kernel_range
from tangentlens.learning.product import TINY, KernelProduct
from tangentlens.learning.tall import across, beside, columnwise, less, norms, times

Array = NDArray[np.float64]
SPANNED = 1e-10  # a unit vector that projection leaves shorter than this lies in the basis
DEPENDENT = 1e-8  # new vectors with a smaller share of squared norm depend on the others
SLIGHT = 1e-8  # overlap of unit vectors with the basis, of the largest there can be, for which one projection is enough
KEPT = 0.5  # a unit vector that projection leaves longer than this needs no second one
NULL = 1e-14  # a unit vector with a smaller share of the largest wᵀ Θ w lies in the null space of Θ
ROUNDING = 1e-13  # an image of a smaller share of the largest is rounding
ROUNDED = 1e-10  # share of the largest eigenvalue below which Fᵀ F is too much of rounding to be inverted
ROUNDED_IN_32_BITS = 1e-5
TOGETHER = 8  # points of a path that are worked out together


class GrowingBasis:
    """Vectors V (n c, m) with Vᵀ Θ V = I, their outputs F = Θ V (rows c, m), and directions found to lie in the null
    space of Θ, `null` (n c, q).

    A vector costs one product with Θ. shape: (n, c) of the duals; balanced: those of each text add up to zero.
    """

    def __init__(self, product: KernelProduct, shape: tuple[int, int], balanced: bool = False) -> None:
        self.product, self.shape, self.balanced = product, shape, balanced
        size = shape[0] * shape[1]
        self.vectors = np.empty((size, 0))
        self.null = np.empty((size, 0))
        self.outputs: NDArray[Any] = np.empty((product.rows * shape[1], 0))
        self.narrow = np.empty((size, 0), np.float32)  # outputs on the training texts, as far as they were asked for
        self.all = False  # whether the vectors are all that there are
        self.largest = 0.0  # largest squared norm wᵀ Θ w of a unit vector so far

    def __len__(self) -> int:
        return int(self.vectors.shape[1])

    @property
    def fitted(self) -> NDArray[Any]:
        """The outputs on the training texts; shape (n c, m)."""
        return self.outputs[:self.shape[0] * self.shape[1]]

    def fitted_in_32_bits(self) -> NDArray[np.float32]:
        """The outputs on the training texts, rounded; only what is new since the last time is."""
        new = self.fitted[:, self.narrow.shape[1]:]
        if new.shape[1]:
            self.narrow = beside(self.narrow, new.shape[1], lambda rows: new[rows])
        return self.narrow

    def left_out(self, duals: Array) -> tuple[Array, float, float]:
        """What the basis leaves out of dual vectors (n c, p), which may be written over them; the largest norm of what
        Θ sees of them, as far as that is known, and the norm below which the first is rounding.
        """
        whole, seen = float(np.max(norms(duals))), self._in_range(duals)
        size = whole if seen is duals else float(np.max(norms(seen)))
        return less(seen, self.vectors, across(self.fitted, seen)), size, ROUNDING * whole

    def outputs_at(self, points: Array) -> Array:
        """Outputs F z on all rows, (rows c, p), for coefficients (m, p)."""
        return times(self.outputs, points)

    def widen(self) -> None:
        """Makes outputs of 32 bits, if they are, anew in 64."""

    def let_go(self) -> None:
        """Lets go of what only growing needs, where it is large and the rest can do without."""

    def driven(self, before: int, residual: Array) -> Array:
        """The part of residuals (n c, p) in the vectors from `before` on."""
        return across(self.fitted[:, before:], residual)

    def inverse(self) -> Array:
        """(Fᵀ F)⁺ (m, m), but for directions that are too much of rounding: the smallest change of duals that moves
        their coefficients by r is F (Fᵀ F)⁺ r.
        """
        gram = across(self.fitted, self.fitted)
        scale = 1 / np.sqrt(np.maximum(np.diag(gram), TINY))
        values, modes = np.linalg.eigh(gram * scale[:, None] * scale)
        kept = values > (ROUNDED if self.fitted.dtype == np.float64 else ROUNDED_IN_32_BITS) * values[-1]
        modes = modes[:, kept] * scale[:, None]
        return np.asarray((modes / values[kept]) @ modes.T)

    @cached_property
    def range(self) -> KernelRange | None:
        """The range of Θ, where it is known."""
        return kernel_range(self.product, self.shape[1])

    def _in_range(self, vectors: Array) -> Array:
        """The part of dual vectors (n c, p) in the range of Θ, where that is known."""
        return vectors if self.range is None else self.range.part(vectors)

    def complete(self, most: int) -> bool:
        """Adds all vectors that there are, but for those of which Θ sees only rounding, if they are known and so few;
        whether they are.
        """
        everything = None if self.all or self.range is None else self.range.spanning(self.shape[0], most)
        if everything is not None:
            self.all = True
            while self.grow(everything):
                pass
        return self.all

    def without_null(self, vectors: Array) -> Array:
        """The part of dual vectors outside of the null space, as far as that is known."""
        vectors = self._in_range(vectors)
        return vectors - self.null @ (self.null.T @ vectors) if self.null.shape[1] else vectors

    def image(self, duals: Array) -> Array:
        """Θ a on the training texts, (n c, p), for duals (n c, p)."""
        (n, c), p = self.shape, duals.shape[1]
        return (self.product @ duals.reshape(n, c * p)).reshape(-1, p)[:n * c]

    def norm(self, vector: Array) -> float:
        """The norm of a vector of the space of the basis, (n c,), in its inner product."""
        return math.sqrt(max(0.0, float(vector @ self.image(vector[:, None])[:, 0])))

    def grow(self, vectors: Array) -> int:
        """Adds dual vectors (n c, p), as far as they are new; returns how many were added.

        They are projected before they are multiplied with Θ: an image that is projected afterwards would lose digits.
        Directions in the null space are noted, to be left out from now on; the trace of others that they carry shows in
        their image, and is added in their place.
        """
        while vectors.shape[1]:
            vectors, overlap = self._new_in(np.asfortranarray(vectors))  # few columns: else each row is a loop
            if not vectors.shape[1]:
                break
            vectors, image = self._with_image(vectors, overlap)
            scale = self._scale(across(vectors, image[:len(vectors)]))
            if scale.shape[1]:
                self._add(vectors, image, scale)
                return int(scale.shape[1])
            vectors = self._noted(vectors, image[:len(vectors)])
        return 0

    def add(self, residual: Array) -> int:
        """Adds what was left out of dual vectors last, as far as it is new; returns how many vectors were added."""
        return self.grow(residual)

    def _scale(self, gram: Array) -> Array:
        """What makes vectors with these inner products orthonormal, (p, q); q < p where some depend on others."""
        values, modes = np.linalg.eigh((gram + gram.T) / 2)
        self.largest = max(self.largest, float(values[-1]))
        keep = values > max(NULL * self.largest, DEPENDENT * float(values[-1]), TINY)
        return np.asarray(modes[:, keep] / np.sqrt(values[keep]))

    def _add(self, vectors: Array, image: Array, scale: Array) -> None:
        self.vectors = beside(self.vectors, scale.shape[1], lambda rows: columnwise(vectors[rows], scale))
        self.outputs = beside(self.outputs, scale.shape[1], lambda rows: columnwise(image[rows], scale))

    def _with_image(self, vectors: Array, overlap: Array) -> tuple[Array, Array]:
        """Vectors and Θ times them, both without what the basis holds of them, the overlap (m, p)."""
        (n, c), p = self.shape, vectors.shape[1]
        image = np.asfortranarray((self.product @ vectors.reshape(n, c * p)).reshape(-1, p))
        return less(vectors, self.vectors, overlap), less(image, self.outputs, overlap)

    def _noted(self, vectors: Array, image: Array) -> Array:
        """Notes directions of the null space; returns the traces of others in them, none if all were known."""
        size, known = norms(image), self.null.shape[1]
        traces = image[:, size > ROUNDING * self.largest]
        span = np.linalg.qr(traces)[0]
        self.null = _extended(self.null, vectors - span @ (span.T @ vectors))
        return traces if self.null.shape[1] > known else traces[:, :0]

    def _new_in(self, vectors: Array) -> tuple[Array, Array]:
        """The part of dual vectors that is orthogonal to the basis, as unit vectors; rounding is left out. And what
        they overlap with the basis after all, (m, p).
        """
        whole, given = norms(vectors), vectors
        vectors = self._in_range(given)
        size = whole if vectors is given else norms(vectors)
        kept = size > ROUNDING * whole
        vectors = vectors[:, kept] / size[kept]
        overlap = across(self.fitted, vectors)
        if np.all(np.abs(overlap) <= SLIGHT * np.sqrt(self.largest)):
            return self._even(vectors), overlap
        vectors = less(vectors, self.vectors, overlap)
        size = norms(vectors)
        vectors = vectors[:, size > SPANNED] / size[size > SPANNED]
        if not np.all(size > KEPT):  # else it is enough that `_with_image` projects once more
            vectors = less(vectors, self.vectors, across(self.fitted, vectors))
        vectors = self._even(self._in_range(vectors))
        return vectors, across(self.fitted, vectors)

    def _even(self, vectors: Array) -> Array:
        """Vectors (… c, p) of which those of each text add up to zero, if they are to: rounding would grow otherwise,
        from each vector to the next, which is made of a small difference.
        """
        if not self.balanced or not vectors.size:
            return vectors
        parts = vectors.reshape(-1, self.shape[1], vectors.shape[1])
        return np.asarray(parts - parts.mean(axis=1, keepdims=True)).reshape(vectors.shape)


def _extended(orthonormal: Array, vectors: Array) -> Array:
    """The orthonormal columns and what the vectors add to them."""
    for _ in range(2):
        vectors = vectors - orthonormal @ (orthonormal.T @ vectors)
    directions, size, _ = np.linalg.svd(vectors, full_matrices=False)
    return np.hstack([orthonormal, directions[:, size > 1e-3]])
