"""What Θ sees of dual vectors, exactly, where few texts or few features leave it a null space."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from tangentlens.learning.product import KernelProduct

Array = NDArray[np.float64]
LARGE = 2**21  # entries of Z for texts without a feature of their own above which a dense matrix takes long (.2 s)
SPANNING = 2**18  # entries of vectors that span the range, above which a basis that grows takes less time
ROUNDING = 1e-13  # share of the largest singular value below which one is rounding


@dataclass(frozen=True, eq=False)
class KernelRange:
    """The range of Θ = Z Zᵀ + diag(own). Where Θ a = 0, also aᵀ Θ a = 0, so a is 0 on texts with a feature of their own
    and Zᵀ a = 0: all of the null space is in the duals of the others, `texts` (q,), and Θ sees `directions` (q, r) of
    those.
    """

    texts: NDArray[np.intp]
    directions: Array
    outputs: int  # of a text

    @property
    def whole(self) -> bool:
        """Whether there is no null space."""
        return bool(len(self.texts) == self.directions.shape[1])

    def part(self, duals: Array) -> Array:
        """The part of dual vectors (n c, p) that lies in the range: themselves, where that is all."""
        if self.whole:
            return duals
        found, there = duals.copy(order="K"), duals[self.rows].reshape(len(self.texts), self.outputs * duals.shape[1])
        found[self.rows] = (self.directions @ (self.directions.T @ there)).reshape(len(self.rows), duals.shape[1])
        return found

    @cached_property
    def rows(self) -> NDArray[np.intp]:
        """Of dual vectors, those of the texts, (q c,)."""
        return np.asarray(self.texts[:, None] * self.outputs + np.arange(self.outputs)).ravel()

    def spanning(self, n: int, most: int) -> Array | None:
        """Dual vectors (n c, r c) that span the range; None if they are more than `most`, or have many entries."""
        count, c = n - len(self.texts) + self.directions.shape[1], self.outputs
        if count * c > most or n * count * c**2 > SPANNING:
            return None
        others = np.setdiff1d(np.arange(n), self.texts, assume_unique=True)
        found = np.zeros((n, count))
        found[others, np.arange(len(others))] = 1.0
        found[self.texts, len(others):] = self.directions
        return np.asarray(np.kron(found, np.eye(c)))


def kernel_range(product: KernelProduct, outputs: int) -> KernelRange | None:
    """The range of Θ on the training texts; None where that would take long."""
    if product.lacking is None:
        return None
    texts, z = product.lacking
    features = np.unique(z.indices)
    if len(texts) * len(features) > LARGE:
        return None
    dense = z[:, features].toarray()
    if len(texts) < len(features):  # left singular vectors are those of a square factor
        dense = np.asarray(np.linalg.qr(dense.T, mode="r")).T
    modes, values, _ = np.linalg.svd(dense, full_matrices=False)
    return KernelRange(texts, modes[:, values > ROUNDING * values.max(initial=0.0)], outputs)
