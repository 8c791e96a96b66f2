"""Learning as users see it: a trajectory of label scores and decisions."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypedDict, Unpack, overload

import numpy as np
import polars as pl
from numpy.typing import NDArray

from tangentlens.data.storage import Arrays, write_arrays
from tangentlens.errors import OptionError
from tangentlens.features.family import Features
from tangentlens.features.saving import features_from_arrays, features_to_arrays
from tangentlens.learning.dynamics import Dynamics
from tangentlens.learning.partitioned import PartitionedProduct
from tangentlens.learning.parts import PartitionedFeatures
from tangentlens.learning.solve import Progress, descend, flow, start
from tangentlens.predictions.course import Course
from tangentlens.predictions.explaining import Explainer, Explanation
from tangentlens.predictions.fragments import fragment
from tangentlens.predictions.partitioned import PartitionedTrajectory
from tangentlens.predictions.scores import score_table

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Trajectory(Course):
    """What an infinitely wide network has learned at every recorded step: label scores, and decisions as their sums.

    Shapes: dynamics.duals (T, n, c); dynamics.steps (T,). A `step` argument is the place of a record: 0 is the start,
    −1 the last one; `best` is the record with the least validation loss.
    """

    features: Features
    dynamics: Dynamics

    def label_scores(self, step: int = -1) -> pl.DataFrame:
        """Label scores s = γ Φᵀ a of every feature (theory, eq. 48).

        Returns a table with one row for every feature column and output, in column order: family, feature, class,
        score, count (occurrences in the training texts), count_in_class, half_step (first, interpolated step at which
        the score has this sign and at least half of this size; null for a score of 0). With two classes there is one
        output, and a positive score pushes towards the class in the column `class`, the last one.
        """
        return score_table(self.features, self.dynamics, self.record(step))

    def scores(self, step: int = -1) -> list[Array]:
        """Label scores by family, without names: arrays (columns, c), in the order of `features.families`."""
        return self.features.push(self.duals[self.record(step)])

    def decision(self, features: Features, step: int = -1) -> Array:
        """Decisions f = Σ_r Φ_r s_r on texts whose features were made with columns=; shape (n', c) (theory, eq. 49)."""
        self.features.check_columns(features)
        return features.pull(self.scores(step))

    def predict(self, features: Features, step: int = -1) -> NDArray[Any]:
        """The decided class of every text; shape (n',)."""
        return self.decided(self.decision(features, step))

    def explain(self, features: Features, step: int = -1, *, row: int | None = None) -> Explanation:
        """Why one text is decided as it is, down to training texts: γ_r Φ_r(x)_j Φ_r(x_i)_j a_i (theory, eq. 50).

        features: of that text, made with columns=; or of several, and `row` says which. The first call makes a second
        copy of the training counts, ordered by feature, and keeps it. Raises ShapeError or OptionError.

        >>> import tangentlens as tl
        >>> tokens = tl.Tokens.from_ids([[0, 1], [2, 1], [0, 0]])
        >>> architecture = tl.MLP(activation="tanh")
        >>> trajectory = tl.learn(architecture.features(tokens), ["good", "bad", "good"], time=20.0)
        >>> explanation = trajectory.explain(trajectory.features, row=0)
        >>> explanation.features.select("feature", "class", "count").rows()
        [('0', 'good', 1), ('1', 'good', 1)]
        >>> explanation.residual < 1e-12
        True
        """
        if row is None and len(features) != 1:
            raise OptionError(f"explain takes the features of one text, not of {len(features)}; say which with row=")
        return self._explainer.explain(features, self.record(step), row or 0)

    @cached_property
    def _explainer(self) -> Explainer:
        return Explainer(self.features, self.dynamics)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes features and dynamics to one .npz file, without pickle; `tl.load` reads it. Raises OutputError."""
        map_about, arrays = features_to_arrays(self.features)
        about, more = self.dynamics.arrays("dynamics_")
        write_arrays(path, {"kind": "Trajectory", "features": map_about, "dynamics": about}, arrays | more)

    @classmethod
    def from_arrays(cls, about: dict[str, Any], arrays: Arrays) -> Trajectory:
        """What `save` wrote."""
        features = features_from_arrays(about["features"], arrays)
        return cls(features, Dynamics.from_arrays(about["dynamics"], arrays, "dynamics_"))

    def _repr_html_(self) -> str:
        """For notebooks: how learning goes, and the strongest label scores at the best record."""
        strongest = self.label_scores(self.best).sort(pl.col("score").abs(), descending=True, maintain_order=True)
        chosen = np.unique(np.append(np.linspace(0, len(self.steps) - 1, 6).astype(np.int64), self.best))
        return fragment(repr(self), [(f"Label scores at the best {self.dynamics.clock}, {self.steps[self.best]:.4g}",
                                      strongest), ("Loss and accuracy", self.curves[chosen])])

    def __repr__(self) -> str:
        clock = self.dynamics.clock
        return (f"Trajectory({len(self.features)} texts, {self.features.columns} features, "
                f"{len(self.steps)} records to {clock} {self.steps[-1]:.4g})")


class Settings(TypedDict, total=False):
    """The settings of `learn`."""

    learning_rate: float | str
    steps: int | None
    momentum: float
    time: float | str | None
    until_loss: float | None
    record: Iterable[float] | None
    validation: tuple[Any, Any] | None
    tolerance: float
    initial: str
    device: str | None
    progress: Progress | None


@overload
def learn(features: Features, labels: Any, loss: str | None = None, **settings: Unpack[Settings]) -> Trajectory: ...
@overload
def learn(features: PartitionedFeatures, labels: Any, loss: str | None = None, **settings: Unpack[Settings]
          ) -> PartitionedTrajectory: ...
def learn(features: Features | PartitionedFeatures, labels: Any, loss: str | None = None, *,
          learning_rate: float | str = "auto", steps: int | None = None, momentum: float = 0.0,
          time: float | str | None = None, until_loss: float | None = None, record: Iterable[float] | None = None,
          validation: tuple[Any, Any] | None = None, tolerance: float = 1e-3, initial: str = "zero",
          device: str | None = None, progress: Progress | None = None) -> Trajectory | PartitionedTrajectory:
    """Learns from n texts: gradient descent for `steps`, or gradient flow to a `time`.

    Descent: a ← a − (η/n) ∂ℓ/∂f(Θ a); flow: da/dt = −(1/n) ∂ℓ/∂f(Θ a); both from a = 0, through sparse products.

    features: of the training texts, or of texts in parts (see `tl.partition`); labels: one per text, of any sortable
    type; loss: "logistic" (two classes), "softmax" or "squared" (by default the first or second, by the number of
    classes).
    Descent: learning_rate, a number, or "auto" for half of the critical rate; steps: 1000 by default; momentum (heavy
    ball). Flow: time, a number (inf for the squared loss), or "best" to go to the record after that of the least
    validation loss; or until_loss, the training loss to end at; tolerance: relative, of the label scores at the end.
    record: steps or times to record (by default about 40, at growing distances); validation: (features, labels) of
    texts held out, their features made with columns=; progress: called with a line of text now and then.
    initial: "zero", networks are trained on f − f_0; or for the squared loss "prior", f_0 is kept: the trajectory is
    then the mean over such networks, in the same numbers, and `tl.prior_variance` gives their variance.
    device: a PyTorch device such as "cuda" for the products with Θ (extra: torch); the same numbers up to rounding.

    Raises OptionError, DataError or ShapeError. A learning rate above the critical one gives a warning.

    >>> import tangentlens as tl
    >>> tokens = tl.Tokens.from_ids([[0, 1], [2, 1], [0, 0]])
    >>> trajectory = tl.learn(tl.MLP(activation="tanh").features(tokens), ["good", "bad", "good"], time=20.0)
    >>> trajectory.label_scores().select("feature", "class", "count", "count_in_class").rows()
    [('0', 'good', 3, 3), ('1', 'good', 2, 1), ('2', 'good', 1, 0)]
    >>> trajectory.label_scores()["score"].sign().to_list()
    [1.0, -1.0, -1.0]
    """
    continuous = time is not None or until_loss is not None
    if continuous and (steps is not None or learning_rate != "auto" or momentum):
        raise OptionError("give either time= or until_loss= (gradient flow), or steps=, learning_rate= and momentum= "
                          "(gradient descent), not both")
    if time is not None and until_loss is not None:
        raise OptionError("give either time= or until_loss=, not both")
    recorder = start(features, labels, loss, validation, device)
    _check_initial(initial, recorder.targets.loss.name)
    if continuous:
        dynamics = flow(recorder, time=time, until_loss=until_loss, record=record, tolerance=tolerance,
                        progress=progress)
    else:
        dynamics = descend(recorder, steps=1000 if steps is None else steps, learning_rate=learning_rate,
                           momentum=momentum, record=record)
    if isinstance(recorder.product, PartitionedProduct):
        return PartitionedTrajectory(recorder.product.features, dynamics, recorder.product)
    assert isinstance(features, Features)
    return Trajectory(features, dynamics)


def _check_initial(initial: str, loss: str) -> None:
    if initial not in ("zero", "prior"):
        raise OptionError(f'initial must be "zero" or "prior", not {initial!r}')
    if initial == "prior" and loss != "squared":
        raise OptionError(f'initial="prior" needs loss="squared", not "{loss}": only there do outputs stay Gaussian, '
                          "with the mean that is learned here and the variance of tl.prior_variance")
