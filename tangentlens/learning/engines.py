"""Where the work on parts is done and its results are kept: here, in memory or in a folder, or on workers of Dask.

Results are named arrays, and every function is a pure one of its arguments. So a folder goes on where it was left, and
Dask makes again what was lost with a worker. What is added up is added in the order of the parts, wherever they are:
the result is the same to the last bit.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import secrets
import shutil
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from tangentlens.data.messages import plain
from tangentlens.data.storage import Arrays
from tangentlens.data.texts import Texts
from tangentlens.data.threads import parallel, workers
from tangentlens.errors import DataError, OptionError, OutputError

Say = Callable[[str], None]
Function = Callable[..., Arrays]
TEMPORARY = ".unfinished-"
MARK = "TANGENTLENS"  # the file that marks a folder as ours


class Engine(ABC):
    """Runs functions on parts. Handles are what an engine gives for a result, and takes as an argument of the next."""

    @abstractmethod
    def each(self, stage: str, function: Function, parts: Sequence[tuple[Any, ...]], *shared: Any) -> list[Any]:
        """Handles of function(*part, *shared) for every part, kept."""

    @abstractmethod
    def one(self, stage: str, function: Function, parts: Sequence[Any], *shared: Any) -> Any:
        """The handle of function(all parts in order, *shared), kept."""

    @abstractmethod
    def stream(self, function: Function, *columns: Sequence[Any]) -> Iterable[Any]:
        """Handles of function(of one entry of every column), not kept; to be used once, in order."""

    @abstractmethod
    def total(self, function: Function, results: Iterable[Any], *shared: Any) -> Any:
        """The handle of function(results, *shared), not kept; results are those of `stream`."""

    @abstractmethod
    def get(self, handles: Iterable[Any]) -> Iterator[Arrays]:
        """The results, one after another."""

    def value(self, handle: Any) -> Arrays:
        """One result."""
        return next(iter(self.get([handle])))


@dataclass(frozen=True)
class Stored:
    """A result in a folder: one .npy file for every array, mapped into memory while it is used."""

    path: Path
    digest: str

    def load(self) -> Arrays:
        """The arrays."""
        try:
            return {file.stem: _mapped(file) for file in sorted(self.path.glob("*.npy"))}
        except (OSError, ValueError) as error:
            raise DataError(f"{plain(self.path)} is damaged ({plain(error)}); delete it and run again") from error


_HEADERS = threading.Lock()  # NumPy reads them with `ast`, which before Python 3.13 may fail in two threads at a time


def _mapped(file: Path) -> Any:
    with _HEADERS, open(file, "rb") as opened:
        version_ = np.lib.format.read_magic(opened)
        reader = np.lib.format.read_array_header_1_0 if version_ == (1, 0) else np.lib.format.read_array_header_2_0
        empty = 0 in reader(opened)[0]
        return np.load(file, mmap_mode=None if empty else "r", allow_pickle=False)


class _Lazy(Sequence[Arrays]):
    """Results that are loaded when they are used."""

    def __init__(self, handles: Sequence[Any]) -> None:
        self.handles = handles

    def __len__(self) -> int:
        return len(self.handles)

    def __getitem__(self, index: Any) -> Any:
        return _loaded(self.handles[index])


def _loaded(value: Any) -> Any:
    return value.load() if isinstance(value, Stored) else value


class Here(Engine):
    """In this process. With a folder, results are kept there, under a name made from all that they depend on."""

    def __init__(self, folder: str | os.PathLike[str] | None = None, say: Say | None = None) -> None:
        self.folder = None if folder is None else Path(folder)
        self.say = say or (lambda line: None)
        if self.folder is not None:
            _claim(self.folder)

    def each(self, stage: str, function: Function, parts: Sequence[tuple[Any, ...]], *shared: Any) -> list[Any]:
        """See Engine.each."""
        results = []
        for number, part in enumerate(parts, 1):
            title = f"{stage}: part {number} of {len(parts)}"
            try:
                results.append(self._kept(stage, title, [*part, *shared],
                                          lambda values: function(*map(_loaded, values))))
            except DataError as error:
                kept = f"; the finished parts are kept in {plain(self.folder)}: repair this one and run again"
                raise DataError(f"{error}{kept if self.folder else ''}") from error
        return results

    def one(self, stage: str, function: Function, parts: Sequence[Any], *shared: Any) -> Any:
        """See Engine.one."""
        size = len(parts)
        return self._kept(stage, stage, [*parts, *shared], lambda values: function(
            _Lazy(values[:size]), *map(_loaded, values[size:])))

    def stream(self, function: Function, *columns: Sequence[Any]) -> Iterable[Any]:
        """See Engine.stream; as many at a time as there are processors."""
        rows = list(zip(*columns, strict=True))
        step = workers()
        for low in range(0, len(rows), step):
            yield from parallel(lambda row: function(*map(_loaded, row)), rows[low:low + step])

    def total(self, function: Function, results: Iterable[Any], *shared: Any) -> Any:
        """See Engine.total."""
        return function(results, *map(_loaded, shared))

    def get(self, handles: Iterable[Any]) -> Iterator[Arrays]:
        """See Engine.get."""
        return map(_loaded, handles)

    def _kept(self, stage: str, title: str, values: list[Any], make: Callable[[list[Any]], Arrays]) -> Any:
        if self.folder is None:
            self.say(title)
            return make(values)
        values = [value.read() if hasattr(value, "read") else value for value in values]
        digest = _digest([stage, version("tangentlens"), *values])
        place = self.folder / f"{stage.replace(' ', '-')}-{digest[:20]}"
        if not place.exists():
            self.say(title)
            _write(place, make(values))
        return Stored(place, digest)


def _digest(values: Iterable[Any]) -> str:
    """A hash of all that a result depends on: earlier results by theirs, texts by their content."""
    parts = []
    for value in values:
        if isinstance(value, Stored):
            parts.append(value.digest)
        elif isinstance(value, Texts):
            parts.append(value.fingerprint)
        else:
            parts.append(repr(value))
    return hashlib.sha256("\0".join(parts).encode("utf-8", "surrogatepass")).hexdigest()


def _claim(folder: Path) -> None:
    """Makes the folder, or checks that it is ours, and clears away what an interrupted run left half written."""
    try:
        if folder.exists() and any(folder.iterdir()) and not (folder / MARK).exists():
            raise OptionError(f'the folder "{plain(folder)}" holds other files; give a new or empty one for the parts')
        folder.mkdir(parents=True, exist_ok=True)
        (folder / MARK).write_text("Parts of texts, made by TangentLens. The folder may be deleted.\n")
        for left in folder.glob(f"{TEMPORARY}*"):
            shutil.rmtree(left, ignore_errors=True)
    except OSError as error:
        raise OutputError(f'cannot write into "{plain(folder)}": {error.strerror}; give another folder') from error


def _write(place: Path, arrays: Arrays) -> None:
    """Writes a result whole or not at all."""
    stage = place.parent / f"{TEMPORARY}{secrets.token_hex(8)}"
    try:
        stage.mkdir()
        for name, array in arrays.items():
            with open(stage / f"{name}.npy", "xb") as file:
                np.lib.format.write_array(file, np.asarray(array), allow_pickle=False)
        with contextlib.suppress(FileExistsError):
            os.replace(stage, place)
    except OSError as error:
        remedy = "make room" if error.errno in (errno.ENOSPC, errno.EDQUOT) else "see to that"
        raise OutputError(f'cannot write into "{plain(place.parent)}": {error.strerror or error}; what is finished is '
                          f"kept there: {remedy}, or copy the folder to a larger disk, and run again") from error
    finally:
        shutil.rmtree(stage, ignore_errors=True)


class Workers(Engine):
    """On the workers of a Dask cluster. `client` is a distributed.Client. Results are kept in their memory; the
    scheduler knows how each was made, and makes it again where a worker is lost.
    """

    def __init__(self, client: Any, say: Say | None = None) -> None:
        if not all(hasattr(client, name) for name in ("submit", "gather", "scheduler_info")):
            raise OptionError(f"client is a distributed.Client, not a {type(client).__name__}")
        self.client = client
        self.say = say or (lambda line: None)

    def each(self, stage: str, function: Function, parts: Sequence[tuple[Any, ...]], *shared: Any) -> list[Any]:
        """See Engine.each."""
        self.say(f"{stage}: {len(parts)} parts")
        return [self._submit(stage, function, *part, *shared) for part in parts]

    def one(self, stage: str, function: Function, parts: Sequence[Any], *shared: Any) -> Any:
        """See Engine.one."""
        self.say(stage)
        return self._submit(stage, function, list(parts), *shared)

    def stream(self, function: Function, *columns: Sequence[Any]) -> Iterable[Any]:
        """See Engine.stream."""
        return [self._submit(function.__name__, function, *row) for row in zip(*columns, strict=True)]

    def total(self, function: Function, results: Iterable[Any], *shared: Any) -> Any:
        """See Engine.total."""
        return self._submit(function.__name__, function, list(results), *shared)

    def get(self, handles: Iterable[Any]) -> Iterator[Arrays]:
        """See Engine.get."""
        for handle in handles:
            try:
                yield self.client.gather(handle) if hasattr(handle, "key") else handle
            except Exception as error:
                if type(error).__name__ != "KilledWorker":
                    raise
                raise OutputError("several workers died over the same part, most likely of too little memory; make "
                                  "parts smaller (part=), or give workers more") from error

    def _submit(self, name: str, function: Function, *arguments: Any) -> Any:
        key = f"{name.replace(' ', '-')}-{secrets.token_hex(8)}"
        return self.client.submit(function, *arguments, key=key, pure=False)


def engine_of(folder: str | os.PathLike[str] | None, client: Any, say: Say | None) -> Engine:
    """The engine for these arguments of `partition`. Raises OptionError or OutputError."""
    if client is None:
        return Here(folder, say)
    if folder is not None:
        raise OptionError("give either folder= (this process) or client= (its workers spill to their own disks)")
    return Workers(client, say)
