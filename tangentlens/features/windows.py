"""Windows over texts: where they start, which text they belong to, how many tokens they hold."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from tangentlens.data.tokens import Tokens


@dataclass(frozen=True)
class Windows:
    """All windows of `size` places over n texts.

    padding "valid": full windows only, L − size + 1 of them; "same": one window for every token, (size − 1)//2 places
    to its left, so windows at the edges hold fewer tokens.

    Shapes (w windows): text (w,), start (w,) place in the flat ids of the window's first place (may lie outside of the
    text), present (w,) number of tokens in the window.
    """

    tokens: Tokens
    size: int
    padding: str

    @cached_property
    def start(self) -> NDArray[np.int64]:
        positions = np.arange(len(self.tokens.ids))
        if self.padding == "same":
            return positions - (self.size - 1) // 2
        ends = self.tokens.offsets[1:][self.tokens.text_of_token]
        return positions[positions + self.size <= ends]

    @cached_property
    def text(self) -> NDArray[np.int64]:
        text = self.tokens.text_of_token
        return text if self.padding == "same" else text[self.start]

    @cached_property
    def present(self) -> NDArray[np.int64]:
        begin, end = self.tokens.offsets[:-1][self.text], self.tokens.offsets[1:][self.text]
        return np.minimum(self.start + self.size, end) - np.maximum(self.start, begin)

    @cached_property
    def per_text(self) -> NDArray[np.int64]:
        """Number of windows of every text; shape (n,)."""
        if self.padding == "same":
            return self.tokens.lengths
        return np.maximum(self.tokens.lengths - self.size + 1, 0)

    def place(self, offset: int) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """Flat place of every window's `offset`-th place, and whether it lies inside the window's text; shapes (w,)."""
        where = self.start + offset
        begin, end = self.tokens.offsets[:-1][self.text], self.tokens.offsets[1:][self.text]
        inside = (where >= begin) & (where < end)
        return np.where(inside, where, 0), inside

    def ids(self, offset: int) -> NDArray[np.int32]:
        """Token id at every window's `offset`-th place, −1 where there is none or it is unknown; shape (w,)."""
        where, inside = self.place(offset)
        if not len(where):
            return np.empty(0, np.int32)
        return np.where(inside, self.tokens.ids[where], np.int32(-1))


def pooling_weight(per_text: NDArray[np.int64], pooling: str) -> NDArray[np.float64]:
    """What a sum over windows is multiplied by: 1 / number for "mean" (0 where there is none), 1 otherwise."""
    if pooling != "mean":
        return np.ones(len(per_text))
    return np.divide(1.0, per_text, out=np.zeros(len(per_text)), where=per_text > 0)
