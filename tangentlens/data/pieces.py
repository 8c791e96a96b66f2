"""Texts cut into pieces, the distinct pieces numbered: by Rust's regular expressions, some texts at a time."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from tangentlens.data.cutting import Rule
from tangentlens.data.messages import plain
from tangentlens.data.sorting import blocks
from tangentlens.data.threads import forked, parallel
from tangentlens.errors import DataError

CHARACTERS = 2**22  # that are cut at a time by one thread; bounds what the pieces take as strings
_ENCODED = 1000  # texts; bounds the memory that Hugging Face's encodings take


@dataclass(frozen=True, eq=False)
class Pieces:
    """n texts cut into pieces. Shapes: ids (total,) int32, the place of each piece in `strings`, −1 for one that a
    tokenizer.json does not know; offsets (n + 1,); strings (k,), distinct, in the order of their code points.
    """

    ids: NDArray[np.int32]
    offsets: NDArray[np.int64]
    strings: pl.Series


def cut(strings: list[str], rule: Rule) -> Pieces:
    """The pieces of texts by a rule. Raises DataError if a tokenizer.json fails on them."""
    if rule.tokenizer == "file":
        return _encoded(strings, rule)
    chunks = parallel(lambda ends: _Chunk.of(strings[slice(*ends)], rule), _cuts(strings))
    every = pl.Series(sorted(set().union(*(chunk.distinct.to_list() for chunk in chunks))), dtype=pl.String)
    numbers = pl.Enum(every)
    offsets = np.zeros(len(strings) + 1, np.int64)
    np.cumsum(np.concatenate([[0], *(chunk.lengths for chunk in chunks)], dtype=np.int64), out=offsets)
    ids = np.empty(offsets[-1], np.int32)
    ends = np.cumsum([0, *(len(chunk.ids) for chunk in chunks)]).tolist()

    def write(job: tuple[_Chunk, int]) -> None:
        chunk, low = job
        table = chunk.distinct.cast(numbers).to_physical().to_numpy().astype(np.int32)
        np.take(table, chunk.ids, out=ids[low:low + len(chunk.ids)])

    parallel(write, list(zip(chunks, ends[:-1], strict=True)))
    return Pieces(ids, offsets, every)


@dataclass(frozen=True, eq=False)
class _Chunk:
    """Some texts: ids (total,) by place in `distinct`, lengths (n,)."""

    ids: NDArray[np.int32]
    distinct: pl.Series
    lengths: NDArray[np.int64]

    @classmethod
    def of(cls, strings: list[str], rule: Rule) -> _Chunk:
        column = pl.Series(strings if not rule.lowercase else [text.lower() for text in strings], dtype=pl.String)
        odd = np.ones(len(strings), bool) if forked() else rule.odd(pl.Series(strings, dtype=pl.String), column)
        simple, lengths = _extracted(column.filter(pl.Series(~odd)), rule)
        if odd.any():
            return cls._of_both(simple, lengths, odd, _by_hand(strings, odd, rule))
        return cls(*_numbered(simple), lengths)

    @classmethod
    def _of_both(cls, simple: pl.Series, lengths: NDArray[np.int64], odd: NDArray[np.bool_], rows: list[list[str]]
                 ) -> _Chunk:
        """From the pieces of simple texts one after another, and those of the odd texts."""
        more = pl.Series(list(itertools.chain.from_iterable(rows)), dtype=pl.String)
        ids, distinct = _numbered(pl.concat([simple, more]))
        lengths = np.concatenate([lengths, np.fromiter(map(len, rows), np.int64, len(rows))])
        place = np.argsort(np.concatenate([np.flatnonzero(~odd), np.flatnonzero(odd)]))
        starts, sizes = (np.cumsum(lengths) - lengths)[place], lengths[place]
        where = np.arange(len(ids)) + np.repeat(starts - (np.cumsum(sizes) - sizes), sizes)
        return cls(ids[where], distinct, sizes)


def _by_hand(strings: list[str], odd: NDArray[np.bool_], rule: Rule) -> list[list[str]]:
    """Texts cut by Hugging Face's regular expressions, which look around and know what a reader sees as one character;
    Rust's do not, but are ten times as fast, and need threads that a forked process has not.
    """
    encoder, rows = rule.words({}), []
    for row in np.flatnonzero(odd).tolist():
        text = strings[row].lower() if rule.tokenizer == "scikit-learn" else strings[row]
        text = encoder.normalizer.normalize_str(text) if rule.lowercase else text
        rows.append([piece for piece, _ in encoder.pre_tokenizer.pre_tokenize_str(text)])
    return rows


def _extracted(column: pl.Series, rule: Rule) -> tuple[pl.Series, NDArray[np.int64]]:
    """All pieces one after another, and how many each text has."""
    if not len(column):
        return pl.Series(dtype=pl.String), np.empty(0, np.int64)
    found = column.str.extract_all(rule.expression())
    return found.explode().drop_nulls(), found.list.len().to_numpy().astype(np.int64)


def _numbered(flat: pl.Series) -> tuple[NDArray[np.int32], pl.Series]:
    """For every piece its place among the distinct ones, and these."""
    distinct = flat.unique()
    return flat.cast(pl.Enum(distinct)).to_physical().to_numpy().astype(np.int32), distinct


def _cuts(strings: list[str]) -> list[tuple[int, int]]:
    """Runs of texts of about CHARACTERS characters."""
    return blocks(np.cumsum([0, *map(len, strings)], dtype=np.int64), CHARACTERS)


def _encoded(strings: list[str], rule: Rule) -> Pieces:
    """The pieces of a tokenizer.json."""
    encoder = rule.loaded()
    parts: list[NDArray[np.int64]] = [np.empty(0, np.int64)]
    lengths: list[int] = [0]
    for start in range(0, len(strings), _ENCODED):
        try:
            encodings = encoder.encode_batch_fast(strings[start:start + _ENCODED], add_special_tokens=False)
        except Exception as error:  # the library raises bare Exceptions
            raise DataError(f"the tokenizer fails on the texts from {start} (counted from 0) on: {plain(error)}; "
                            "use another tokenizer.json") from error
        rows = [encoding.ids for encoding in encodings]
        lengths += map(len, rows)
        parts.append(np.fromiter(itertools.chain.from_iterable(rows), np.int64))
    ids = np.concatenate(parts)
    used = np.flatnonzero(np.bincount(ids))
    used = used[used != rule.unknown_id(encoder)]
    names = pl.Series([encoder.id_to_token(index) or "" for index in used.tolist()], dtype=pl.String)
    order = names.arg_sort().to_numpy()
    number = np.full(int(ids.max(initial=-1)) + 1, -1, np.int32)
    number[used[order]] = np.arange(len(used), dtype=np.int32)
    return Pieces(number[ids], np.cumsum(lengths, dtype=np.int64), names.gather(order))
