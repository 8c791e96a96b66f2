"""LinearRNN: a gated linear recurrence, a classifier over the blended n-gram spectrum (theory, section "LinearRNN")."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from tangentlens.data.tokens import Tokens
from tangentlens.features.family import Features
from tangentlens.features.ngrams import NGrams
from tangentlens.features.windows import pooling_weight
from tangentlens.kernels.architecture import Architecture, Array, check_kind, check_options, spectrum_table
from tangentlens.kernels.dense import inside, kernel_by_blocks, matches, pool, state_matrix


@dataclass(frozen=True)
class LinearRNN(Architecture):
    """h_t = input(x_t) + gate(x_t) ∘ shift(h_{t−1}), pooled, readout; input and gate linear in the embedding.

    Feature families: `n-gram` of every length r,
    γ_r = (2r + 1) readout_std² input_std² embedding_std^(2r) gate_std^(2(r − 1)), with r + 1 for 2r + 1 where the
    embedding is frozen. `max_order` truncates the sparse map, never the kernel; see `truncation`.

    gate_std, input_std: standard deviations; max_order: longest n-gram of the map; pooling: "mean" or "sum" over
    states, or "last" state; the other options as in MLP.

    >>> LinearRNN(gate_std=0.5, max_order=3).spectrum()["coefficient"].to_list()
    [3.0, 1.25, 0.4375]
    """

    gate_std: float = 0.5
    input_std: float = 1.0
    max_order: int = 5
    pooling: str = "mean"
    embedding_std: float = 1.0
    readout_std: float = 1.0
    train_embedding: bool = True

    def __post_init__(self) -> None:
        check_options(self)

    def kernel(self, tokens: Tokens, other: Tokens | None = None, kind: str = "ntk") -> Array:
        """See Architecture.kernel. n-grams of every length, whatever max_order is."""
        check_kind(kind)
        longest = int(max(tokens.lengths.max(initial=0), 0 if other is None else other.lengths.max(initial=0)))
        orders = np.arange(1, longest + 1)
        values = self._gamma(orders) if kind == "ntk" else self._sigma(orders)
        return kernel_by_blocks(tokens, other, lambda left, right: self._block(left, right, values))

    def features(self, tokens: Tokens, columns: Features | None = None) -> Features:
        """See Architecture.features. n-grams up to max_order; `truncation` bounds what is left out."""
        grams = NGrams(tokens, columns, self.pooling, per_window=False)
        families = [grams.family(r, float(self._gamma(np.array([r]))[0])) for r in range(1, self.max_order + 1)]
        return Features(tuple(families), len(tokens), int(np.sum(tokens.lengths == 0)), tokens.unknown)

    def truncation(self, tokens: Tokens, other: Tokens | None = None) -> Array:
        """Upper bound (n, n') of what `max_order` leaves out of the kernel (theory, eq. 42).

        Σ_{r > R} γ_r (L − r + 1)(L' − r + 1) for the sum, divided by L L' for the mean, Σ_{r > R} γ_r for the last
        state, r up to the shorter text's length.
        """
        other = tokens if other is None else other
        mine, theirs = np.unique(tokens.lengths, return_inverse=True), np.unique(other.lengths, return_inverse=True)
        orders = np.arange(self.max_order + 1, max(int(mine[0].max(initial=0)), int(theirs[0].max(initial=0))) + 1)
        left, right = (np.maximum(lengths[:, None] - orders + 1, 0) for lengths in (mine[0], theirs[0]))
        if self.pooling == "last":
            left, right = np.minimum(left, 1), np.minimum(right, 1)
        weights = [pooling_weight(lengths, self.pooling) for lengths in (mine[0], theirs[0])]
        gamma = np.minimum(self._gamma(orders), np.finfo(np.float64).max)
        bound = (left * gamma * weights[0][:, None]) @ (right * weights[1][:, None]).T
        return np.asarray(bound[np.ix_(mine[1], theirs[1])])

    def spectrum(self) -> pl.DataFrame:
        """See Architecture.spectrum: orders up to max_order, as shares of a match of that length."""
        gammas = self._gamma(np.arange(1, self.max_order + 1))
        return spectrum_table([("n-gram", r, float(gamma), float(gamma / gammas.sum()))
                               for r, gamma in enumerate(gammas, start=1)])

    def _sigma(self, r: NDArray[Any]) -> Array:
        """Output covariance that an n-gram of length r adds."""
        scale = (self.readout_std * self.input_std * self.embedding_std) ** 2
        return np.asarray(scale * ((self.embedding_std * self.gate_std) ** 2.0) ** (r - 1))

    def _gamma(self, r: NDArray[Any]) -> Array:
        return np.asarray(((2 * r + 1) if self.train_embedding else (r + 1)) * self._sigma(r))

    def _block(self, left: Tokens, right: Tokens, gamma: Array) -> Array:
        """Two states add γ_r for every n-gram length r that ends at both."""
        equal = matches(left.ids, right.ids)
        inner = inside(left)[:, None] & inside(right)[None, :]
        values = np.zeros(equal.shape)
        ended = equal
        for coefficient in gamma:
            if not ended.any():
                break
            values += coefficient * ended
            longer = np.zeros_like(equal)
            longer[1:, 1:] = ended[:-1, :-1]
            ended = longer & equal & inner
        return pool(values, *(state_matrix(side, self.pooling) for side in (left, right)))
