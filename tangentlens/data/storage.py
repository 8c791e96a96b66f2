"""Named arrays and a little JSON in one .npz file: no pickle, written whole or not at all."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import zipfile
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tangentlens.errors import DataError, OutputError

Arrays = dict[str, NDArray[Any]]


def write_arrays(path: str | os.PathLike[str], about: dict[str, Any], arrays: Arrays) -> None:
    """Writes arrays and `about` (JSON) to one file; an existing one is replaced only when the new one is complete.

    Raises OutputError if it cannot be written.
    """
    target = Path(path)
    temporary = target.parent / f".tangentlens-{secrets.token_hex(8)}.tmp"
    text = np.frombuffer(json.dumps(about, default=lambda number: number.item()).encode("utf-8"), dtype=np.uint8)
    try:
        with open(temporary, "xb") as file:
            np.savez(file, allow_pickle=False, about=text, **arrays)
        os.replace(temporary, target)
    except OSError as error:
        raise OutputError(f"cannot write {target}: {error.strerror or error}; give another path") from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink()


def read_arrays(path: str | os.PathLike[str], kind: str | None = None) -> tuple[dict[str, Any], Arrays]:
    """What `write_arrays` wrote; `kind` is the value that about["kind"] must have. Raises DataError."""
    try:
        with np.load(path, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
        about = json.loads(arrays.pop("about").tobytes().decode("utf-8"))
    except FileNotFoundError:
        raise DataError(f"there is no file {path}; check the path") from None
    except (OSError, ValueError, KeyError, zipfile.BadZipFile, EOFError) as error:
        raise DataError(f"{path} is not a file that TangentLens saved, or it is damaged ({error})") from None
    if kind is not None and about.get("kind") != kind:
        raise DataError(f"{path} holds {about.get('kind')}, not {kind}; tl.load finds out by itself")
    return about, arrays


def pack(strings: tuple[str, ...]) -> Arrays:
    """Strings as UTF-8 bytes and their ends."""
    encoded = [text.encode("utf-8", "surrogatepass") for text in strings]
    return {"bytes": np.frombuffer(b"".join(encoded), dtype=np.uint8), "ends": np.cumsum([len(x) for x in encoded])}


def unpack(data: NDArray[np.uint8], ends: NDArray[np.int64]) -> tuple[str, ...]:
    """The strings that `pack` packed.

    >>> unpack(*pack(("a", "", "é")).values())
    ('a', '', 'é')
    """
    raw, bounds = data.tobytes(), [0, *ends.astype(np.int64).tolist()]
    return tuple(raw[low:high].decode("utf-8", "surrogatepass") for low, high in pairwise(bounds))
