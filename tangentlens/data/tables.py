"""Every source of texts as a table of columns: files, data frames and lists."""

from __future__ import annotations

import csv
import io
import itertools
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from tangentlens.data.messages import counted, plain, shown
from tangentlens.errors import DataError

_FIELD_LIMIT = 2**31 - 1


@dataclass(frozen=True)
class Table:
    """n rows. `column(j)` gives the n values of column j; `place(i)` names row i for a reader of the source;
    `broken` marks rows that could not be taken apart, and `why(i)` says what is wrong with one of them."""

    name: str
    columns: Sequence[str]
    column: Callable[[int], list[Any]]
    place: Callable[[int], str]
    broken: NDArray[np.bool_] | None = None  # (n,)
    why: Callable[[int], str] = str
    labelled: bool = True
    typed: bool = True  # False: all values are strings, even the numbers
    advice: str = ""  # what to try when a column is not found


def _row(number: int) -> str:
    return f"row {number + 1}, counted from 1 without the header"


def from_frame(frame: Any, name: str = "the table") -> Table:
    """The table of a Polars or pandas data frame; pandas itself is not imported."""
    if isinstance(frame, pl.LazyFrame):
        frame = frame.collect()
    if isinstance(frame, pl.DataFrame):
        return Table(name, frame.columns, lambda j: frame.to_series(j).to_list(), _row)

    def column(j: int) -> list[Any]:
        series = frame.iloc[:, j]
        return list(series.astype(object).where(series.notna(), None))

    return Table(name, [str(column) for column in frame.columns], column, _row)


def from_lists(texts: Any, labels: Any, text: str, label: str | None) -> Table:
    """The table of a list of texts and, if there are labels, a list of as many labels."""
    columns = [_as_list(texts)] if labels is None else [_as_list(texts), _as_list(labels)]
    if len(columns) == 2 and len(columns[0]) != len(columns[1]):
        sizes = f"{counted(len(columns[0]), 'text')} but {counted(len(columns[1]), 'label')}"
        raise DataError(f"the lists hold {sizes}; give one label for each text")
    names = [text, label or "label"][: len(columns)]
    return Table("the list of texts", names, columns.__getitem__, lambda i: f"text {i}, counted from 0",
                 labelled=labels is not None)


def _as_list(values: Any) -> list[Any]:
    for method in ("tolist", "to_list"):
        if hasattr(values, method):
            return list(getattr(values, method)())
    return [value.item() if isinstance(value, np.generic) else value for value in values]


def from_parquet(data: bytes, name: str) -> Table:
    """The table of a Parquet file; only the columns asked for are decoded."""
    def read(columns: list[int] | None = None, n_rows: int | None = None) -> pl.DataFrame:
        try:
            return pl.read_parquet(io.BytesIO(data), columns=columns, n_rows=n_rows)
        except (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError, ValueError) as error:
            raise DataError(f"{name} is not a readable Parquet file; it may be cut off or of another kind") from error

    return Table(name, read(n_rows=0).columns, lambda j: read([j]).to_series().to_list(), _row)


def from_csv(text: str, name: str, *, delimiter: str, quote: str | None) -> Table:
    """The table of a CSV or TSV file. All rows have as many fields as the header, or are broken."""
    reader = partial(_csv_reader, text, delimiter, quote)
    header, *rows = _csv_rows(reader, name, quote)
    lengths = np.fromiter(map(len, rows), np.int64, len(rows))
    broken = lengths != len(header)

    def column(j: int) -> list[Any]:
        return [row[j] if len(row) > j else None for row in rows]

    def why(i: int) -> str:
        marks = f"quote fields that contain {shown(delimiter)}" if lengths[i] > len(header) else "add the missing ones"
        return f"{counted(int(lengths[i]), 'field')}, but {len(header)} in the header; {marks}"

    def place(i: int) -> str:
        return f"row {i + 1} (line {_csv_line(reader, i + 1)} of the file)"

    return Table(name, header, column, place, broken, why, typed=False, advice=_separator_advice(header, delimiter))


