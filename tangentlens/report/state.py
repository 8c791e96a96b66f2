"""An audit's numbers as one file, from which everything else can be made again."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from tangentlens.data.messages import plain
from tangentlens.data.storage import Arrays, read_arrays, write_arrays
from tangentlens.data.tokens import Tokens
from tangentlens.errors import DataError
from tangentlens.kernels import ARCHITECTURES, Architecture
from tangentlens.learning.dynamics import Dynamics
from tangentlens.predictions.trajectory import Trajectory
from tangentlens.report.content import COMPARED, ComparedAnswer, DataGlance, Report, VerifiedAnswer


@dataclasses.dataclass(frozen=True)
class State:
    """What an audit found, without its tables: tokens of the training texts, and per architecture its dynamics.

    Features are not stored: counting them again is faster than reading them.
    """

    tokens: Tokens
    architectures: tuple[Architecture, ...]
    trajectories: tuple[Trajectory, ...]
    content: Report
    rows: NDArray[np.int64]

    def write(self, path: Path) -> None:
        """Writes one .npz file. Raises OutputError."""
        arrays: Arrays = self.tokens.arrays() | {"rows": self.rows}
        dynamics = []
        for number, trajectory in enumerate(self.trajectories):
            about, more = trajectory.dynamics.arrays(f"dynamics{number}_")
            dynamics.append(about)
            arrays |= more
        content = self.content
        write_arrays(path, {
            "kind": "Audit", "tokenizer": self.tokens.vocabulary.tokenizer, "dynamics": dynamics,
            "architectures": [[type(a).__name__, vars(a)] for a in self.architectures],
            "glance": _fields(content.data), "title": content.title, "notes": list(content.notes),
            "settings": content.settings, "verified": [_fields(answer) for answer in content.verified],
            "compared": [_fields(answer) for answer in content.compared],
            "flags": content.flags.to_dicts(), "gone": content.gone.to_dicts(),
            "seconds": [answer.seconds for answer in content.architectures]}, arrays)


def read_state(path: Path) -> tuple[dict[str, Any], DataGlance, Tokens, list[Architecture], list[Trajectory],
                                    NDArray[np.int64]]:
    """What `State.write` wrote: the JSON part, the data at a glance, tokens, architectures, trajectories, rows."""
    if not path.exists():
        raise DataError(f"{plain(path.parent)} is not a folder that an audit has written: {path.name} is missing; give "
                        "the output folder of an audit, or audit the data again")
    about, arrays = read_arrays(path, "Audit")
    tokens = Tokens.from_arrays(arrays, about["tokenizer"])
    architectures = [ARCHITECTURES[name](**options) for name, options in about["architectures"]]
    trajectories = [Trajectory(architecture.features(tokens), Dynamics.from_arrays(part, arrays, f"dynamics{number}_"))
                    for number, (architecture, part) in enumerate(zip(architectures, about["dynamics"], strict=True))]
    return about, DataGlance(**_tables(about["glance"])), tokens, architectures, trajectories, \
        arrays.get("rows", np.arange(len(tokens)))


def read_verified(about: dict[str, Any]) -> tuple[VerifiedAnswer, ...]:
    """What trained networks said, from the JSON part."""
    return tuple(VerifiedAnswer(**_tables(part) | {"widths": tuple(part["widths"])})
                 for part in about.get("verified", []))


def read_compared(about: dict[str, Any]) -> tuple[ComparedAnswer, ...]:
    """What sets the architectures apart, from the JSON part."""
    return tuple(ComparedAnswer(**part | {"unbiased": tuple(part["unbiased"])} | {
        name: pl.DataFrame(part[name], schema=schema) for name, schema in COMPARED.items()})
        for part in about.get("compared", []))


def _tables(fields: dict[str, Any]) -> dict[str, Any]:
    return {name: pl.DataFrame(value) if isinstance(value, dict) else value for name, value in fields.items()}


def _fields(value: DataGlance | VerifiedAnswer | ComparedAnswer) -> dict[str, Any]:
    return {field.name: _plain(getattr(value, field.name)) for field in dataclasses.fields(value)}


def _plain(value: Any) -> Any:
    return value.to_dict(as_series=False) if isinstance(value, pl.DataFrame) else value
