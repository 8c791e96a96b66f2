"""Measures everything that takes a few minutes and writes benchmarks/results/*.md and *.csv.

Command: python -m benchmarks [--data ../shared/data/sst] [--output benchmarks/results] [--repeats 3] [--only NAME]
"""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from rich.console import Console

from benchmarks import attribution, command_line, first_order, in_process, integrator, machine, shortcuts
from reproduce.sheet import Sheet, save

WIDTH = 158  # columns of the printed tables, if the terminal has fewer
Benchmark = Callable[[Path, int, Callable[[str], None]], dict[str, Sheet]]
BENCHMARKS: dict[str, Benchmark] = {
    "attribution": attribution.sheets,
    "command_line": lambda data, repeats, say: {"command_line": command_line.sheet(data, repeats, say)},
    "in_process": in_process.sheets,
    "integrator": integrator.sheets,
    "first_order": first_order.sheets,
    "shortcuts": lambda data, repeats, say: shortcuts.sheets(data, shortcuts.ARCHIVE, shortcuts.DONE, say),
}


def main(arguments: Sequence[str] | None = None) -> None:
    """Parses, measures, prints and saves."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks")
    parser.add_argument("--data", type=Path, default=Path("../shared/data/sst"), help="folder of SST's csv files")
    parser.add_argument("--output", type=Path, default=Path("benchmarks/results"))
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--only", choices=BENCHMARKS, action="append", help="repeat for more; all by default")
    options = parser.parse_args(arguments)
    for name in options.only or BENCHMARKS:
        about = machine.describe()
        sheets = BENCHMARKS[name](options.data, options.repeats, lambda line: print(line, file=sys.stderr))
        for sheet in sheets.values():
            sheet.print(Console(width=max(Console().width, WIDTH)))
        data = shlex.quote(str(options.data))
        command = f"python -m benchmarks --data {data} --repeats {options.repeats} --only {name}"
        save(sheets, options.output, name, command=command, preface=[*about, f"At the end: {machine.load()}"])


if __name__ == "__main__":
    main()
