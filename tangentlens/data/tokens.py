"""Texts as token ids: one flat array, the offsets of the texts in it, and the vocabulary."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tangentlens.data.sorting import blocks
from tangentlens.data.storage import Arrays, pack, unpack, write_arrays
from tangentlens.errors import DataError

UNKNOWN = -1


@dataclass(frozen=True)
class Vocabulary(Sequence[str]):
    """The v token strings; a token's id is its place here.

    `tokenizer` is the rule that made them (a JSON string that `tokenize` understands), so that new texts are
    cut the same way; it is empty for ids given by hand.
    """

    strings: tuple[str, ...]  # (v,)
    tokenizer: str = ""

    def __len__(self) -> int:
        return len(self.strings)

    def __getitem__(self, index: Any) -> Any:
        return self.strings[index]

    def __iter__(self) -> Iterator[str]:
        return iter(self.strings)

    def __contains__(self, token: object) -> bool:
        return token in self.ids

    @cached_property
    def ids(self) -> dict[str, int]:
        """Token string → id."""
        return {token: index for index, token in enumerate(self.strings)}

    def __repr__(self) -> str:
        return f"Vocabulary({len(self)} tokens)"


@dataclass(frozen=True, eq=False)
class Tokens:
    """n tokenised texts.

    A token that is unknown (not in the vocabulary, or rarer than `min_count`) has the id −1: it keeps its position
    and matches nothing, not even another unknown token.

    Shapes: ids (total,) int32 in −1 … v − 1; offsets (n + 1,) int64, text i is ids[offsets[i]:offsets[i + 1]].

    >>> tokens = Tokens.from_ids([[3, 1, 4], [1, 5]], vocabulary_size=6)
    >>> len(tokens), tokens.lengths.tolist(), tokens[1].ids.tolist()
    (2, [3, 2], [1, 5])
    """

    ids: NDArray[np.int32]  # (total,)
    offsets: NDArray[np.int64]  # (n + 1,)
    vocabulary: Vocabulary = field(repr=False)

    def __post_init__(self) -> None:
        if self.offsets.ndim != 1 or len(self.offsets) == 0 or self.offsets[0] != 0:
            raise DataError("offsets must start with 0 and have one entry more than there are texts")
        if self.offsets[-1] != len(self.ids) or np.any(np.diff(self.offsets) < 0):
            raise DataError("offsets must not decrease and must end at the number of token ids")
        outside = np.flatnonzero((self.ids < UNKNOWN) | (self.ids >= len(self.vocabulary)))
        if len(outside):
            text = int(np.searchsorted(self.offsets, outside[0], side="right")) - 1
            raise DataError(
                f"text {text} (counted from 0) has the token id {int(self.ids[outside[0]])}, outside the vocabulary of "
                f"{len(self.vocabulary)} tokens; ids run from 0 to {len(self.vocabulary) - 1}, and −1 means unknown"
            )

    @classmethod
    def from_ids(cls, texts: Iterable[Sequence[int]], vocabulary_size: int | None = None, *,
                 vocabulary: Vocabulary | None = None) -> Tokens:
        """Tokens from lists of ids; without a vocabulary the token strings are the ids themselves."""
        rows = []
        for number, text in enumerate(texts):
            row = np.asarray(text)
            if row.ndim != 1 or (row.size and row.dtype.kind not in "iu"):
                raise DataError(f"text {number} (counted from 0) is not a list of whole numbers: {text!r:.60}")
            rows.append(row.astype(np.int64))
        ids = np.concatenate(rows) if rows else np.empty(0, np.int64)
        offsets = np.cumsum([0, *(len(row) for row in rows)], dtype=np.int64)
        if vocabulary is None:
            size = int(ids.max(initial=-1)) + 1 if vocabulary_size is None else vocabulary_size
            vocabulary = Vocabulary(tuple(str(index) for index in range(size)))
        too_large = np.abs(ids) > np.iinfo(np.int32).max
        if too_large.any():
            raise DataError(f"the token id {int(ids[too_large][0])} does not fit into 32 bits")
        return cls(ids.astype(np.int32), offsets, vocabulary)

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __getitem__(self, index: int | slice | Sequence[int] | NDArray[Any]) -> Tokens:
        """The chosen texts as Tokens: an integer, a slice, a list of numbers or a mask."""
        chosen = np.atleast_1d(np.arange(len(self))[index])
        lengths = self.lengths[chosen]
        offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
        positions = np.arange(offsets[-1]) + np.repeat(self.offsets[chosen] - offsets[:-1], lengths)
        return Tokens(self.ids[positions], offsets, self.vocabulary)

    def blocks(self, size: int = 2**20) -> list[tuple[int, int]]:
        """Runs of texts, first and past the last, of about `size` tokens: what is worked out of one need not be held
        for all.
        """
        return blocks(self.offsets, size)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes one .npz file, without pickle; `tl.load` reads it. Raises OutputError."""
        write_arrays(path, {"kind": "Tokens", "tokenizer": self.vocabulary.tokenizer}, self.arrays())

    def arrays(self) -> Arrays:
        """Everything but the tokenizer, as named arrays."""
        packed = pack(self.vocabulary.strings)
        return {"ids": self.ids, "offsets": self.offsets,
                "vocabulary_bytes": packed["bytes"], "vocabulary_ends": packed["ends"]}

    @classmethod
    def from_arrays(cls, arrays: Arrays, tokenizer: str) -> Tokens:
        """The inverse of `arrays`."""
        strings = unpack(arrays["vocabulary_bytes"], arrays["vocabulary_ends"])
        return cls(arrays["ids"], arrays["offsets"], Vocabulary(strings, tokenizer))

    @cached_property
    def lengths(self) -> NDArray[np.int64]:
        """Number of tokens L of every text, unknown ones included; shape (n,)."""
        return np.diff(self.offsets)

    @cached_property
    def text_of_token(self) -> NDArray[np.int64]:
        """The text that every token stands in; shape (total,)."""
        return np.repeat(np.arange(len(self)), self.lengths)

    def shifted(self, step: int, values: NDArray[np.int32] | None = None) -> NDArray[np.int32]:
        """The token id, or another of `values` (total,), `step` places further in the same text; −1 outside of it."""
        values = self.ids if values is None else values
        if not step:
            return values
        total = len(values)
        result = np.full(total, UNKNOWN, np.int32)
        low, high = max(0, -step), min(total, total - step)
        if low < high:
            result[low:high] = values[low + step:high + step]
            ends = self.offsets[1:-1] if step > 0 else self.offsets[1:-1] - step
            for back in range(1, abs(step) + 1):  # places from which the step leaves the text
                places = ends - back
                result[places[(places >= 0) & (places < total)]] = UNKNOWN
        return result

    @property
    def unknown(self) -> int:
        """How many tokens are unknown."""
        return int(np.count_nonzero(self.ids == UNKNOWN))
