"""One feature family: named pattern counts and their coefficient; and the map that all families make together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import polars as pl
from numpy.typing import ArrayLike, NDArray
from scipy import sparse

from tangentlens.errors import ShapeError
from tangentlens.features import lags, sums
from tangentlens.features.counting import count_matrix, rows_of, valued
from tangentlens.features.patterns import Patterns, escaped

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Family:
    """All patterns of one kind, with the coefficient the architecture gives them.

    Columns are ordered group by group: column g · d + j is pattern j in windows of group g. Most families have a
    single group; a CNN with "same" padding has one for each number of tokens a window can hold.

    Shapes (n texts, d patterns, G groups): stored (n, G d) whole numbers, of any type; values None or (nnz,), the
    weighted counts where they are not occurrences × weight; weight (n,); coefficients (G, G), symmetric, positive
    semi-definite, the last group being the full window; ends None or (n, at least `first`), the patterns at the last
    places of every text, from its end, −1 for none. Families of several lags share `stored` and `ends`: each leaves out
    `first` last places.
    scale None or (G d,): a factor for every column's counts, where columns of one family differ in their coefficient.
    """

    name: str
    patterns: Patterns | None  # None: the one pattern `<bias>`
    stored: sparse.csr_array
    weight: Array
    coefficients: Array
    groups: tuple[str, ...] = ("",)
    style: str = "tokens"  # how a column is named: "tokens", "offset" or "lag"
    window: int = 1
    first: int = 0  # place of the pattern's first token in the window
    values: Array | None = None
    ends: NDArray[np.int32] | None = None
    scale: Array | None = None

    def __post_init__(self) -> None:
        columns = len(self) * len(self.groups)
        if self.stored.shape != (len(self.weight), columns):
            raise ShapeError(f"family {self.name}: counts have the shape {self.stored.shape}, "
                             f"expected {(len(self.weight), columns)}")

    def __len__(self) -> int:
        """Number of patterns d."""
        return 1 if self.patterns is None else len(self.patterns)

    @property
    def order(self) -> int:
        """Number of tokens in a pattern, 0 for the bias."""
        return 0 if self.patterns is None else len(self.patterns.shape)

    @property
    def coefficient(self) -> float:
        """γ of the full window."""
        return float(self.coefficients[-1, -1])

    @property
    def columns(self) -> int:
        """Number of columns G d."""
        return len(self) * len(self.groups)

    @property
    def occurrences(self) -> sparse.csr_array:
        """How often each pattern occurs; sparse (n, G d) whole numbers."""
        if self.ends is None or not self.first:
            return self.stored
        text = np.repeat(np.arange(len(self.weight)), self.first)
        ended = count_matrix(text, self.ends[:, :self.first].ravel().astype(np.int64), self.stored.shape)
        return sparse.csr_array(self.stored - ended)

    @property
    def counts(self) -> sparse.csr_array:
        """The pooled pattern counts Φ; sparse (n, G d), float64. Made anew each time: keep it while you use it."""
        return self.pooled(self.occurrences)

    def counts_of(self, columns: NDArray[np.int64]) -> sparse.csr_array:
        """Some columns of the counts, (n, len(columns)), without pooling the others."""
        wanted, place = np.unique(columns, return_inverse=True)
        number = np.full(self.columns, -1, np.int32)
        number[wanted] = np.arange(len(wanted))
        rows, found, data = self.entries(number >= 0)
        chosen = sparse.csr_array((data, (rows, number[found])), shape=(len(self.weight), len(wanted)))
        return sparse.csr_array(sparse.csc_array(chosen)[:, place])

    def part(self, low: int, high: int) -> Family:
        """The same of the texts low … high − 1; itself for all of them."""
        if (low, high) == (0, len(self.weight)):
            return self
        values = None if self.values is None else self.values[self.stored.indptr[low]:self.stored.indptr[high]]
        ends = None if self.ends is None else self.ends[low:high]
        stored = rows_of(self.stored, low, high)
        return replace(self, stored=stored, weight=self.weight[low:high], values=values, ends=ends)

    def entries(self, wanted: NDArray[np.bool_]) -> tuple[NDArray[np.int32], NDArray[np.int32], Array]:
        """The counts Φ in wanted columns, `wanted` (G d,): texts, columns and values of the entries, in their order."""
        return sums.entries(self, lambda part: part.own_entries(wanted))

    def own_entries(self, wanted: NDArray[np.bool_]) -> tuple[NDArray[np.int32], NDArray[np.int32], Array]:
        """The same by one processor."""
        raw = self.occurrences
        here = np.flatnonzero(wanted[raw.indices])
        columns = raw.indices[here]
        rows = np.repeat(np.arange(raw.shape[0], dtype=np.int32), np.diff(raw.indptr))[here]
        data = raw.data[here] * self.weight[rows] if self.values is None else self.values[here]
        return rows, columns, data if self.scale is None else data * self.scale[columns]

    def pooled(self, occurrences: sparse.csr_array) -> sparse.csr_array:
        """The same as `counts`, from `occurrences`."""
        data = self.values
        if data is None:
            data = np.repeat(np.asarray(self.weight, np.float64), np.diff(occurrences.indptr))
            data *= occurrences.data
        if self.scale is not None:
            data = data * self.scale[occurrences.indices]
        return valued(occurrences, data)

    @property
    def names(self) -> pl.Series:
        """One readable name for every pattern; length d. The same in every group."""
        return self.names_of(slice(None))

    def names_of(self, numbers: NDArray[np.int64] | slice) -> pl.Series:
        """The readable names of some patterns."""
        if self.patterns is None:
            return pl.Series("feature", ["<bias>"] * len(np.arange(1)[numbers]), dtype=pl.String)
        chosen = replace(self.patterns, keys=self.patterns.keys[numbers])
        if self.style == "tokens":
            return chosen.names(self.window, self.first)
        tokens = escaped(chosen.vocabulary).gather(chosen.keys)
        return (tokens + (f"@{self.first}" if self.style == "offset" else f"@lag{self.first}")).alias("feature")

    def same_columns(self, other: Family) -> bool:
        """Whether both have the same name, groups and patterns."""
        if (self.name, self.groups, self.first) != (other.name, other.groups, other.first):
            return False
        return self.patterns.same(other.patterns) if self.patterns is not None else other.patterns is None

    def labels(self) -> list[str]:
        """The family's name in every group; length G."""
        return [self.name + group for group in self.groups]

    def score(self, pushed: Array) -> Array:
        """Label scores γ Φᵀ a from Φᵀ a, mixing groups: s_g = Σ_h C[g, h] (Φᵀ a)_h; shapes (G d, c)."""
        if len(self.groups) == 1:
            return pushed * self.coefficient
        blocks = pushed.reshape(len(self.groups), -1)
        return (self.coefficients @ blocks).reshape(pushed.shape)


