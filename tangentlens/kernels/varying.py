"""How a feature spectrum moves when one option of the architecture changes and all others stay."""

from __future__ import annotations

import dataclasses
import math
from statistics import fmean
from typing import Any

import numpy as np
import polars as pl

from tangentlens.errors import OptionError
from tangentlens.kernels.architecture import Architecture, describe
from tangentlens.kernels.comparing import PARTS, parts

_STDS = (0.25, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0)
GRIDS: dict[str, tuple[float, ...]] = {
    "depth": (1, 2, 3, 4, 5, 6),
    "kernel_size": (1, 2, 3, 4, 5, 6, 7, 8, 9),
    "order": (1, 2, 3, 4, 5, 6),
    "gate_std": (0.1, 0.25, 0.5, 0.75, 1.0, 1.25, 1.5),
    "weight_std": _STDS,
    "bias_std": (0.0, 0.25, 0.5, 0.75, 1.0, 1.5, 2.0),
    "embedding_std": _STDS,
} | dict.fromkeys(("input_std", "vector_std", "key_std", "value_std", "output_std", "readout_std"), _STDS)
STEADY = 1e-9  # smaller changes of a share are rounding and quadrature

Row = tuple[str, float, bool, float, float, float, float]


def trends(architecture: Architecture) -> pl.DataFrame:
    """How the shares of a spectrum move with each option that the architecture has, all others staying as they are.

    Columns: option, value, own (whether this is the architecture itself), and the shares bias, token, pair, longer of
    `shares`, each from 0 to 1. The values of an option are those of GRIDS and the architecture's own. Options that
    leave these shares as they are, are left out, and so are values that it refuses or at which the numbers overflow.

    Where an option has one number per layer, value is their mean, and another value scales all of them; another depth
    takes the numbers of the first layers, and repeats the last one for further layers.

    Raises NoSparseFormError for an architecture without a sparse map, ArithmeticError where its own spectrum overflows.

    >>> from tangentlens.kernels.mlp import MLP
    >>> table = trends(MLP())
    >>> table["option"].unique(maintain_order=True).to_list()  # ReLU is homogeneous: no weight_std without a bias
    ['depth', 'bias_std']
    >>> table.filter(option="depth")["bias"].round(2).to_list()
    [0.11, 0.17, 0.21, 0.24, 0.26, 0.27]
    """
    schema = {"option": pl.String, "value": pl.Float64, "own": pl.Boolean} | dict.fromkeys(PARTS, pl.Float64)
    with np.errstate(all="ignore"):
        own = parts(architecture.spectrum())
        if not all(map(math.isfinite, own)):
            raise ArithmeticError(f"the spectrum of {describe(architecture)} is not finite")
        rows = [row for option in _options(architecture) for row in _rows(architecture, option, own)]
    return pl.DataFrame(rows, schema=schema, orient="row")


def steady(architecture: Architecture, table: pl.DataFrame) -> tuple[str, ...]:
    """The options that leave the shares as they are: `trends` tried them, and left them out of its table.

    >>> from tangentlens.kernels.mlp import MLP
    >>> steady(MLP(), trends(MLP()))
    ('weight_std', 'embedding_std', 'readout_std')
    """
    return tuple(option for option in _options(architecture) if option not in table["option"])


def _options(architecture: Architecture) -> list[str]:
    names = {field.name for field in dataclasses.fields(architecture)}  # type: ignore[arg-type]
    return [option for option in GRIDS if option in names]


def _rows(architecture: Architecture, option: str, own: tuple[float, ...]) -> list[Row]:
    """The rows of one option; none where all its values are possible and nothing moves."""
    given: Any = getattr(architecture, option)
    mine = fmean(given) if isinstance(given, tuple) else given
    found = {value: own if value == mine else _shares(architecture, option, value)
             for value in sorted({mine, *GRIDS[option]})}
    finite = {value: shares for value, shares in found.items() if shares is not None}
    if len(finite) == len(found) and np.ptp(list(finite.values()), axis=0).max() <= STEADY:
        return []
    return [(option, value, bool(value == mine), *shares) for value, shares in finite.items()]  # type: ignore[misc]


def _changed(architecture: Architecture, option: str, value: float) -> Architecture:
    given: Any = getattr(architecture, option)
    changes: dict[str, Any] = {option: value}
    if isinstance(given, tuple) and any(given):
        changes = {option: tuple(number * value / fmean(given) for number in given)}
    if option == "depth":
        layers = {name: numbers for name, numbers in vars(architecture).items() if isinstance(numbers, tuple)}
        changes |= {name: (numbers + numbers[-1:] * int(value))[:int(value)] for name, numbers in layers.items()}
    return dataclasses.replace(architecture, **changes)  # type: ignore[type-var]


def _shares(architecture: Architecture, option: str, value: float) -> tuple[float, ...] | None:
    """The shares with one option changed; None for what the architecture refuses, or numbers that overflow."""
    try:
        found = parts(_changed(architecture, option, value).spectrum())
    except (ArithmeticError, OptionError):
        return None
    return found if all(map(math.isfinite, found)) else None
