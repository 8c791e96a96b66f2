"""What a language model learns first: label scores at first order in time, sparse counts minus a rank-one term."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from tangentlens.data.contexts import Contexts
from tangentlens.data.storage import Arrays, write_arrays
from tangentlens.errors import OptionError
from tangentlens.features.family import Features
from tangentlens.features.patterns import Patterns
from tangentlens.kernels.architecture import Architecture, describe
from tangentlens.kernels.places import PlaceWeights, place_weights, rowless
from tangentlens.learning.cooccurrence import Sites, WeightedSites, count_pairs
from tangentlens.learning.memory import allowed, gigabytes
from tangentlens.predictions.score_tables import FirstOrderScores
from tangentlens.predictions.storing import (
    problem_from_arrays,
    problem_to_arrays,
    tables_from_arrays,
    tables_to_arrays,
)

Array = NDArray[np.float64]
Key = tuple[tuple[int, ...], bytes]
PAIR = 12  # bytes of a stored pair
STARTS = ("uniform", "unigram")


@dataclass(frozen=True, eq=False)
class FirstOrder:
    """Label scores of an infinitely wide language model at first order in time t (theory, eq. 80 to 82).

    s(t) = γ (t / N) (C − R qᵀ) + O(t²). C[f, w]: summed weight Φ_f of feature f in the contexts of target w; R: row
    sums of C; q: the distribution that the model starts from, uniform (1 / v) or the unigram distribution p of the
    targets. C − R qᵀ = (C − R pᵀ) + R (p − q)ᵀ: what f says beyond the unigram, and the unigram learned through f.

    Shapes by family (G groups of d patterns): tables (G d, v) sparse; sums (G d,). `columns` names the features.
    """

    architecture: Architecture
    contexts: Contexts
    columns: Features
    tables: tuple[sparse.csr_array, ...]
    sums: tuple[Array, ...]

    def __repr__(self) -> str:
        return (f"FirstOrder({describe(self.architecture)}, {len(self.contexts)} contexts, "
                f"{self.columns.columns} features × {len(self.contexts.vocabulary)} targets, {self.pairs} pairs)")

    @property
    def pairs(self) -> int:
        """Stored pairs of a feature and a target that occur."""
        return sum(int(table.nnz) for table in self.tables)

    def scores(self, time: float = 1.0, start: str = "uniform") -> FirstOrderScores:
        """The label scores at a time: with time=1, their derivative at t = 0."""
        return FirstOrderScores(self.columns, self.tables, self.sums, self.before(start), time / len(self.contexts))

    def beyond_unigram(self, time: float = 1.0) -> FirstOrderScores:
        """The part γ (t / N)(C − R pᵀ): zero where feature and target occur together as often as by chance."""
        return self.scores(time, "unigram")

    def through_unigram(self, time: float = 1.0, start: str = "uniform") -> FirstOrderScores:
        """The part γ (t / N) R (p − q)ᵀ: what every context teaches about how frequent the target is."""
        empty = [sparse.csr_array(table.shape, dtype=np.float64) for table in self.tables]
        q = self.before(start) - self.contexts.unigram
        return FirstOrderScores(self.columns, empty, self.sums, q, time / len(self.contexts))

    def before(self, start: str) -> Array:
        """The distribution q that the model starts from; shape (v,)."""
        if start not in STARTS:
            raise OptionError(f"start must be one of {', '.join(STARTS)}, not {start!r}")
        size = len(self.contexts.vocabulary)
        return self.contexts.unigram if start == "unigram" else np.full(size, 1 / size)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes corpus and counts to one .npz file, without pickle; `tl.load` reads it. Raises OutputError."""
        about, arrays = problem_to_arrays(self.architecture, self.contexts, self.columns)
        tables, more = tables_to_arrays(self.tables)
        write_arrays(path, {"kind": "FirstOrder", "problem": about, "tables": tables}, arrays | more)

    @classmethod
    def from_arrays(cls, about: dict[str, Any], arrays: Arrays) -> FirstOrder:
        """What `save` wrote."""
        problem, tables = problem_from_arrays(about["problem"], arrays), tables_from_arrays(about["tables"], arrays)
        return cls(*problem, tables, tuple(np.asarray(table.sum(axis=1)) for table in tables))


