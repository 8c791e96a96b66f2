"""Which token patterns occur where: ids for every shape of pattern, without a Python loop over tokens."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from tangentlens.data.tokens import Tokens, Vocabulary
from tangentlens.errors import ShapeError
from tangentlens.features.counting import ranked

ABSENT = -1
BLOCK = 2**22  # tokens that are looked at at a time


@dataclass(frozen=True, eq=False)
class Patterns:
    """The d patterns of one shape that occur in the training texts, in sorted order.

    A shape is a tuple of steps that starts with 0: (0,) single tokens, (0, 1) bigrams, (0, 2) pairs with one token
    between. A pattern's key is (id of its beginning) · v + (its last token), so keys are 64-bit integers at any order.

    Shapes: keys (d,) int64, sorted; `beginning` holds the patterns without their last token.
    """

    shape: tuple[int, ...]
    keys: NDArray[np.int64]
    beginning: Patterns | None
    vocabulary: Vocabulary

    def __len__(self) -> int:
        return len(self.keys)

    def same(self, other: Patterns | None) -> bool:
        """Whether both stand for the same columns."""
        if self is other:
            return True
        if other is None or self.shape != other.shape or not np.array_equal(self.keys, other.keys):
            return False
        if self.vocabulary is not other.vocabulary and self.vocabulary.strings != other.vocabulary.strings:
            return False
        return self.beginning.same(other.beginning) if self.beginning is not None else other.beginning is None

    def find(self, ids: Sequence[int]) -> int | None:
        """The number of the pattern with these tokens, or None."""
        start: int | None = 0
        if self.beginning is not None:
            start = self.beginning.find(ids[:-1])
        if start is None or len(ids) != len(self.shape):
            return None
        key = start * len(self.vocabulary) + ids[-1]
        place = int(np.searchsorted(self.keys, key))
        return place if place < len(self.keys) and self.keys[place] == key else None

    def tokens(self) -> NDArray[np.int64]:
        """Token ids of every pattern; shape (d, order)."""
        if self.beginning is None:
            return self.keys[:, None]
        start = self.keys // len(self.vocabulary)  # many times as fast as divmod
        return np.column_stack([self.beginning.tokens()[start], self.keys - start * len(self.vocabulary)])

    def names(self, window: int, first: int) -> pl.Series:
        """Readable names: tokens joined by one space, `_` for every open place of the window before and after.

        `first` is the place of the pattern's first token in a window of `window` places.
        """
        parts: list[pl.Expr] = [pl.lit("_")] * window
        columns, strings, tokens = {}, escaped(self.vocabulary), self.tokens()
        for place, step in enumerate(self.shape):
            columns[str(place)] = strings.gather(tokens[:, place])
            parts[first + step] = pl.col(str(place))
        return pl.DataFrame(columns).select(pl.concat_str(parts, separator=" ").alias("feature"))["feature"]


def escaped(vocabulary: Vocabulary) -> pl.Series:
    """The token strings with a backslash before every space, `_`, `@`, `<` and `\\`, so that names are unambiguous."""
    return pl.Series("token", vocabulary.strings, dtype=pl.String).str.replace_all(r"([ _@<\\])", r"\${1}")


Found = tuple[NDArray[np.int32], Patterns]


def occurrences(tokens: Tokens, shape: tuple[int, ...], known: Patterns | None = None,
                found: dict[tuple[int, ...], Found] | None = None) -> Found:
    """The pattern id at every token position, and the patterns.

    Returns ids (total,), −1 where the pattern would leave its text or holds an unknown token (or, with `known`, is
    not among those patterns). found: of the same tokens and columns, by shape; a longer pattern extends a shorter one,
    and what is found on the way is added.
    """
    found = {} if found is None else found
    if shape not in found:
        found[shape] = _occurrences(tokens, shape, known, found)
    return found[shape]


def _occurrences(tokens: Tokens, shape: tuple[int, ...], known: Patterns | None, found: dict[tuple[int, ...], Found]
                 ) -> Found:
    if known is not None:
        same_vocabulary(known.vocabulary, tokens.vocabulary)
    size = len(tokens.vocabulary)
    last = tokens.shifted(shape[-1])
    if len(shape) == 1:
        if known is None:
            present, ids = _present(last, size)
            return ids, Patterns(shape, present, None, tokens.vocabulary)
        return _looked_up(last.astype(np.int64), known.keys), known
    start, beginning = occurrences(tokens, shape[:-1], None if known is None else known.beginning, found)
    keys = start * np.int64(size)
    keys += last
    keys[(start < 0) | (last < 0)] = ABSENT
    if known is not None:
        return _looked_up(keys, known.keys), known
    present, ids = ranked(keys)
    return ids, Patterns(shape, present, beginning, tokens.vocabulary)


def _looked_up(keys: NDArray[np.int64], known: NDArray[np.int64]) -> NDArray[np.int32]:
    """The place of every key among sorted known ones, −1 where it is not there."""
    ids = np.searchsorted(known, keys).astype(np.int32)
    ids[ids == len(known)] = 0
    hit = known[ids] == keys if len(known) else np.zeros(len(keys), bool)
    ids[~hit] = ABSENT
    return ids


def same_vocabulary(first: Vocabulary, second: Vocabulary) -> None:
    """Raises ShapeError unless both are the same."""
    if first is not second and first.strings != second.strings:
        raise ShapeError("the two sets of texts have different vocabularies; tokenize the second with "
                         "vocabulary=tokens.vocabulary")


def _present(ids: NDArray[np.int32], size: int) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
    """The token ids that occur, and for every id its place among them (−1 for −1)."""
    present = np.zeros(size + 1, bool)  # the last for −1
    for low in range(0, len(ids), BLOCK):
        present[ids[low:low + BLOCK]] = True
    present = present[:size]
    found = np.flatnonzero(present)
    if len(found) == size:
        return found, ids
    table = np.append(np.where(present, np.cumsum(present) - 1, ABSENT), ABSENT)
    return found, table.astype(np.int32)[ids]


def frequent_patterns(tokens: Tokens, places: tuple[int, ...], most: int) -> NDArray[np.int64]:
    """The patterns of one shape that occur most often, most frequent first; (N, order), ties in sorted order."""
    if not places:
        return np.zeros((1, 0), dtype=np.int64)
    ids, patterns = occurrences(tokens, places)
    counts = np.bincount(ids[ids >= 0], minlength=len(patterns))
    return patterns.tokens()[np.argsort(-counts, kind="stable")[:most]]


def names_of(vocabulary: Vocabulary, patterns: NDArray[np.int64], places: tuple[int, ...]) -> list[str]:
    """Readable names of patterns (N, order): tokens joined by one space, `_` for a gap, `<bias>` for no token."""
    if not places:
        return ["<bias>"] * len(patterns)
    strings = escaped(vocabulary)
    names = np.full((len(patterns), places[-1] + 1), "_", dtype=object)
    for column, place in enumerate(places):
        names[:, place] = strings.gather(patterns[:, column]).to_list()
    return [" ".join(row) for row in names]
