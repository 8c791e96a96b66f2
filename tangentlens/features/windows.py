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
    def offsets(self) -> NDArray[np.int64]:
        """Where the windows of every text begin among all windows; shape (n + 1,)."""
        return np.concatenate([[0], np.cumsum(self.per_text)])

    @cached_property
    def text(self) -> NDArray[np.int64]:
        text = self.tokens.text_of_token
        return text if self.padding == "same" else text[self.start]

    @cached_property
    def present(self) -> NDArray[np.int32]:
        present = np.full(len(self.start), self.size, np.int32)
        if self.padding == "same":
            for offset in range(self.size):
                step = offset - (self.size - 1) // 2
                present -= self.tokens.shifted(step, np.zeros(len(self.start), np.int32)) < 0
        return present

    @cached_property
    def per_text(self) -> NDArray[np.int64]:
        """Number of windows of every text; shape (n,)."""
        if self.padding == "same":
            return self.tokens.lengths
        return np.maximum(self.tokens.lengths - self.size + 1, 0)

    def at(self, offset: int, values: NDArray[np.int32]) -> NDArray[np.int32]:
        """Of values (total,) those at every window's `offset`-th place, −1 outside of its text; shape (w,)."""
        if self.padding == "valid":
            return values[self.start + offset]
        return self.tokens.shifted(offset - (self.size - 1) // 2, values)

    def ids(self, offset: int) -> NDArray[np.int32]:
        """Token id at every window's `offset`-th place, −1 where there is none or it is unknown; shape (w,)."""
        return self.at(offset, self.tokens.ids)


def pooling_weight(per_text: NDArray[np.int64], pooling: str) -> NDArray[np.float64]:
    """What a sum over windows is multiplied by: 1 / number for "mean" (0 where there is none), 1 otherwise."""
    if pooling != "mean":
        return np.ones(len(per_text))
    return np.divide(1.0, per_text, out=np.zeros(len(per_text)), where=per_text > 0)
