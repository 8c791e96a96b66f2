"""A folder of results that is either written whole or not at all."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path

from tangentlens.errors import OutputError
from tangentlens.report.wording import visible


@contextlib.contextmanager
def staged(folder: str | os.PathLike[str]) -> Iterator[Path]:
    """A temporary folder beside `folder`; on success its files move there, on any failure nothing is left behind.

    Raises OutputError, before any work is done, if the folder cannot be made or written to.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as home, staged(Path(home) / "out") as stage:
    ...     _ = (stage / "run.json").write_text("{}")
    """
    target = Path(folder)
    made = [path for path in (target, *target.parents) if not path.exists()]
    stage = target / f".tangentlens-{secrets.token_hex(8)}"
    done = False
    try:
        with _explained(target):
            stage.mkdir(parents=True)
        yield stage
        with _explained(target):
            for file in sorted(stage.iterdir()):
                os.replace(file, target / file.name)
            stage.rmdir()
        done = True
    finally:
        if not done:
            shutil.rmtree(stage, ignore_errors=True)
            for path in made:
                with contextlib.suppress(OSError):
                    path.rmdir()


@contextlib.contextmanager
def _explained(target: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise OutputError(f'cannot write to the folder "{visible(target)}": {error.strerror or error}; give another '
                          "with --output, one that you may write to and that has room") from error
