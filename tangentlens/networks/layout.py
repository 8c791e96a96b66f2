"""How texts of different lengths become index arrays: distinct units, evaluated once, and where texts use them.

Nothing is padded, so a text's output does not depend on the texts beside it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tangentlens.data.tokens import UNKNOWN, Tokens
from tangentlens.features.windows import pooling_weight

Index = NDArray[np.int64]
RESERVOIR = 4096  # random vectors that stand for unknown tokens


@dataclass(frozen=True)
class Uses:
    """f of a text = Σ over its uses of weight · g(unit). Shapes: all (uses,); `text` does not decrease."""

    text: Index
    unit: Index
    weight: NDArray[np.float64]


def numbered(tokens: Tokens) -> tuple[Index, Index]:
    """The distinct tokens (u,), and for every position its place among them (total,).

    An unknown token matches nothing: each gets one of RESERVOIR numbers v, v + 1, … by a hash of its text and place.
    """
    ids = tokens.ids.astype(np.int64)
    unknown = ids == UNKNOWN
    if unknown.any():
        ids[unknown] = len(tokens.vocabulary) + _hashes(tokens)[unknown] % RESERVOIR
    used, place = np.unique(ids, return_inverse=True)
    return used, place.astype(np.int64)


def windows(tokens: Tokens, places: Index, *, size: int, before: int, partial: bool) -> tuple[Index, Index]:
    """Every window of `size` tokens: the places of its tokens (w, size), −1 outside of the text, and its text (w,).

    A window starts `before` positions ahead of its own; partial=False keeps only full windows.
    """
    text, total = tokens.text_of_token, len(places)
    result = np.full((total, size), -1, dtype=np.int64)
    for slot in range(size):
        step = slot - before
        low, high = max(0, -step), min(total, total - step)
        if low < high:
            same = text[low:high] == text[low + step:high + step]
            result[low:high, slot] = np.where(same, places[low + step:high + step], -1)
    if not partial:
        full = (result >= 0).all(axis=1)
        return result[full], text[full]
    return result, text


def distinct(rows: Index) -> tuple[Index, Index]:
    """Distinct rows of whole numbers ≥ −1, and the place of every row among them."""
    base = int(rows.max(initial=0)) + 2
    key = np.zeros(len(rows), dtype=np.int64)
    for column in rows.T:
        key = np.unique(key * base + column + 1, return_inverse=True)[1].astype(np.int64)
    _, first, place = np.unique(key, return_index=True, return_inverse=True)
    return rows[first], place.astype(np.int64)


def uses(text: Index, unit: Index, *, texts: int, pooling: str) -> Uses:
    """Every unit with the weight that pooling gives it: 1, or 1 / (units of its text)."""
    weight = pooling_weight(np.bincount(text, minlength=texts), pooling)
    return Uses(text, unit, weight[text])


@dataclass(frozen=True)
class Prefixes:
    """The distinct beginnings of texts as a tree, level by level: each adds one token to a parent.

    tokens[d], parents[d]: place of the token, and of the parent among the nodes of level d − 1, for every node of
    level d; node: for every token position, its number counted over all levels.
    """

    tokens: tuple[Index, ...]
    parents: tuple[Index, ...]
    node: Index


def prefixes(tokens: Tokens, places: Index) -> Prefixes:
    """The tree of all prefixes; equal prefixes are one node."""
    lengths, offsets = tokens.lengths, tokens.offsets
    node = np.zeros(len(places), dtype=np.int64)
    at = np.zeros(len(tokens), dtype=np.int64)  # the node of every text in the level before
    words, parents, before = [], [], 0
    for depth in range(int(lengths.max(initial=0))):
        active = np.flatnonzero(lengths > depth)
        position = offsets[active] + depth
        rows, unit = distinct(np.column_stack([at[active], places[position]]))
        parents.append(rows[:, 0])
        words.append(rows[:, 1])
        at[active] = unit
        node[position] = before + unit
        before += len(rows)
    return Prefixes(tuple(words), tuple(parents), node)


def by_length(tokens: Tokens) -> list[tuple[Index, Index]]:
    """Texts of equal length together: their numbers (b,), and the positions of their tokens (b, L); empty ones not."""
    groups = []
    for length in np.unique(tokens.lengths[tokens.lengths > 0]):
        texts = np.flatnonzero(tokens.lengths == length)
        groups.append((texts, tokens.offsets[texts][:, None] + np.arange(length)))
    return groups


def _hashes(tokens: Tokens) -> Index:
    """A number for every position that depends on the text's tokens and the place in it."""
    place = (np.arange(len(tokens.ids)) - tokens.offsets[:-1][tokens.text_of_token]).astype(np.uint64)
    mixed = (tokens.ids.astype(np.int64) + 2).astype(np.uint64) * _scramble(place)
    sums = np.concatenate([[np.uint64(0)], np.cumsum(mixed)])
    content = sums[tokens.offsets[1:]] - sums[tokens.offsets[:-1]]
    return (_scramble(content[tokens.text_of_token] + place) >> np.uint64(8)).astype(np.int64)


def _scramble(x: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """The finaliser of SplitMix64 (Steele, Lea & Flood 2014)."""
    x = x + np.uint64(0x9E3779B97F4A7C15)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))
