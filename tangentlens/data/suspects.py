"""Which tokens should rarely decide a label: function words, punctuation, digits, markup, names; and users' lists."""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from tangentlens.data.files import check_kind
from tangentlens.data.messages import plain, shown
from tangentlens.data.sorting import distinct
from tangentlens.data.threads import parallel
from tangentlens.data.tokens import Tokens
from tangentlens.errors import DataError

CAPITALISED = 0.9  # share of a name's occurrences within sentences that begin with a capital
COMPANION = "always beside a function word, a mark, a number or a name"
TOGETHER = 5  # texts, at least, that a companion stands in
NAME_TEXTS = 3  # occurrences within sentences that a name needs
MOST_LISTED = 5  # entries that a note names
# Closed-class English words without negators, intensifiers and modals of regret, which say something about a label.
FUNCTION_WORDS = frozenset((
    "a", "an", "the", "this", "that", "these", "those", "i", "me", "my", "mine", "myself", "we", "us", "our", "ours",
    "ourselves", "you", "your", "yours", "yourself", "yourselves", "he", "him", "his", "himself", "she", "her", "hers",
    "herself", "it", "its", "itself", "they", "them", "their", "theirs", "themselves", "who", "whom", "whose", "which",
    "what", "where", "when", "and", "or", "as", "if", "while", "than", "of", "at", "by", "for", "with", "about",
    "between", "into", "through", "during", "before", "after", "to", "from", "in", "on", "upon", "under", "over",
    "within", "among", "along", "across", "toward", "towards", "am", "is", "are", "was", "were", "be", "been", "being",
    "have", "has", "had", "having", "do", "does", "did", "doing", "will", "would", "can", "could", "may", "might",
    "shall", "must", "here", "there", "then", "also", "each", "other", "another", "such", "some", "any", "both",
    "either",
))
KINDS = (  # the first that fits; Polars' regular expressions, linear in the length of a token
    ("markup", r"^</?[A-Za-z][^<>]*>$|^&#?\w+;$|(?i)^(?:https?|www|href|nbsp|amp|quot)$|(?i)https?://|www\."),
    ("rating", r"^\d+(?:[.,]\d+)? ?(?:/|out of) ?\d+$"),
    ("digits", r"^\d[\d.,]*(?:st|nd|rd|th|s|%)?$"),
    ("punctuation", r"^[\p{P}\p{S}]+$"),
)


def kinds_of(tokens: Tokens, *, lowercased: bool = False) -> list[str]:
    """What kind of suspect every token of the vocabulary is, "" for none; length v.

    "markup", "rating", "digits" and "punctuation" by their form, "function word" by a list of English ones, "name" if
    it is capitalised in nearly all of its places within sentences. tokens: with their capitals; lowercased: the
    vocabulary was made lower case, so no name can be told.

    >>> import tangentlens as tl
    >>> kinds = kinds_of(tl.tokenize(["We saw Bond .", "How Bond falls .", "The Bond <br /> 007 ."]))
    >>> sorted(set(kinds))
    ['', 'digits', 'function word', 'markup', 'name', 'punctuation']
    """
    strings = pl.Series(tokens.vocabulary.strings, dtype=pl.String).str.strip_prefix("Ġ").str.strip_prefix("▁")
    kinds = np.full(len(strings), "", dtype=object)
    kinds[strings.str.to_lowercase().is_in(list(FUNCTION_WORDS)).to_numpy()] = "function word"
    if not lowercased:
        kinds[_names(tokens) & (kinds == "")] = "name"
    for kind, pattern in reversed(KINDS):
        kinds[strings.str.contains(pattern).to_numpy()] = kind
    return _with_companions([str(kind) for kind in kinds], tokens)


def _with_companions(kinds: list[str], tokens: Tokens) -> list[str]:
    """The same, and COMPANION for other tokens that stand in exactly the same texts as one of these, in at least
    TOGETHER: such a cue may be either of them.
    """
    mark = np.random.default_rng(0).integers(0, 2**64, len(tokens), dtype=np.uint64)
    size = len(kinds)
    signature, texts = np.zeros(size, np.uint64), np.zeros(size, np.int64)

    def seen_in(block: tuple[int, int]) -> None:
        low, high = block
        begin, end = tokens.offsets[[low, high]]
        ids = tokens.ids[begin:end]
        text = np.repeat(np.arange(low, high), tokens.lengths[low:high])
        text, token = np.divmod(distinct(text[ids >= 0] * np.int64(size) + ids[ids >= 0]), size)
        with lock:
            np.add.at(signature, token, mark[text])
            np.add.at(texts, token, 1)

    lock = threading.Lock()
    parallel(seen_in, tokens.blocks())
    often = texts >= TOGETHER
    suspect = {int(signature[place]) for place in np.flatnonzero(often).tolist() if kinds[place]}
    return [kind or (COMPANION if seen and int(mine) in suspect else "")
            for kind, seen, mine in zip(kinds, often.tolist(), signature.tolist(), strict=True)]


def _names(tokens: Tokens) -> NDArray[np.bool_]:
    """Tokens that are capitalised within sentences, and nearly never written otherwise; shape (v,)."""
    strings = tokens.vocabulary.strings
    if not strings:
        return np.zeros(0, bool)
    capital = np.array([word[:1].isupper() and word[1:].islower() for word in strings], bool)
    word = np.array([word[:1].isalpha() for word in strings], bool)
    loud = np.array([w.isupper() for w in strings], bool)
    count = np.zeros(len(strings), np.int64)
    for low, high in tokens.blocks():
        begin, end = tokens.offsets[[low, high]]
        ids = tokens.ids[begin:end]
        before = np.roll(ids, 1)
        within = (ids >= 0) & (before >= 0)
        within[tokens.offsets[low:high][tokens.lengths[low:high] > 0] - begin] = False
        within[within] &= word[before[within]]  # after a word, not after a mark that may end a sentence
        within[within] &= ~capital[before[within]] | ~loud[ids[within]]
        count += np.bincount(ids[within], minlength=len(strings))
    folded: dict[str, int] = {}
    key = np.array([folded.setdefault(word.casefold(), len(folded)) for word in strings])
    every = np.bincount(key, weights=count, minlength=len(folded))[key]
    return np.asarray(capital & (count >= NAME_TEXTS) & (count >= CAPITALISED * every))


