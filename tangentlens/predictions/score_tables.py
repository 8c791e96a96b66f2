"""Label scores of a language model, context feature × output: sparse and low rank at first order, dense later."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from tangentlens.features.family import Family, Features

Array = NDArray[np.float64]
Ints = NDArray[np.int64]


class ScoreTable(ABC):
    """Label scores s_rjw of feature j of family r for output w. `columns`, a map without rows, names the features."""

    columns: Features

    @abstractmethod
    def rows(self, family: int, rows: Ints) -> Array:
        """The scores of some feature columns of a family for every output; (k, c)."""

    @abstractmethod
    def column(self, family: int, output: int) -> Array:
        """The scores of every feature column of a family for one output; (columns,)."""

    @abstractmethod
    def apply(self, features: Features) -> Array:
        """Σ_r Φ_r s_r on n texts whose features were made with columns=; (n, c)."""


@dataclass(frozen=True, eq=False)
class DenseScores(ScoreTable):
    """Scores by family, arrays (columns, c)."""

    columns: Features
    scores: Sequence[Array]

    def rows(self, family: int, rows: Ints) -> Array:
        """See ScoreTable.rows."""
        return self.scores[family][rows]

    def column(self, family: int, output: int) -> Array:
        """See ScoreTable.column."""
        return self.scores[family][:, output]

    def apply(self, features: Features) -> Array:
        """See ScoreTable.apply."""
        return features.pull(self.scores)


@dataclass(frozen=True, eq=False)
class FirstOrderScores(ScoreTable):
    """s = scale · γ (C − R qᵀ): counts C of a feature with a target, their row sums R, the distribution q before
    learning (theory, eq. 80). Groups of a family mix by its coefficient matrix.

    Shapes by family: tables (columns, v) sparse, sums (columns,); q (v,).
    """

    columns: Features
    tables: Sequence[sparse.csr_array]
    sums: Sequence[Array]
    q: Array
    scale: float

    def rows(self, family: int, rows: Ints) -> Array:
        """See ScoreTable.rows."""
        chosen = sparse.csr_array((np.ones(len(rows)), rows, np.arange(len(rows) + 1)),
                                  shape=(len(rows), self.tables[family].shape[0]))
        return self._pull(family, chosen)

    def column(self, family: int, output: int) -> Array:
        """See ScoreTable.column."""
        table = self.tables[family]
        here = np.flatnonzero(table.indices == output)
        column = -self.sums[family] * self.q[output]
        column[np.searchsorted(table.indptr, here, side="right") - 1] += table.data[here]
        return self.scale * self.columns.families[family].score(column[:, None])[:, 0]

    def apply(self, features: Features) -> Array:
        """See ScoreTable.apply."""
        total = np.zeros((len(features), len(self.q)))
        for number, family in enumerate(features.families):
            total += self._pull(number, family.counts)
        return total

    def _pull(self, family: int, counts: sparse.csr_array) -> Array:
        """Φ s for counts Φ (n, columns); (n, v)."""
        mixed = _mixed(self.columns.families[family], counts)
        dense = np.asarray((mixed @ self.tables[family]).todense())
        return self.scale * (dense - np.outer(mixed @ self.sums[family], self.q))


def _mixed(family: Family, counts: sparse.csr_array) -> sparse.csr_array:
    """Φ C_S of a family's coefficients between groups; (n, columns)."""
    if len(family.groups) == 1:
        return sparse.csr_array(counts * family.coefficient)
    return sparse.csr_array(counts @ sparse.kron(family.coefficients, sparse.eye_array(len(family)), format="csr"))
