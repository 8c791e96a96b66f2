"""What every architecture can do, the options they share, and how they are named on the command line."""

from __future__ import annotations

import dataclasses
import math
from abc import ABC, abstractmethod
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from tangentlens.data.tokens import Tokens
from tangentlens.errors import OptionError
from tangentlens.features.family import Features
from tangentlens.kernels.activations import activation

Array = NDArray[np.float64]
ROUNDING = 1e-12  # a coefficient below this share of κ is rounding, and counts as zero


class Architecture(ABC):
    """An infinitely wide network as a value object: its options are its fields, and it never changes."""

    @abstractmethod
    def kernel(self, tokens: Tokens, other: Tokens | None = None, kind: str = "ntk") -> Array:
        """The exact kernel between texts, dense float64 (n, n'): the NTK Θ, or for kind="nngp" the output covariance.

        Evaluated from its definition, position by position, so its cost grows with the product of the token counts;
        `features(tokens).kernel()` gives the same numbers from the sparse map. Raises OptionError for another kind.
        """

    @abstractmethod
    def features(self, tokens: Tokens, columns: Features | None = None) -> Features:
        """The explicit sparse feature map of n texts; with `columns=` on new texts, in the columns of those features.

        Raises NoSparseFormError where only the dense kernel exists.
        """

    @abstractmethod
    def spectrum(self) -> pl.DataFrame:
        """The feature spectrum (theory, eq. 27): family, order, coefficient γ, and share.

        share = number of patterns in a fully matched window × γ / κ of that window.
        """


def describe(architecture: Architecture) -> str:
    """A short name: the class and the options that differ from their defaults, as the command line writes them.

    >>> from tangentlens.kernels.cnn import CNN
    >>> describe(CNN(kernel_size=5, activation="gelu"))
    'CNN:kernel_size=5,activation=gelu'
    """
    changed = []
    for field in dataclasses.fields(architecture):  # type: ignore[arg-type]
        value = getattr(architecture, field.name)
        if value != field.default:
            text = "+".join(f"{x:g}" for x in value) if isinstance(value, tuple) else f"{value}"
            changed.append(f"{field.name}={text}")
    return type(architecture).__name__ + (":" + ",".join(changed) if changed else "")


def spectrum_table(rows: list[tuple[str, int, float, float]]) -> pl.DataFrame:
    """The table that `spectrum` returns, from (family, order, coefficient, share) rows."""
    schema = {"family": pl.String, "order": pl.Int64, "coefficient": pl.Float64, "share": pl.Float64}
    return pl.DataFrame(rows, schema=schema, orient="row")


def non_negative(coefficients: Array, scale: float) -> Array:
    """Coefficients (…, G, G) without rounding; theory says positive semi-definite, so anything else is an error."""
    smallest = float(np.min(np.linalg.eigvalsh(coefficients)))
    if smallest < -1e-9 * scale:
        raise ArithmeticError(f"negative feature coefficient {smallest:.3e}: please report this as a bug")
    return np.where(np.abs(coefficients) <= ROUNDING * scale, 0.0, coefficients)


def per_layer(value: float | tuple[float, ...], depth: int, name: str) -> tuple[float, ...]:
    """One number for every layer."""
    values = tuple(value) if isinstance(value, tuple | list) else (value,) * depth
    if len(values) != depth:
        raise OptionError(f"{name} has {len(values)} numbers for {depth} layers; give one number, or one per layer")
    return values


def check_options(architecture: Architecture) -> None:
    """Raises OptionError for an impossible value of any of the options that architectures share."""
    name = type(architecture).__name__
    for field in dataclasses.fields(architecture):  # type: ignore[arg-type]
        value: Any = getattr(architecture, field.name)
        if isinstance(value, list):
            value = tuple(value)
            object.__setattr__(architecture, field.name, value)
        if field.name.endswith(("_std", "_scale")):
            for number in value if isinstance(value, tuple) else (value,):
                check_number(f"{name}: {field.name}", number, zero=field.name == "bias_std")
        elif field.name in COUNTS:
            check_count(f"{name}: {field.name}", value)
        elif field.name == "activation" and (value is not None or field.default is not None):
            activation(value)
        elif field.name in CHOICES:
            choices = CHOICES[field.name] + (("last",) if field.name == "pooling" and name in LAST_STATE else ())
            if value not in choices:
                raise OptionError(f"{name}: {field.name} must be one of {', '.join(map(str, choices))}, not {value!r}")


def check_count(what: str, number: Any) -> None:
    """Raises OptionError unless the number is whole and at least 1."""
    if isinstance(number, bool) or not isinstance(number, int | np.integer) or number < 1:
        raise OptionError(f"{what} must be a whole number of at least 1, not {number!r}")


def check_number(what: str, number: Any, *, zero: bool = False) -> None:
    """Raises OptionError unless the number is finite and positive (or zero where `zero`)."""
    good = isinstance(number, int | float | np.number) and not isinstance(number, bool) and math.isfinite(number)
    if not good or number < 0 or (number == 0 and not zero):
        raise OptionError(f"{what} must be a {'number ≥ 0' if zero else 'positive number'}, not {number!r}")


def check_kind(kind: str) -> None:
    """Raises OptionError unless kind is "ntk" or "nngp"."""
    if kind not in ("ntk", "nngp"):
        raise OptionError(f'kind must be "ntk" or "nngp", not {kind!r}')


COUNTS = ("depth", "kernel_size", "order", "max_order", "max_lag")
LAST_STATE = ("LinearRNN", "ElmanRNN")
CHOICES: dict[str, tuple[object, ...]] = {
    "pooling": ("mean", "sum"), "padding": ("same", "valid"), "scores": ("uniform", "tied"),
    "matrices": ("diagonal", "full"), "train_embedding": (True, False), "positions": (True, False),
    "residual": (True, False),
}
