"""What every trajectory is: records of learning, and the classes that its outputs speak for."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from tangentlens.errors import OptionError
from tangentlens.learning.dynamics import Dynamics
from tangentlens.predictions.scores import output_classes

Array = NDArray[np.float64]


class Course:
    """The records of a trajectory. A `step` argument is the place of a record: 0 is the start, −1 the last one."""

    dynamics: Dynamics

    @property
    def steps(self) -> Array:
        """Steps (descent) or times (flow) of the records; shape (T,)."""
        return self.dynamics.steps

    @property
    def duals(self) -> Array:
        """Dual coefficients a: how much each training text has pushed so far; shape (T, n, c)."""
        return self.dynamics.duals

    @property
    def curves(self) -> pl.DataFrame:
        """Loss and accuracy at every record: step, train_loss, train_accuracy, validation_loss, validation_accuracy."""
        return self.dynamics.curves

    @property
    def classes(self) -> tuple[Any, ...]:
        """The classes in sorted order; with two, the last one is the positive one."""
        return self.dynamics.targets.classes

    @property
    def best(self) -> int:
        """The record with the least validation loss (the last one without validation texts)."""
        return self.dynamics.best

    def decided(self, decisions: Array) -> NDArray[Any]:
        """The class that decisions (n', c) name, for every text; shape (n',)."""
        chosen = np.argmax(decisions, axis=1) if decisions.shape[1] > 1 else (decisions[:, 0] > 0).astype(np.int64)
        return np.asarray(np.array(self.classes)[chosen])

    @property
    def outputs(self) -> list[Any]:
        """The class that each of the c outputs speaks for."""
        return output_classes(self.dynamics)

    def record(self, step: int) -> int:
        """The place of a record counted from the start; raises OptionError if there is none."""
        size = len(self.steps)
        if not -size <= step < size:
            raise OptionError(f"there is no record {step}; this trajectory has 0 to {size - 1} (−1: the last)")
        return step % size
