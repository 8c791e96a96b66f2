"""CNN: one convolution over windows of k tokens, pooled (theory, section "CNN")."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import combinations
from math import comb

import numpy as np
import polars as pl

from tangentlens.data.tokens import Tokens
from tangentlens.errors import OptionError
from tangentlens.features.bag import bias_family
from tangentlens.features.family import Family, Features
from tangentlens.features.skipgrams import Skipgrams
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

LARGEST = 16  # kernel_size beyond which Möbius inversion loses more than four digits
MOST_COUNTS = 2**31


@dataclass(frozen=True)
class CNN(Architecture):
    """embedding, convolution over kernel_size tokens, activation, pooling over windows, readout.

    Feature families: every subset S of the window's places: ∅ is `bias` (number of windows), one place is
    `token@offset`, more are `skip-gram`. With j = |S|, γ_j = Σ_i (−1)^(j−i) C(j, i) κ(i), κ(i) being the kernel
    between two windows that agree in i places. With padding "same", windows that hold fewer tokens form groups of
    their own, and γ_j is a small matrix between groups. Families with γ = 0 are left out of the map.

    kernel_size: tokens per window k; padding: "same" (one window per token) or "valid" (full windows only); the other
    options as in MLP.

    >>> CNN(kernel_size=3, padding="valid").spectrum()["coefficient"].round(5).to_list()
    [0.15915, 0.29498, 0.10178, 0.15054]
    """

    kernel_size: int = 3
    padding: str = "same"
    activation: str = "relu"
    pooling: str = "mean"
    weight_std: float | tuple[float, ...] = 1.0
    bias_std: float | tuple[float, ...] = 0.0
    embedding_std: float = 1.0
    readout_std: float = 1.0
    train_embedding: bool = True

    def __post_init__(self) -> None:
        check_options(self)
        per_layer(self.weight_std, 1, "weight_std")
        per_layer(self.bias_std, 1, "bias_std")

    def kernel(self, tokens: Tokens, other: Tokens | None = None, kind: str = "ntk") -> Array:
        """See Architecture.kernel."""
        check_kind(kind)
        table = self._kappa(kind)
        return kernel_by_blocks(tokens, other, lambda left, right: window_block(
            self._windows(left), self._windows(right), table, self.pooling))

    def features(self, tokens: Tokens, columns: Features | None = None) -> Features:
        """See Architecture.features."""
        windows = self._windows(tokens)
        if 2**self.kernel_size * len(windows.start) > MOST_COUNTS:
            raise OptionError(f"CNN: kernel_size={self.kernel_size} has {2**self.kernel_size:,} patterns for each of "
                              f"{len(windows.start):,} windows, too many to count; use a smaller kernel_size")
        gamma = self._coefficients()
        skipgrams = Skipgrams(windows, self.pooling, columns)
        families: list[Family] = []
        for places in _subsets(self.kernel_size):
            if gamma[len(places)][-1, -1] == 0.0:
                continue
            sizes = self._group_sizes(places)
            coefficients = gamma[len(places)][np.ix_(sizes, sizes)]
            groups = tuple("" if size == self.kernel_size else f" [{size}/{self.kernel_size}]" for size in sizes)
            if places:
                families.append(skipgrams.family(places, coefficients, groups))
            else:
                present = windows.present - sizes[0] if len(sizes) > 1 else None
                families.append(bias_family(windows, self.pooling, coefficients, present, groups))
        return Features(tuple(families), len(tokens), int(np.sum(windows.per_text == 0)), tokens.unknown)

    def spectrum(self) -> pl.DataFrame:
        """See Architecture.spectrum: the entry of full windows."""
        k, full_only = self.kernel_size, replace(self, padding="valid")
        full = [gamma[k, k] for gamma in full_only._coefficients()]
        total = full_only._kappa("ntk")[k, k, k]
        return spectrum_table([(("bias", "token@offset")[j] if j < 2 else "skip-gram", j, float(full[j]),
                                float(comb(k, j) * full[j] / total)) for j in range(k + 1)])

    def _windows(self, tokens: Tokens) -> Windows:
        return Windows(tokens, self.kernel_size, self.padding)

    def _kappa(self, kind: str) -> Array:
        """κ[g, h, j] of windows with g and h tokens that agree in j places (eq. 29, 30); shape (k + 1,) * 3."""
        k = self.kernel_size
        g, h, j = np.meshgrid(*[np.arange(k + 1)] * 3, indexing="ij")
        wanted = (g >= 1) & (h >= 1) & (j <= np.minimum(g, h))
        if self.padding == "valid":
            wanted &= (g == k) & (h == k)
        e = self.embedding_std**2 / k
        pair = embedded(e * g[wanted], e * h[wanted], e * j[wanted], trained=self.train_embedding)
        weight, bias = per_layer(self.weight_std, 1, "weight_std")[0], per_layer(self.bias_std, 1, "bias_std")[0]
        table = np.zeros((k + 1,) * 3)
        table[wanted] = pair.dense(weight, bias).activate(self.activation).readout(self.readout_std).value(kind)
        return table

    def _coefficients(self) -> list[Array]:
        """γ_j between groups by Möbius inversion, one (k + 1, k + 1) matrix for every order j = 0 … k."""
        if self.kernel_size > LARGEST:
            raise OptionError(f"CNN: the coefficients of kernel_size={self.kernel_size} drown in rounding; features "
                              f"and spectrum go up to {LARGEST} (kernel has no limit)")
        k, kappa = self.kernel_size, self._kappa("ntk")
        gammas = []
        for j in range(k + 1):
            signs = [(-1) ** (j - i) * comb(j, i) for i in range(j + 1)]
            gamma = kappa[:, :, :j + 1] @ np.array(signs, dtype=np.float64)
            gamma[:j] = gamma[:, :j] = 0.0
            gammas.append(non_negative(gamma, float(kappa[k, k, k])))
        return gammas

    def _group_sizes(self, places: tuple[int, ...]) -> list[int]:
        """Numbers of tokens that a window holding a token at every one of these places can have, ascending."""
        if self.padding == "valid":
            return [self.kernel_size]
        spanned = (*places, (self.kernel_size - 1) // 2)
        return list(range(max(spanned) - min(spanned) + 1, self.kernel_size + 1))


def _subsets(k: int) -> list[tuple[int, ...]]:
    return [places for j in range(k + 1) for places in combinations(range(k), j)]
