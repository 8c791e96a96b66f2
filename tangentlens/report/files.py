"""A folder of results that is either written whole or not at all."""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path

import polars as pl

from tangentlens.errors import OutputError
from tangentlens.report.wording import visible

OURS = frozenset(("audit.html", "compared.parquet", "flags.json", "language.html", "pairs.parquet", "run.json",
                  "scores.parquet", "state.npz", "verified-errors.parquet", "verified.parquet"))


@contextlib.contextmanager
def staged(folder: str | os.PathLike[str]) -> Iterator[Path]:
    """A temporary folder inside `folder`; on success its files move up into `folder`, in place of those of an earlier
    run; on any failure nothing is left behind and the files that were there before are as they were.

    Raises OutputError, before any work is done, if the folder cannot be made or written to.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as home, staged(Path(home) / "out") as stage:
    ...     _ = (stage / "run.json").write_text("{}")
    """
    target = Path(folder)
    stage = target / f".tangentlens-{secrets.token_hex(8)}"
    made: list[Path] = []
    done = False
    try:
        with explained(target):
            made += (path for path in (target, *target.parents) if not path.exists())
            stage.mkdir(parents=True)
        yield stage
        with explained(target):
            _move_up(stage)
        done = True
    finally:
        shutil.rmtree(stage, ignore_errors=True)
        if not done:
            for path in made:
                with contextlib.suppress(OSError):
                    path.rmdir()


@contextlib.contextmanager
def explained(target: Path) -> Iterator[None]:
    """Turns what goes wrong while files are written into an OutputError that names the folder `target`."""
    try:
        yield
    except (OSError, pl.exceptions.PolarsError) as error:
        cause = error.__cause__ if isinstance(error, OutputError) and error.__cause__ is not None else error
        # Polars hides the system's message at the end of "parquet: File out of specification: underlying IO error: …"
        reason = getattr(cause, "strerror", None) or str(cause).rpartition(" error: ")[2]
        raise OutputError(f'cannot write to the folder "{visible(target)}": {reason}; give another '
                          "with --output, one that you may write to and that has room") from error


def _move_up(stage: Path) -> None:
    """Moves all files of `stage` into the folder around it, and those of an earlier run there that would stay beside
    them out of it; if that fails or is interrupted, moves all of them back.
    """
    files = sorted(stage.iterdir())
    earlier = stage / "earlier"
    earlier.mkdir()
    places = [(file, stage.parent / file.name, earlier / file.name) for file in files]
    for _, place, _ in places:
        if place.is_dir() and not place.is_symlink():
            raise IsADirectoryError(errno.EISDIR, f"there is a folder named {visible(place.name)} in it")
    left = [(place, earlier / place.name) for place in _left_over(stage)]
    try:
        for place, old in left:
            os.replace(place, old)
        for file, place, old in places:
            if os.path.lexists(place):
                os.replace(place, old)
            os.replace(file, place)
    except BaseException:
        for file, place, _ in places:
            if not os.path.lexists(file):
                place.unlink(missing_ok=True)
        for old in sorted(earlier.iterdir()):
            os.replace(old, stage.parent / old.name)
        raise


def _left_over(stage: Path) -> list[Path]:
    """Files of an earlier run, of this command or another, that the new ones in `stage` do not replace."""
    folder = stage.parent
    try:
        ours = b'"tangentlens": ' in (folder / "run.json").read_bytes()  # among the versions
    except OSError:
        return []
    places = [folder / name for name in sorted(OURS) if not (stage / name).exists()]
    return [place for place in places if ours and place.is_file() and not place.is_symlink()]
