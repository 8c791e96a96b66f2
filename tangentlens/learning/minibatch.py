"""Softmax dynamics of a large next-token problem: mini-batches on the sparse feature map."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from time import perf_counter
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy import sparse

from tangentlens.data.threads import parallel, workers
from tangentlens.errors import OptionError
from tangentlens.features.family import Family
from tangentlens.kernels.architecture import check_count, check_number
from tangentlens.learning.losses import softmax_from
from tangentlens.learning.memory import allowed, gigabytes
from tangentlens.learning.next_token import Learned, NextToken
from tangentlens.learning.product import KernelProduct

Array = NDArray[np.float64]
Ints = NDArray[np.int64]
AUTO_SHARE = 1 / 8  # steps=None takes this share of the critical rate
PROBED = 1024  # contexts whose kernel gives the critical rate
RECORDS = 100
LARGE = 2**20  # outputs of a batch above which all processors take part


@dataclass(frozen=True)
class Batches:
    """How mini-batches are made. size: contexts in each; steps: how many to the end of the time (None: from a rate of
    an eighth of the critical one); seconds: of work, after which it ends before its time; seed: of the order.

    >>> Batches(size=64, steps=1000)
    Batches(size=64, steps=1000, seconds=None, seed=0)
    """

    size: int = 256
    steps: int | None = None
    seconds: float | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        check_count("Batches: size", self.size)
        if self.steps is not None:
            check_count("Batches: steps", self.steps)
        if self.seconds is not None:
            check_number("Batches: seconds", self.seconds)


def solve_in_batches(problem: NextToken, time: float, batches: Batches, memory: float | None = None) -> Learned:
    """Follows the gradient flow by steps s_r ← s_r − (η / B) γ_r Φ_rᵀ (softmax(f) − y) over batches (theory, eq. 84).

    Every context counts equally in a pass. Every second pass takes the batches of the pass before in reverse order, so
    that what their order does cancels but for second order. The answer tends to that of `solve_exactly` as the steps
    to the same time grow in number.

    Raises OptionError: too few steps (a rate above the critical one), or scores that do not fit into the memory.
    """
    check_number("time", time)
    descent = _Descent(problem, batches, _zeros(problem, memory, batches.size))
    critical = _critical_rate(problem, batches)
    rate = time / batches.steps if batches.steps else _whole_passes(problem, batches, time, AUTO_SHARE * critical)
    if rate > critical:
        raise OptionError(f"steps={batches.steps} to time {time:g} make a rate of {rate:.3g}, above the critical one, "
                          f"{critical:.3g}; take at least {math.ceil(time / critical)} steps, four times that to be "
                          "accurate, or a smaller time")
    return descent.run(time, rate, critical)


@dataclass
class _Descent:
    problem: NextToken
    batches: Batches
    scores: list[Array]
    steps: int = 0
    reached: float = 0.0
    rows: list[tuple[int, float, float]] = field(default_factory=list)

    def run(self, time: float, rate: float, critical: float) -> Learned:
        """Steps until the time is reached, or the seconds are over."""
        began = perf_counter()
        order, size = _Order(len(self.problem.contexts), self.batches), self.batches.size
        size = min(size, len(self.problem.contexts))
        every = max(1, round(time / rate) // RECORDS)
        losses: list[float] = []
        while self.reached < time * (1 - 1e-12):
            rows = order.next()
            step = min(rate * len(rows) / size, time - self.reached)
            losses.append(self._step(rows, step / len(rows)))
            self.steps, self.reached = self.steps + 1, self.reached + step
            if self.steps % every == 0:
                self.rows.append((self.steps, self.reached, float(np.mean(losses))))
                losses.clear()
            if self.batches.seconds is not None and perf_counter() - began > self.batches.seconds:
                break
        schema = {"step": pl.Int64, "time": pl.Float64, "loss": pl.Float64}
        return Learned(tuple(self.scores), self.reached, pl.DataFrame(self.rows, schema=schema, orient="row"),
                       "batches", self.steps, perf_counter() - began, rate, critical)

    def _step(self, rows: Ints, rate: float) -> float:
        """One step on some contexts, `rate` for each; returns their mean loss before it."""
        counts = [family.counts for family in self.problem.features(rows).families]
        labels = self.problem.labels(rows)
        share = -(-len(rows) // (workers() if len(rows) * len(self.problem.outputs) > LARGE else 1))
        parts = [slice(low, low + share) for low in range(0, len(rows), share)]
        pushed = parallel(lambda part: self._error([one[part] for one in counts], labels[part]), parts)
        error = np.concatenate([one for one, _ in pushed])
        for family, mine, scores in zip(self.problem.columns.families, counts, self.scores, strict=True):
            _update(family, mine, rate * error, scores)
        return float(np.concatenate([loss for _, loss in pushed]).mean())

    def _error(self, counts: list[sparse.csr_array], labels: Ints) -> tuple[Array, Array]:
        """softmax(f) − y (b, c), and the loss (b,)."""
        f = self.problem.outputs.start + sum(one @ scores for one, scores in zip(counts, self.scores, strict=True))
        f -= f.max(axis=1, keepdims=True)
        own = np.arange(len(labels)), labels
        chosen = f[own]
        np.exp(f, out=f)
        total = f.sum(axis=1)
        f /= total[:, None]
        f[own] -= 1
        return f, np.log(total) - chosen


def _update(family: Family, counts: sparse.csr_array, error: Array, scores: Array) -> None:
    """s ← s − C_S Φᵀ error, in the rows that the batch touches."""
    size, groups = len(family), len(family.groups)
    patterns = np.unique(counts.indices % size)
    columns = (np.arange(groups)[:, None] * size + patterns).ravel()
    number = np.zeros(counts.shape[1], np.int32)
    number[columns] = np.arange(len(columns))
    narrow = sparse.csr_array((counts.data, number[counts.indices], counts.indptr),
                              shape=(counts.shape[0], len(columns)))
    moved = np.asarray(narrow.T.tocsr() @ error).reshape(groups, len(patterns) * error.shape[1])
    scores[columns] -= (family.coefficients @ moved).reshape(len(columns), error.shape[1])


class _Order:
    """Batches of a random order, then the same ones backwards, then those of a new order."""

    def __init__(self, contexts: int, batches: Batches) -> None:
        self.contexts, self.size = contexts, batches.size
        self.random = np.random.default_rng(batches.seed)
        self.waiting: list[Ints] = []

    def next(self) -> Ints:
        """The numbers of the contexts of the next batch, ascending."""
        if not self.waiting:
            order = self.random.permutation(self.contexts)
            pass_ = [np.sort(order[low:low + self.size]) for low in range(0, self.contexts, self.size)]
            self.waiting = pass_ + pass_[::-1]
        return self.waiting.pop()


def _whole_passes(problem: NextToken, batches: Batches, time: float, rate: float) -> float:
    """A rate of at most `rate` that reaches the time after a whole number of passes there and back, if it takes one."""
    there_and_back = 2 * max(1.0, len(problem.contexts) / batches.size)
    turns = time / (min(time, rate) * there_and_back)
    return time / (math.ceil(turns) * there_and_back) if turns > 1 else min(time, rate)


def _critical_rate(problem: NextToken, batches: Batches) -> float:
    """2 / (ℓ''_max λ_max(Θ) / n) (theory, eq. 54), on a sample of contexts that is no larger than need be."""
    size = min(len(problem.contexts), max(PROBED, batches.size))
    rows = np.sort(np.random.default_rng(batches.seed).choice(len(problem.contexts), size, replace=False))
    largest = KernelProduct(problem.features(rows)).largest_eigenvalue()
    steepest: Any = softmax_from(problem.outputs.start).steepest
    return float(2 * size / (steepest * largest)) if largest > 0 else math.inf


def _zeros(problem: NextToken, memory: float | None, batch: int) -> list[Array]:
    """Label scores before learning; raises OptionError where they would not fit."""
    limit, c = allowed(memory), len(problem.outputs)
    rows = problem.columns.columns
    need = 8.0 * c * (rows + 6 * batch)
    if need > limit:
        fitting = int(limit / 8 / (rows + 6 * batch))
        raise OptionError(f"label scores of {rows:,} features × {c:,} outputs take {gigabytes(need)}, and "
                          f"{gigabytes(limit)} may be used; targets={max(1, fitting - 1)} would fit, or a smaller "
                          "vocabulary_size")
    return [np.zeros((family.columns, c)) for family in problem.columns.families]
