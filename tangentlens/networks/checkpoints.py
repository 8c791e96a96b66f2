"""Checkpoints of a training as safetensors: parameters, velocity, outputs before training, and all records."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from tangentlens.errors import DataError, OptionError, OutputError


class Run(Protocol):
    """What a checkpoint keeps of a training."""

    step: int
    parameters: Any
    velocity: dict[str, Tensor]
    start: dict[str, Any]
    recorded: dict[str, list[Any]]


class Checkpoint:
    """One file. `about` says which training it belongs to."""

    def __init__(self, path: str | os.PathLike[str], about: dict[str, Any]) -> None:
        self.path, self.about = Path(path), json.dumps(about, sort_keys=True, default=lambda x: x.item())

    def exists(self) -> bool:
        """Whether there is something to go on from."""
        return self.path.exists()

    def save(self, run: Run) -> None:
        """Writes to a temporary name, then renames. Raises OutputError."""
        tensors = {f"parameter.{name}": p.detach().cpu().contiguous() for name, p in run.parameters.items()}
        tensors |= {f"velocity.{name}": v.cpu().contiguous() for name, v in run.velocity.items()}
        tensors |= {f"start.{name}": torch.as_tensor(array) for name, array in run.start.items()}
        tensors |= {f"recorded.{name}": torch.as_tensor(np.array(rows)) for name, rows in run.recorded.items()}
        temporary = self.path.with_name(f".{self.path.name}.{secrets.token_hex(8)}")
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            save_file(tensors, temporary, metadata={"step": str(run.step), "about": self.about})
            os.replace(temporary, self.path)
        except (OSError, SafetensorError) as error:
            raise OutputError(f"cannot write the checkpoint {self.path}: {error}; free some space, or choose another "
                              "place") from error
        finally:
            with contextlib.suppress(OSError):
                temporary.unlink()

    def restore(self, run: Run) -> None:
        """Puts the file's state into the training. Raises DataError for a damaged file, OptionError for another's."""
        try:
            with safe_open(self.path, framework="pt") as file:
                note = file.metadata() or {}
                if note.get("about") != self.about:
                    raise OptionError(f"{self.path} is the checkpoint of another training (other texts, network or "
                                      "settings); delete it, or choose another checkpoint file")
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        except (SafetensorError, OSError) as error:
            raise DataError(f"{self.path} is not a readable checkpoint ({error}); delete it to start anew") from error
        run.step = int(note["step"])
        with torch.no_grad():
            for name, parameter in run.parameters.items():
                parameter.copy_(tensors[f"parameter.{name}"])
            for name, velocity in run.velocity.items():
                velocity.copy_(tensors[f"velocity.{name}"])
        run.start = {name: tensors[f"start.{name}"].numpy() for name in run.start}
        run.recorded = {name: list(tensors[f"recorded.{name}"].numpy()) for name in run.recorded}
