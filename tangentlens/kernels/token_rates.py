"""TokenRates: an architecture whose embeddings learn at a rate of their own for every token (theory, "Token rates")."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import polars as pl

from tangentlens.data.tokens import Tokens
from tangentlens.errors import OptionError
from tangentlens.features.family import Family, Features
from tangentlens.kernels.architecture import Architecture, Array, check_kind, check_number


@dataclass(frozen=True)
class TokenRates(Architecture):
    """The embedding of a token that occurs n_t times learns at the rate w_t = rate · (n̄ / n_t)^power; all else at 1.

    Adam divides every step by the root of the mean squared gradient. A token's embedding has a gradient only in
    batches that hold the token, so the root is ∝ √n_t, and the rate ∝ 1/√n_t: power = 1/2 foretells Adam, 0 plain
    gradient descent. A pattern of r tokens then has the coefficient γ⁰ + (γ − γ⁰) · mean of their w_t, γ being the
    architecture's own and γ⁰ that of its frozen embeddings (eq. 87); exact for given rates at infinite width.

    architecture: any but a CNN with "same" padding, its embeddings trained; power: of the counts; rate: of a token
    of mean count n̄ = Σ n_t² / Σ n_t, what a token sees on average. Large rates leave only the embeddings' part.

    In the map, a column's count is multiplied by √(its coefficient / γ). `label_scores` are per occurrence all the
    same; `Trajectory.scores` are per count of the map.
    Counts n_t are those of the texts given to `features`; with columns=, of the texts that made these.
    Raises OptionError where this cannot be.

    >>> import tangentlens as tl
    >>> tokens = tl.Tokens.from_ids([[0, 0, 0, 1], [0, 2]])
    >>> features = TokenRates(tl.MLP(activation="identity", pooling="sum"), rate=1e6).features(tokens)
    >>> np.round(features.kernel() / features.kernel()[0, 1], 2).tolist()       # 9 / √4 + 1 / √1, …
    [[3.67, 1.0], [1.0, 1.0]]
    """

    architecture: Architecture
    power: float = 0.5
    rate: float = 1.0

    def __post_init__(self) -> None:
        check_number("TokenRates: power", self.power, zero=True)
        check_number("TokenRates: rate", self.rate)
        if not isinstance(self.architecture, Architecture) or isinstance(self.architecture, TokenRates):
            raise OptionError(f"TokenRates: architecture is one such as MLP(), not {self.architecture!r}")
        if not getattr(self.architecture, "train_embedding", True):
            raise OptionError("TokenRates: the embeddings of this architecture are frozen (train_embedding=False) and "
                              "have no rate; give one whose embeddings are trained")
        if getattr(self.architecture, "padding", None) == "same":
            raise OptionError('TokenRates: windows at the edges of texts (padding="same") share no single factor for a '
                              'pattern; give the CNN padding="valid"')

    def kernel(self, tokens: Tokens, other: Tokens | None = None, kind: str = "ntk") -> Array:
        """See Architecture.kernel; through the sparse map, so truncated as it is, with the counts n_t of `tokens`."""
        check_kind(kind)
        if kind == "nngp":
            return self.architecture.kernel(tokens, other, kind)
        features = self.features(tokens)
        return features.kernel(None if other is None else self.features(other, columns=features))

    def features(self, tokens: Tokens, columns: Features | None = None) -> Features:
        """See Architecture.features."""
        made = self.architecture.features(tokens, columns=columns)
        if columns is not None:
            scales = [family.scale for family in columns.families]
        else:
            rates, shares = self.rates(tokens), self._shares(tokens)
            scales = [_scale(family, rates, shares.get(_key(family), 1.0)) for family in made.families]
        return replace(made, families=tuple(map(_scaled, made.families, scales)))

    def spectrum(self) -> pl.DataFrame:
        """See Architecture.spectrum: that of tokens which learn at the rate 1."""
        return self.architecture.spectrum()

    def rates(self, tokens: Tokens) -> Array:
        """w_t of every token; shape (v,). A token that does not occur counts as one."""
        known = tokens.ids[tokens.ids >= 0]
        count = np.bincount(known, minlength=len(tokens.vocabulary)).astype(np.float64)
        mean = float(count @ count) / max(float(count.sum()), 1.0)
        return np.asarray(self.rate * (max(mean, 1.0) / np.maximum(count, 1.0)) ** self.power)

    def _shares(self, tokens: Tokens) -> dict[Any, float]:
        """The embeddings' share (γ − γ⁰) / γ of every family's coefficient; 1 for those that need trained ones."""
        frozen = replace(self.architecture, train_embedding=False)  # type: ignore[type-var]
        mine, still = (one.features(tokens[:0]).families for one in (self.architecture, frozen))
        rest = {_key(family): family.coefficient for family in still}
        return {_key(family): 1 - rest.get(_key(family), 0.0) / family.coefficient for family in mine}


def _key(family: Family) -> tuple[Any, ...]:
    return family.name, family.first, family.window, None if family.patterns is None else family.patterns.shape


def _scale(family: Family, rates: Array, share: float) -> Array | None:
    """√(coefficient of a column / γ); shape (columns,), None for the bias, which no single embedding moves."""
    if family.patterns is None:
        return None
    return np.asarray(np.sqrt((1 - share) + share * rates[family.patterns.tokens()].mean(axis=1)))


def _scaled(family: Family, scale: Array | None) -> Family:
    """Families at a lag no longer share their counts: each has its own factors."""
    if family.ends is not None:
        family = replace(family, stored=family.occurrences, ends=None)
    return replace(family, scale=scale)
