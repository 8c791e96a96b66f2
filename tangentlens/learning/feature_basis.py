"""A basis that is kept in the space of the features too, for maps stored by texts: many texts, few features."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tangentlens.learning.basis import KEPT, SPANNED, TINY, GrowingBasis, across, beside, less, times
from tangentlens.learning.product import KernelProduct

Array = NDArray[np.float64]


class FeatureBasis(GrowingBasis):
    """A basis with W = Zᵀ V, Wᵀ W = I, for Z (n, k) with Z Zᵀ = Θ: outputs are F = Z W.

    The inner product of Θ is the plain one there, so that vectors are made orthogonal where they are short, and V and
    F, which are as tall as there are texts, may be of 32 bits. Shapes: W (k c, m).
    """

    def __init__(self, product: KernelProduct, shape: tuple[int, int], dtype: type[np.floating[Any]]) -> None:
        super().__init__(product, shape)
        self.features = np.empty((product.columns * shape[1], 0))
        self.vectors, self.outputs = self.vectors.astype(dtype), self.outputs.astype(dtype)

    def fitted_in_32_bits(self) -> NDArray[np.float32]:
        """The outputs on the training texts."""
        return self.fitted if self.outputs.dtype == np.float32 else super().fitted_in_32_bits()

    def grow(self, vectors: Array) -> int:
        """Adds dual vectors (n c, p), as far as they are new; returns how many were added."""
        (n, c), p = self.shape, vectors.shape[1]
        w = self.product.gathered(vectors.reshape(n, c * p)).reshape(-1, p)
        mixing, overlap, least = np.eye(p), np.zeros((len(self), p)), 0.0
        while True:
            size = np.linalg.norm(w, axis=0)
            scale = (np.eye(len(size)) / np.maximum(size, TINY))[:, size > least]
            if not scale.shape[1]:
                return 0
            w, mixing, overlap = times(w, scale), mixing @ scale, overlap @ scale
            if least and np.all(size > KEPT):  # nothing is lost that a further projection would bring back
                break
            there = across(self.features, w)
            w, overlap, least = less(w, self.features, there), overlap + there, KEPT if least else SPANNED
        scale = self._scale(across(w, w))
        w, mixing, overlap = times(w, scale), mixing @ scale, (overlap @ scale).astype(self.vectors.dtype)
        q = w.shape[1]
        image = self.product.spread(w.reshape(-1, c * q)).reshape(-1, q)
        self.vectors = beside(self.vectors, q, lambda rows: vectors[rows] @ mixing - self.vectors[rows] @ overlap)
        self.features = beside(self.features, q, lambda rows: w[rows])
        self.outputs = beside(self.outputs, q, lambda rows: image[rows])
        return q
