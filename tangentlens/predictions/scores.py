"""Label scores as a table: how far each feature pushes towards a class, how often it occurs, when it is learned."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy import sparse

from tangentlens.features.family import Family, Features
from tangentlens.learning.dynamics import Dynamics

Array = NDArray[np.float64]
CHUNK = 2**22  # label scores held at a time while half steps are found


def output_classes(dynamics: Dynamics) -> list[object]:
    """The class that each output speaks for: the last one where two classes share one output."""
    classes = list(dynamics.targets.classes)
    return classes if dynamics.targets.y.shape[1] == len(classes) else classes[-1:]


def score_table(features: Features, dynamics: Dynamics, record: int, *, half_steps: bool = True) -> pl.DataFrame:
    """One row for every feature column and output, in the order of the columns; see Trajectory.label_scores."""
    return pl.concat([family_table(family, dynamics, record, half_steps=half_steps) for family in features.families])


def family_table(family: Family, dynamics: Dynamics, record: int, *, half_steps: bool = True) -> pl.DataFrame:
    """The rows of one family."""
    raw = family.occurrences
    counts = family.pooled(raw)
    scores = family.score(counts.T @ dynamics.duals[record])  # (columns, c)
    outputs = output_classes(dynamics)
    members = np.zeros((scores.shape[1], len(dynamics.targets.index)), dtype=np.int64)  # (c, n)
    for place, name in enumerate(outputs):
        members[place] = dynamics.targets.index == dynamics.targets.classes.index(name)
    half = _half_steps(family, counts, dynamics, record, scores) if half_steps else np.full(scores.shape, np.nan)
    return table_of(family, dynamics, scores, raw.sum(axis=0), raw.T @ members.T, half)


def table_of(family: Family, dynamics: Dynamics, scores: Array, total: NDArray[Any], within: NDArray[Any], half: Array
             ) -> pl.DataFrame:
    """The rows of one family from what is known of every column: scores, counts in each class and half steps (columns,
    c), and counts (columns,).
    """
    outputs, names, labels = output_classes(dynamics), family.names, family.labels()
    per_occurrence = scores if family.scale is None else scores * family.scale[:, None]
    base = pl.DataFrame({
        "family": np.repeat(np.arange(len(labels), dtype=np.uint32), len(family)),
        "feature": pl.concat([names] * len(labels)),
        "count": np.asarray(total, dtype=np.int64),
    }).with_columns(pl.lit(pl.Series(labels, dtype=pl.String)).gather("family").alias("family"))
    tables = [
        base.with_columns(
            pl.lit(name, dtype=pl.Series(dynamics.targets.classes).dtype).alias("class"),
            pl.Series("score", per_occurrence[:, place]),
            pl.Series("count_in_class", within[:, place].astype(np.int64)),
            pl.Series("half_step", half[:, place]).fill_nan(None),
        )
        for place, name in enumerate(outputs)
    ]
    columns = ["family", "feature", "class", "score", "count", "count_in_class", "half_step"]
    return pl.concat(tables).select(columns)


def score_paths(family: Family, dynamics: Dynamics, columns: NDArray[np.int64]) -> Array:
    """Label scores of some columns at every record; shape (T, len(columns), c)."""
    size, records = len(family), len(dynamics.duals)
    result = np.zeros((records, len(columns), dynamics.duals.shape[2]))
    stacked = _stacked(dynamics, records)
    group, pattern = np.divmod(columns, size)
    every = (np.arange(len(family.groups))[:, None] * size + pattern).ravel()
    pushes = family.counts_of(every).T @ stacked
    for other, pushed in enumerate(pushes.reshape(len(family.groups), len(columns), records, -1)):
        result += np.moveaxis(family.coefficients[group, other][:, None, None] * pushed, 1, 0)
    return result if family.scale is None else result * family.scale[columns][:, None]


def _half_steps(family: Family, counts: sparse.csr_array, dynamics: Dynamics, record: int, final: Array) -> Array:
    """First (interpolated) step with the sign and half the size of the score at `record`; shape (columns, c)."""
    half = np.full(final.shape, np.nan)
    if record < 1:
        return half
    size, outputs = len(family), final.shape[1]
    stacked = _stacked(dynamics, record + 1)
    columns = sparse.csc_array(counts)
    steps = dynamics.steps[:record + 1]
    for low, high in _chunks(size, CHUNK // (stacked.shape[1] * len(family.groups))):
        pushed = np.stack([columns[:, g * size + low:g * size + high].T @ stacked for g in range(len(family.groups))])
        paths = np.tensordot(family.coefficients, pushed, axes=1)
        paths = paths.reshape(len(family.groups), high - low, record + 1, -1)
        for g in range(len(family.groups)):
            rows = slice(g * size + low, g * size + high)
            for output in range(outputs):
                half[rows, output] = crossing(paths[g, :, :, output], final[rows, output], steps)
    return half


def crossing(paths: Array, final: Array, steps: Array) -> Array:
    """Where each path (m, T) first reaches half of `final` (m,), by linear interpolation; NaN where `final` is 0."""
    share = np.divide(paths, final[:, None] / 2, out=np.zeros_like(paths), where=final[:, None] != 0)
    reached = share >= 1
    first = np.argmax(reached, axis=1)
    before = np.maximum(first - 1, 0)
    rows = np.arange(len(paths))
    low, high = share[rows, before], share[rows, first]
    part = np.divide(1 - low, high - low, out=np.ones_like(low), where=high > low)
    crossing = steps[before] + part * (steps[first] - steps[before])
    return np.where(reached.any(axis=1), crossing, np.nan)


def _stacked(dynamics: Dynamics, records: int) -> Array:
    n = dynamics.duals.shape[1]
    return np.ascontiguousarray(np.moveaxis(dynamics.duals[:records], 0, 1)).reshape(n, -1)


def _chunks(size: int, step: int) -> Iterator[tuple[int, int]]:
    step = max(1, step)
    for low in range(0, size, step):
        yield low, min(size, low + step)
