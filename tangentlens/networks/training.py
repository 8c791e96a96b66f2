"""Training of finite networks on f − f_0, at the learning rate of the prediction."""

from __future__ import annotations

import os
import time as clock
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from tangentlens.data.tokens import Tokens
from tangentlens.errors import OptionError, ShapeError
from tangentlens.kernels.architecture import check_count, check_number
from tangentlens.learning.losses import Targets, encode
from tangentlens.networks.checkpoints import Checkpoint
from tangentlens.networks.twin import Twin

Array = NDArray[np.float64]
Progress = Callable[[int, int, float], None]
Watch = Callable[[int], None]
SAVING = 30.0  # seconds between checkpoints


@dataclass(frozen=True, eq=False)
class Training:
    """What was measured while a network was trained, at T recorded steps; the first is the start.

    Shapes: steps (T,); probes (T, N, c): outputs on the probe texts minus those before training; curves: a table with
    T rows: step, train_loss, train_accuracy, of f − f_0 on the training texts.
    """

    steps: NDArray[np.int64]
    probes: Array
    curves: pl.DataFrame
    learning_rate: float


@dataclass(frozen=True)
class Schedule:
    """How to train: full batches, or batches of batch_size texts in a seeded order; momentum is the heavy ball's."""

    learning_rate: float
    steps: int
    momentum: float = 0.0
    batch_size: int | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        check_number("learning_rate", self.learning_rate)
        check_count("steps", self.steps)
        if self.batch_size is not None:
            check_count("batch_size", self.batch_size)
        if not 0 <= self.momentum < 1:
            raise OptionError(f"momentum must be at least 0 and below 1, not {self.momentum!r}")

    def batch(self, step: int, texts: int) -> NDArray[np.int64]:
        """The texts of step 1, 2, …: every epoch has its own seeded order, so resuming needs no random state."""
        size = min(self.batch_size or texts, texts)
        per_epoch = -(-texts // size)
        epoch, place = divmod(step - 1, per_epoch)
        order = np.random.default_rng([self.seed, epoch]).permutation(texts)
        return np.sort(order[place * size:(place + 1) * size])


def train(network: nn.Module, tokens: Tokens, labels: Any, *, learning_rate: float, steps: int,
          loss: str | None = None, momentum: float = 0.0, batch_size: int | None = None, seed: int = 0,
          record: Iterable[int] | None = None, probes: Tokens | None = None,
          watch: Watch | None = None, checkpoint: str | os.PathLike[str] | None = None,
          progress: Progress | None = None) -> Training:
    """Trains a network in place on f − f_0: θ ← θ + v, v ← momentum · v − η ∇ (1/n) Σ ℓ(y, f − f_0).

    network: a twin, or any module that maps Tokens to outputs (n, c); tokens, labels: n training texts; learning_rate:
    η, best that of the prediction (`trajectory.dynamics.learning_rate`); steps, momentum: as in `learn`; batch_size:
    None for full batches; record: steps to record (by default about 40, and the start); probes: texts on which outputs
    are recorded; watch: called with the step at every record, to measure anything else; progress: called with
    (step, steps, training loss); checkpoint: a .safetensors file, written at the start, every half minute and when
    interrupted (but not within a step); if it exists, training goes on from it, with the same result to the last bit
    on a CPU.
    Raises OptionError, DataError or ShapeError.

    >>> import tangentlens as tl
    >>> tokens = tl.Tokens.from_ids([[0, 1], [2, 1], [0, 0]])
    >>> network = tl.networks.build(tl.MLP(), vocabulary_size=3, width=32)
    >>> done = train(network, tokens, ["good", "bad", "good"], learning_rate=1.0, steps=50)
    >>> done.curves["train_loss"][0] > done.curves["train_loss"][-1]
    True
    """
    schedule = Schedule(learning_rate, steps, momentum, batch_size, seed)
    targets = encode(labels, loss, texts=len(tokens))
    run = _Run(network, tokens, targets, schedule, probes if probes is not None else tokens[:0])
    run.watch = watch or run.watch
    wanted = _wanted(steps, record)
    file = None if checkpoint is None else Checkpoint(checkpoint, run.about(wanted))
    if file is not None and file.exists():
        file.restore(run)
    elif file is not None:
        file.save(run)
    return _loop(run, wanted, file, progress or (lambda step, steps, loss: None))


def _loop(run: _Run, wanted: set[int], file: Checkpoint | None, progress: Progress) -> Training:
    saved = clock.monotonic()
    try:
        run.record(wanted)
        while run.step < run.schedule.steps:
            run.advance()
            run.record(wanted)
            progress(run.step, run.schedule.steps, run.loss)
            if file is not None and clock.monotonic() - saved > SAVING:
                file.save(run)
                saved = clock.monotonic()
    finally:
        if file is not None and run.whole:
            file.save(run)
    return run.finish()


def _wanted(steps: int, record: Iterable[int] | None) -> set[int]:
    if record is None:
        return {0, *np.unique(np.geomspace(1, steps, 40).round()).astype(int).tolist(), int(steps)}
    chosen = {float(step) for step in record}
    if any(not step.is_integer() or step < 0 or step > steps for step in chosen):
        raise OptionError(f"record must name whole steps from 0 to {steps}")
    return {0, *map(int, chosen), int(steps)}


class _Run:
    """The state of a training: network, velocity, outputs before training, and what was recorded."""

    def __init__(self, network: nn.Module, tokens: Tokens, targets: Targets, schedule: Schedule, probes: Tokens
                 ) -> None:
        self.network, self.tokens, self.targets, self.schedule = network, tokens, targets, schedule
        self.parameters = {name: p for name, p in network.named_parameters() if p.requires_grad}
        self.velocity = {name: torch.zeros_like(p) for name, p in self.parameters.items()} if schedule.momentum else {}
        self.step, self.loss = 0, float("nan")
        self.whole = True  # False while a step is half taken
        self.full = schedule.batch_size is None or schedule.batch_size >= len(tokens)
        self.texts, self.probes = self._planned(tokens), self._planned(probes)
        self.ids = [(side.ids, side.offsets) for side in (tokens, probes)]
        self.start = {"texts": self.outputs(self.texts), "probes": self.outputs(self.probes)}
        found, needed = self.start["texts"].shape, targets.y.shape
        if found != needed:
            raise ShapeError(f"the network's outputs have the shape {found}, but these labels need {needed}; build it "
                             f"with outputs={needed[1]}")
        self.recorded: dict[str, list[Any]] = {"steps": [], "probes": [], "curves": []}
        self.watch: Watch = lambda step: None

    def about(self, wanted: set[int]) -> dict[str, Any]:
        """What must be equal for a checkpoint to belong to this training."""
        fixed = [p.detach().cpu().reshape(-1).view(torch.uint8).numpy()
                 for p in self.network.parameters() if not p.requires_grad]
        return {"network": type(self.network).__name__, "schedule": vars(self.schedule), "record": sorted(wanted),
                "seed": getattr(self.network, "seed", None), "fixed": _digest(*fixed),
                "shapes": {name: [str(p.dtype), *p.shape] for name, p in self.parameters.items()},
                "architecture": repr(getattr(self.network, "architecture", "")), "loss": self.targets.loss.name,
                "classes": list(map(str, self.targets.classes)), "probes": _digest(*self.ids[1]),
                "texts": _digest(*self.ids[0], self.targets.index)}

    def _planned(self, tokens: Tokens) -> Any:
        return self.network.plan(self.network.checked(tokens)) if isinstance(self.network, Twin) else tokens

    def outputs(self, texts: Any) -> Array:
        """Outputs (n, c) without gradients, float64."""
        with torch.no_grad():
            return np.asarray(self.network(texts).detach().to("cpu", torch.float64).numpy())

    @torch.enable_grad()
    def advance(self) -> None:
        """One step of gradient descent."""
        rows = slice(None) if self.full else self.schedule.batch(self.step + 1, len(self.tokens))
        texts = self.texts if self.full else self._planned(self.tokens[rows])
        f: Tensor = self.network(texts)
        change = f.detach().to("cpu", torch.float64).numpy() - self.start["texts"][rows]
        y = self.targets.y[rows]
        self.loss = float(np.mean(self.targets.loss.value(change, y)))
        slope = torch.as_tensor(self.targets.loss.slope(change, y) / len(y)).to(f)
        self._move(self._gradients(f, slope))

    def _gradients(self, f: Tensor, slope: Tensor) -> Sequence[Tensor | None]:
        """∂(slope · f)/∂θ by parameter; None where f does not depend on it, as in a batch of empty texts."""
        if not f.requires_grad:
            return [None] * len(self.parameters)
        return torch.autograd.grad(f, list(self.parameters.values()), slope, allow_unused=True)

    @torch.no_grad()
    def _move(self, gradients: Sequence[Tensor | None]) -> None:
        """θ ← θ + v, v ← momentum · v − η · gradient. An interruption in between leaves `whole` False."""
        self.whole, rate = False, self.schedule.learning_rate
        for (name, parameter), gradient in zip(self.parameters.items(), gradients, strict=True):
            if self.velocity:
                velocity = self.velocity[name].mul_(self.schedule.momentum)
                parameter.add_(velocity if gradient is None else velocity.sub_(gradient, alpha=rate))
            elif gradient is not None:
                parameter.sub_(gradient, alpha=rate)
        self.step += 1
        self.whole = True

    def record(self, wanted: set[int]) -> None:
        """Measures probes, loss and accuracy at a wanted step, once; all at a time, so that no record is partial."""
        if self.step not in wanted or self.step in self.recorded["steps"][-1:]:
            return
        f = self.outputs(self.texts) - self.start["texts"]
        row = {"steps": self.step, "probes": self.outputs(self.probes) - self.start["probes"],
               "curves": (self.targets.mean_loss(f), self.targets.accuracy(f))}
        self.watch(self.step)
        self.recorded = {name: [*rows, row[name]] for name, rows in self.recorded.items()}

    def finish(self) -> Training:
        """What was recorded."""
        steps = np.array(self.recorded["steps"], dtype=np.int64)
        names = {"train_loss": pl.Float64, "train_accuracy": pl.Float64}
        rows = [tuple(map(float, row)) for row in self.recorded["curves"]]
        curves = pl.DataFrame(rows, schema=names, orient="row").insert_column(0, pl.Series("step", steps))
        return Training(steps, np.stack(self.recorded["probes"]), curves, self.schedule.learning_rate)


def _digest(*parts: NDArray[Any]) -> str:
    return sha256(b"".join(np.ascontiguousarray(part).tobytes() for part in parts)).hexdigest()
