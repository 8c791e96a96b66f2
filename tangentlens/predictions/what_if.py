"""What if some training texts were left out, or labelled otherwise: at first order, and learned again."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from tangentlens.errors import DataError, OptionError
from tangentlens.features.family import Family, Features
from tangentlens.learning.dynamics import Recorder
from tangentlens.learning.losses import Targets
from tangentlens.learning.product import KernelProduct
from tangentlens.learning.solve import descend, flow
from tangentlens.predictions.scores import output_classes
from tangentlens.predictions.trajectory import Trajectory

Array = NDArray[np.float64]
Rows = NDArray[np.int64]
FINE = 160  # moments of a flow at which its linearisation is taken
SOLVED = 1e-10  # relative residual of the linear systems
GAMMA = 1 - 1 / math.sqrt(2)  # of the two-stage method


def what_if(trajectory: Trajectory, rows: Sequence[int], labels: Sequence[Any] | None = None, *,
            at: Features | None = None, step: int = -1, exact: bool = True) -> pl.DataFrame:
    """Decisions if some training texts were left out, or (with labels, one for each row) were labelled otherwise.

    To first order in the change (theory, eq. 95), which costs two or three learnings but needs no new one for every
    size of the change, and exactly: learned again on the same features, to the same time or number of steps, from the
    mean loss of the texts that remain. `at`: features of the texts to decide, by default the training texts.

    Returns a table: text (row of `at`), class, before, first_order, exact. Raises OptionError or DataError.

    >>> import tangentlens as tl
    >>> tokens = tl.Tokens.from_ids([[0, 1], [2, 1], [0, 0], [2, 2]])
    >>> trajectory = tl.learn(tl.MLP().features(tokens), ["good", "bad", "good", "bad"], time=1.0)
    >>> table = tl.what_if(trajectory, [2])
    >>> bool(table["exact"][0] < table["before"][0]), bool(table["first_order"][0] < table["before"][0])
    (True, True)
    """
    at = trajectory.features if at is None else at
    change = _Change.of(trajectory, rows, labels)
    before = trajectory.decision(at, step)
    moved = at.pull(trajectory.features.push(_tangent(trajectory, change, trajectory.record(step))))
    table = {"before": before, "first_order": before + moved}
    if exact and trajectory.steps[trajectory.record(step)] == 0:
        table["exact"] = before  # nothing has been learned, so nothing changes
    elif exact:
        table["exact"] = relearned(trajectory, rows, labels, step=step).decision(at)
    names = output_classes(trajectory.dynamics)
    return pl.concat([pl.DataFrame({"text": np.arange(len(at))} | {key: f[:, o] for key, f in table.items()})
                      .insert_column(1, pl.Series("class", [name] * len(at))) for o, name in enumerate(names)])


def relearned(trajectory: Trajectory, rows: Sequence[int], labels: Sequence[Any] | None = None, *, step: int = -1
              ) -> Trajectory:
    """The trajectory to the time of a record, without some training texts, or with other labels for them.

    Features keep their columns; those that only stood in the texts left out get a score of 0.
    """
    change, dynamics = _Change.of(trajectory, rows, labels), trajectory.dynamics
    record = trajectory.record(step)
    features, targets = trajectory.features, change.targets
    if labels is None:
        kept = np.flatnonzero(~change.chosen)
        features, targets = features_of(features, kept), _part(targets, kept)
    recorder = Recorder(KernelProduct(features), targets)
    moment = float(dynamics.steps[record])
    if moment == 0:
        raise OptionError("nothing is learned at the start; choose a later step")
    if dynamics.clock == "time":
        return Trajectory(features, flow(recorder, time=moment, record=[], tolerance=max(dynamics.error / 3, 1e-6)))
    assert dynamics.learning_rate is not None
    return Trajectory(features, descend(recorder, steps=int(moment), learning_rate=dynamics.learning_rate, record=[]))


@dataclass(frozen=True, eq=False)
class _Change:
    """Which texts change (n,), the targets afterwards, and whether texts are left out rather than labelled anew."""

    chosen: NDArray[np.bool_]
    targets: Targets
    left_out: bool

    @classmethod
    def of(cls, trajectory: Trajectory, rows: Sequence[int], labels: Sequence[Any] | None) -> _Change:
        targets, n = trajectory.dynamics.targets, len(trajectory.features)
        wrong = [row for row in rows if not 0 <= row < n]
        if wrong or not len(rows) or len({*rows}) < len(rows):
            raise OptionError(f"there is no training text {wrong[0]}; there are 0 to {n - 1}" if wrong else
                              "name one training text or more, each once")
        chosen = np.zeros(n, np.bool_)
        chosen[list(rows)] = True
        if labels is None:
            if chosen.all():
                raise OptionError("all training texts would be left out; nothing is learned from none")
            return cls(chosen, targets, True)
        if len(labels) != len(rows):
            raise OptionError(f"{len(labels)} labels for {len(rows)} training texts; give exactly one per text")
        unknown = [label for label in labels if label not in targets.classes]
        if unknown:
            raise DataError(f"the label {unknown[0]!r} is not among the training classes {list(targets.classes)[:10]}")
        index, y = targets.index.copy(), targets.y.copy()
        for row, label in zip(rows, labels, strict=True):
            index[row] = targets.classes.index(label)
            like = np.flatnonzero(targets.index == index[row])
            y[row] = targets.y[like[0]]
        return cls(chosen, replace(targets, index=index, y=y), False)

    def source(self, f: Array, targets: Targets) -> Array:
        """b = δw g + δg at outputs f (n, c): what the change does directly to the slope."""
        slope = targets.loss.slope(f, targets.y)
        if self.left_out:
            return np.asarray((self.chosen.mean() - self.chosen)[:, None] * slope)
        return np.asarray(targets.loss.slope(f, self.targets.y) - slope)


def _tangent(trajectory: Trajectory, change: _Change, record: int) -> Array:
    """δa at a record: d δa/dt = −(1/n) (H Θ δa + b) along the trajectory (theory, eq. 93); shape (n, c)."""
    dynamics, product = trajectory.dynamics, KernelProduct(trajectory.features)
    if dynamics.clock == "step":
        return _tangent_of_steps(trajectory, change, record, product)
    end = float(dynamics.steps[record])
    if not np.isfinite(end):
        raise OptionError("the first order needs a finite time; choose an earlier step, or learn to a finite time")
    if end == 0:
        return np.zeros_like(dynamics.duals[0])
    targets, n = dynamics.targets, len(trajectory.features)
    first = min(float(dynamics.steps[1]), end) / 30
    moments = np.unique(np.append(np.geomspace(first, end, FINE), end))
    fine = flow(Recorder(product, targets), time=end, record=moments, tolerance=max(dynamics.error / 3, 1e-6))
    tangent, before = np.zeros_like(targets.y), np.zeros_like(targets.y)
    for start, stop, dual in zip(fine.steps, fine.steps[1:], fine.duals[1:], strict=False):
        f, h = product @ dual, (stop - start) / n
        middle = before + GAMMA * (f - before)
        one = _solved(product, _Bent(targets, middle), GAMMA * h,
                      -change.source(middle, targets) - _apply(product, targets, middle, tangent))
        halfway = tangent + (1 - GAMMA) * h * one
        two = _solved(product, _Bent(targets, f), GAMMA * h,
                      -change.source(f, targets) - _apply(product, targets, f, halfway))
        tangent, before = halfway + GAMMA * h * two, f
    return tangent


def _tangent_of_steps(trajectory: Trajectory, change: _Change, record: int, product: KernelProduct) -> Array:
    """The same for gradient descent, step by step and exact: δa ← δa − (η/n) (H Θ δa + b)."""
    dynamics, targets = trajectory.dynamics, trajectory.dynamics.targets
    assert dynamics.learning_rate is not None
    rate = dynamics.learning_rate / len(trajectory.features)
    duals, tangent = np.zeros_like(targets.y), np.zeros_like(targets.y)
    for _ in range(int(dynamics.steps[record])):
        f = product @ duals
        tangent = tangent - rate * (_apply(product, targets, f, tangent) + change.source(f, targets))
        duals = duals - rate * targets.loss.slope(f, targets.y)
    if not np.allclose(duals, dynamics.duals[record], rtol=1e-6, atol=1e-9 * np.abs(duals).max(initial=1e-300)):
        raise OptionError("the first order is known for plain gradient descent only, not with momentum; take a flow")
    return tangent


@dataclass(frozen=True, eq=False)
class _Bent:
    """The curvature H of the loss at outputs f, text by text; shape (n, c, c)."""

    targets: Targets
    f: Array

    def __matmul__(self, u: Array) -> Array:
        root = self.targets.loss.bend(self.f, np.broadcast_to(np.eye(u.shape[1]), (*u.shape, u.shape[1])))
        return np.asarray(np.einsum("ijk,ij->ik", root, np.einsum("ijk,ik->ij", root, u)))


def _apply(product: KernelProduct, targets: Targets, f: Array, u: Array) -> Array:
    """H Θ u."""
    return _Bent(targets, f) @ (product @ u)


def _solved(product: KernelProduct, bent: _Bent, step: float, right: Array) -> Array:
    """u with (I + step H Θ) u = right, by conjugate gradients in the inner product of Θ, where the operator is
    symmetric; one product with Θ for each iteration.
    """
    u, rest = np.zeros_like(right), right.copy()
    image = product @ rest
    direction, pushed = rest.copy(), image.copy()
    size = start = float(np.sum(rest * image))
    for _ in range(10 * len(right)):
        if size <= SOLVED**2 * start:
            break
        turned = direction + step * (bent @ pushed)
        turned_image = product @ turned
        length = size / float(np.sum(direction * turned_image))
        u, rest, image = u + length * direction, rest - length * turned, image - length * turned_image
        size, last = float(np.sum(rest * image)), size
        direction, pushed = rest + size / last * direction, image + size / last * pushed
    return u + (rest if start == 0 else 0)


def features_of(features: Features, rows: Rows) -> Features:
    """The feature map of some of the texts; columns stay."""
    families = tuple(_rows(family, rows) for family in features.families)
    return replace(features, families=families, size=len(rows))


def _rows(family: Family, rows: Rows) -> Family:
    stored, values = family.stored, family.values
    if values is not None:
        bounds = stored.indptr
        values = np.concatenate([values[:0], *(values[bounds[row]:bounds[row + 1]] for row in rows)])
    return replace(family, stored=stored[rows], weight=family.weight[rows], values=values,
                   ends=None if family.ends is None else family.ends[rows])


def _part(targets: Targets, rows: Rows) -> Targets:
    return replace(targets, index=targets.index[rows], y=targets.y[rows])
