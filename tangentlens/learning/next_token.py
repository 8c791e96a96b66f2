"""Softmax dynamics of a next-token problem: what its outputs are, where they start, and the exact flow."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from tangentlens.data.contexts import Contexts
from tangentlens.errors import OptionError
from tangentlens.features.family import Features
from tangentlens.kernels.architecture import Architecture, check_count, check_number
from tangentlens.kernels.places import empty_columns
from tangentlens.learning.dynamics import Recorder
from tangentlens.learning.losses import softmax_from, targets_of
from tangentlens.learning.product import KernelProduct
from tangentlens.learning.solve import flow

Array = NDArray[np.float64]
Ints = NDArray[np.int64]
OTHER = "<other>"
MOST_EXACT = 2**23  # contexts × outputs that the exact flow takes on


@dataclass(frozen=True, eq=False)
class Outputs:
    """The c outputs of a language model: one for each type, or for the most frequent ones and one for all others.

    Shapes: class_of (v,), the output of every type; share (v,), the type's part of its output's probability, which is
    its unigram part; start (c,), the outputs before learning.
    """

    class_of: Ints
    share: Array
    start: Array

    def __len__(self) -> int:
        return len(self.start)

    @property
    def other(self) -> int | None:
        """The output of all rare types, if there is one."""
        return len(self) - 1 if len(self) < len(self.class_of) else None


def outputs_of(contexts: Contexts, start: str, targets: int | None = None) -> Outputs:
    """Outputs that start at 0 ("uniform") or at the logarithm of their unigram probability ("unigram").

    `targets`: so many of the most frequent types keep an output of their own; by default all do.
    """
    if start not in ("uniform", "unigram"):
        raise OptionError(f"start must be uniform or unigram, not {start!r}")
    size, unigram = len(contexts.vocabulary), contexts.unigram
    class_of = np.arange(size)
    if targets is not None:
        check_count("targets", targets)
        if targets < size - 1:
            rank = np.empty(size, np.int64)
            rank[np.argsort(-unigram, kind="stable")] = np.arange(size)
            class_of = np.minimum(rank, targets)
    mass = np.bincount(class_of, weights=unigram)
    return Outputs(class_of, unigram / mass[class_of], np.log(mass) if start == "unigram" else np.zeros(len(mass)))


@dataclass(frozen=True, eq=False)
class NextToken:
    """A problem to learn: N contexts, an architecture, and c outputs. `columns` names its features."""

    contexts: Contexts
    architecture: Architecture
    outputs: Outputs
    columns: Features = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "columns", empty_columns(self.architecture, self.contexts.corpus.tokens))

    def features(self, rows: Ints) -> Features:
        """The feature map of some contexts, in the columns of the problem."""
        return self.architecture.features(self.contexts[rows].tokens(), columns=self.columns)

    def labels(self, rows: Ints) -> Ints:
        """The output of the targets of some contexts."""
        return self.outputs.class_of[self.contexts.targets[rows]]


@dataclass(frozen=True, eq=False)
class Learned:
    """What was learned: label scores by family, (columns, c), at `time`; and how.

    `error`: of the exact flow, the solver's estimate of the relative error; of mini-batches NaN, they do not know.
    curves: a table of step, time, loss (of mini-batches: the mean of the batches since the row before).
    """

    scores: tuple[Array, ...]
    time: float
    curves: pl.DataFrame
    method: str
    steps: int = 0
    seconds: float = 0.0
    rate: float | None = None
    critical_rate: float | None = None
    error: float = float("nan")

    def about(self) -> dict[str, Any]:
        """All but the scores, for saving."""
        return {one.name: getattr(self, one.name) for one in fields(self) if one.name not in ("scores", "curves")} | {
            "curves": self.curves.to_dict(as_series=False)}

    @classmethod
    def from_about(cls, about: dict[str, Any], scores: Sequence[Array]) -> Learned:
        """The inverse of `about`."""
        return cls(**about | {"scores": tuple(scores), "curves": pl.DataFrame(about["curves"])})


def solve_exactly(problem: NextToken, time: float, tolerance: float = 1e-4) -> Learned:
    """Gradient flow of the softmax loss over all contexts to a time, to a relative `tolerance` (theory, eq. 46).

    Raises OptionError for more than MOST_EXACT contexts × outputs: that is for mini-batches.
    """
    check_number("time", time)
    n, c = len(problem.contexts), len(problem.outputs)
    if n * c > MOST_EXACT:
        raise OptionError(f"{n:,} contexts × {c:,} outputs are too many for the exact flow ({MOST_EXACT:,}); "
                          "give batches=Batches(…), fewer targets=, or contexts.sample(size)")
    rows = np.arange(n)
    features, index = problem.features(rows), problem.labels(rows)
    targets = targets_of(tuple(range(c)), index, softmax_from(problem.outputs.start))
    dynamics = flow(Recorder(KernelProduct(features), targets), time=time, record=[time], tolerance=tolerance)
    curves = dynamics.curves.select("step", pl.col("step").alias("time"), pl.col("train_loss").alias("loss"))
    return Learned(tuple(features.push(dynamics.duals[-1])), time, curves, "exact", error=dynamics.error)
