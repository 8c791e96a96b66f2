"""Of all columns of a pattern, its offsets and edge groups, the one that does most: how a flag is named and dated."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tangentlens.features.family import Family
from tangentlens.features.lags import occurring, runs
from tangentlens.features.sums import occurred
from tangentlens.predictions.scores import crossing, score_paths
from tangentlens.predictions.shortcuts import Learned, Pulls

Array = NDArray[np.float64]
Ids = NDArray[np.int64]
Leading = tuple[str, str, float, float | None]  # family, name, score, half step


def leading(found: Pulls, chosen: Ids, learned: Learned) -> list[Leading]:
    """Of each chosen pattern the column with the largest score × occurrences; counts are read once for all of them."""
    if not len(chosen):
        return []
    output = np.zeros(len(chosen), np.int64) if found.scores[0].shape[1] == 1 else found.toward[chosen]
    size, place, column = (np.full(len(chosen), start) for start in (-1.0, 0, 0))
    counts = [one for run in runs(found.families) for one in _occurrences([found.families[number] for number in run])]
    for number, (family, numbers, scores) in enumerate(zip(found.families, found.columns, found.scores, strict=True)):
        for group in range(len(family.groups)):
            at = numbers[chosen] + group * len(family)
            mine = np.where(numbers[chosen] >= 0, np.abs(scores[at, output]) * counts[number][at], -1.0)
            better = mine > size
            size[better], place[better], column[better] = mine[better], number, at[better]
    rows: list[Leading | None] = [None] * len(chosen)
    for number in np.unique(place).tolist():
        where = np.flatnonzero(place == number)
        named = _named(found.families[number], found.scores[number], (column[where], output[where]), learned)
        for row, name in zip(where.tolist(), named, strict=True):
            rows[row] = name
    return [row for row in rows if row is not None]


def _occurrences(families: list[Family]) -> list[Array]:
    """How often every column occurs in the training texts, in the families of one run; (columns,) each."""
    if len(families) > 1:
        return [found[:, 0] for found in occurring(families, np.ones((len(families[0].weight), 1)))][::-1]
    return [occurred(families[0], np.ones((len(families[0].weight), 1), np.int64))[:, 0].astype(np.float64)]


def _named(family: Family, scores: Array, columns: tuple[Ids, Ids], learned: Learned) -> list[Leading]:
    """Some columns of one family, each for one output."""
    trajectory, record = learned.trajectory, learned.record
    column, output = columns
    final = scores[column, output]
    paths = score_paths(family, trajectory.dynamics, column)[:record + 1, np.arange(len(column)), output]
    half = crossing(paths.T, final, trajectory.steps[:record + 1])
    names, labels = family.names_of(column % len(family)).to_list(), family.labels()
    return [(labels[at // len(family)], str(name), float(score), None if np.isnan(step) else float(step))
            for at, name, score, step in zip(column.tolist(), names, final.tolist(), half.tolist(), strict=True)]
