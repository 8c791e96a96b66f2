"""Products with the tangent kernel, Θ a, through the sparse feature map; the n × n matrix is never formed."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.sparse.linalg import LinearOperator, eigsh

from tangentlens.data.threads import summed
from tangentlens.features.counting import multiplied, transposed
from tangentlens.features.family import Features
from tangentlens.learning import by_text
from tangentlens.learning.columns import in_columns

Array = NDArray[np.float64]
TINY = float(np.finfo(np.float64).tiny)
FEW = 128  # texts without a feature of their own whose rows of Z are few; of no more features …
LARGE = 2**18  # … more texts are few, if they have no more entries …
STORED = 2**22  # … and rows are not looked for among more stored counts
TILT = 0.75  # power of the squares of a feature by which it is weighted less: more would favour rare ones too much


@dataclass
class KernelProduct:
    """Θ = Z Zᵀ + diag(own): Z holds the features that two or more texts share.

    A feature that stands in one text only acts on that text alone, so it goes to the diagonal; most n-grams are like
    that. Coefficient matrices between groups are split by Cholesky, γ = L Lᵀ, and the families of one pattern shape
    at several offsets, nearly equal columns, are rotated to their mean and their (sparse) differences: Θ stays the
    same, to rounding, with far fewer stored counts.

    Z is stored once, by columns: Zᵀ a reads each of them, Z u adds each of them up, and both gather and scatter in
    vectors as short as there are texts, which stay in the cache. Short columns are ordered by their number of entries.
    Where texts are many and features are few, products use the counts by text as the features have them (`by_text`).

    `extra` texts (validation) take part as rows: a product with duals of the n training texts then gives outputs on
    n + n' rows, training texts first. `products` counts products with Θ, one for each column of the right-hand side;
    one product = Z and Zᵀ together.
    """

    features: Features
    extra: Features | None = None
    products: int = 0
    lanes: list[sparse.csr_array] = field(init=False, repr=False)  # runs of rows of Zᵀ, (some, n + n'); or none …
    runs: list[by_text.Run] = field(default_factory=list, init=False, repr=False)  # … but runs of rows of Z
    own: Array = field(init=False, repr=False)  # (n + n',)
    textwise: ClassVar[bool] = True  # whether Z may be stored by texts

    def __post_init__(self) -> None:
        maps = [self.features] if self.extra is None else [self.features, self.extra]
        if self.textwise and by_text.suits(maps):
            self.lanes, self.runs, self.own = [], by_text.runs_of(maps), np.zeros(self.rows)
        else:
            self.lanes, self.own = in_columns(self.features, self.extra)

    @property
    def rows(self) -> int:
        """Number of rows: training texts, then extra texts."""
        return len(self.features) + (len(self.extra) if self.extra else 0)

    @property
    def nnz(self) -> int:
        """Stored counts in Z."""
        return sum(lane.nnz for lane in self.lanes) + sum(run.nnz for run in self.runs)

    def __matmul__(self, duals: Array) -> Array:
        """Θ a for a of shape (n,) or (n, c); the result has one row for every training and extra text."""
        self.products += 1 if duals.ndim == 1 else duals.shape[1]
        padded = self._padded(duals)
        found = self._shared(padded)
        found += (self.own * padded.T).T
        return found

    def _padded(self, duals: Array) -> Array:
        """The duals (n,) or (n, c), and zeros for the extra texts."""
        return np.concatenate([duals, np.zeros((self.rows - len(duals), *duals.shape[1:]))]) if self.extra else duals

    def tilted(self, duals: Array) -> tuple[Array, Array]:
        """Θ a and Z W Zᵀ a, for a of shape (n, c), where W divides by the power TILT of a feature's Σ z², so that rare
        ones and frequent ones count more alike; what one text alone has is one feature. Where Z is not stored by
        columns, Θ a stands for both.
        """
        if not self.lanes:
            found = self @ duals
            return found, found
        self.products += 2 * duals.shape[1]
        padded = self._padded(duals)
        found = summed(lambda lane: _tilted(*lane, padded), zip(self._both_ways, self._tilts, strict=True))
        found += self._own_tilted * padded
        return found[0], found[1]

    @cached_property
    def _own_tilted(self) -> Array:
        """What each text alone adds to both, (2, n + n', 1)."""
        return np.stack([self.own, self.own ** (1 - TILT)])[:, :, None]

    @cached_property
    def _tilts(self) -> list[Array]:
        """W, (some, 1) for every run of rows of Zᵀ, of which none is empty."""
        squares = (np.add.reduceat(lane.data**2, lane.indptr[:-1]) for lane in self.lanes)
        return [np.maximum(one, TINY)[:, None] ** -TILT for one in squares]

    @cached_property
    def lacking(self) -> tuple[NDArray[np.intp], sparse.csr_array] | None:
        """The training texts that have no feature of their own, (q,), and their rows of Z, (q, k); None where those are
        many, and features too, or Z is large, or stored by texts.
        """
        texts = np.flatnonzero(self.own[:len(self.features)] == 0)
        if self.runs or len(texts) > few_texts(sum(lane.shape[0] for lane in self.lanes)) or self.nnz > STORED:
            return None
        rows = [sparse.csr_array((0, len(texts))), *(lane[:, texts] for lane in self.lanes)]
        return texts, sparse.csr_array(sparse.vstack(rows).T)

    @property
    def columns(self) -> int:
        """Number of features, where Z is stored by texts."""
        return self.features.columns

    def gathered(self, duals: Array) -> Array:
        """Zᵀ a, (columns, c), for a of shape (n, c), where Z is stored by texts."""
        return by_text.gathered(self.runs, duals)

    def spread(self, weights: Array) -> Array:
        """Z w, (n + n', c), for w of shape (columns, c), where Z is stored by texts. `products` does not count it."""
        return by_text.spread(self.runs, weights)

    def squares(self) -> Array:
        """Σ z² of every feature, (columns,), where Z is stored by texts."""
        return by_text.squares(self.runs)

    def _shared(self, vectors: Array) -> Array:
        """Z Zᵀ v for v of shape (n + n',) or (n + n', c)."""
        if self.runs:
            return by_text.through(self.runs, vectors)
        if not self.lanes:
            return np.zeros(vectors.shape)
        return summed(lambda both: np.asarray(both[1] @ multiplied(both[0], vectors)), self._both_ways)

    @cached_property
    def _both_ways(self) -> list[tuple[sparse.csr_array, sparse.csc_array]]:
        """Runs of rows of Zᵀ, and their transposes on the same memory."""
        return [(lane, transposed(lane)) for lane in self.lanes]

    def largest_eigenvalue(self) -> float:
        """λ_max(Θ) by Lanczos, to a relative 1e-4."""
        n = len(self.features)
        if n < 20:
            return float(np.linalg.eigvalsh((self @ np.eye(n))[:n])[-1]) if n else 0.0
        operator = LinearOperator((n, n), matvec=lambda x: (self @ x.ravel())[:n], dtype=np.float64)
        start = np.ones(n)
        if not (self @ start)[:n].any():  # the entries of Θ are not negative, so this means Θ = 0
            return 0.0
        return float(eigsh(operator, k=1, which="LA", tol=1e-4, v0=start, return_eigenvectors=False)[0])


def few_texts(features: int) -> int:
    """How many texts are few beside so many features."""
    return FEW if features > FEW else LARGE // max(features, 1)


def _tilted(ways: tuple[sparse.csr_array, sparse.csc_array], weights: Array, vectors: Array) -> Array:
    """Z Zᵀ v and Z W Zᵀ v of a run of features, (2, n + n', c)."""
    gathered = multiplied(ways[0], vectors)
    return np.stack([ways[1] @ gathered, ways[1] @ (weights * gathered)])
