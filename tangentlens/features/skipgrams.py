"""The families of a window: a token at one place, or several tokens at several places."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from tangentlens.features.bag import known_patterns
from tangentlens.features.counting import Ids, count_texts
from tangentlens.features.family import Array, Family, Features
from tangentlens.features.patterns import Found, occurrences
from tangentlens.features.windows import Windows, pooling_weight


@dataclass
class Skipgrams:
    """Makes the families of all subsets of places; subsets of one shape share one search for patterns."""

    windows: Windows
    pooling: str
    columns: Features | None = None
    found: dict[tuple[int, ...], Found] = field(default_factory=dict)

    def family(self, places: tuple[int, ...], coefficients: Array, groups: tuple[str, ...]) -> Family:
        """The family of one non-empty subset of places, in ascending order; the last group is the full window."""
        windows = self.windows
        shape = tuple(place - places[0] for place in places)
        ids, patterns = occurrences(windows.tokens, shape, known_patterns(self.columns, shape), self.found)
        pattern = windows.at(places[0], ids)
        if len(groups) == 1:
            column: Ids = pattern
        else:
            column = (windows.present - (windows.size - len(groups) + 1)) * np.int64(len(patterns))
            column += pattern
            column[pattern < 0] = -1
        raw = count_texts(windows.offsets, column, len(groups) * len(patterns))
        weight = pooling_weight(windows.per_text, self.pooling)
        single = len(places) == 1
        return Family("token@offset" if single else "skip-gram", patterns, raw, weight, coefficients, groups,
                      style="offset" if single else "tokens", window=windows.size, first=places[0])
