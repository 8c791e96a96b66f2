"""The families of recurrent and multiplicative models: n-grams, and tokens at a lag from the end."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tangentlens.data.tokens import Tokens
from tangentlens.features.bag import known_patterns
from tangentlens.features.counting import count_matrix
from tangentlens.features.family import Family, Features
from tangentlens.features.patterns import Patterns, occurrences
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

    def family(self, order: int, coefficient: float) -> Family:
        """Family `n-gram` of one order."""
        tokens = self.tokens
        ids, patterns = occurrences(tokens, tuple(range(order)), known_patterns(self.columns, tuple(range(order))))
        text = tokens.text_of_token
        if self.pooling == "last":
            starts = np.arange(len(tokens.ids)) == tokens.offsets[1:][text] - order
            ids = np.where(starts, ids, -1)
        raw = count_matrix(text, ids, (len(tokens), len(patterns)))
        windows = np.maximum(tokens.lengths - order + 1, 0) if self.per_window else tokens.lengths
        return Family("n-gram", patterns, raw, pooling_weight(windows, self.pooling), np.array([[coefficient]]),
                      window=order)


def lag_family(tokens: Tokens, lag: int, coefficient: float, found: tuple[NDArray[np.int64], Patterns], pooling: str
               ) -> Family:
    """Family `token at lag l`: counts of tokens with at least `lag` tokens after them, or exactly so for "last".

    `found` are the token pattern ids (total,) and the patterns.
    """
    ids, patterns = found
    text = tokens.text_of_token
    after = tokens.offsets[1:][text] - 1 - np.arange(len(tokens.ids))
    wanted = after == lag if pooling == "last" else after >= lag
    raw = count_matrix(text, np.where(wanted, ids, -1), (len(tokens), len(patterns)))
    weight = pooling_weight(tokens.lengths, pooling)
    return Family(f"token at lag {lag}", patterns, raw, weight, np.array([[coefficient]]), style="lag", first=lag)
