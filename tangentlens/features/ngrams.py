"""The families of recurrent and multiplicative models: n-grams, and tokens at a lag from the end."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from tangentlens.data.tokens import Tokens
from tangentlens.features.bag import known_patterns
from tangentlens.features.counting import count_matrix, count_texts
from tangentlens.features.family import Family, Features
from tangentlens.features.patterns import Found, Patterns, occurrences
from tangentlens.features.windows import pooling_weight


@dataclass
class NGrams:
    """Makes n-gram families of several orders; each order extends the search of the one before.

    pooling: "sum" or "mean" over positions, or "last" (only the n-gram that ends the text). `per_window` says what a
    mean divides by: the number of n-grams (True), or the number of tokens.
    """

    tokens: Tokens
    columns: Features | None
    pooling: str
    per_window: bool = True
    found: dict[tuple[int, ...], Found] = field(default_factory=dict)  # of the order asked for last

    def family(self, order: int, coefficient: float) -> Family:
        """Family `n-gram` of one order."""
        tokens = self.tokens
        shape = tuple(range(order))
        ids, patterns = occurrences(tokens, shape, known_patterns(self.columns, shape), self.found)
        self.found = {shape: (ids, patterns)}
        if self.pooling == "last":
            starts = tokens.offsets[1:] - order
            starts, everywhere = starts[starts >= tokens.offsets[:-1]], ids
            ids = np.full(len(everywhere), -1, np.int32)
            ids[starts] = everywhere[starts]
        raw = count_texts(tokens.offsets, ids, len(patterns))
        windows = np.maximum(tokens.lengths - order + 1, 0) if self.per_window else tokens.lengths
        return Family("n-gram", patterns, raw, pooling_weight(windows, self.pooling), np.array([[coefficient]]),
                      window=order)


@dataclass
class Lags:
    """Makes the families of tokens at a lag from the end; they share one search and, unless "last", one count.

    Lag l holds the tokens with at least l tokens after them, or exactly l for the pooling "last".
    """

    tokens: Tokens
    columns: Features | None
    pooling: str
    most: int

    @cached_property
    def found(self) -> tuple[NDArray[np.int32], Patterns]:
        """The pattern at every position (total,), and the patterns."""
        return occurrences(self.tokens, (0,), known_patterns(self.columns, (0,)))

    @cached_property
    def ends(self) -> NDArray[np.int32]:
        """The pattern that has l tokens after it in its text, −1 for none; shape (n, most + 1)."""
        place = self.tokens.offsets[1:, None] - 1 - np.arange(self.most + 1)
        inside = place >= self.tokens.offsets[:-1, None]
        ids = self.found[0] if len(self.found[0]) else np.array([-1])
        return np.where(inside, ids[np.where(inside, place, 0)], -1).astype(np.int32)

    @cached_property
    def everywhere(self) -> sparse.csr_array:
        """Occurrences of every token at any place; sparse (n, d)."""
        ids, patterns = self.found
        return count_texts(self.tokens.offsets, ids, len(patterns))

    def family(self, lag: int, coefficient: float) -> Family:
        """Family `token at lag l` of one lag."""
        n, patterns = len(self.tokens), self.found[1]
        last = self.pooling == "last"
        stored = count_matrix(np.arange(n), self.ends[:, lag].astype(np.int64), (n, len(patterns))) if last else (
            self.everywhere)
        return Family(f"token at lag {lag}", patterns, stored, pooling_weight(self.tokens.lengths, self.pooling),
                      np.array([[coefficient]]), style="lag", first=lag, ends=None if last else self.ends)
