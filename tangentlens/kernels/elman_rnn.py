"""ElmanRNN: an ungated linear recurrence; it knows order but has no n-gram (theory, section "ElmanRNN")."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from tangentlens.data.tokens import Tokens
from tangentlens.features.family import Features
from tangentlens.features.ngrams import Lags
from tangentlens.features.windows import pooling_weight
from tangentlens.kernels.architecture import Architecture, Array, check_kind, check_options, spectrum_table
from tangentlens.kernels.dense import kernel_by_blocks, matches, pool, state_matrix


@dataclass(frozen=True)
class ElmanRNN(Architecture):
    """h_t = input(x_t) + weight_std / √m · W h_{t−1}, pooled, readout; linear.

    Feature families: `token at lag` l = 0, 1, …: the token with l tokens after it ("last"), or the tokens with at least
    l after them (sum, mean), γ_l = (3 + l) readout_std² input_std² embedding_std² weight_std^(2l), 2 + l where the
    embedding is frozen. `max_lag` truncates the sparse map, never the kernel; see `truncation`.

    weight_std, input_std: standard deviations; max_lag: largest lag of the map; the other options as in LinearRNN.

    >>> ElmanRNN(max_lag=2).spectrum()["coefficient"].to_list()
    [3.0, 1.0, 0.3125]
    """

    weight_std: float = 0.5
    input_std: float = 1.0
    max_lag: int = 32
    pooling: str = "mean"
    embedding_std: float = 1.0
    readout_std: float = 1.0
    train_embedding: bool = True

    def __post_init__(self) -> None:
        check_options(self)

    def kernel(self, tokens: Tokens, other: Tokens | None = None, kind: str = "ntk") -> Array:
        """See Architecture.kernel. Every lag, whatever max_lag is."""
        check_kind(kind)
        longest = int(max(tokens.lengths.max(initial=0), 0 if other is None else other.lengths.max(initial=0)))
        lags = np.arange(longest)
        values = self._gamma(lags) if kind == "ntk" else self._sigma(lags)
        return kernel_by_blocks(tokens, other, lambda left, right: self._block(left, right, values))

    def features(self, tokens: Tokens, columns: Features | None = None) -> Features:
        """See Architecture.features. Lags up to max_lag; `truncation` bounds what is left out."""
        lags = Lags(tokens, columns, self.pooling, self.max_lag)
        families = [lags.family(lag, float(self._gamma(np.array([lag]))[0])) for lag in range(self.max_lag + 1)]
        return Features(tuple(families), len(tokens), int(np.sum(tokens.lengths == 0)), tokens.unknown)

    def truncation(self, tokens: Tokens, other: Tokens | None = None) -> Array:
        """Upper bound (n, n') of what `max_lag` leaves out of the kernel: Σ_{l > R} γ_l (L − l)(L' − l) for the sum,
        divided by L L' for the mean, Σ_{l > R} γ_l for the last state, l below the shorter text's length.
        """
        other = tokens if other is None else other
        lags = np.arange(self.max_lag + 1, int(max(tokens.lengths.max(initial=0), other.lengths.max(initial=0))))
        sides = []
        for side in (tokens, other):
            left = np.maximum(side.lengths[:, None] - lags, 0)
            sides.append(np.minimum(left, 1) if self.pooling == "last"
                         else left * pooling_weight(side.lengths, self.pooling)[:, None])
        return np.asarray((sides[0] * np.minimum(self._gamma(lags), np.finfo(np.float64).max)) @ sides[1].T)

    def spectrum(self) -> pl.DataFrame:
        """See Architecture.spectrum: lags up to max_lag, as shares of a match at all of them."""
        gammas = self._gamma(np.arange(self.max_lag + 1))
        return spectrum_table([(f"token at lag {lag}", 1, float(gamma), float(gamma / gammas.sum()))
                               for lag, gamma in enumerate(gammas)])

    def _sigma(self, lag: NDArray[Any]) -> Array:
        """Output covariance of two equal tokens at one lag."""
        return np.asarray((self.readout_std * self.input_std * self.embedding_std) ** 2 * (self.weight_std**2.0) ** lag)

    def _gamma(self, lag: NDArray[Any]) -> Array:
        return np.asarray((lag + (3 if self.train_embedding else 2)) * self._sigma(lag))

    def _block(self, left: Tokens, right: Tokens, value: Array) -> Array:
        """States p, p' share Σ_l γ_l [t_{p−l} = t'_{p'−l}]: positions meet at every lag that both have after them."""
        equal = matches(left.ids, right.ids)
        after = [side.offsets[1:][side.text_of_token] - 1 - np.arange(len(side.ids)) for side in (left, right)]
        if self.pooling == "last":
            values = np.where(equal & (after[0][:, None] == after[1][None, :]), value[after[0]][:, None], 0.0)
        else:
            seen = np.minimum(after[0][:, None], after[1][None, :])
            values = np.where(equal, np.cumsum(value)[seen], 0.0)
        pooling = "sum" if self.pooling == "last" else self.pooling  # the positions of "last" are chosen above
        return pool(values, *(state_matrix(side, pooling) for side in (left, right)))
