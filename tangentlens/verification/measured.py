"""The measures of section 5 on trained networks, beside the prediction's."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri, stdtrit

from tangentlens.data.storage import read_arrays, write_arrays
from tangentlens.data.tokens import Tokens
from tangentlens.errors import OptionError, ShapeError
from tangentlens.kernels import Architecture, describe
from tangentlens.kernels.architecture import check_count
from tangentlens.learning.losses import encode
from tangentlens.networks.building import build
from tangentlens.networks.training import train
from tangentlens.predictions.questions import Answers, Questions, answers_of
from tangentlens.predictions.trajectory import Trajectory, learn
from tangentlens.verification.width_study import rate_of

Array = NDArray[np.float64]
Watching = Callable[[int, int, float], None]
RESAMPLES = 2000  # of the bootstrap over seeds


@dataclass(frozen=True)
class Course:
    """How networks are trained: width, seeds, epochs of mini-batches of batch_size texts (None: full batches, then
    epochs are steps), to the time at which the predicted training loss has fallen to `fall` of its start; records: how
    often they are asked, at equal distances, the last time at the end. Raises OptionError for what cannot be.
    """

    width: int = 1024
    seeds: int = 8
    epochs: int = 1
    batch_size: int | None = 32
    fall: float = 0.95
    records: int = 1

    def __post_init__(self) -> None:
        for name in ("width", "seeds", "epochs", "records"):
            check_count(f"Course: {name}", getattr(self, name))
        if self.batch_size is not None:
            check_count("Course: batch_size", self.batch_size)
        if not 0 < self.fall < 1:
            raise OptionError("Course: fall is the share of the first training loss to end at, between 0 and 1, not "
                              f"{self.fall!r}; 0.95 is early, 0.5 late")

    def steps(self, texts: int) -> int:
        """Steps of training."""
        return self.epochs * (1 if self.batch_size is None else -(-texts // self.batch_size))


@dataclass(frozen=True, eq=False)
class Measured:
    """Answers of the prediction and of every trained network, at the same records (leading axis T)."""

    architecture: Architecture
    trajectory: Trajectory
    questions: Questions
    steps: tuple[int, ...]
    predicted: Answers
    trained: tuple[Answers, ...]

    @property
    def mean(self) -> Answers:
        """The answers of the mean over all networks: what they share."""
        return Answers.mean(self.trained)

    @property
    def common_share(self) -> Array:
        """Interaction share of what all networks have in common, free of their scatter; shape (T,).

        Var is replaced by the mean covariance between two different networks (eq. 74): its expectation is the variance
        of the mean of infinitely many. It may be negative by chance. NaN for one network, or where nothing varies.
        """
        main, joint = (_common_variance(np.stack(parts)) for parts in (
            [a.mains for a in self.trained], [a.joints for a in self.trained]))
        return np.asarray(np.divide(joint, main + joint, out=np.full(main.shape, np.nan), where=main + joint > 0))

    def common_interval(self, record: int = -1) -> tuple[float, float]:
        """95 % interval of `common_share` at one record: jackknife over networks with Student's t."""
        count = len(self.trained)
        if count < 3:
            return np.nan, np.nan
        left = np.array([replace(self, trained=self.trained[:i] + self.trained[i + 1:]).common_share[record]
                         for i in range(count)])
        error = np.sqrt((count - 1) / count * np.sum((left - left.mean()) ** 2))
        centre, wide = float(self.common_share[record]), float(stdtrit(count - 1, 0.975) * error)
        return centre - wide, centre + wide

    def interval(self, measure: Callable[[Answers], Array], *, seed: int = 0) -> tuple[Array, Array]:
        """95 % interval of a measure of the mean network: bootstrap over seeds, widened for few of them as in
        `slope_of`.
        """
        rng, count = np.random.default_rng(seed), len(self.trained)
        centre = np.asarray(measure(self.mean))
        if count < 2:
            return np.full(centre.shape, np.nan), np.full(centre.shape, np.nan)
        found = np.stack([measure(Answers.mean([self.trained[i] for i in rng.integers(count, size=count)]))
                          for _ in range(RESAMPLES)])
        low, high = np.quantile(found, [0.025, 0.975], axis=0)
        wider = np.sqrt(count / (count - 1)) * stdtrit(count - 1, 0.975) / ndtri(0.975)
        return centre + wider * (low - centre), centre + wider * (high - centre)


def _common_variance(values: Array) -> Array:
    """Mean over pairs of networks of the covariance over texts, summed over outputs; (S, T, n, c) → (T,)."""
    count = len(values)
    centred = values - values.mean(axis=2, keepdims=True)
    total, own = (centred.sum(axis=0) ** 2).mean(axis=1), (centred**2).sum(axis=0).mean(axis=1)
    return np.asarray((total - own).sum(axis=-1) / (count * (count - 1)) if count > 1 else np.full(len(total), np.nan))


