"""Whole processes: the command line from start to finished report. Part of: python -m benchmarks"""

from __future__ import annotations

import shlex
import shutil
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from benchmarks.processes import Measured, floor, measure, spread
from reproduce.sheet import Row, Sheet, text, written

SHOWN = {
    "command": ("command", text),
    "seconds": ("seconds", written),
    "processor_seconds": ("processor\ns", written),
    "peak": ("peak MiB", written),
    "state": ("state", text),
}


def commands(data: Path) -> list[list[str]]:
    """The commands to measure, each without its --output."""
    sst = ["audit", str(data / "train.csv"), "--text", "text", "--label", "label"]
    three = [part for name in ("MLP", "CNN", "SelfAttention:scores=tied") for part in ("--architecture", name)]
    rest = [part for name in ("MatrixVector", "LinearRNN", "ElmanRNN") for part in ("--architecture", name)]
    return [
        [*sst, *three],
        ["demo", "--architecture", "MLP"],
        ["demo"],
        ["demo", *three, *rest],
    ]


def program() -> list[str]:
    """How to start the command line: the script beside this interpreter."""
    beside = Path(sys.executable).with_name("tangentlens")
    found = str(beside) if beside.exists() else shutil.which("tangentlens")
    return [found] if found else [sys.executable, "-m", "tangentlens.cli"]


def sheet(data: Path, repeats: int, say: Callable[[str], None]) -> Sheet:
    """Every command, `repeats` times."""
    rows = [row(command, repeats, say) for command in commands(data)]
    return Sheet("Whole processes of the command line", rows, SHOWN, (
        f"{repeats} runs each: median (least–largest), from the start of the process to its end, reading, report and "
        "files included. processor s: user + system time, which other jobs on the machine disturb less. peak: largest "
        f"resident set (the harness takes {floor():.0f} MiB, below which none could be seen).",
    ))


def row(command: Sequence[str], repeats: int, say: Callable[[str], None]) -> Row:
    """One command; its state is "ok" or the last line that it wrote before it failed."""
    shown = shlex.join(["tangentlens", *command, "--output", "DIR"])
    runs: list[Measured] = []
    for repeat in range(repeats):
        say(f"{shown} (run {repeat + 1} of {repeats})")
        with tempfile.TemporaryDirectory() as folder:
            runs.append(measure([*program(), *command, "--output", str(Path(folder) / "out")]))
        if runs[-1].status:
            last = (runs[-1].errors.strip().splitlines() or ["no message"])[-1]
            return {"command": shown, "state": f"exit {runs[-1].status}: {last}"}
    seconds, peaks = spread([run.seconds for run in runs]), spread([run.peak for run in runs])
    return {
        "command": shown, "seconds": ranged(seconds, ".1f"), "peak": ranged(peaks, ",.0f"), "state": "ok",
        "processor_seconds": ranged(spread([run.processor_seconds for run in runs]), ".1f"),
        "seconds_median": seconds[0], "seconds_least": seconds[1], "seconds_largest": seconds[2],
        "peak_median": peaks[0], "peak_least": peaks[1], "peak_largest": peaks[2], "runs": repeats,
    }


def ranged(values: tuple[float, float, float], spec: str) -> str:
    """Median (least–largest).

    >>> ranged((2.0, 1.0, 3.04), ".1f")
    '2.0 (1.0–3.0)'
    """
    middle, least, largest = (format(value, spec) for value in values)
    return f"{middle} ({least}–{largest})"
