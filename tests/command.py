"""The program `tangentlens` run in this process, and Python processes in which a package cannot be imported."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import pytest

from tangentlens import cli


class Ran(NamedTuple):
    """What a run of the program left."""

    status: int
    out: str
    err: str


Run = Callable[..., Ran]


def runner(capsys: pytest.CaptureFixture[str], *before: str) -> Run:
    """A function that runs the program with these arguments, and with its own after them."""
    def start(*arguments: str) -> Ran:
        capsys.readouterr()
        status = 0
        try:
            cli.main([*before, *arguments])
        except SystemExit as stop:
            status = int(stop.code or 0)
        return Ran(status, *capsys.readouterr())

    return start


def refusing(missing: str) -> str:
    """The first lines of a script in which a package cannot be imported."""
    return f"""
import sys
class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] == "{missing}":
            raise ModuleNotFoundError("refused: " + name, name=name)
sys.meta_path.insert(0, Refuse())
"""