def measure(architecture: Architecture, tokens: Tokens, labels: Any, questions: Questions, course: Course, *,
            device: str = "cpu", folder: str | os.PathLike[str] | None = None, watching: Watching | None = None
            ) -> Measured:
    """Learns a data set and trains networks on it, to the same time, and asks both the same questions.

    tokens, labels: n training texts; questions: over the same vocabulary; device: "cpu" or "cuda"; folder: where
    outputs of finished networks are kept, so that an interrupted study goes on, or gets more seeds; watching: called
    with (step, steps, training loss) while networks are trained. Raises DataError where nothing can be learned,
    ShapeError for labels or questions that do not fit.
    """
    steps = course.steps(len(tokens))
    record = sorted({max(1, round(steps * part / course.records)) for part in range(1, course.records + 1)})
    features = architecture.features(tokens)
    rate = rate_of(features, labels, None, steps, course.fall)
    trajectory = learn(features, labels, steps=steps, learning_rate=rate, record=record)
    places = [int(np.flatnonzero(trajectory.steps == step)[0]) for step in record]
    predicted = answers_of(architecture, trajectory, questions, places)  # first: it says whether they can be asked
    found = [_kept(architecture, tokens, labels, questions, (course, rate, record, seed), device, folder, watching)
             for seed in range(course.seeds)]
    trained = tuple(questions.answers(outputs) for outputs in found)
    return Measured(architecture, trajectory, questions, tuple(record), predicted, trained)


def _kept(architecture: Architecture, tokens: Tokens, labels: Any, questions: Questions, how: tuple[Any, ...],
          device: str, folder: str | os.PathLike[str] | None, watching: Watching | None) -> Array:
    """Outputs (T, N, c) of one network, from the folder if they are there."""
    asked = questions.asked()
    if folder is None:
        return _trained(architecture, tokens, labels, asked, how, device, watching)
    course, *rest = how
    digest = hashlib.sha256(repr((architecture, replace(course, seeds=1), rest, device)).encode())
    digest.update(repr((len(tokens), len(tokens.ids), len(asked), len(asked.vocabulary))).encode())
    index = encode(labels, None, texts=len(tokens)).index  # not the labels: 2 and 10 sort otherwise than "2" and "10"
    for array in (tokens.ids, tokens.offsets, index, asked.ids, asked.offsets):
        digest.update(np.ascontiguousarray(array).tobytes())
    path = Path(folder) / f"{type(architecture).__name__}-{digest.hexdigest()[:20]}.npz"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        outputs = _trained(architecture, tokens, labels, asked, how, device, watching)
        write_arrays(path, {"kind": "answers", "architecture": describe(architecture)}, {"outputs": outputs})
    return read_arrays(path)[1]["outputs"]


def _trained(architecture: Architecture, tokens: Tokens, labels: Any, asked: Tokens, how: tuple[Any, ...],
             device: str, watching: Watching | None) -> Array:
    course, rate, record, seed = how
    outputs = encode(labels, None, texts=len(tokens)).y.shape[1]
    network = build(architecture, vocabulary_size=len(asked.vocabulary), width=course.width, outputs=outputs,
                    seed=seed, device=device)
    done = train(network, tokens, labels, learning_rate=rate, steps=course.steps(len(tokens)), seed=seed,
                 batch_size=course.batch_size, record=record, probes=asked, progress=watching)
    return done.probes[-len(record):]


def correlation(first: Array, second: Sequence[Array], *, seed: int = 0) -> tuple[float, float, float]:
    """Pearson's correlation of predicted values (N,) with the mean of trained ones (S arrays (N,)), and its 95 %
    interval: bootstrap over values and seeds together. NaN for fewer than two values, or where one side is constant.
    """
    trained = np.stack(second)
    if trained.ndim != 2 or first.shape != trained.shape[1:]:
        raise ShapeError(f"predicted values have the shape {first.shape}, trained ones {trained.shape[1:]}; give one "
                         "list of values, and one as long for every network")
    rng, (count, size) = np.random.default_rng(seed), trained.shape
    if np.isnan(_pearson(first, trained.mean(axis=0))):
        return np.nan, np.nan, np.nan
    found = []
    for _ in range(RESAMPLES):
        rows, seeds = rng.integers(size, size=size), rng.integers(count, size=count)
        found.append(_pearson(first[rows], trained[seeds][:, rows].mean(axis=0)))
    low, high = np.nanquantile(found, [0.025, 0.975])
    return _pearson(first, trained.mean(axis=0)), float(low), float(high)


def _pearson(first: Array, second: Array) -> float:
    if len(first) < 2:
        return np.nan
    with np.errstate(invalid="ignore", divide="ignore"):
        return float(np.corrcoef(first, second)[0, 1])