@dataclass(frozen=True, eq=False)
class Features:
    """The explicit feature map of an architecture on n texts: Θ(x, x') = Σ_r γ_r ⟨Φ_r(x), Φ_r(x')⟩.

    `families` hold the counts, the names and the coefficients; `windowless` counts the texts without any window,
    whose rows are zero. `unknown` counts token positions that match nothing.

    >>> import tangentlens as tl
    >>> tokens = tl.Tokens.from_ids([[0, 1, 0], [2, 1]])
    >>> features = tl.MLP(pooling="sum").features(tokens)
    >>> [family.name for family in features.families], features.families[0].counts.toarray().tolist()
    (['token', 'bias'], [[2.0, 1.0, 0.0], [0.0, 1.0, 1.0]])
    >>> features.kernel().round(4).tolist()
    [[8.1366, 2.2958], [2.2958, 3.3183]]
    """

    families: tuple[Family, ...]
    size: int
    windowless: int = 0
    unknown: int = 0

    def __len__(self) -> int:
        """Number of texts n."""
        return self.size

    @property
    def columns(self) -> int:
        """Number of features d over all families."""
        return sum(family.columns for family in self.families)

    @property
    def nnz(self) -> int:
        """Stored counts over all families."""
        return int(sum(family.occurrences.nnz for family in self.families))

    def push(self, duals: ArrayLike) -> list[Array]:
        """Label scores s_r = γ_r Φ_rᵀ a of every family for dual coefficients a (n, c); arrays (columns, c)."""
        found: list[Array] = []
        for run in lags.runs(self.families):
            families = [self.families[number] for number in run]
            found += lags.pushed(families, np.asarray(duals)) if len(run) > 1 else (
                [families[0].score(sums.pushed(families[0], np.asarray(duals)))])
        return found

    def pull(self, scores: Sequence[Array]) -> Array:
        """Decisions Σ_r Φ_r s_r (n, c) from label scores by family."""
        total: Array | int = 0
        for run in lags.runs(self.families):
            families, theirs = [self.families[number] for number in run], [scores[number] for number in run]
            total = total + (lags.pulled(families, theirs) if len(run) > 1 else sums.pulled(families[0], theirs[0]))
        return np.asarray(total)

    def kernel(self, other: Features | None = None) -> Array:
        """The kernel Σ_r γ_r Φ_r Φ_r'ᵀ as a dense matrix (n, n'). `other` must have the same columns."""
        other = self if other is None else other
        self.check_columns(other)
        total = np.zeros((len(self), len(other)))
        for mine, theirs in zip(self.families, other.families, strict=True):
            left, right, size = mine.counts, theirs.counts, len(mine)
            for g in range(len(mine.groups)):
                for h in range(len(mine.groups)):
                    block = left[:, g * size:(g + 1) * size] @ right[:, h * size:(h + 1) * size].T
                    total += mine.coefficients[g, h] * block.toarray()
        return total

    def check_columns(self, other: Features) -> None:
        """Raises ShapeError unless both have the same families and columns."""
        if len(self.families) != len(other.families) or not all(
                mine.same_columns(theirs) for mine, theirs in zip(self.families, other.families, strict=True)):
            raise ShapeError("the two feature maps have different columns; make the features of new texts with "
                             "architecture.features(new_tokens, columns=features)")
