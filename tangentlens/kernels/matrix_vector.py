"""MatrixVector: products of token matrices applied to a token vector (theory, section "MatrixVector")."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl

from tangentlens.data.tokens import Tokens
from tangentlens.features.family import Features
from tangentlens.features.ngrams import NGrams
from tangentlens.features.windows import Windows
from tangentlens.kernels.architecture import Architecture, Array, check_kind, check_options, spectrum_table
from tangentlens.kernels.dense import kernel_by_blocks, window_block


@dataclass(frozen=True)
class MatrixVector(Architecture):
    """matrix(t_1) ··· matrix(t_{r−1}) vector(t_r) over all windows of r tokens, pooled, readout; no activation.

    Feature family: `n-gram` of exactly r consecutive tokens,
    γ_r = (2r + 1) readout_std² vector_std² embedding_std^(2r) weight_std^(2(r − 1)), with r + 1 for 2r + 1 where the
    embedding is frozen. residual=True: the sum of independent networks of the orders 1 … r that share the embedding;
    each order is pooled over its own windows.

    order: r; matrices: "diagonal" (every slot has its own weights) or "full" (m³ weights); both have this kernel;
    weight_std: of the matrices; vector_std: of the vector; the other options as in MLP.

    >>> MatrixVector(order=3, residual=True).spectrum()["coefficient"].to_list()
    [3.0, 5.0, 7.0]
    """

    order: int = 2
    matrices: str = "diagonal"
    residual: bool = False
    pooling: str = "mean"
    vector_std: float = 1.0
    weight_std: float = 1.0
    embedding_std: float = 1.0
    readout_std: float = 1.0
    train_embedding: bool = True

    def __post_init__(self) -> None:
        check_options(self)

    def kernel(self, tokens: Tokens, other: Tokens | None = None, kind: str = "ntk") -> Array:
        """See Architecture.kernel."""
        check_kind(kind)
        return np.asarray(sum(self._kernel_of_order(r, tokens, other, kind) for r in self._orders()))

    def features(self, tokens: Tokens, columns: Features | None = None) -> Features:
        """See Architecture.features."""
        grams = NGrams(tokens, columns, self.pooling)
        families = tuple(grams.family(r, self._layers(r) * self._covariance(r)) for r in self._orders())
        shortest = self._orders()[0]
        return Features(families, len(tokens), int(np.sum(tokens.lengths < shortest)), tokens.unknown)

    def spectrum(self) -> pl.DataFrame:
        """See Architecture.spectrum."""
        gammas = {r: self._layers(r) * self._covariance(r) for r in self._orders()}
        total = sum(gammas.values())
        return spectrum_table([("n-gram", r, gamma, gamma / total) for r, gamma in gammas.items()])

    def _kernel_of_order(self, r: int, tokens: Tokens, other: Tokens | None, kind: str) -> Array:
        table = np.zeros((r + 1,) * 3)
        table[r, r, r] = self._covariance(r) * (self._layers(r) if kind == "ntk" else 1)
        return kernel_by_blocks(tokens, other, lambda left, right: window_block(
            Windows(left, r, "valid"), Windows(right, r, "valid"), table, self.pooling))

    def _orders(self) -> list[int]:
        return list(range(1, self.order + 1)) if self.residual else [self.order]

    def _covariance(self, r: int) -> float:
        """Output covariance of two equal windows."""
        return (self.readout_std * self.vector_std * self.embedding_std**r * self.weight_std ** (r - 1)) ** 2

    def _layers(self, r: int) -> int:
        """Trained factors of a window: r weights (r − 1 matrices, one vector), the readout, r embeddings."""
        return 2 * r + 1 if self.train_embedding else r + 1
