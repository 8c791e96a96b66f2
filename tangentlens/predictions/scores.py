"""Label scores as a table: how far each feature pushes towards a class, how often it occurs, when it is learned."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy import sparse

from tangentlens.data.threads import parallel, workers
from tangentlens.features import lags, sums
from tangentlens.features.counting import rows_of
from tangentlens.features.family import Family, Features
from tangentlens.learning.dynamics import Dynamics

Array = NDArray[np.float64]
TOGETHER = 2**24  # label scores of a family, at all records, up to which they are held together
CHUNK = 2**22  # label scores held at a time while half steps are found
STACKED = 2**24  # dual coefficients that are copied at a time
SHARED = 100_000  # features from which on families are worked on side by side …
ALIKE = 1.3  # … where none has this many times its share of them: that one shares its own work


def output_classes(dynamics: Dynamics) -> list[object]:
    """The class that each output speaks for: the last one where two classes share one output."""
    classes = list(dynamics.targets.classes)
    return classes if dynamics.targets.y.shape[1] == len(classes) else classes[-1:]


def score_table(features: Features, dynamics: Dynamics, record: int, *, half_steps: bool = True) -> pl.DataFrame:
    """One row for every feature column and output, in the order of the columns; see Trajectory.label_scores."""
    return pl.concat(score_tables(features, dynamics, record, half_steps=half_steps))


def score_tables(features: Features, dynamics: Dynamics, record: int, *, half_steps: bool = True
                 ) -> list[pl.DataFrame]:
    """The rows of every family, in order."""

    def tables(run: list[int]) -> list[pl.DataFrame]:
        families = [features.families[number] for number in run]
        if len(run) > 1:
            return _lag_tables(families, dynamics, record, half_steps)
        return [family_table(families[0], dynamics, record, half_steps=half_steps)]

    runs = lags.runs(features.families)
    largest = max((family.columns for family in features.families), default=0)
    enough = features.columns >= SHARED and largest * workers() <= ALIKE * features.columns
    found = parallel(tables, runs[::-1], enough=enough)[::-1]  # the longest stand last: none should wait for them
    return [table for run in found for table in run]


def family_table(family: Family, dynamics: Dynamics, record: int, *, half_steps: bool = True) -> pl.DataFrame:
    """The rows of one family."""
    members = _members(dynamics)
    found = sums.occurred(family, np.column_stack([np.ones(len(members), np.int64), members]))
    if half_steps and record and family.columns * (record + 1) * members.shape[1] <= TOGETHER:
        paths = family.score(sums.pushed(family, _stacked(dynamics, 0, record + 1)))
        paths = paths.reshape(len(paths), record + 1, members.shape[1])
        scores = paths[:, -1]
        half = np.column_stack([crossing(paths[:, :, output], scores[:, output], dynamics.steps[:record + 1])
                                for output in range(scores.shape[1])])
    else:
        scores = family.score(sums.pushed(family, dynamics.duals[record]))  # (columns, c)
        half = _half_steps(family, dynamics, record, scores) if half_steps else np.full(scores.shape, np.nan)
    return table_of(family, dynamics, scores, found[:, 0], found[:, 1:], half)


def _members(dynamics: Dynamics) -> NDArray[np.int64]:
    """Which texts are of the class of each output; (n, c)."""
    classes = dynamics.targets.classes
    return np.column_stack([dynamics.targets.index == classes.index(name) for name in output_classes(dynamics)]
                           ).astype(np.int64)


def _lag_tables(families: list[Family], dynamics: Dynamics, record: int, half_steps: bool) -> list[pl.DataFrame]:
    """The rows of the families of several lags, whose sums go from lag to lag."""
    c, steps = dynamics.duals.shape[2], dynamics.steps[:record + 1]
    first = 0 if half_steps and record else record
    weighted = families[0].weight[:, None] * _stacked(dynamics, first, record + 1)
    vectors = np.hstack([np.ones((len(weighted), 1)), _members(dynamics), weighted])
    tables = []
    for family, found in zip(families[::-1], lags.occurring(families, vectors), strict=True):
        paths = family.score(found[:, 1 + c:])
        scores = np.where(found[:, :1] > 0, paths[:, -c:], 0.0)
        half = np.full(scores.shape, np.nan)
        there = np.flatnonzero(found[:, 0] > 0)
        for output in range(c) if first == 0 and record else ():
            half[there, output] = crossing(paths[there, output::c], scores[there, output], steps)
        tables.append(table_of(family, dynamics, scores, found[:, 0], found[:, 1:1 + c], half))
    return tables[::-1]


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
    group, pattern = np.divmod(columns, size)
    every = (np.arange(len(family.groups))[:, None] * size + pattern).ravel()
    counts = family.counts_of(every).T
    for low, high in _chunks(records, STACKED // max(1, dynamics.duals[0].size)):
        pushes = counts @ _stacked(dynamics, low, high)
        for other, pushed in enumerate(pushes.reshape(len(family.groups), len(columns), high - low, -1)):
            result[low:high] += np.moveaxis(family.coefficients[group, other][:, None, None] * pushed, 1, 0)
    return result if family.scale is None else result * family.scale[columns][:, None]


def _half_steps(family: Family, dynamics: Dynamics, record: int, final: Array) -> Array:
    """First (interpolated) step with the sign and half the size of the score at `record`; shape (columns, c).

    A pattern that stands in one text only goes as that text's dual coefficient does, whatever its group.
    """
    half = np.full(final.shape, np.nan)
    if record < 1:
        return half
    counts, size, groups = family.counts, len(family), len(family.groups)
    steps, duals = dynamics.steps[:record + 1], dynamics.duals[:record + 1]
    pattern = counts.indices % size if groups > 1 else counts.indices
    entries = np.bincount(pattern, minlength=size)
    alone = np.flatnonzero(entries[pattern] == 1)
    owner = np.full(size, -1)
    owner[pattern[alone]] = np.searchsorted(counts.indptr, alone, side="right") - 1
    alone = np.flatnonzero(owner >= 0)
    for output in range(final.shape[1]):
        of_text = crossing(duals[:, :, output].T, duals[-1, :, output], steps)[owner[alone]]
        for group in range(groups):
            column = group * size + alone
            half[column, output] = np.where(final[column, output] != 0, of_text, np.nan)
    shared = np.flatnonzero(entries > 1)
    _half_steps_of(shared, half, family, counts, (dynamics, record, final))
    return half


def _half_steps_of(patterns: NDArray[np.int64], half: Array, family: Family, counts: sparse.csr_array,
                   learned: tuple[Dynamics, int, Array]) -> None:
    """Writes the half steps of some patterns."""
    dynamics, record, final = learned
    size, groups = len(family), len(family.groups)
    stacked = _stacked(dynamics, 0, record + 1)
    every = (np.arange(groups)[:, None] * size + patterns).ravel()
    number = np.full(family.columns, -1, np.int32)
    number[every] = np.arange(len(every))
    at = number[counts.indices]
    kept = at >= 0
    ends = np.concatenate([[0], np.cumsum(kept)])[counts.indptr]
    by_column = sparse.csr_array(sparse.csr_array((counts.data[kept], at[kept], ends),
                                                  shape=(counts.shape[0], len(every))).tocsc().T)

    def write(part: tuple[int, int]) -> None:
        low, high = part
        pushed = np.stack([rows_of(by_column, g * len(patterns) + low, g * len(patterns) + high) @ stacked
                           for g in range(groups)])
        paths = pushed * family.coefficient if groups == 1 else np.tensordot(family.coefficients, pushed, axes=1)
        paths = paths.reshape(groups, high - low, record + 1, -1)
        for g in range(groups):
            rows = g * size + patterns[low:high]
            for output in range(final.shape[1]):
                half[rows, output] = crossing(paths[g, :, :, output], final[rows, output], dynamics.steps[:record + 1])

    parallel(write, list(_chunks(len(patterns), CHUNK // (stacked.shape[1] * groups * workers()))))


def crossing(paths: Array, final: Array, steps: Array) -> Array:
    """Where each path (m, T) first reaches half of `final` (m,), by linear interpolation; NaN where `final` is 0."""
    half = final / 2
    reached = np.where(half[:, None] > 0, paths >= half[:, None], paths <= half[:, None])
    reached[half == 0] = False
    first = np.argmax(reached, axis=1)
    before = np.maximum(first - 1, 0)
    rows = np.arange(len(paths))
    low, high = paths[rows, before], paths[rows, first]
    part = np.divide(half - low, high - low, out=np.ones_like(low), where=high != low)
    crossing = steps[before] + part * (steps[first] - steps[before])
    return np.where(reached[rows, first], crossing, np.nan)


def _stacked(dynamics: Dynamics, low: int, high: int) -> Array:
    """The dual coefficients at some records, (n, (high − low) c)."""
    return np.ascontiguousarray(np.moveaxis(dynamics.duals[low:high], 0, 1)).reshape(dynamics.duals.shape[1], -1)


def _chunks(size: int, step: int) -> Iterator[tuple[int, int]]:
    step = max(1, step)
    for low in range(0, size, step):
        yield low, min(size, low + step)
