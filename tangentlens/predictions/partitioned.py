"""Learning from texts in parts, as users see it: the strongest label scores, and decisions."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from tangentlens.data.storage import Arrays
from tangentlens.data.vocabularies import renumbered
from tangentlens.errors import OptionError
from tangentlens.features.family import Family, Features
from tangentlens.features.merging import chosen_patterns, patterns_of, without_rows
from tangentlens.learning.dynamics import Dynamics
from tangentlens.learning.partitioned import ColumnSums, PartitionedProduct
from tangentlens.learning.parts import Maps, PartitionedFeatures, beside, matrix_of
from tangentlens.learning.splitting import blocks_of, splits_of
from tangentlens.predictions.course import Course
from tangentlens.predictions.scores import crossing, table_of

Array = NDArray[np.float64]
Ints = NDArray[np.int64]
TOP = 1000


@dataclass(frozen=True, eq=False)
class PartitionedTrajectory(Course):
    """As Trajectory, for texts in parts: label scores of the strongest features, and decisions.

    Shapes: dynamics.duals (T, n, c); dynamics.steps (T,).
    """

    features: PartitionedFeatures
    dynamics: Dynamics
    product: PartitionedProduct = field(repr=False)
    _sums: dict[int, ColumnSums] = field(default_factory=dict, repr=False)

    def label_scores(self, step: int = -1, *, top: int | None = TOP) -> pl.DataFrame:
        """Label scores s = γ Φᵀ a (theory, eq. 48): the rows of `Trajectory.label_scores` whose features are among the
        `top` of their family and group, by size of the score of any output; all of them for None, which needs memory.
        """
        if top is not None and (isinstance(top, bool) or not isinstance(top, int | np.integer) or top < 1):
            raise OptionError(f"top is a number of features of at least 1, or None for all, not {top!r}")
        record = self.record(step)
        chosen = self._strongest(record, top)
        columns = self.features.columns
        patterns = patterns_of(columns)
        numbers: dict[tuple[int, ...], Ints] = {}
        for family, mine in zip(columns.families, chosen, strict=True):
            if family.patterns is not None:
                shape = family.patterns.shape
                numbers[shape] = np.union1d(numbers.get(shape, np.empty(0, np.int64)), np.unique(mine % len(family)))
        few, numbers = chosen_patterns(patterns, numbers)
        small = without_rows(columns, few)
        totals = self._counted(small, record)
        tables = []
        for place, (family, mine) in enumerate(zip(columns.families, chosen, strict=True)):
            found = small.families[place]
            group, pattern = np.divmod(mine, len(family))
            if family.patterns is not None:
                pattern = np.searchsorted(numbers[family.patterns.shape], pattern)
            wanted = np.zeros(found.columns, bool)
            wanted[group * len(found) + pattern] = True
            table = _table(found, self.dynamics, record, totals[place])
            tables.append(table.filter(pl.Series(np.tile(wanted, len(self.outputs)))))
        return pl.concat(tables)

    def decision(self, features: Features | PartitionedFeatures, step: int = -1) -> Array:
        """Decisions f = Σ_r Φ_r s_r (n', c) (theory, eq. 49) on texts whose features were made with
        columns=features.columns, or in parts with columns=features.
        """
        self.features.check_columns(features)
        sums = self._column_sums(self.record(step))
        if isinstance(features, Features):
            splits = splits_of(features)
            blocks = beside([block for split in splits for block in blocks_of(features, split)], len(features))
            present = np.unique(blocks.indices).astype(np.int64)
            return np.asarray(blocks[:, present] @ sums.among(present))
        engine = features.engine
        known = [part["columns"][part["columns"] >= 0] for part in engine.get(features.placed)]
        values = [sums.among(np.asarray(columns)) for columns in known]
        decided = engine.stream(decided_part, features.counted, features.placed, values)
        return np.concatenate([part["f"] for part in engine.get(decided)])

    def predict(self, features: Features | PartitionedFeatures, step: int = -1) -> NDArray[Any]:
        """The decided class of every text; shape (n',)."""
        return self.decided(self.decision(features, step))

    def __repr__(self) -> str:
        return (f"PartitionedTrajectory({len(self.features)} texts, {len(self.steps)} records to "
                f"{self.dynamics.clock} {self.steps[-1]:.4g})")

    def _column_sums(self, record: int) -> ColumnSums:
        if record not in self._sums:
            self._sums.clear()
            self._sums[record] = self.product.column_sums(self.duals[record])
        return self._sums[record]

    def _strongest(self, record: int, top: int | None) -> list[Ints]:
        """By family, the columns with the largest scores in their group, of any output."""
        columns = self.features.columns
        if top is None:
            return [np.arange(family.columns) for family in columns.families]
        chosen: list[list[Ints]] = [[] for _ in columns.families]
        for number, group, scores in self._scores(record):
            size = len(scores)
            for values in np.abs(scores).T:
                best = np.argpartition(-values, top)[:top] if top < size else np.arange(size)
                chosen[number].append(group * size + best[values[best] > 0])
        return [np.unique(np.concatenate(mine)) for mine in chosen]

    def _scores(self, record: int) -> Iterator[tuple[int, int, Array]]:
        """Family, group and label scores (patterns, c), one shape of pattern at a time."""
        sums, low = self._column_sums(record), 0
        for split in splits_of(self.features.columns):
            family = self.features.columns.families[split.members[0][0]]
            high = low + len(split.weights) * len(family)
            blocks = sums.between(low, high).reshape(len(split.weights), len(family), -1)
            for member, weights in zip(split.members, split.weights.T, strict=True):
                yield *member, np.tensordot(weights, blocks, axes=1)
            low = high

    def _counted(self, small: Features, record: int) -> list[Arrays]:
        """For every family of a few columns, what all parts add up to; see `occurrence_sums`."""
        features, duals = self.features, self.duals[:record + 1]
        records = features.cut_at_parts(np.ascontiguousarray(np.moveaxis(duals, 0, 1)).reshape(len(features), -1))
        index = self.dynamics.targets.index
        of_output = [self.classes.index(name) for name in self.outputs]
        members = features.cut_at_parts((index[:, None] == np.array(of_output)).astype(np.int64))
        engine, parts = features.engine, len(features.tokens)
        results = engine.stream(occurrence_sums, features.tokens, records, members,
                                *([one] * parts for one in (features.words, features.architecture, small)))
        total: Arrays = {}
        for part in engine.get(results):
            total = {name: total[name] + array if total else array for name, array in part.items()}
        return [{name: total[f"{name}{number}"] for name in ("count", "within", "pushed")}
                for number in range(len(small.families))]


def occurrence_sums(part: Arrays, duals: Array, members: Ints, words: Arrays, architecture: Maps, small: Features
                    ) -> Arrays:
    """By family of a few columns: how often each occurs in a part, how often in texts of each class, and Φᵀ a for the
    dual coefficients (n, T c) of all records.
    """
    vocabulary = next(family.patterns.vocabulary for family in small.families if family.patterns is not None)
    features = architecture.features(renumbered(part, vocabulary), columns=small)
    found: Arrays = {}
    for number, family in enumerate(features.families):
        raw = family.occurrences
        found |= {f"count{number}": np.asarray(raw.sum(axis=0), np.int64).ravel(),
                  f"within{number}": np.asarray(raw.T @ members, np.int64),
                  f"pushed{number}": family.pooled(raw).T @ duals}
    return found


def decided_part(part: Arrays, place: Arrays, values: Array) -> Arrays:
    """Decisions on the texts of a part, from Zᵀ a of the columns that are known."""
    known = place["columns"] >= 0
    table = np.zeros((len(known), values.shape[1]))
    table[known] = values
    return {"f": matrix_of(part, len(known)) @ table}


def _table(family: Family, dynamics: Dynamics, record: int, totals: Arrays) -> pl.DataFrame:
    """The rows of a family of a few columns."""
    outputs = dynamics.duals.shape[2]
    paths = np.stack([family.score(totals["pushed"][:, place:place + outputs])
                      for place in range(0, totals["pushed"].shape[1], outputs)], axis=1)  # (columns, T, c)
    final = paths[:, record]
    half = np.full(final.shape, np.nan)
    if record:
        half = np.stack([crossing(paths[:, :, place], final[:, place], dynamics.steps[:record + 1])
                         for place in range(outputs)], axis=1)
    return table_of(family, dynamics, final, totals["count"], totals["within"], half)
