"""Measures, prints, and writes benchmarks/results/*.md and *.csv: what takes minutes; with --heavy, hours.

Command: python -m benchmarks [--only NAME] [--repeats 5] [--sizes 250,500] [--heavy]
"""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path

from rich.console import Console

from benchmarks import machine
from benchmarks.asked import Asked
from reproduce.sheet import Sheet, save

WIDTH = 158  # columns of the printed tables, if the terminal has fewer
MINUTES = ("attribution", "command_line", "in_process", "integrator", "first_order", "vectorizer", "regression",
           "bandwidth", "twin")
HEAVY = ("device", "neural_tangents", "out_of_core", "scale", "shortcuts", "workers")  # device needs a GPU
OLDER = ("attribution", "in_process", "integrator", "first_order")  # sheets(data, repeats, say)


def sheets_of(name: str, asked: Asked) -> dict[str, Sheet]:
    """Measures; imports only what this benchmark needs, since children start with the peak memory of this process."""
    module = import_module(f"benchmarks.{name}")
    if name == "command_line":
        return {name: module.sheet(asked.data, asked.repeats, asked.say)}
    made: Callable[..., dict[str, Sheet]] = module.sheets
    return made(asked.data, asked.repeats, asked.say) if name in OLDER else made(asked)


def parsed(arguments: Sequence[str] | None) -> argparse.Namespace:
    """The options."""
    own = Asked()
    parser = argparse.ArgumentParser(prog="python -m benchmarks")
    parser.add_argument("--data", type=Path, default=own.data, help="folder of SST's csv files")
    parser.add_argument("--output", type=Path, default=Path("benchmarks/results"))
    parser.add_argument("--repeats", type=int, default=own.repeats)
    parser.add_argument("--only", choices=(*MINUTES, *HEAVY), action="append", help="repeat for more")
    parser.add_argument("--heavy", action="store_true", help=f"{', '.join(HEAVY)} too, which take long")
    parser.add_argument("--sizes", type=lambda value: tuple(map(int, value.split(","))), default=(),
                        help="numbers of texts, separated by commas; by default each benchmark's own")
    parser.add_argument("--architectures", type=lambda value: tuple(value.split(",")), default=(),
                        help="for scale, out_of_core and workers: names, separated by commas")
    parser.add_argument("--environment", type=Path, default=own.environment,
                        help="virtual environment of neural-tangents; made if it is not there")
    parser.add_argument("--work", type=Path, default=own.work, help="folder for large files")
    parser.add_argument("--device", default="", help="for twin and device: of PyTorch, such as cuda")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> None:
    """Parses, measures, prints and saves."""
    options = parsed(arguments)
    asked = Asked(options.data, options.repeats, options.sizes, options.architectures, options.environment,
                  options.work, options.device)
    for name in options.only or (*MINUTES, *(HEAVY if options.heavy else ())):
        about = machine.describe()
        sheets = sheets_of(name, asked)
        for sheet in sheets.values():
            sheet.print(Console(width=max(Console().width, WIDTH)))
        chosen = ["--data", str(options.data), "--repeats", str(options.repeats), "--only", name]
        for option in ("sizes", "architectures"):
            if value := getattr(options, option):
                chosen += [f"--{option}", ",".join(map(str, value))]
        if options.device:
            chosen += ["--device", options.device]
        save(sheets, options.output, name, command=shlex.join(["python", "-m", "benchmarks", *chosen]),
             preface=[*about, f"At the end: {machine.load()}"])


if __name__ == "__main__":
    main()