@dataclass(frozen=True)
class Lists:
    """A user's lists: features that are allowed or forbidden, and named patterns (regular expressions).

    A pattern is searched for in a feature's tokens joined by one space; `re2`-like: no look-around, linear time.
    """

    allowed: tuple[str, ...] = ()
    forbidden: tuple[str, ...] = ()
    patterns: tuple[tuple[str, str], ...] = ()  # (name, regular expression)
    matched: set[str] = field(default_factory=set, compare=False, repr=False)  # entries and names, as they are found

    @classmethod
    def read(cls, allow: str | os.PathLike[str] | None = None, forbid: str | os.PathLike[str] | None = None,
             patterns: str | os.PathLike[str] | None = None) -> Lists:
        """Reads the files, one entry a line; `#` begins a comment line. A line /…/ is a regular expression in the first
        two; in the third every line is one, `name = expression` with a name. Raises DataError with file and line.
        """
        return cls(_entries(allow), _entries(forbid), _named(patterns))

    def matches(self, features: Sequence[str]) -> tuple[NDArray[np.bool_], NDArray[np.bool_], list[str]]:
        """Which features (tokens joined by one space) are allowed and which forbidden; the pattern's name or ""."""
        column = pl.Series(list(features), dtype=pl.String)
        named = np.full(len(column), "", dtype=object)
        for name, pattern in reversed(self.patterns):
            hit = column.str.contains(pattern).to_numpy()
            named[hit] = name
            if hit.any():
                self.matched.add(name)
        return self._any(column, self.allowed), self._any(column, self.forbidden), [str(name) for name in named]

    def _any(self, features: pl.Series, entries: tuple[str, ...]) -> NDArray[np.bool_]:
        whole = [_joined(entry) for entry in entries if not _is_expression(entry)]
        found = features.is_in(whole).to_numpy().copy()
        self.matched.update(features.filter(found).to_list())
        for entry in filter(_is_expression, entries):
            hit = features.str.contains(entry[1:-1]).to_numpy()
            found |= hit
            if hit.any():
                self.matched.add(entry)
        return np.asarray(found)

    def notes(self) -> list[str]:
        """A sentence for every list with entries that matched nothing so far: a misspelt one must not go unseen."""
        kinds = (("allowed features", self.allowed), ("forbidden features", self.forbidden),
                 ("suspects", tuple(name for name, _ in self.patterns)))
        idle = [(kind, [entry for entry in dict.fromkeys(entries)
                        if (entry if _is_expression(entry) else _joined(entry)) not in self.matched])
                for kind, entries in kinds]
        return [f"No feature that can be flagged matches {_listed(entries)} of your list of {kind}: look for a "
                "misspelling, else it is too rare or longer than these architectures read."
                for kind, entries in idle if entries]


def _listed(entries: list[str]) -> str:
    more = f" and {len(entries) - MOST_LISTED} more" if len(entries) > MOST_LISTED else ""
    return ", ".join(f'"{plain(entry)}"' for entry in entries[:MOST_LISTED]) + more


def _joined(entry: str) -> str:
    return " ".join(entry.split())


def _is_expression(entry: str) -> bool:
    return len(entry) > 2 and entry[0] == entry[-1] == "/"


def _lines(path: str | os.PathLike[str] | None) -> list[tuple[int, str]]:
    if path is None:
        return []
    check_kind(Path(path), plain(path))
    try:
        text = Path(path).read_bytes().decode("utf-8-sig")
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "not UTF-8 text"
        raise DataError(f"{plain(path)}: {reason}; give a text file with one entry a line") from error
    lines = [(number, line.strip()) for number, line in enumerate(text.split("\n"), 1)]
    return [(number, line) for number, line in lines if line and not line.startswith("#")]


def _entries(path: str | os.PathLike[str] | None) -> tuple[str, ...]:
    lines = _lines(path)  # once: of a pipe there is no second time
    for number, line in lines:
        if _is_expression(line):
            _check(line[1:-1], path, number)
    return tuple(line for _, line in lines)


def _named(path: str | os.PathLike[str] | None) -> tuple[tuple[str, str], ...]:
    found = []
    for number, line in _lines(path):
        named = re.match(r"([\w -]+?)\s+=\s+(.+)$", line)
        name, pattern = (named[1], named[2]) if named else (line, line)
        _check(pattern, path, number)
        found.append((name, pattern))
    return tuple(found)


def _check(pattern: str, path: str | os.PathLike[str] | None, number: int) -> None:
    try:
        pl.Series([""]).str.contains(pattern)
    except pl.exceptions.PolarsError as error:
        said = str(error)  # of the parser: a line "error: …", or else the first one; Polars adds its own call below
        found = re.search(r"^error: (.*)$", said, re.MULTILINE)
        reason = found[1] if found else said.partition("\n")[0].removeprefix("regex error: ").rstrip(".")
        raise DataError(f"{plain(path)}, line {number}: {shown(pattern)} is no regular expression ({plain(reason)}); "
                        "mend it, or put \\ before a character that stands for itself") from error