def first_order(contexts: Contexts, architectures: Architecture | Sequence[Architecture], *,
                memory: float | None = None, progress: Callable[[str], None] | None = None) -> tuple[FirstOrder, ...]:
    """First-order label scores of one or several architectures, which share the counts they have in common.

    Args:
        contexts: N contexts over v types.
        architectures: any with a sparse map in which a token's weight does not depend on the other tokens.
        memory: GB that may be used; by default four fifths of what is free now.
        progress: called with a line of text before each count; the first line states the memory.

    Returns:
        One FirstOrder for every architecture, in order.

    Raises:
        OptionError: the tables would not fit; the message says which window and vocabulary would.
        NoSparseFormError: no sparse map, or tied attention.

    >>> import tangentlens as tl
    >>> contexts = tl.Contexts(tl.read_corpus(["a b a c"]), window=2)
    >>> (first,) = tl.first_order(contexts, tl.SelfAttention(pooling="sum"))
    >>> first.tables[0].toarray().tolist()  # context a, b, c before target a, b, c
    [[1.0, 1.0, 1.0], [1.0, 0.0, 1.0], [0.0, 0.0, 0.0]]
    """
    chosen = (architectures,) if isinstance(architectures, Architecture) else tuple(architectures)
    say = progress or (lambda line: None)
    plan = _Plan(contexts)
    wanted = [plan.add(architecture) for architecture in chosen]
    plan.check(allowed(memory), say)
    tables = {}
    for number, (key, weighted) in enumerate(plan.counts.items(), start=1):
        say(f"counting table {number} of {len(plan.counts)}: {len(weighted.sites.patterns):,} patterns")
        tables[key] = count_pairs(weighted)
    return tuple(plan.result(architecture, families, tables)
                 for architecture, families in zip(chosen, wanted, strict=True))


@dataclass
class _Plan:
    """Which tables are needed, each once, and how large they are."""

    contexts: Contexts
    sites: dict[tuple[int, ...], Sites] = field(default_factory=dict)
    counts: dict[Key, WeightedSites] = field(default_factory=dict)

    def add(self, architecture: Architecture) -> tuple[PlaceWeights, ...]:
        """Notes the tables of an architecture."""
        families = place_weights(architecture, int(self.contexts.lengths.max(initial=0)))
        for family in families:
            if family.steps and family.steps not in self.sites:
                self.sites[family.steps] = Sites.of(self.contexts, family.steps)
            for weights in family.weights if family.steps else ():
                self.counts.setdefault(_key(family, weights), WeightedSites(self.sites[family.steps], weights))
        return families

    def check(self, limit: float, say: Callable[[str], None]) -> None:
        """States the memory, and raises OptionError if the tables need more than `limit` bytes."""
        bounds = [table.at_most() * PAIR for table in self.counts.values()]
        tables = "1 table takes" if len(bounds) == 1 else f"{len(bounds)} tables take"
        say(f"{tables} at most {gigabytes(sum(bounds))}; {gigabytes(limit)} may be used")
        if sum(bounds) <= limit:
            return
        need = sum(bound * table.fill() for bound, table in zip(bounds, self.counts.values(), strict=True))
        if need <= limit:
            return
        raise OptionError(f"the tables of {len(self.contexts):,} contexts and {len(self.contexts.vocabulary):,} types "
                          f"would take about {gigabytes(need)}, and {gigabytes(limit)} may be used; "
                          f"{self._advice(limit)}")

    def _advice(self, limit: float) -> str:
        """What is sure to fit: windows and vocabularies are halved until it does."""
        def fits(types: int | None, window: int | None) -> bool:
            return PAIR * sum(table.at_most(types=types, window=window) for table in self.counts.values()) <= limit
        longest, size = int(self.contexts.lengths.max()), len(self.contexts.vocabulary)
        windows = (longest >> power for power in range(1, longest.bit_length()))
        sizes = (size >> power for power in range(1, size.bit_length() - 1))
        window = next((found for found in windows if fits(None, found)), None)
        types = next((found for found in sizes if fits(found, None)), None)
        fitting = [f"window={window}"] * bool(window) + [f"vocabulary_size={types}"] * bool(types)
        return f"{' or '.join(fitting)} would fit" if fitting else "count a part of the documents, or fewer families"

    def result(self, architecture: Architecture, families: tuple[PlaceWeights, ...],
               tables: dict[Key, sparse.csr_array]) -> FirstOrder:
        """The tables of one architecture."""
        patterns: dict[tuple[int, ...], Patterns] = {steps: sites.patterns for steps, sites in self.sites.items()}
        found = []
        for family in families:
            parts = [tables[_key(family, weights)] if family.steps else self._bias(weights)
                     for weights in family.weights]
            found.append(parts[0] if len(parts) == 1 else sparse.csr_array(sparse.vstack(parts, format="csr")))
        columns = Features(tuple(rowless(family.family, patterns) for family in families), 0)
        return FirstOrder(architecture, self.contexts, columns, tuple(found),
                          tuple(np.asarray(table.sum(axis=1)) for table in found))

    def _bias(self, weights: Array) -> sparse.csr_array:
        """The one row of a bias: the weight of the contexts of every target; sparse (1, v)."""
        size = len(self.contexts.vocabulary)
        weight = weights[self.contexts.lengths, 0]
        return sparse.csr_array(np.bincount(self.contexts.targets, weights=weight, minlength=size)[None, :])


def _key(family: PlaceWeights, weights: Array) -> Key:
    return family.steps, weights.tobytes()
