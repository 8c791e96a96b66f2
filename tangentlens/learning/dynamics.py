"""The result of learning: dual coefficients and how loss and accuracy went, at the recorded moments."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import ArrayLike, NDArray

from tangentlens.data.storage import Arrays
from tangentlens.errors import ShapeError
from tangentlens.learning.losses import LOSSES, Targets, targets_of
from tangentlens.learning.product import KernelProduct

Array = NDArray[np.float64]
ROUNDING = 1e-12  # share of a loss by which another is no less


@dataclass(frozen=True, eq=False)
class Dynamics:
    """Dual coefficients a(t) of n training texts at T recorded moments, and what was measured there.

    `clock` says what `steps` counts: "time" of the gradient flow, or "step" of gradient descent; `times` is always
    the time of the flow (learning rate × step). The first record is the start, a = 0.

    Shapes: steps, times (T,); duals (T, n, c); curves: a table with T rows: step, train_loss, train_accuracy,
    validation_loss, validation_accuracy (NaN without validation texts). products: products with Θ spent; error: the
    solver's estimate of the relative error at the end (0 for descent, which is exact).
    """

    clock: str
    steps: Array
    times: Array
    duals: Array
    curves: pl.DataFrame
    targets: Targets
    products: int
    learning_rate: float | None = None
    critical_learning_rate: float | None = None
    error: float = 0.0

    def __post_init__(self) -> None:
        if not len(self.steps) == len(self.times) == len(self.duals) == self.curves.height:
            raise ShapeError("every recorded moment needs its step, time, dual coefficients and row of the curves")
        if self.duals.shape[1:] != self.targets.y.shape:
            raise ShapeError(f"dual coefficients have the shape {self.duals.shape[1:]}, targets {self.targets.y.shape}")

    def arrays(self, prefix: str = "") -> tuple[dict[str, Any], Arrays]:
        """Everything as a little JSON and named arrays, for saving."""
        targets = self.targets
        about = {"clock": self.clock, "products": self.products, "learning_rate": self.learning_rate,
                 "critical_learning_rate": self.critical_learning_rate, "error": self.error,
                 "classes": list(targets.classes), "loss": targets.loss.name, "curves": self.curves.columns}
        arrays = {"steps": self.steps, "times": self.times, "duals": self.duals, "curves": self.curves.to_numpy(),
                  "index": targets.index}
        return about, {prefix + name: array for name, array in arrays.items()}

    @classmethod
    def from_arrays(cls, about: dict[str, Any], arrays: Arrays, prefix: str = "") -> Dynamics:
        """The inverse of `arrays`."""
        part = {name: arrays[prefix + name] for name in ("steps", "times", "duals", "curves", "index")}
        targets = targets_of(tuple(about["classes"]), part["index"], LOSSES[about["loss"]])
        curves = pl.DataFrame(part["curves"], schema=about["curves"], orient="row")
        return cls(about["clock"], part["steps"], part["times"], part["duals"], curves, targets, about["products"],
                   about["learning_rate"], about["critical_learning_rate"], about["error"])

    @property
    def best(self) -> int:
        """The record with the least validation loss (the last one without validation texts)."""
        losses = self.curves["validation_loss"].to_numpy()
        return len(losses) - 1 if np.isnan(losses).all() else least(losses)


def least(losses: ArrayLike) -> int:
    """Where losses, of which some may be missing, are least: the first of those that are so to rounding, since where
    nothing helps or harms held-out texts, rounding would choose.
    """
    losses = np.asarray(losses, np.float64)
    return int(np.flatnonzero(losses <= np.nanmin(losses) * (1 + ROUNDING))[0])


@dataclass
class Recorder:
    """Collects records; outputs f have the training texts first, then the validation texts."""

    product: KernelProduct
    targets: Targets
    validation: Targets | None = None

    def __post_init__(self) -> None:
        self.steps: list[float] = []
        self.duals: list[Array] = []
        self.rows: list[tuple[float, float, float, float]] = []

    def add(self, step: float, duals: Array, f: Array) -> None:
        """Records one moment."""
        n = len(self.targets.y)
        train = (self.targets.mean_loss(f[:n]), self.targets.accuracy(f[:n]))
        other = self.validation
        held_out = (other.mean_loss(f[n:]), other.accuracy(f[n:])) if other else (float("nan"), float("nan"))
        self.steps.append(float(step))
        self.duals.append(duals.copy())
        self.rows.append((*train, *held_out))

    @property
    def validation_losses(self) -> Array:
        """Validation loss at every record; shape (T,)."""
        return np.array([row[2] for row in self.rows])

    def finish(self, clock: str, *, rate: float | None = None, critical: float | None = None, error: float = 0.0
               ) -> Dynamics:
        """The records as Dynamics."""
        steps = np.array(self.steps)
        names = ["train_loss", "train_accuracy", "validation_loss", "validation_accuracy"]
        curves = pl.DataFrame(self.rows, schema=dict.fromkeys(names, pl.Float64), orient="row")
        curves = curves.insert_column(0, pl.Series("step", steps))
        times = steps * rate if rate is not None else steps
        duals = np.empty((len(steps), *self.targets.y.shape))
        for moment in range(len(steps) - 1, -1, -1):
            duals[moment] = self.duals.pop()
        return Dynamics(clock, steps, times, duals, curves, self.targets, self.product.products,
                        rate, critical, error)
