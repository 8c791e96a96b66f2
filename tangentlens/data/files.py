"""Paths of files as tables: find, unpack, decode, and say clearly what is not possible."""

from __future__ import annotations

import codecs
import contextlib
import difflib
import errno
import gzip
import os
import stat
import zlib
from collections.abc import Iterator
from pathlib import Path

from tangentlens.data.messages import plain
from tangentlens.data.tables import Table, from_csv, from_json_lines, from_parquet
from tangentlens.errors import DataError, OptionError

_EXTENSIONS = {".csv": ",", ".tsv": "\t", ".jsonl": "json", ".ndjson": "json", ".jsonlines": "json",
               ".parquet": "parquet", ".pq": "parquet"}
_MARKS = ((codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF32_LE, "utf-32"), (codecs.BOM_UTF32_BE, "utf-32"),
          (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))
_BINARY = {b"PK\x03\x04": "a zip archive or an Excel workbook", b"\x1f\x8b": "packed with gzip twice",
           b"\x89PNG": "a PNG picture", b"\xff\xd8\xff": "a JPEG picture", b"%PDF-": "a PDF document",
           b"PAR1": "a Parquet file (name it .parquet)", b"\xd0\xcf\x11\xe0": "an old Excel or Word document",
           b"SQLite format 3": "an SQLite data base", b"BZh": "packed with bzip2", b"\xfd7zXZ": "packed with xz",
           b"\x28\xb5\x2f\xfd": "packed with zstandard", b"ARROW1": "an Arrow file"}


def read_table(path: str | os.PathLike[str], *, quote: str | None, encoding: str | None, lenient: bool) -> Table:
    """The table of a file; the extension says which kind it is, and gzip is unpacked.

    With `lenient`, bytes that cannot be decoded become lone surrogates, so that the row can be skipped later.
    """
    path = Path(path)
    name = plain(path)
    check_kind(path, name)
    kind = _EXTENSIONS.get(Path(path.name.lower().removesuffix(".gz")).suffix)
    if kind is None:
        raise DataError(f"{name}: files of this kind cannot be read; known are {', '.join(_EXTENSIONS)}, "
                        "and .gz after any of them")
    data = _unpacked(_contents(path, name), name)
    if not data.strip():
        raise DataError(f"{name} is empty; it needs a line of column names and one row for each text")
    if kind == "parquet":
        return from_parquet(data, name)
    text = _decoded(data, name, encoding=encoding, lenient=lenient)
    if kind == "json":
        return from_json_lines(text, name)
    return from_csv(text, name, delimiter=kind, quote=quote)


def read_plain(path: str | os.PathLike[str], *, encoding: str | None) -> str:
    """The whole text of a plain text file; gzip is unpacked. Raises DataError."""
    name = plain(Path(path))
    data = _unpacked(_contents(Path(path), name), name)
    return _decoded(data, name, encoding=encoding, lenient=False, wanted="text as a plain text file")


def _unpacked(data: bytes, name: str) -> bytes:
    if data[:2] != b"\x1f\x8b":
        return data
    try:
        return gzip.decompress(data)
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{name} is packed with gzip, but damaged or cut off; make or download it again") from error


def check_file(path: Path) -> None:
    """Raises DataError, with a remedy, unless there is such a file that can be opened."""
    _contents(path, plain(path), most=1)


def _contents(path: Path, name: str, most: int = -1) -> bytes:
    check_kind(path, name)
    with _explained(path, name), path.open("rb") as file:
        return file.read(most)


def check_kind(path: Path, name: str) -> None:
    """Raises DataError, with a remedy, unless there is something that can be read to its end: a file or a pipe."""
    with _explained(path, name):
        mode = path.stat().st_mode
        if stat.S_ISDIR(mode):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
    if not stat.S_ISREG(mode) and not stat.S_ISFIFO(mode):
        kind = "socket" if stat.S_ISSOCK(mode) else "device"
        raise DataError(f"{name} is a {kind}, not a file; name a file")


@contextlib.contextmanager
def _explained(path: Path, name: str) -> Iterator[None]:
    """What the system says of a path as a DataError with a remedy."""
    try:
        yield
    except FileNotFoundError as error:
        raise DataError(f"{name}{_missing(path)}") from error
    except IsADirectoryError as error:
        raise DataError(f"{name} is a folder; name a file in it") from error
    except PermissionError as error:
        raise DataError(f"{name} may not be read by you; change its permissions or copy it") from error
    except (OSError, ValueError) as error:
        raise DataError(f"{name} cannot be read: {getattr(error, 'strerror', None) or plain(error)}; "
                        "check the path") from error


def _missing(path: Path) -> str:
    if path.is_symlink():
        return f" is a link to {plain(os.readlink(path))}, which is not there; mend the link, or name the file itself"
    return f": there is no such file; {_similar(path)}"


def _similar(path: Path) -> str:
    try:
        files = [entry.name for entry in path.parent.iterdir() if not entry.is_dir()]
    except OSError:
        return f"the folder {plain(path.parent)} cannot be listed either; check the path"
    close = difflib.get_close_matches(path.name, files, n=1)
    return f"did you mean {plain(path.parent / close[0])}?" if close else "check the path"


def _decoded(data: bytes, name: str, *, encoding: str | None, lenient: bool, wanted: str = "table as CSV") -> str:
    kind = next((kind for magic, kind in _BINARY.items() if data.startswith(magic)), None)
    if kind is not None:
        raise DataError(f"{name} is {kind}, not text; save the {wanted} (UTF-8)")
    encoding = encoding or next((codec for mark, codec in _MARKS if data.startswith(mark)), "utf-8")
    try:
        wide = codecs.lookup(encoding).name.startswith(("utf-16", "utf-32"))
        zero = -1 if wide else data.find(b"\0")
        if zero >= 0:
            raise DataError(f"{name}, {_spot(data, zero)}: a NUL byte: this is a binary file, or text in another "
                            f"encoding than UTF-8; save the {wanted} (UTF-8)")
        text = data.decode(encoding, "surrogateescape" if lenient and not wide else "strict")
    except LookupError as error:
        raise OptionError(f'there is no encoding {plain(encoding)}; use one such as "utf-8" or "latin-1"') from error
    except UnicodeDecodeError as error:
        skip = ', or pass on_bad_row="skip"' if wanted == "table as CSV" and not wide else ""
        raise DataError(f"{name}, {_spot(data, error.start)}: not readable as {encoding}; save the file as UTF-8, or "
                        f'name its encoding (encoding="latin-1" or another){skip}') from error
    return text.removeprefix("\ufeff")


def _spot(data: bytes, start: int) -> str:
    line = data.count(b"\n", 0, start) + 1
    return f"line {line}, byte {start} of the file"
