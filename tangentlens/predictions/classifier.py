"""A scikit-learn estimator over raw texts: the infinitely wide network as a classifier."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.special import expit, softmax
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.exceptions import DataConversionWarning
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_is_fitted

from tangentlens.data.splits import split
from tangentlens.data.texts import Texts
from tangentlens.data.tokenizing import tokenize
from tangentlens.errors import DataError
from tangentlens.kernels.architecture import Architecture
from tangentlens.kernels.mlp import MLP
from tangentlens.predictions.trajectory import learn


def _has_probabilities(classifier: Any) -> bool:
    return bool(classifier.loss != "squared")


class NTKClassifier(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """Classifies raw texts like an infinitely wide network trained by gradient flow.

    architecture: by default MLP(); time: of the flow, or "best", at the least loss on a share `validation` of the
    texts, held out with `seed` (texts held out are not learned from); loss, tolerance: see `learn`; tokenizer,
    lowercase, min_count: see `tokenize`.

    Attributes after fit: classes_ (c,), trajectory_, vocabulary_, label_scores_ (a Polars table, at the time chosen).

    >>> import tangentlens as tl
    >>> texts = tl.small_reviews()
    >>> classifier = NTKClassifier(tl.CNN(kernel_size=2), time=3e4).fit(texts.texts, texts.labels)
    >>> classifier.predict(["the story was not wonderful .", "the story was wonderful ."]).tolist()
    ['negative', 'positive']
    """

    def __init__(self, architecture: Architecture | None = None, *, time: float | str = "best", validation: float = 0.1,
                 seed: int = 0, loss: str | None = None, tolerance: float = 1e-3, tokenizer: str = "words",
                 lowercase: bool = False, min_count: int = 1) -> None:
        self.architecture = architecture
        self.time = time
        self.validation = validation
        self.seed = seed
        self.loss = loss
        self.tolerance = tolerance
        self.tokenizer = tokenizer
        self.lowercase = lowercase
        self.min_count = min_count

    def fit(self, X: Sequence[str], y: Any) -> NTKClassifier:
        """Learns from n texts X and their labels y (n,); raises DataError, ShapeError or OptionError."""
        labels = _labels(y)
        texts = Texts(_strings(X), labels)
        everything = np.arange(len(texts)), np.empty(0, dtype=np.int64)
        rows, held = split(texts, self.validation, seed=self.seed) if self.time == "best" else everything
        if self.time == "best" and not len(held):
            raise DataError(f"{len(texts)} texts are too few to hold any out; give NTKClassifier(time=…) a number")
        network = MLP() if self.architecture is None else self.architecture
        tokens = tokenize(texts[rows], tokenizer=self.tokenizer, lowercase=self.lowercase, min_count=self.min_count)
        features = network.features(tokens)
        validation = None
        if len(held):
            others = tokenize(texts[held], vocabulary=tokens.vocabulary)
            validation = (network.features(others, columns=features), labels[held])
        trajectory = learn(features, labels[rows], self.loss, time=self.time, validation=validation,
                           tolerance=self.tolerance)
        self.network_, self.trajectory_, self.vocabulary_ = network, trajectory, tokens.vocabulary
        self.classes_ = np.unique(labels)
        return self

    def decision_function(self, X: Sequence[str]) -> NDArray[np.float64]:
        """Outputs f: (n,) for two classes, positive for the last; (n, c) for more."""
        check_is_fitted(self)
        tokens = tokenize(list(_strings(X)), vocabulary=self.vocabulary_)
        features = self.network_.features(tokens, columns=self.trajectory_.features)
        f = self.trajectory_.decision(features, self.trajectory_.best)
        if len(self.classes_) > 2:
            return f
        return f[:, 0] if f.shape[1] == 1 else f[:, 1] - f[:, 0]

    def predict(self, X: Sequence[str]) -> NDArray[Any]:
        """The decided class of every text; (n,)."""
        f = self.decision_function(X)
        chosen = np.argmax(f, axis=1) if f.ndim == 2 else (f > 0).astype(np.int64)
        return np.asarray(self.classes_[chosen])

    @available_if(_has_probabilities)  # type: ignore[untyped-decorator]
    def predict_proba(self, X: Sequence[str]) -> NDArray[np.float64]:
        """Class probabilities (n, c) of the logistic or softmax loss; the squared loss has none."""
        f = self.decision_function(X)
        if f.ndim == 2:
            return np.asarray(softmax(f, axis=1))
        return np.column_stack([expit(-f), expit(f)])

    @property
    def label_scores_(self) -> pl.DataFrame:
        """The label-score table at the time chosen; see Trajectory.label_scores."""
        check_is_fitted(self)
        return self.trajectory_.label_scores(self.trajectory_.best)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.string, tags.input_tags.two_d_array = True, False
        return tags


def _labels(y: Any) -> NDArray[Any]:
    """Class labels (n,); a column (n, 1) becomes flat with a warning; raises DataError."""
    if y is None:
        raise DataError("NTKClassifier requires y to be passed, but the target y is None; give one label for each text")
    labels = np.asarray(y)
    if labels.ndim == 2 and labels.shape[1] == 1:
        warnings.warn("A column-vector y was passed when a 1d array was expected; it is taken as y.ravel()",
                      DataConversionWarning, stacklevel=3)
        labels = labels.ravel()
    if labels.dtype.kind == "f" and np.any(labels[np.isfinite(labels)] % 1):
        raise DataError("Unknown label type: continuous. NTKClassifier predicts classes; cut the numbers into a few")
    return labels


def _strings(texts: Any) -> tuple[str, ...]:
    """A list, tuple, array or column of strings; raises DataError for anything else."""
    if isinstance(texts, str):
        raise DataError("X must be a list of texts, not one text; wrap it in a list")
    values = texts.tolist() if hasattr(texts, "tolist") else list(texts)
    for number, value in enumerate(values):
        if not isinstance(value, str):
            raise DataError(f"X must be a list of texts; entry {number} (counted from 0) is a {type(value).__name__}")
    return tuple(values)
