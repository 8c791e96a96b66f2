"""MLP: every token through the same dense layers, pooled (theory, section "MLP")."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl

from tangentlens.data.tokens import Tokens
from tangentlens.features.bag import bias_family, token_family
from tangentlens.features.family import Features
from tangentlens.features.windows import Windows
from tangentlens.kernels.architecture import (
    Architecture,
    Array,
    check_kind,
    check_options,
    non_negative,
    per_layer,
    spectrum_table,
)
from tangentlens.kernels.dense import kernel_by_blocks, window_block
from tangentlens.kernels.layers import embedded


@dataclass(frozen=True)
class MLP(Architecture):
    """embedding, (dense, activation) × depth, pooling over tokens, readout.

    Feature families: `token`, γ = κ_same − κ_diff, and `bias` (number of tokens), γ = κ_diff, where κ_same and κ_diff
    are the kernel between equal and between different tokens. Families with γ = 0 are left out of the map.

    depth: hidden layers; activation: its name; pooling: "mean" or "sum" over tokens; weight_std, bias_std: one number
    or one per layer; embedding_std, readout_std: standard deviations; train_embedding: whether embeddings learn.

    >>> MLP().spectrum()["coefficient"].round(6).to_list()
    [1.340845, 0.159155]
    """

    depth: int = 1
    activation: str = "relu"
    pooling: str = "mean"
    weight_std: float | tuple[float, ...] = 1.0
    bias_std: float | tuple[float, ...] = 0.0
    embedding_std: float = 1.0
    readout_std: float = 1.0
    train_embedding: bool = True

    def __post_init__(self) -> None:
        check_options(self)
        per_layer(self.weight_std, self.depth, "weight_std")
        per_layer(self.bias_std, self.depth, "bias_std")

    def kernel(self, tokens: Tokens, other: Tokens | None = None, kind: str = "ntk") -> Array:
        """See Architecture.kernel."""
        check_kind(kind)
        table = np.zeros((2, 2, 2))
        table[1, 1] = self._kappa(kind)
        return kernel_by_blocks(tokens, other, lambda left, right: window_block(
            Windows(left, 1, "valid"), Windows(right, 1, "valid"), table, self.pooling))

    def features(self, tokens: Tokens, columns: Features | None = None) -> Features:
        """See Architecture.features."""
        bias, token = self._coefficients()
        families = []
        if token:
            families.append(token_family(tokens, columns, coefficient=token, pooling=self.pooling))
        if bias:
            windows = Windows(tokens, 1, "valid")
            families.append(bias_family(windows, self.pooling, np.array([[bias]])))
        return Features(tuple(families), len(tokens), int(np.sum(tokens.lengths == 0)), tokens.unknown)

    def spectrum(self) -> pl.DataFrame:
        """See Architecture.spectrum."""
        bias, token = self._coefficients()
        return spectrum_table([("token", 1, token, token / (token + bias)), ("bias", 0, bias, bias / (token + bias))])

    def _kappa(self, kind: str) -> Array:
        """Kernel between two different tokens and between two equal ones; shape (2,)."""
        e = np.full(2, self.embedding_std**2)
        pair = embedded(e, e, e * [0.0, 1.0], trained=self.train_embedding)
        weights, biases = (per_layer(x, self.depth, "std") for x in (self.weight_std, self.bias_std))
        for weight, bias in zip(weights, biases, strict=True):
            pair = pair.dense(weight, bias).activate(self.activation)
        return pair.readout(self.readout_std).value(kind)

    def _coefficients(self) -> tuple[float, float]:
        different, same = self._kappa("ntk")
        bias, token = non_negative(np.array([different, same - different]).reshape(2, 1, 1), same).ravel()
        return float(bias), float(token)
