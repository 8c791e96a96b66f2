"""Why one text is decided as it is: the contribution of every feature and, behind it, of every training text."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy import sparse

from tangentlens.errors import ShapeError
from tangentlens.features.family import Family, Features
from tangentlens.learning.dynamics import Dynamics
from tangentlens.predictions.fragments import fragment
from tangentlens.predictions.scores import output_classes

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Explanation:
    """A decision on one text as a sum, over its features and over the training texts (theory, eq. 49 and 50).

    decision: f (c,), made from label scores of all features; classes: what each output speaks for.
    features: a table of the K features that the text holds, for every output: family, feature, class, count
    (occurrences in the text), score s, contribution Φ(x)_j s_j, the largest first.
    texts: a table of the training texts that share a feature with it, for every output: row (of the training
    features), label, class, contribution Θ(x, x_i) a_i, the largest first.
    `parts` splits both at once: the contribution of training text i through feature j.

    With two classes there is one output, and what is positive pushes towards the class in the column `class`.
    Shapes: shares (K, n) sparse, γ Φ(x)_j Φ(x_i)_j in the order of the table `features`; duals (n, c).
    """

    decision: Array
    classes: tuple[Any, ...]
    features: pl.DataFrame
    texts: pl.DataFrame
    shares: sparse.csr_array
    duals: Array
    labels: pl.Series

    def contributions(self, output: int = 0) -> sparse.csr_array:
        """Contributions γ Φ(x)_j Φ(x_i)_j a_i to one output; sparse (K, n), rows as in `features`."""
        return sparse.csr_array(self.shares.multiply(self.duals[:, output]))

    def parts(self, most: int | None = 3) -> pl.DataFrame:
        """Features × training texts as a table, of every feature the `most` training texts that contribute most.

        Returns family, feature, class, row, label, contribution: features as in the table `features`, of each the
        largest first. most=None gives all of them; those sum to the decision.
        """
        held = self.shares.shape[0]
        tables = []
        for output in range(self.duals.shape[1]):
            parts = self.contributions(output).tocoo()
            order = np.lexsort((parts.col, -np.abs(parts.data), parts.row))
            feature, row, value = parts.row[order], parts.col[order], parts.data[order]
            rank = np.arange(len(order)) - np.searchsorted(feature, feature)
            kept = slice(None) if most is None else rank < most
            tables.append(self.features[(output * held + feature[kept]).astype(np.int64)].select(
                "family", "feature", "class", row=pl.Series(row[kept], dtype=pl.Int64),
                label=self.labels[row[kept].astype(np.int64)], contribution=pl.Series(value[kept], dtype=pl.Float64)))
        return pl.concat(tables)

    @cached_property
    def residual(self) -> float:
        """The largest |decision − sum of all parts| over the outputs: rounding."""
        sums = (self.shares @ self.duals).sum(axis=0)
        return float(np.max(np.abs(self.decision - sums)))

    @property
    def pull(self) -> pl.DataFrame:
        """How hard the training texts of every label pull: class, label, texts, contribution, share (of Σ |…|)."""
        own = pl.col("contribution")
        summed = self.texts.group_by("class", "label").agg(texts=pl.len(), contribution=own.sum(), size=own.abs().sum())
        share = (pl.col("size") / pl.col("size").sum().over("class")).fill_nan(0.0)
        return summed.with_columns(share=share).drop("size").sort("class", "label")

    def _repr_html_(self) -> str:
        """For notebooks: the decision, what its features add, and the training texts that pull most."""
        return fragment(repr(self), [("Features of the text: count × score = contribution", self.features),
                                     ("Training texts, by how much each contributes", self.texts)])

    def __repr__(self) -> str:
        sums = ", ".join(f"{name!r}: {value:+.4g}" for name, value in zip(self.classes, self.decision, strict=True))
        return f"Explanation({sums}; {self.shares.shape[0]} features, residual {self.residual:.1g})"


@dataclass(eq=False)
class Explainer:
    """What every explanation by one trajectory needs: its counts by feature, kept as a second copy of them."""

    features: Features
    dynamics: Dynamics

    def __post_init__(self) -> None:
        self._by_feature: list[sparse.csr_array] = [sparse.csr_array(family.counts.T)
                                                    for family in self.features.families]
        self._labels = pl.Series("label", self.dynamics.targets.classes)[self.dynamics.targets.index]
        self._scores: tuple[int, list[Array]] = (-1, [])

    def scores(self, record: int) -> list[Array]:
        """Label scores of all features by family; those of the last record asked for are kept."""
        if self._scores[0] != record:
            duals = self.dynamics.duals[record]
            self._scores = (record, [family.score(counts @ duals) for family, counts in
                                     zip(self.features.families, self._by_feature, strict=True)])
        return self._scores[1]

    def explain(self, features: Features, record: int, row: int = 0) -> Explanation:
        """Explains the text in a row of some features. Raises ShapeError."""
        self.features.check_columns(features)
        if not 0 <= row < len(features):
            raise ShapeError(f"there is no text {row} among {len(features)}")
        duals = self.dynamics.duals[record]
        classes = output_classes(self.dynamics)
        decision, held, shares = np.zeros(len(classes)), [], []
        for family, mine, scores in zip(features.families, self._by_feature, self.scores(record), strict=True):
            columns, counts, values = _held(family, row)
            decision += values @ scores[columns]
            shares.append(_shares(family, mine, columns, values))
            held.append(_named(family, columns).with_columns(
                count=pl.Series(counts, dtype=pl.Int64), value=pl.Series(values, dtype=pl.Float64)))
        table, stacked = pl.concat(held), sparse.csr_array(sparse.vstack(shares, format="csr"))
        contributions = stacked @ duals  # (K, c)
        order = np.argsort(-np.abs(contributions).max(axis=1, initial=0), kind="stable")
        table, contributions, stacked = table[order], contributions[order], sparse.csr_array(stacked[order])
        return Explanation(decision, tuple(classes), self._feature_table(table, contributions),
                           self._text_table(stacked, duals), stacked, duals, self._labels)

    def _feature_table(self, held: pl.DataFrame, contributions: Array) -> pl.DataFrame:
        return pl.concat([held.select(
            "family", "feature", self._class(name), "count",
            score=pl.Series(contributions[:, output], dtype=pl.Float64) / held["value"],
            contribution=pl.Series(contributions[:, output], dtype=pl.Float64),
        ) for output, name in enumerate(output_classes(self.dynamics))])

    def _text_table(self, shares: sparse.csr_array, duals: Array) -> pl.DataFrame:
        kernel = np.asarray(shares.sum(axis=0))
        rows = np.unique(shares.indices).astype(np.int64)
        return pl.concat([pl.DataFrame({"row": rows, "label": self._labels[rows]}).select(
            "row", "label", self._class(name), contribution=pl.Series(kernel[rows] * duals[rows, output]),
        ).sort(pl.col("contribution").abs(), descending=True, maintain_order=True)
            for output, name in enumerate(output_classes(self.dynamics))])

    def _class(self, name: Any) -> pl.Expr:
        return pl.lit(name, dtype=pl.Series(self.dynamics.targets.classes).dtype).alias("class")


def _held(family: Family, row: int) -> tuple[NDArray[np.int64], NDArray[np.int64], Array]:
    """The columns that a text holds, how often, and their pooled counts; shapes (k,)."""
    occurrences = family.occurrences
    here = slice(*occurrences.indptr[row:row + 2])
    columns, counts = occurrences.indices[here], occurrences.data[here]
    values = counts * family.weight[row] if family.values is None else family.values[here]
    kept = values != 0
    return columns[kept].astype(np.int64), counts[kept].astype(np.int64), np.asarray(values[kept], np.float64)


def _shares(family: Family, by_feature: sparse.csr_array, columns: NDArray[np.int64], values: Array
            ) -> sparse.csr_array:
    """Φ_g(x)_j Σ_h C[g, h] Φ_h(x_i)_j for some columns (g, j) of a text; sparse (k, n)."""
    group, pattern = np.divmod(columns, len(family))
    total = sparse.csr_array((len(columns), by_feature.shape[1]))
    for other in range(len(family.groups)):
        factor = sparse.dia_array((values * family.coefficients[group, other], 0), shape=(len(columns),) * 2)
        total = total + factor @ by_feature[other * len(family) + pattern]
    return sparse.csr_array(total)


def _named(family: Family, columns: NDArray[np.int64]) -> pl.DataFrame:
    group, pattern = np.divmod(columns, len(family))
    labels = pl.Series("family", family.labels(), dtype=pl.String)
    return pl.DataFrame([labels[group], family.names_of(pattern).alias("feature")])
