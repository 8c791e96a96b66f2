"""Labelled texts in a file too large to hold: a plan of parts, each read when it is needed."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from tangentlens.data.files import check_file
from tangentlens.data.messages import plain
from tangentlens.data.reading import Columns, check_options, texts_of
from tangentlens.data.tables import Table, from_frame, from_json_lines
from tangentlens.data.texts import SEPARATOR, Texts
from tangentlens.errors import DataError, OptionError

KINDS = {".parquet": "parquet", ".pq": "parquet", ".jsonl": "json", ".ndjson": "json", ".jsonlines": "json"}
BLOCK = 2**24  # bytes read at a time while lines are counted


@dataclass(frozen=True)
class Piece:
    """A run of rows of a file: their number, and for JSON lines the bytes from `begin` to `end`."""

    first: int  # counted from 0
    rows: int
    begin: int = 0
    end: int = 0


@dataclass(frozen=True)
class FilePart:
    """One part of a file; `read` gives its texts. Of a split, `share` are held out, and `held` says which are these."""

    path: str
    kind: str
    piece: Piece
    asked: Columns
    share: float = 0.0
    seed: int = 0
    held: bool = False

    def read(self) -> Texts:
        """The texts of the part, whose labels may be of a single class. Raises DataError, naming the rows."""
        texts = texts_of(self._parquet() if self.kind == "parquet" else self._json(), self.asked, part=True)
        if not self.share:
            return texts
        drawn = np.random.default_rng([self.seed, self.piece.first]).random(len(texts)) < self.share
        return texts[drawn == self.held]

    @property
    def rows(self) -> int:
        """About how many texts: rows that are left out later are counted."""
        share = (self.share if self.held else 1 - self.share) if self.share else 1.0
        return round(self.piece.rows * share)

    @property
    def name(self) -> str:
        """The file and the rows, for messages."""
        last = self.piece.first + self.piece.rows
        return f"{plain(self.path)}, rows {self.piece.first + 1:,} to {last:,}"

    def _parquet(self) -> Table:
        asked, piece = self.asked, self.piece
        names = [name for name in (asked.text, asked.text_b, asked.label) if name is not None]
        try:
            frame = pl.scan_parquet(self.path, glob=False)
            have = frame.collect_schema().names()
            names = list(dict.fromkeys(name for name in names if name in have)) or have[:1]
            table = from_frame(frame.slice(piece.first, piece.rows).select(names).collect(), plain(self.path))
        except (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError, ValueError) as error:
            raise DataError(f"{self.name}: these cannot be read ({plain(str(error).splitlines()[0])}); the file is "
                            "damaged or cut off there: write it again") from error
        return replace(table, place=lambda i: f"row {piece.first + i + 1}, counted from 1")

    def _json(self) -> Table:
        piece = self.piece
        try:
            with open(self.path, "rb") as file:
                file.seek(piece.begin)
                data = file.read(piece.end - piece.begin)
        except OSError as error:
            raise DataError(f"{self.name}: these cannot be read ({error.strerror}); check the disk") from error
        if len(data) < piece.end - piece.begin:
            raise DataError(f"{self.name}: the file has become shorter since it was looked through; scan it again")
        try:
            text = data.decode("utf-8", "surrogateescape" if self.asked.skip else "strict").removeprefix("\ufeff")
        except UnicodeDecodeError as error:
            line = piece.first + 1 + data.count(b"\n", 0, error.start)
            raise DataError(f"{plain(self.path)}, line {line}: not readable as UTF-8; save the file as UTF-8, or pass "
                            'on_bad_row="skip"') from error
        return from_json_lines(text, plain(self.path), piece.first + 1)


@dataclass(frozen=True)
class TextsPart:
    """A run of texts that are in memory."""

    texts: Texts

    def read(self) -> Texts:
        """The texts."""
        return self.texts

    @property
    def rows(self) -> int:
        """Number of texts."""
        return len(self.texts)


@dataclass(frozen=True)
class Scan:
    """Labelled texts of a file in parts, none of which is in memory yet; see `scan_texts`."""

    parts: tuple[FilePart, ...]

    def __len__(self) -> int:
        """Number of parts."""
        return len(self.parts)

    def __iter__(self) -> Iterator[Texts]:
        """The texts, part by part."""
        return (part.read() for part in self.parts)

    @property
    def rows(self) -> int:
        """Rows of the file (lines, for JSON lines), before bad ones are left out and before any split."""
        return sum(part.piece.rows for part in self.parts)

    def split(self, validation: float = 0.1, *, seed: int = 0) -> tuple[Scan, Scan]:
        """Texts to learn from, and a share of texts to hold out, drawn row by row; the same for the same seed."""
        if not 0 < validation < 1:
            raise OptionError(f"validation is a share of the texts, above 0 and below 1, not {validation}")
        if any(part.share for part in self.parts):
            raise OptionError("these texts are split already; split the scan of the whole file")
        train, held = (Scan(tuple(replace(part, share=float(validation), seed=seed, held=held) for part in self.parts))
                       for held in (False, True))
        return train, held

    def __repr__(self) -> str:
        return f"Scan({plain(self.parts[0].path)}, {self.rows} rows in {len(self)} parts)"


def scan_texts(path: str | os.PathLike[str], *, text: str = "text", label: str = "label", text_b: str | None = None,
               on_bad_row: str = "error", separator: str = SEPARATOR, part: int = 20_000) -> Scan:
    """Labelled texts of a Parquet or JSON lines file, to be read in parts of `part` rows by `tl.partition`.

    path: of a .parquet (.pq) or .jsonl (.ndjson, .jsonlines) file, UTF-8, not packed; the other arguments as in
    `read_texts`. Nothing but the number of rows is read now. Raises DataError or OptionError.
    """
    check_options(on_bad_row, separator, None)
    if isinstance(part, bool) or not isinstance(part, int | np.integer) or part < 1:
        raise OptionError(f"part is a number of rows of at least 1, not {part!r}")
    where = Path(path)
    check_file(where)
    kind = KINDS.get(where.suffix.lower())
    if kind is None:
        raise DataError(f"{plain(where)}: files of this kind cannot be read in parts; known are {', '.join(KINDS)}. "
                        'Of a CSV file, polars.scan_csv(path).sink_parquet("texts.parquet") makes one')
    pieces = _row_pieces(where, part) if kind == "parquet" else _line_pieces(where, part)
    if not pieces:
        raise DataError(f"{plain(where)} has no rows; it needs one for each text")
    asked = Columns(text, label, text_b, on_bad_row == "skip", separator)
    scan = Scan(tuple(FilePart(os.path.abspath(where), kind, piece, asked) for piece in pieces))
    texts_of(_head(scan.parts[0]), asked._replace(skip=True), part=True)  # the columns must be there
    return scan


def _head(part: FilePart) -> Table:
    few = min(part.piece.rows, 100)
    return replace(part, piece=replace(part.piece, rows=few))._parquet() if part.kind == "parquet" else part._json()


def _row_pieces(path: Path, part: int) -> list[Piece]:
    try:
        rows = int(pl.scan_parquet(path, glob=False).select(pl.len()).collect().item())
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError, ValueError) as error:
        raise DataError(f"{plain(path)} is not a readable Parquet file; it may be cut off or of another kind"
                        ) from error
    return [Piece(first, min(part, rows - first)) for first in range(0, rows, part)]


def _line_pieces(path: Path, part: int) -> list[Piece]:
    """Runs of `part` lines, found without decoding them."""
    pieces: list[Piece] = []
    first = lines = begin = position = 0
    with open(path, "rb") as file:
        while block := file.read(BLOCK):
            ends = np.flatnonzero(np.frombuffer(block, np.uint8) == ord("\n")) + position + 1
            low = 0
            while len(ends) - low >= part - lines:
                low += part - lines
                end = int(ends[low - 1])
                pieces.append(Piece(first, part, begin, end))
                first, begin, lines = first + part, end, 0
            lines += len(ends) - low
            position += len(block)
    if position > begin:
        pieces.append(Piece(first, max(lines, 1), begin, position))
    return pieces


def parts_of(source: Any, part: int) -> tuple[FilePart | TextsPart, ...]:
    """The parts of a Scan, or of Texts in memory. Raises DataError or OptionError."""
    if isinstance(source, Scan):
        return source.parts
    if not isinstance(source, Texts):
        raise DataError(f"partition takes what tl.scan_texts or tl.read_texts gives, not a {type(source).__name__}")
    if isinstance(part, bool) or not isinstance(part, int | np.integer) or part < 1:
        raise OptionError(f"part is a number of texts of at least 1, not {part!r}")
    return tuple(TextsPart(source[low:low + int(part)]) for low in range(0, len(source), int(part)))
