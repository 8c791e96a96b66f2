"""What the command lines of the studies share, and the command that a result was made by.

Part of: python -m reproduce.activations
"""

from __future__ import annotations

import argparse
import shlex
from pathlib import Path

from reproduce.sst import DATA

RESULTS = Path("reproduce/results")


def parser_of(name: str, **sizes: int) -> argparse.ArgumentParser:
    """--data, --output, --work, and a whole number for each of `sizes`."""
    parser = argparse.ArgumentParser(prog=f"python -m reproduce.{name}")
    parser.add_argument("--data", type=Path, default=DATA, help="folder with train.csv, dev.csv and test.csv")
    parser.add_argument("--output", type=Path, default=RESULTS)
    parser.add_argument("--work", type=Path, help="folder where answers of finished networks are kept")
    for size, default in sizes.items():
        parser.add_argument(f"--{size}", type=int, default=default)
    return parser


def command_of(parser: argparse.ArgumentParser, options: argparse.Namespace) -> str:
    """The command with every option that may change its result."""
    given = {name: value for name, value in vars(options).items() if name not in ("output", "work")}
    return " ".join([parser.prog, *(f"--{name} {shlex.quote(str(value))}" for name, value in given.items())])
