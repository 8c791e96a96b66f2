"""SelfAttention: one layer, linear in its values unless an activation follows (theory, section "SelfAttention")."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl

from tangentlens.data.tokens import Tokens
from tangentlens.errors import NoSparseFormError
from tangentlens.features.attending import Attention
from tangentlens.features.bag import token_family
from tangentlens.features.family import Features
from tangentlens.features.windows import pooling_weight
from tangentlens.kernels.architecture import Architecture, Array, check_kind, check_options, spectrum_table
from tangentlens.kernels.dense import kernel_by_blocks, pool, pooling_matrix
from tangentlens.kernels.layers import Pair


@dataclass(frozen=True)
class SelfAttention(Architecture):
    """embedding, attention (scores q·k / m), value and output projections, activation or none, pooling, readout.

    Feature family: `token`, each position j weighted by the attention A_j = Σ_i α_ij that it receives,
    γ = (3 + train_embedding) · (embedding_std value_std output_std readout_std)². No n-gram at all.

    scores: "uniform" (independent queries and keys: every position receives attention 1) or "tied" (queries = keys:
    equal tokens attend to each other); positions: with tied scores, queries and keys also read a position, whose
    covariance is position_std² exp(−|i − j| / position_scale); activation: after the attention; then only `kernel`
    exists. key_std, value_std, output_std: weights of the projections; the other options as in MLP.

    >>> SelfAttention().spectrum().rows()
    [('token', 1, 4.0, 1.0)]
    """

    scores: str = "uniform"
    activation: str | None = None
    positions: bool = False
    position_std: float = 1.0
    position_scale: float = 8.0
    key_std: float = 1.0
    value_std: float = 1.0
    output_std: float = 1.0
    pooling: str = "mean"
    embedding_std: float = 1.0
    readout_std: float = 1.0
    train_embedding: bool = True

    def __post_init__(self) -> None:
        check_options(self)

    def kernel(self, tokens: Tokens, other: Tokens | None = None, kind: str = "ntk") -> Array:
        """See Architecture.kernel."""
        check_kind(kind)
        return kernel_by_blocks(tokens, other, lambda left, right: self._block(left, right, kind))

    def features(self, tokens: Tokens, columns: Features | None = None) -> Features:
        """See Architecture.features."""
        self._check_sparse()
        received = None if self.scores == "uniform" else self.attention(tokens).received()
        family = token_family(tokens, columns, coefficient=self._coefficient(), pooling=self.pooling,
                              attention=received)
        return Features((family,), len(tokens), int(np.sum(tokens.lengths == 0)), tokens.unknown)

    def spectrum(self) -> pl.DataFrame:
        """See Architecture.spectrum."""
        self._check_sparse()
        return spectrum_table([("token", 1, self._coefficient(), 1.0)])

    def _check_sparse(self) -> None:
        if self.activation not in (None, "identity"):
            raise NoSparseFormError(
                f'SelfAttention with activation="{self.activation}" has no sparse feature map, only the dense '
                "`kernel`; "
                "use activation=None, or MLP or CNN, which have both an activation and a sparse map"
            )

    def _variance(self) -> float:
        return (self.embedding_std * self.value_std * self.output_std) ** 2

    def _coefficient(self) -> float:
        return (3 + self.train_embedding) * self._variance() * self.readout_std**2

    def attention(self, tokens: Tokens) -> Attention:
        """How the positions of these texts attend to each other."""
        tied = self.scores == "tied"
        return Attention(
            tokens,
            token=(self.key_std * self.embedding_std) ** 2 if tied else 0.0,
            position=(self.key_std * self.position_std) ** 2 if tied and self.positions else 0.0,
            scale=self.position_scale,
        )

    def _block(self, left: Tokens, right: Tokens, kind: str) -> Array:
        """Kernel between two blocks of texts, from the covariance Σ_ii' = Σ_jj' α_ij α'_i'j' [t_j = t_j']."""
        variance = self._variance()
        (mine, a), (theirs, b) = (self.attention(side).by_token() for side in (left, right))
        covariance = variance * np.asarray((mine @ theirs.T).todense())
        tangent = (2 + self.train_embedding) * covariance
        pair = Pair(variance * a[:, None], variance * b[None, :], covariance, tangent)
        if self.activation is not None:
            pair = pair.activate(self.activation)
        values = pair.readout(self.readout_std).value(kind)
        return pool(values, *(pooling_matrix(side.text_of_token, pooling_weight(side.lengths, self.pooling))
                              for side in (left, right)))
