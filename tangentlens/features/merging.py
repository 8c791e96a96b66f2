"""Patterns found in parts of the texts, merged into those of all texts: the columns that one pass would have made."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from tangentlens.data.storage import Arrays
from tangentlens.data.tokens import Vocabulary
from tangentlens.features.family import Family, Features
from tangentlens.features.patterns import Patterns

Shape = tuple[int, ...]
Ints = NDArray[np.int64]


def patterns_of(features: Features) -> dict[Shape, Patterns]:
    """The patterns of every shape that the families have or begin with, short shapes first."""
    found: dict[Shape, Patterns] = {}
    for family in features.families:
        patterns = family.patterns
        while patterns is not None and patterns.shape not in found:
            found[patterns.shape] = patterns
            patterns = patterns.beginning
    return {shape: found[shape] for shape in sorted(found, key=lambda shape: (len(shape), shape))}


def pattern_arrays(features: Features) -> Arrays:
    """The keys of all patterns by name; see `key_of`."""
    return {key_of(shape): patterns.keys for shape, patterns in patterns_of(features).items()}


def key_of(shape: Shape) -> str:
    """The name of the keys of a shape among arrays.

    >>> key_of((0, 2))
    'keys_0_2'
    """
    return "_".join(["keys", *map(str, shape)])


def merged_patterns(parts: Sequence[Arrays], shapes: Sequence[Shape], size: int) -> Arrays:
    """The sorted keys of the patterns of all parts; `size` tokens in the common vocabulary. A part counts patterns as
    its own, so a key is first lifted to the common number of its beginning.
    """
    merged: Arrays = {}
    for shape in shapes:
        runs: list[Ints] = []
        for part in parts:
            runs.append(_lifted(part, merged, shape, size))
            while len(runs) > 1 and len(runs[-1]) >= len(runs[-2]):  # like sizes: each key moves few times
                runs.append(_union(runs.pop(), runs.pop()))
        while len(runs) > 1:
            runs.append(_union(runs.pop(), runs.pop()))
        merged[key_of(shape)] = runs[0] if runs else np.empty(0, np.int64)
    return merged


def numbers_of(part: Arrays, merged: Arrays, shape: Shape, size: int) -> Ints:
    """The common number of every pattern of a part, −1 for those that are not among the merged ones."""
    keys, mine = merged[key_of(shape)], _lifted(part, merged, shape, size)
    if not len(keys):
        return np.full(len(mine), -1)
    place = np.minimum(np.searchsorted(keys, mine), len(keys) - 1)
    return np.where(keys[place] == mine, place, -1)


def _lifted(part: Arrays, merged: Arrays, shape: Shape, size: int) -> Ints:
    """The keys of a part as they are among all texts, −1 where the beginning is unknown there."""
    keys: Ints = part[key_of(shape)]
    if len(shape) == 1:
        return keys
    start, last = np.divmod(keys, max(size, 1))
    begins = numbers_of(part, merged, shape[:-1], size)[start]
    return np.where(begins >= 0, begins * size + last, -1)


def _union(first: Ints, second: Ints) -> Ints:
    both = np.concatenate([first, second])
    both.sort(kind="stable")  # two sorted runs are merged in linear time
    return both[np.concatenate([[True], both[1:] != both[:-1]])] if len(both) else both


def joined(merged: Arrays, shapes: Sequence[Shape], vocabulary: Vocabulary) -> dict[Shape, Patterns]:
    """Merged keys as Patterns."""
    found: dict[Shape, Patterns] = {}
    for shape in shapes:
        found[shape] = Patterns(shape, merged[key_of(shape)], found.get(shape[:-1]), vocabulary)
    return found


def without_rows(template: Features, patterns: dict[Shape, Patterns]) -> Features:
    """The feature map of no text with these patterns as columns, for architecture.features(tokens, columns=…)."""
    return Features(tuple(_empty(family, patterns) for family in template.families), 0)


def _empty(family: Family, patterns: dict[Shape, Patterns]) -> Family:
    own = None if family.patterns is None else patterns[family.patterns.shape]
    columns = (1 if own is None else len(own)) * len(family.groups)
    ends = None if family.ends is None else family.ends[:0]
    nothing: Any = sparse.csr_array((0, columns), dtype=np.int32)
    return replace(family, patterns=own, stored=nothing, weight=np.empty(0),
                   values=None if family.values is None else np.empty(0), ends=ends)


def chosen_patterns(patterns: dict[Shape, Patterns], numbers: dict[Shape, Ints]
                    ) -> tuple[dict[Shape, Patterns], dict[Shape, Ints]]:
    """Only the patterns with these sorted numbers, and what they begin with: a search for them is quick. Returns also
    the numbers that this makes.
    """
    wanted = {shape: np.asarray(chosen, np.int64) for shape, chosen in numbers.items()}
    for shape in sorted(patterns, key=len, reverse=True):
        if len(shape) > 1 and shape in wanted:
            starts = patterns[shape].keys[wanted[shape]] // max(len(patterns[shape].vocabulary), 1)
            wanted[shape[:-1]] = np.union1d(wanted.get(shape[:-1], np.empty(0, np.int64)), starts)
    found: dict[Shape, Patterns] = {}
    for shape in sorted(wanted, key=len):
        keys, size = np.asarray(patterns[shape].keys[wanted[shape]]), max(len(patterns[shape].vocabulary), 1)
        if len(shape) > 1:
            start, last = np.divmod(keys, size)
            keys = np.searchsorted(wanted[shape[:-1]], start) * size + last
        found[shape] = Patterns(shape, keys, found.get(shape[:-1]), patterns[shape].vocabulary)
    return found, wanted
