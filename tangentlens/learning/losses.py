"""Losses, their slopes and curvatures, and how labels become targets (theory, section "Learning")."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp, softmax

from tangentlens.errors import DataError, OptionError, ShapeError

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Loss:
    """A loss ℓ(y, f) by its value, slope ∂ℓ/∂f and curvature H = ∂²ℓ/∂f², c × c for each text, for outputs f (n, c).

    `curve(f, X)` multiplies X (n, c, m) with H, text by text; `bend(f, X, room)` with Mᵀ, where H = M Mᵀ, in `room` if
    that is given, unless it is X; `steepest` bounds H.
    """

    name: str
    value: Callable[[Array, Array], Array]  # (n, c), (n, c) -> (n,)
    slope: Callable[[Array, Array], Array]  # (n, c), (n, c) -> (n, c)
    curve: Callable[[Array, Array], Array]  # (n, c), (n, c, m) -> (n, c, m)
    bend: Callable[..., Array]  # (n, c), (n, c, m), None or (n, c, m) -> (n, c, m)
    steepest: float
    linear: bool = False  # whether H is the same everywhere, so that the flow is linear
    balanced: bool = False  # whether the slopes of each text add up to zero


def _logistic(f: Array, y: Array) -> Array:
    return np.asarray(np.sum(np.maximum(-y * f, 0) + np.log1p(np.exp(-np.abs(f))), axis=1))


def _logistic_slope(f: Array, y: Array) -> Array:
    """−y / (1 + e^(y f)), which keeps its digits where it is nearly zero. The exponential of what is too large is ∞,
    and that slope zero.
    """
    e = f * y
    with np.errstate(over="ignore"):
        np.exp(e, out=e)
    np.subtract(-1, e, out=e)
    return np.divide(y, e, out=e)


def _logistic_curve(f: Array, x: Array) -> Array:
    return np.asarray(_logistic_root(f)[:, :, None] ** 2 * x)


def _logistic_bend(f: Array, x: Array, room: Array | None = None) -> Array:
    return np.asarray(np.multiply(_logistic_root(f)[:, :, None], x, out=room))


def _logistic_root(f: Array) -> Array:
    """√(p (1 − p)), p = 1 / (1 + e^−f), by one exponential."""
    e = np.exp(-np.abs(f) / 2)
    return np.asarray(e / (1 + e * e))


def _softmax(f: Array, y: Array) -> Array:
    return np.asarray(logsumexp(f, axis=1) - np.sum(y * f, axis=1))


def _softmax_slope(f: Array, y: Array) -> Array:
    p = softmax(f, axis=1)
    if f.dtype == np.float32:
        p = p.astype(np.float64)  # what slopes of a text fall short of zero by, together, would add up over time
        p /= p.sum(axis=1, keepdims=True)
    return np.asarray(p - y)


def _softmax_curve(f: Array, x: Array) -> Array:
    p = softmax(f, axis=1)[:, :, None]
    return np.asarray(p * (x - np.sum(p * x, axis=1, keepdims=True)))


def _softmax_bend(f: Array, x: Array, room: Array | None = None) -> Array:
    """M = diag(√p) − p √pᵀ, since M Mᵀ = diag(p) − p pᵀ."""
    p = softmax(f, axis=1)[:, :, None]
    moved = np.subtract(x, np.sum(np.multiply(p, x, out=room), axis=1, keepdims=True), out=room)
    return np.asarray(np.multiply(np.sqrt(p), moved, out=moved))


def _squared(f: Array, y: Array) -> Array:
    return np.asarray(np.sum((f - y) ** 2, axis=1) / 2)


def _squared_slope(f: Array, y: Array) -> Array:
    return f - y


def _squared_curve(f: Array, x: Array) -> Array:
    return x


def _squared_bend(f: Array, x: Array, room: Array | None = None) -> Array:
    return x


LOSSES = {loss.name: loss for loss in (
    Loss("logistic", _logistic, _logistic_slope, _logistic_curve, _logistic_bend, 0.25),
    Loss("softmax", _softmax, _softmax_slope, _softmax_curve, _softmax_bend, 0.5, balanced=True),
    Loss("squared", _squared, _squared_slope, _squared_curve, _squared_bend, 1.0, linear=True),
)}


def softmax_from(start: Array) -> Loss:
    """The softmax loss of outputs that do not begin at zero: ℓ(y, f + start), start (c,)."""
    return Loss("softmax", lambda f, y: _softmax(f + start, y), lambda f, y: _softmax_slope(f + start, y),
                lambda f, x: _softmax_curve(f + start, x), lambda f, *how: _softmax_bend(f + start, *how), 0.5,
                balanced=True)


@dataclass(frozen=True)
class Targets:
    """Labels as numbers: classes in sorted order, the class of every text (n,), and the loss's targets y (n, c).

    Two classes have one output, positive for the last class, of which y is 1, of the first −1. More classes, or the
    softmax loss, have one output each and one-hot targets.
    """

    classes: tuple[Any, ...]
    index: NDArray[np.int64]
    y: Array
    loss: Loss

    @cached_property
    def y_in_32_bits(self) -> NDArray[np.float32]:
        """The targets y, which are small whole numbers."""
        return self.y.astype(np.float32)

    def accuracy(self, f: Array) -> float:
        """Share of texts whose decision is their own class."""
        if not len(f):
            return float("nan")
        decided = np.argmax(f, axis=1) if f.shape[1] > 1 else (f[:, 0] > 0).astype(np.int64)
        return float(np.mean(decided == self.index))

    def mean_loss(self, f: Array) -> float:
        """(1/n) Σ ℓ(y_i, f_i)."""
        return float(np.mean(self.loss.value(f, self.y))) if len(f) else float("nan")


def encode(labels: Any, loss: str | None, *, texts: int, classes: tuple[Any, ...] | None = None) -> Targets:
    """Labels of any sortable type as Targets; `classes` fixes the classes (for validation texts).

    Without a loss, two classes get "logistic" and more get "softmax".
    """
    values = _flat(labels, texts)
    if classes is None:
        try:
            classes = tuple(np.unique(values).tolist())
        except TypeError as error:
            raise DataError("the labels are of types that cannot be sorted together; make them all text") from error
        if len(classes) < 2:
            raise DataError(f"all {texts} labels are {classes[0]!r}; learning needs at least two classes"
                            if classes else "there are no labels; learning needs at least two classes")
    number = {value: place for place, value in enumerate(classes)}
    try:
        index = np.array([number[value] for value in values.tolist()], dtype=np.int64)
    except KeyError as error:
        known = list(classes)[:10]
        raise DataError(f"the label {error.args[0]!r} is not among the training classes {known}") from error
    name = loss or ("logistic" if len(classes) == 2 else "softmax")
    if name not in LOSSES:
        raise OptionError(f'unknown loss "{name}"; there are: {", ".join(LOSSES)}')
    if name == "logistic" and len(classes) > 2:
        raise OptionError(f'the logistic loss needs two classes, not {len(classes)}; use loss="softmax"')
    return targets_of(classes, index, LOSSES[name])


def targets_of(classes: tuple[Any, ...], index: NDArray[np.int64], loss: Loss) -> Targets:
    """Targets of texts whose classes have these numbers, (n,)."""
    one = len(classes) == 2 and not loss.balanced
    of_class = np.array([[-1.0], [1.0]]) if one else np.eye(len(classes))
    return Targets(classes, index, of_class[index], loss)


def _flat(labels: Any, texts: int) -> NDArray[Any]:
    """Labels (n,), one for each text and none missing."""
    values = np.asarray(labels)
    if values.ndim > 1:
        raise ShapeError(f"labels have the shape {values.shape}; give a flat list, one label per text")
    if values.dtype.kind == "f" and np.isnan(values).any():
        missing = int(np.flatnonzero(np.isnan(values))[0])
        raise DataError(f"the label of text {missing} (counted from 0) is missing (NaN); leave that text out")
    if values.ndim != 1 or len(values) != texts:
        raise ShapeError(f"{len(values) if values.ndim else 1} labels for {texts} texts; give exactly one per text")
    return values
