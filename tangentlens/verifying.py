"""`tangentlens verify`: networks that are really trained, beside an audit's predictions. Needs the extra torch."""

from __future__ import annotations

import contextlib
import math
import os
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from importlib import import_module
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from tangentlens.audit import Settings, choose
from tangentlens.data import Texts
from tangentlens.errors import OptionError, TangentLensError
from tangentlens.kernels import Architecture
from tangentlens.outcome import Audit
from tangentlens.report.files import explained
from tangentlens.report.wording import visible

TOKENIZING = ("tokenizer", "lowercase", "min_count")
_KEPT = re.compile(r"\w+-\d+-\d+-[0-9a-f]{16}\.npz|\.tangentlens-[0-9a-f]+\.tmp")  # names that width_study gives


@dataclass(frozen=True)
class Verification:
    """What `tangentlens verify` trains, checked before any work is done; see `tangentlens.verification.Size`.

    texts: in the sample; networks: seeds of every width; steps: of training; patterns: of each family; device: "cpu"
    or "cuda". Raises OptionError, and TangentLensError where PyTorch is missing.
    """

    texts: int = 100
    widths: tuple[int, ...] = (64, 128, 256, 512)
    networks: int = 4
    steps: int = 200
    patterns: int = 100
    device: str = "cpu"

    def __post_init__(self) -> None:
        try:
            import_module("tangentlens.networks")
        except ImportError:
            raise TangentLensError('verify trains networks, which needs PyTorch: pip install "tangentlens[torch]"'
                                   ) from None
        self.size  # noqa: B018
        if self.device == "cuda" and not import_module("torch").cuda.is_available():
            raise OptionError('there is no CUDA device that PyTorch can use here; use "cpu"')

    @property
    def size(self) -> Any:
        """The same as `tangentlens.verification.Size`."""
        return import_module("tangentlens.verification").Size(
            texts=self.texts, widths=self.widths, seeds=self.networks, steps=self.steps, patterns=self.patterns)

    def announced(self, texts: Texts, architectures: Sequence[Architecture] | None, settings: dict[str, Any]) -> str:
        """One line: what is going to be done, and about how long it takes. Raises what `trained` would raise."""
        chosen, options = choose(architectures), Settings.named(settings)
        with _enough_memory():
            return str(import_module("tangentlens.verification").announce(
                texts, chosen, self.size, device=self.device, **_chosen(options)))

    def trained(self, found: Audit, texts: Texts, settings: dict[str, Any], *, folder: Path, console: Console) -> Audit:
        """The audit with its section "verified". folder: where scores of finished networks are kept."""
        options, total = Settings.named(settings), self.size.networks * len(found.architectures)
        with _bar(console, total) as bar, _enough_memory(), explained(folder):
            answers = import_module("tangentlens.verification").verify(
                texts, found.architectures, size=self.size, device=self.device, folder=folder, progress=bar.say,
                watching=bar.watch, **_chosen(options))
        about = {"verification": asdict(self) | {"torch": import_module("torch").__version__}}
        content = replace(found.content, settings=found.content.settings | about)
        return replace(found, content=content).verified(answers)


def _chosen(options: Settings) -> dict[str, Any]:
    """What the audit's settings say about a verification."""
    return {name: getattr(options, name) for name in (*TOKENIZING, "seed", "loss")}


class _Bar:
    """A bar of networks done, and the training loss of the one at work."""

    def __init__(self, show: Callable[[str, float], None]) -> None:
        self.show, self.done, self.line = show, 0, ""

    def say(self, line: str) -> None:
        """What is done now."""
        self.line = line
        self.show(line, self.done)

    def watch(self, step: int, steps: int, loss: float) -> None:
        """A step of a network; the last one finishes it."""
        self.done += step == steps
        part = 0.0 if step == steps else step / steps
        known = f", step {step}: training loss {loss:.4f}" if math.isfinite(loss) else ""
        self.show(f"{self.line}{known}", self.done + part)


@contextlib.contextmanager
def _bar(console: Console, total: int) -> Iterator[_Bar]:
    columns = (SpinnerColumn(), BarColumn(bar_width=20), TextColumn("{task.fields[count]} networks", markup=False),
               TimeElapsedColumn(), TextColumn("{task.description}", markup=False))
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task("", total=total, count=f"0/{total}")
        yield _Bar(lambda line, done: progress.update(task, description=visible(line), completed=done,
                                                      count=f"{int(done)}/{total}"))


@contextlib.contextmanager
def _enough_memory() -> Iterator[None]:
    """PyTorch's own ways to say that memory is full, as one that the user can read."""
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if isinstance(error, RuntimeError) and not re.search("out of memory|allocate memory", str(error)):
            raise
        raise OptionError("not enough memory to train the networks; use fewer texts or patterns, or smaller widths"
                          ) from error


@contextlib.contextmanager
def kept(output: str) -> Iterator[Path]:
    """The folder `<output>.networks`, for scores of finished networks: deleted on success, kept when the work fails or
    is interrupted, with a note on the exception that says so.
    """
    folder = Path(f"{os.path.abspath(output)}.networks")
    try:
        yield folder
    except BaseException as stop:
        done = len(list(folder.glob("*.npz")))
        if done:
            stop.add_note(f'{done} finished network{"s are" if done > 1 else " is"} kept in "{folder}", and the same '
                          "command goes on from there")
        raise
    _removed(folder)


def _removed(folder: Path) -> None:
    """Deletes what was kept, and the folder if nothing else is in it."""
    with contextlib.suppress(OSError):
        for path in folder.iterdir():
            if _KEPT.fullmatch(path.name):
                path.unlink(missing_ok=True)
        folder.rmdir()
