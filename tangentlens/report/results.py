"""The main results as run.json holds them."""

from __future__ import annotations

import json
from typing import Any

import numpy as np

from tangentlens.report.content import ArchitectureAnswer


def result(answered: ArchitectureAnswer) -> dict[str, Any]:
    """One architecture: accuracy and loss at the best time, its spectrum, its strongest features."""
    best = int(np.argmin(np.abs(answered.curves["time"].to_numpy() - answered.best_time)))
    curves = answered.curves.row(best, named=True)
    strongest_features = answered.top.group_by("class", maintain_order=True).head(10)
    return {
        "architecture": answered.name, "best_time": answered.best_time, "products": answered.products,
        "features": answered.features, "error": answered.error, "windowless": answered.windowless,
        "seconds": round(answered.seconds, 3),
        **{key: value for key, value in curves.items() if key != "time"},
        "spectrum": answered.spectrum.to_dicts(),
        "strongest": strongest_features.to_dicts(),
    }


def as_json(summary: dict[str, Any] | list[Any]) -> str:
    """JSON text; numbers that are not finite become null.

    >>> print(as_json({"a": [1.0, float("nan")]}))
    {
      "a": [
        1.0,
        null
      ]
    }
    """
    return json.dumps(_finite(summary), indent=2, ensure_ascii=False, allow_nan=False, default=str)


def _finite(value: Any) -> Any:
    """The same value with None in place of NaN and infinity, which JSON does not know."""
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not np.isfinite(value) else value
