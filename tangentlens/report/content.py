"""The contract between the audit and its reports: what is shown, as frozen values with checked tables."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import polars as pl

from tangentlens.errors import ShapeError

CLASSES = ("class", "texts", "share", "mean_length")
LENGTHS = ("low", "high", "class", "texts")
SPECTRUM = ("family", "order", "coefficient", "share")
TRENDS = ("option", "value", "own", "bias", "token", "pair", "longer")
TOP = ("family", "feature", "class", "score", "count", "count_in_class", "half_step")
TRAJECTORIES = ("family", "feature", "class", "time", "score")
SCATTER = ("family", "feature", "class", "predicted", "trained", "low", "high")
PATHS = ("family", "feature", "class", "step", "predicted", "trained", "low", "high")
ERRORS = ("family", "width", "error", "low", "high")
SLOPES = ("family", "slope", "low", "high", "error_narrowest", "error_widest")
OWN = ("step", "total", "fluctuation", "drift_error", "drift")
CURVES = ("time", "train_loss", "train_accuracy", "validation_loss", "validation_accuracy")


@dataclass(frozen=True)
class DataGlance:
    """The data at a glance.

    classes: one row per class in sorted order (of two, the last is the positive one): class, texts,
        share (of all texts, 0 to 1), mean_length (tokens).
    lengths: histogram, one row per bin and class: low, high (tokens, low ≤ length < high), class, texts.
    unknown: token positions, in all texts, that are unknown or below `min_count`.
    skipped: rows of the source without a usable text or label. duplicates: texts that occur earlier already.
    training, validation: number of texts on either side of the split.
    """

    source: str
    texts: int
    tokens: int
    vocabulary: int
    unknown: int
    skipped: int
    duplicates: int
    classes: pl.DataFrame
    lengths: pl.DataFrame
    training: int
    validation: int
    tokenizer: str

    def __post_init__(self) -> None:
        _require("DataGlance.classes", self.classes, CLASSES)
        _require("DataGlance.lengths", self.lengths, LENGTHS)
        if self.classes.height == 0:
            raise ShapeError("DataGlance.classes has no row. Give one row per class of the data set.")


@dataclass(frozen=True)
class ArchitectureAnswer:
    """What one architecture takes from the data.

    name: short and unique, e.g. "CNN 3 ReLU". description: the full repr.
    spectrum: one row per family: family, order (0 = bias, 1 = single token, 2 = pair, …), coefficient, share (0 to 1).
    top: the strongest features of each class, all families, best first: family, feature, class, score, count,
        count_in_class, half_step. `class` is the class the feature pushes towards; `score` is, with two classes, the
        signed label score of the positive (last) class, so negative for features of the first class; with more
        classes the score of that class. `half_step` is in the same unit as every `time` below.
    trajectories: family, feature, class, time, score, for the strongest features of each class.
    curves: time, train_loss, train_accuracy, validation_loss, validation_accuracy (accuracies 0 to 1; null if absent).
    top and trajectories may have a column `order`, for families whose name stands for several orders.
    best_time: the time the scores above are taken at (best on validation). time_reached: the end of the trajectory.
    products: sparse matrix products spent. error: the solver's estimate of the relative error of the scores.
    features: columns of the feature map. windowless: texts without any window.
    trends: how the shares move with each option (see `tl.trends`). steady: options that leave them as they are.
    """

    name: str
    description: str
    spectrum: pl.DataFrame
    top: pl.DataFrame
    trajectories: pl.DataFrame
    curves: pl.DataFrame
    best_time: float
    time_reached: float
    products: int
    features: int
    windowless: int
    seconds: float
    error: float = 0.0
    trends: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=TRENDS))
    steady: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name, columns in (("spectrum", SPECTRUM), ("top", TOP), ("trajectories", TRAJECTORIES), ("curves", CURVES),
                              ("trends", TRENDS)):
            _require(f"ArchitectureAnswer.{name}", getattr(self, name), columns)


@dataclass(frozen=True)
class VerifiedAnswer:
    """An architecture's prediction beside networks that were really trained.

    name: as in ArchitectureAnswer. texts, tokens: size of the sample that the networks were trained on, tokens being
    its vocabulary; steps, time: of gradient descent, and the time it reached; widths, seeds: of the networks.
    scatter: per feature the label score at the last step: predicted, and trained: mean, low and high (least and
        largest) over the seeds of the widest networks. correlation: Pearson's, of predicted and trained there.
    paths: the same over all recorded steps, for a few features of every family.
    errors: per family and width the relative L2 error of single networks' label scores: error (root mean square over
        seeds), low, high (least and largest seed). slopes: per family the slope of log error against log width with
        its 95 % interval; theory says −1/2.
    own: at every recorded step of one network: total error, its parts fluctuation (of the kernel at the start) and
        drift_error (the kernel changes while training), and the drift of the kernel itself; own_width: its width.
    slopes may have a column `order`: tokens in the family's patterns.
    """

    name: str
    texts: int
    tokens: int
    steps: int
    time: float
    widths: tuple[int, ...]
    seeds: int
    correlation: float
    scatter: pl.DataFrame
    paths: pl.DataFrame
    errors: pl.DataFrame
    slopes: pl.DataFrame
    own: pl.DataFrame
    own_width: int
    seconds: float

    def __post_init__(self) -> None:
        for name, columns in (("scatter", SCATTER), ("paths", PATHS), ("errors", ERRORS), ("slopes", SLOPES),
                              ("own", OWN)):
            _require(f"VerifiedAnswer.{name}", getattr(self, name), columns)


@dataclass(frozen=True)
class Report:
    """Everything a terminal summary or a page shows. notes: warnings. settings: what run.json holds. verified: what
    trained networks say, for some of the architectures.
    """

    title: str
    data: DataGlance
    architectures: tuple[ArchitectureAnswer, ...]
    notes: tuple[str, ...] = ()
    settings: dict[str, Any] = field(default_factory=dict)
    verified: tuple[VerifiedAnswer, ...] = ()

    def __post_init__(self) -> None:
        names = [answer.name for answer in self.architectures]
        if not names:
            raise ShapeError(
                "A Report needs at least one architecture. Put an ArchitectureAnswer into `architectures`."
            )
        if len(set(names)) < len(names):
            raise ShapeError(f"Architecture names must differ to tell them apart in tables; got {names}. Rename one.")


def _require(name: str, table: pl.DataFrame, columns: Sequence[str]) -> None:
    missing = [column for column in columns if column not in table.columns]
    if missing:
        raise ShapeError(f"{name} lacks the columns {missing}; it has {table.columns}. Needed: {list(columns)}.")
