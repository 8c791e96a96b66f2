"""Attention of an infinitely wide layer: a fixed function of which positions of a text hold equal tokens."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from tangentlens.data.tokens import Tokens

Array = NDArray[np.float64]
BATCH = 2**22  # entries of the padded (texts, L, L) block that is in memory at a time


@dataclass(frozen=True)
class Attention:
    """α_ij = softmax over j of s_ij = token · [t_i = t_j] + position · exp(−|i − j| / scale).

    Every unknown token is a token of its own: equal to itself at its own position only.
    """

    tokens: Tokens
    token: float
    position: float = 0.0
    scale: float = 8.0

    def received(self) -> Array:
        """A_j = Σ_i α_ij, the attention that every position receives; shape (total,)."""
        if self.position:
            received = np.zeros(len(self.tokens.ids))
            for where, real, alpha in self._batches():
                received[where[real]] = alpha.sum(axis=1)[real]
            return received
        return self._received_by_counts()

    def by_token(self) -> tuple[sparse.csr_array, Array]:
        """How positions spread attention over known tokens, sparse (total, v), and its sum of squares (total,)."""
        total, size = len(self.tokens.ids), len(self.tokens.vocabulary)
        rows, columns, values = [np.empty(0, np.int64)], [np.empty(0, np.int64)], [np.empty(0)]
        for where, real, alpha in self._batches():
            pair = real[:, :, None] & real[:, None, :]
            shape = alpha.shape
            rows.append(np.broadcast_to(where[:, :, None], shape)[pair])
            columns.append(np.broadcast_to(self.types[where][:, None, :], shape)[pair])
            values.append(alpha[pair])
        spread = sparse.csr_array((np.concatenate(values), (np.concatenate(rows), np.concatenate(columns))),
                                  shape=(total, size + self.tokens.unknown))
        spread.sum_duplicates()
        return spread[:, :size], np.asarray(spread.multiply(spread).sum(axis=1)).ravel()

    @property
    def types(self) -> NDArray[np.int64]:
        """Token ids with a new id ≥ v for every unknown token; shape (total,)."""
        ids = self.tokens.ids.astype(np.int64)
        unknown = ids < 0
        ids[unknown] = len(self.tokens.vocabulary) + np.arange(int(unknown.sum()))
        return ids

    def _received_by_counts(self) -> Array:
        """Without positions: A_j = n_t e^s / z_t + Σ_{u ≠ t_j} n_u / z_u, z_u = n_u e^s + L − n_u (theory, eq. 35)."""
        text, types = self.tokens.text_of_token, self.types
        key = text * (len(self.tokens.vocabulary) + self.tokens.unknown) + types
        _, first, inverse, count = np.unique(key, return_index=True, return_inverse=True, return_counts=True)
        owner = text[first]
        small = np.exp(-self.token)  # everything divided by e^s, which may overflow
        z = count + (self.tokens.lengths[owner] - count) * small
        total = np.bincount(owner, weights=count * small / z, minlength=len(self.tokens))
        return np.asarray((total[owner] + (1 - small) * count / z)[inverse], dtype=np.float64)

    def _batches(self) -> Iterator[tuple[NDArray[np.int64], NDArray[np.bool_], Array]]:
        """Texts of similar length at a time: flat places (B, L), which of them are real, and α (B, L, L)."""
        lengths, types = self.tokens.lengths, self.types
        order = np.argsort(lengths, kind="stable")
        order = order[lengths[order] > 0]
        while len(order):
            longest = lengths[order[-1]]
            size = max(1, int(BATCH // longest**2))
            chosen, order = order[-size:], order[:-size]
            place = np.arange(longest)
            real = place < lengths[chosen][:, None]
            where = np.where(real, self.tokens.offsets[:-1][chosen][:, None] + place, 0)
            mine = types[where]
            score = self.token * (mine[:, :, None] == mine[:, None, :])
            score = score + self.position * np.exp(-np.abs(place[:, None] - place) / self.scale)
            weight = np.exp(score - self.token - self.position) * real[:, None, :]
            yield where, real, weight / weight.sum(axis=2, keepdims=True) * real[:, :, None]