def _csv_reader(text: str, delimiter: str, quote: str | None) -> Any:
    lines = io.StringIO(text, newline="")
    if quote is None:
        return csv.reader(lines, delimiter=delimiter, quoting=csv.QUOTE_NONE, strict=True)
    return csv.reader(lines, delimiter=delimiter, quotechar=quote, strict=True)


def _csv_rows(make_reader: Callable[[], Any], name: str, quote: str | None) -> list[list[str]]:
    """All rows with the header, without the blank lines."""
    # Python's csv and not Polars: Polars fills up short rows, and its errors name neither row nor line.
    reader = make_reader()
    rows: list[list[str]] = []
    limit = csv.field_size_limit(_FIELD_LIMIT)
    try:
        rows.extend(reader)
    except csv.Error as error:
        number = sum(map(bool, rows))
        line = _csv_line(make_reader, number)
        what = "a quoted field is never closed" if "end of data" in str(error) else "a quote inside a quoted field"
        where = f"row {number} (line {line} of the file)" if number else "the header"
        raise DataError(f"{name}, {where}: {what}; write quotes inside a quoted field twice, or pass quote=None "
                        "if quotes mean nothing in this file") from error
    finally:
        csv.field_size_limit(limit)
    if not all(rows):
        rows = [row for row in rows if row]
    if not rows:
        raise DataError(f"{name} is empty; it needs a line of column names and one row for each text")
    return rows


def _csv_line(make_reader: Callable[[], Any], number: int) -> int:
    """The line, counted from 1, on which row `number` begins; the header is row 0."""
    limit = csv.field_size_limit(_FIELD_LIMIT)
    reader, seen, before = make_reader(), -1, 0
    try:
        for fields in reader:
            seen += bool(fields)
            if seen == number:
                break
            before = reader.line_num
    except csv.Error:
        pass  # the row that cannot be read begins right after the last one that could be
    finally:
        csv.field_size_limit(limit)
    return before + 1


def _separator_advice(header: list[str], delimiter: str) -> str:
    found = [mark for mark in ("\t", ";", ",", "|") if len(header) == 1 and mark != delimiter and mark in header[0]]
    if not found:
        return "; the first line must hold the column names"
    remedy = {"\t": "name it .tsv", ",": "name it .csv"}.get(
        found[0], f"pass the table polars.read_csv(path, separator={found[0]!r}) instead")
    kind = {"\t": "tabs", ";": "semicolons", ",": "commas", "|": "bars"}[found[0]]
    return f"; only one column was found, and it contains {kind}: if they separate the columns, {remedy}"


def from_json_lines(text: str, name: str, first: int = 1) -> Table:
    """The table of a file with one JSON object on each line, or of its lines from number `first` on; blank lines are
    left out.
    """
    lines = [(number, line) for number, line in enumerate(text.split("\n"), first) if line and not line.isspace()]
    if not lines:
        raise DataError(f'{name} is empty; it needs one object such as {{"text": "…", "label": 1}} on each line')
    objects, faults = [], {}
    for index, (_, line) in enumerate(lines):
        try:
            value = json.loads(line)
        except (ValueError, RecursionError) as error:
            value, faults[index] = {}, f"not valid JSON ({getattr(error, 'msg', 'too deep or too large')})"
        if not isinstance(value, dict):
            value, faults[index] = {}, f"{shown(value)} is not an object; write one {{…}} on each line"
        objects.append(value)
    columns = list(dict.fromkeys(itertools.chain.from_iterable(objects)))
    if not columns:
        raise DataError(f"{name}, line {lines[0][0]}: {faults.get(0, 'the object is empty')}; no line can be used")
    broken = np.zeros(len(lines), bool)
    broken[list(faults)] = True
    return Table(name, columns, lambda j: [row.get(columns[j]) for row in objects],
                 lambda i: f"line {lines[i][0]}", broken, faults.__getitem__,
                 advice=f"; the keys of the first line are {plain(', '.join(objects[0]))}" if objects[0] else "")
