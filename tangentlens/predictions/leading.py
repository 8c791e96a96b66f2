"""Of all columns of a pattern, its offsets and edge groups, the one that does most: how a flag is named and dated."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tangentlens.features.family import Family
from tangentlens.predictions.scores import crossing, score_paths
from tangentlens.predictions.shortcuts import Pulls
from tangentlens.predictions.trajectory import Trajectory

Array = NDArray[np.float64]
Ids = NDArray[np.int64]
Leading = tuple[str, str, float, float | None]  # family, name, score, half step


def leading(found: Pulls, chosen: Ids, trajectory: Trajectory, record: int) -> list[Leading]:
    """Of each chosen pattern the column with the largest score × occurrences; counts are read once for all of them."""
    output = np.zeros(len(chosen), np.int64) if found.scores[0].shape[1] == 1 else found.toward[chosen]
    size, place, column = (np.full(len(chosen), start) for start in (-1.0, 0, 0))
    for number, (family, numbers, scores) in enumerate(zip(found.families, found.columns, found.scores, strict=True)):
        counts = _occurrences(family)
        for group in range(len(family.groups)):
            at = numbers[chosen] + group * len(family)
            mine = np.where(numbers[chosen] >= 0, np.abs(scores[at, output]) * counts[at], -1.0)
            better = mine > size
            size[better], place[better], column[better] = mine[better], number, at[better]
    rows: list[Leading | None] = [None] * len(chosen)
    for number in np.unique(place).tolist():
        where = np.flatnonzero(place == number)
        named = _named(found.families[number], found.scores[number], (column[where], output[where]), trajectory, record)
        for row, name in zip(where.tolist(), named, strict=True):
            rows[row] = name
    return [row for row in rows if row is not None]


def _occurrences(family: Family) -> Array:
    """How often every column occurs in the training texts; (columns,)."""
    raw = family.occurrences
    return np.bincount(raw.indices, weights=raw.data, minlength=family.columns).astype(np.float64)


def _named(family: Family, scores: Array, columns: tuple[Ids, Ids], trajectory: Trajectory, record: int
           ) -> list[Leading]:
    """Some columns of one family, each for one output."""
    column, output = columns
    final = scores[column, output]
    paths = score_paths(family, trajectory.dynamics, column)[:record + 1, np.arange(len(column)), output]
    half = crossing(paths.T, final, trajectory.steps[:record + 1])
    names, labels = family.names_of(column % len(family)).to_list(), family.labels()
    return [(labels[at // len(family)], str(name), float(score), None if np.isnan(step) else float(step))
            for at, name, score, step in zip(column.tolist(), names, final.tolist(), half.tolist(), strict=True)]
