"""Read labelled texts from a file, a data frame or two lists, and refuse what cannot be trusted."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from tangentlens.data.files import read_table
from tangentlens.data.messages import counted, plain, shown, with_surrogates
from tangentlens.data.tables import Table, from_frame, from_lists
from tangentlens.data.texts import SEPARATOR, Texts
from tangentlens.errors import DataError, OptionError, nearest

_WHOLE_NUMBER = re.compile(r"0|-?[1-9][0-9]{0,17}")
_LONGEST_LABEL = 1000
UNLABELLED = "; for texts without labels pass label=None"


class _Fault(NamedTuple):
    """Rows with something wrong, and what it is in a given row."""

    rows: NDArray[np.bool_]  # (n,)
    reason: Callable[[int], str]


def read_texts(source: Any, labels: Any = None, *, text: str = "text", label: str | None = "label",
               text_b: str | None = None, on_bad_row: str = "error", separator: str = SEPARATOR,
               quote: str | None = '"', encoding: str | None = None, source_column: str | None = None) -> Texts:
    """Texts and labels from a file, a table, or a list of texts and a list of labels.

    Args:
        source: path of a .csv, .tsv, .jsonl (.ndjson, .jsonlines) or .parquet file, also packed with gzip; a Polars
            or pandas data frame; or a list of texts. Files are UTF-8, or have a byte order mark.
        labels: with a list of texts, as many labels; without them the texts are unlabelled.
        text, label: names of the columns. `label=None`: a corpus without labels.
        text_b: a second column of texts; each row becomes the text `a [SEP] b`.
        on_bad_row: "error", or "skip" to leave out rows with a missing or empty text or label, a wrong number of
            fields, broken JSON or undecodable bytes. `skipped` counts them. A NUL byte or an open quote is an error
            always, for rows cannot be told apart any more.
        separator: the token between the texts of a pair; `tokenize` keeps it in one piece.
        quote: the quote mark in CSV and TSV files; None if quotes mean nothing there.
        encoding: the encoding of a text file, if it is not UTF-8.
        source_column: a column that says where each text comes from, such as its author: `Texts.sources`.

    Returns:
        Texts of n rows. CSV and TSV know no types: their labels are strings, or whole numbers if every one is written
        as Python writes it ("7", not "07" or "7.0"). Other sources keep the types they have.

    Raises:
        DataError: for anything that cannot be used, naming the row or column and the remedy.
        OptionError: for an option with an impossible value.

    >>> read_texts(["good", "not good"], ["yes", "no"]).classes
    ('no', 'yes')
    """
    check_options(on_bad_row, separator, quote)
    skip = on_bad_row == "skip"
    table = _table(source, labels, text=text, label=label, text_b=text_b,
                   read=lambda path: read_table(path, quote=quote, encoding=encoding, lenient=skip))
    asked = Columns(text, label if table.labelled else None, text_b, skip, separator)
    return texts_of(table, asked, source_column=source_column)


class Columns(NamedTuple):
    """Which columns of a table hold what, and whether bad rows are left out; see `read_texts`."""

    text: str = "text"
    label: str | None = "label"
    text_b: str | None = None
    skip: bool = False
    separator: str = SEPARATOR


def texts_of(table: Table, asked: Columns, *, source_column: str | None = None, part: bool = False) -> Texts:
    """The texts and labels of a table; a `part` of a larger one may hold a single class. Raises DataError."""
    text, label, text_b, skip, separator = asked
    texts = [_column(table, name) for name in (text, text_b) if name is not None]
    values = None if label is None else _column(table, label)
    faults = [] if table.broken is None else [_Fault(table.broken, table.why)]
    faults += [fault for column in texts for fault in _text_faults(column)]
    if values is not None:
        faults += _label_faults(values)
    good, left_out = _good_rows(table, faults, skip=skip, rows=len(texts[0]))
    kept = [[column[row] for row in good] for column in texts]
    joined = kept[0] if text_b is None else [f"{a} {separator} {b}" for a, b in zip(*kept, strict=True)]
    array = None if values is None else _label_array([values[row] for row in good], table, left_out, part=part)
    origin = None if source_column is None else _column(table, source_column)
    sources = None if origin is None else tuple(str(origin[row]) for row in good)
    return Texts(tuple(joined), array, table.name, len(texts[0]) - len(good), separator, sources)


def check_options(on_bad_row: str, separator: str, quote: str | None) -> None:
    """Raises OptionError for impossible values of these arguments of `read_texts`."""
    if on_bad_row not in ("error", "skip"):
        raise OptionError(f'on_bad_row is "error" or "skip", not {shown(on_bad_row)}')
    if not isinstance(separator, str) or not separator or re.search(r"\s", separator):
        raise OptionError(f'separator must be a word without spaces, such as "[SEP]", not {shown(separator)}')
    if quote is not None and (not isinstance(quote, str) or len(quote) != 1 or quote in "\r\n\t,"):
        raise OptionError(f"quote must be one character, or None, not {shown(quote)}")


def _table(source: Any, labels: Any, *, text: str, label: str | None, text_b: str | None,
           read: Callable[[Any], Table]) -> Table:
    is_path = isinstance(source, str | os.PathLike)
    is_pandas = hasattr(source, "iloc") and hasattr(source, "columns")
    is_frame = is_pandas or isinstance(source, pl.DataFrame | pl.LazyFrame)
    if (is_path or is_frame) and labels is not None:
        raise OptionError('labels go with a list of texts; of a file or table name the column: label="…"')
    if is_path:
        return read(source)
    if is_frame:
        return from_frame(source)
    if isinstance(source, bytes | dict) or not hasattr(source, "__iter__"):
        raise DataError(f"texts are read from a path, a Polars or pandas table, or a list, not {shown(source)}")
    if text_b is not None:
        raise OptionError("text_b names a column of a file or table; join two lists yourself")
    return from_lists(source, labels, text, label)


def _column(table: Table, name: str) -> list[Any]:
    places = [index for index, column in enumerate(table.columns) if column == name]
    if len(places) > 1:
        numbers = " and ".join(str(place + 1) for place in places[:5])
        raise DataError(f"{table.name} has several columns {shown(name)} (numbers {numbers}); rename all but one")
    if not places:
        hint = nearest(plain(name), map(plain, table.columns))
        unlabelled = UNLABELLED if name == "label" else ""
        raise DataError(f"{table.name} has no column {shown(name)}; {hint}{table.advice}{unlabelled}")
    return table.column(places[0])


def _text_faults(values: list[Any]) -> list[_Fault]:
    missing = np.fromiter((value is None for value in values), bool, len(values))
    odd = np.fromiter((not isinstance(value, str) for value in values), bool, len(values)) & ~missing
    nan = np.zeros(len(values), bool)
    nan[odd] = [isinstance(values[row], float) and math.isnan(values[row]) for row in np.flatnonzero(odd)]
    strings = [value if isinstance(value, str) else "" for value in values] if odd.any() or missing.any() else values
    blank = np.fromiter((not string or string.isspace() for string in strings), bool, len(values)) & ~odd & ~missing
    return [_Fault(missing | nan, lambda row: "the text is missing"),
            _Fault(odd, lambda row: f"the text is no string but {shown(values[row])}; convert the column to strings"),
            _Fault(blank, lambda row: "the text is empty"),
            _Fault(with_surrogates(strings), lambda row: "the text is not valid Unicode (a surrogate or bad byte)")]


def _label_faults(values: list[Any]) -> list[_Fault]:
    strings = np.fromiter((isinstance(value, str) for value in values), bool, len(values))
    missing = np.fromiter((value is None or value == "" or (isinstance(value, str) and value.isspace())
                           or (isinstance(value, float) and math.isnan(value)) for value in values), bool, len(values))
    odd = np.fromiter((not isinstance(value, str | int | float) for value in values), bool, len(values)) & ~missing
    words = [value if isinstance(value, str) else "" for value in values] if not strings.all() else values
    long = np.fromiter(map(len, words), np.int64, len(words)) > _LONGEST_LABEL
    return [_Fault(missing, lambda row: "the label is missing"),
            _Fault(odd, lambda row: f"the label {shown(values[row])} is neither a string nor a number"),
            _Fault(long, lambda row: f"the label is longer than {_LONGEST_LABEL} characters; name another column"),
            _Fault(with_surrogates(words), lambda row: "the label is not valid Unicode")]


def _good_rows(table: Table, faults: list[_Fault], *, skip: bool, rows: int) -> tuple[list[int], str]:
    """The rows that can be used, and in words how many cannot, with the first of them; "" for none."""
    if not rows:
        raise DataError(f"{table.name} has no rows; it needs one for each text")
    bad = np.logical_or.reduce([fault.rows for fault in faults])
    good: list[int] = np.flatnonzero(~bad).tolist()
    if len(good) == rows:
        return good, ""
    row = int(np.argmax(bad))
    first = f"{table.place(row)}: {next(fault.reason(row) for fault in faults if fault.rows[row])}"
    if not skip or not good:
        remedy = 'correct it, or pass on_bad_row="skip"' if good else "no row can be used"
        raise DataError(f"{table.name}, {first}; {remedy}")
    return good, f"{counted(rows - len(good), 'bad row')} left out, the first at {first}"


def _label_array(values: list[Any], table: Table, left_out: str, *, part: bool = False) -> NDArray[Any]:
    """The labels as an array of one type; shape (n,)."""
    different = set(values)
    if len(different) < 2 and not part:
        why = f"; {left_out}; correct it, or name the file's encoding (encoding=)" if left_out else UNLABELLED
        raise DataError(f"{table.name} has only one class, {shown(values[0])}; at least two are needed{why}")
    if not table.typed and all(map(_WHOLE_NUMBER.fullmatch, different)):
        return np.array(list(map(int, values)))
    kinds = {bool if isinstance(value, bool) else str if isinstance(value, str) else type(value) for value in values}
    if len(kinds) > 1 and kinds != {int, float}:
        names = ", ".join(sorted(kind.__name__ for kind in kinds))
        raise DataError(f"{table.name} has labels of several types ({names}); convert them all to strings")
    array = np.array(values)
    if array.dtype == object or set(array.tolist()) != different:
        raise DataError(f"{table.name} has labels that are too large, or end in a NUL character; use short strings")
    return array
