"""The contract between the audit and its reports: what is shown, as frozen values with checked tables."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import polars as pl
from polars.datatypes import DataTypeClass

from tangentlens.errors import ShapeError
from tangentlens.report.live import Live

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
FLAGS = ("architecture", "family", "feature", "class", "reason", "score", "evidence", "rule", "cue", "decided",
         "change")
CURVES = ("time", "train_loss", "train_accuracy", "validation_loss", "validation_accuracy")
_OF_A_CLASS: dict[str, DataTypeClass] = {"feature": pl.String, "class": pl.String}
COMPARED: dict[str, dict[str, DataTypeClass]] = {
    "accuracy": {"subset": pl.String, "texts": pl.Int64, "accuracy": pl.Float64, "error": pl.Float64},
    "leads": {"other": pl.String, "lead": pl.Float64, "error": pl.Float64, "only": pl.Int64, "lost": pl.Int64,
              "only_with": pl.Int64, "lost_with": pl.Int64, "only_without": pl.Int64, "lost_without": pl.Int64},
    "contrary": {"order": pl.Int64, **_OF_A_CLASS, "texts": pl.Int64, "in_class": pl.Int64, "polarity": pl.Float64,
                 "words": pl.Float64, "effect": pl.Float64, "interaction": pl.Float64},
    "interactions": {"order": pl.Int64, **_OF_A_CLASS, "interaction": pl.Float64},
    "bias": {"class": pl.String, "bias": pl.Float64, "net": pl.Float64, "lengths": pl.Float64, "share": pl.Float64,
             "flipped": pl.Int64, "dropped": pl.Int64},
    "flipped": {**_OF_A_CLASS, "texts": pl.Int64, "own": pl.Float64, "response": pl.Float64},
    "learned": {"order": pl.Int64, "features": pl.Int64, "half_step": pl.Float64},
}


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
class ComparedAnswer:
    """What makes one architecture differ from the others of a report, at its best time; see `tangentlens.compare`.

    name: as in ArchitectureAnswer. longest: tokens in the longest patterns that it reads; 0, it reads the bias only.
    accuracy: of held-out texts, subset "all", "with" and "without" a contrary n-gram: texts, accuracy (0 to 1), error
        (standard error, by Agresti and Coull); no row where no text is held out.
    leads: over every other architecture: other, lead (difference in accuracy on all held-out texts), error: of that
        difference, sqrt(b + c) / n, where b of the n texts only this one gets right, and c only the other one; b and
        c themselves as only, lost, and those of the texts with and without a contrary n-gram beside them.
    contrary: n-grams that say the opposite of their words (see `tl.contrary`), surest first, the same for all: order,
        feature, class, texts, in_class, polarity, words, and for this architecture effect, f(n-gram) − f(□ …), and
        interaction, the part of the effect that no word has by itself; both of the class's output.
    interactions: the strongest I of frequent n-grams (eq. 63): order, feature, class, interaction.
    interaction_share: Var J / (Var M + Var J) (eq. 65) over share_texts texts; share_held: these were held out.
    bias: one row per output: class, bias f(□), its two parts (eq. 72) net (what all texts push together, whatever their
        length: early in training it follows the larger class) and lengths (what longer or shorter texts push beside
        that), share (median of eq. 64 over the frequent tokens), flipped (frequent tokens whose sign the bias turns),
        dropped (how many of the `strongest` largest own effects are not among as many largest responses).
    frequent: number of tokens that occur in enough training texts to be counted; strongest: see `dropped`.
    flipped: of these tokens the ones that occur in most texts and are farthest from zero on both sides (largest texts ×
        the smaller of both effects): feature, class, texts, own f(a) − f(□), response f(a).
    unbiased: activations with which its spectrum would have no bias, if it has any.
    learned: order (0 bias, 1 tokens, 2 pairs, 3 longer), features, half_step (median over the features, weighted by
        |score| × count; the earliest order first).
    """

    name: str
    longest: int
    accuracy: pl.DataFrame
    leads: pl.DataFrame
    contrary: pl.DataFrame
    interactions: pl.DataFrame
    interaction_share: float
    share_texts: int
    share_held: bool
    bias: pl.DataFrame
    frequent: int
    strongest: int
    flipped: pl.DataFrame
    unbiased: tuple[str, ...]
    learned: pl.DataFrame

    def __post_init__(self) -> None:
        for name, columns in COMPARED.items():
            _require(f"ComparedAnswer.{name}", getattr(self, name), tuple(columns))


@dataclass(frozen=True)
class Report:
    """Everything a terminal summary or a page shows. notes: warnings. settings: what run.json holds. verified: what
    trained networks say, for some of the architectures. compared: what makes the architectures differ, for all or none.
    flags: shortcuts, worst first (see `tl.audit`); gone: those of an earlier run that are no longer there. live: what
    the page needs to decide texts that are typed into it.
    """

    title: str
    data: DataGlance
    architectures: tuple[ArchitectureAnswer, ...]
    notes: tuple[str, ...] = ()
    settings: dict[str, Any] = field(default_factory=dict)
    verified: tuple[VerifiedAnswer, ...] = ()
    compared: tuple[ComparedAnswer, ...] = ()
    flags: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=FLAGS))
    gone: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=FLAGS))
    live: Live | None = None

    def __post_init__(self) -> None:
        _require("Report.flags", self.flags, FLAGS)
        names = [answer.name for answer in self.architectures]
        if not names:
            raise ShapeError(
                "A Report needs at least one architecture. Put an ArchitectureAnswer into `architectures`."
            )
        if len(set(names)) < len(names):
            raise ShapeError(f"Architecture names must differ to tell them apart in tables; got {names}. Rename one.")
        if self.compared and [answer.name for answer in self.compared] != names:
            raise ShapeError(f"`compared` is about {[answer.name for answer in self.compared]}, the architectures are "
                             f"{names}. Give one ComparedAnswer for each, in the same order, or none.")


def _require(name: str, table: pl.DataFrame, columns: Sequence[str]) -> None:
    missing = [column for column in columns if column not in table.columns]
    if missing:
        raise ShapeError(f"{name} lacks the columns {missing}; it has {table.columns}. Needed: {list(columns)}.")
