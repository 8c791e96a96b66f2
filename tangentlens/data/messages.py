"""How foreign values look inside a message: short, on one line, without control characters."""

from __future__ import annotations

import re
import reprlib
from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

_SURROGATE = re.compile("[\ud800-\udfff]")
_TOGETHER = 1000  # strings that are copied at a time
_short = reprlib.Repr()
_short.maxstring = _short.maxother = 60


def shown(value: Any) -> str:
    r"""A value from a file as it may stand in a message.

    >>> print(shown("two\nlines"), shown([1] * 1000))
    'two\nlines' [1, 1, 1, 1, 1, 1, ...]
    """
    return " ".join(_short.repr(value).split())


def plain(value: Any) -> str:
    r"""The same without the quotes, for the name of a file or a column.

    >>> print(plain("a\tb"))
    a\tb
    """
    text = str(value)
    return repr(text if len(text) <= 120 else "…" + text[-120:])[1:-1]


def counted(number: int, name: str) -> str:
    """A number of things, with the name in the plural where that is right.

    >>> counted(1, "row"), counted(2000, "row")
    ('1 row', '2,000 rows')
    """
    return f"{number:,} {name}{'' if number == 1 else 's'}"


def with_surrogates(texts: Iterable[str], /) -> NDArray[np.bool_]:
    r"""Which strings hold half a surrogate pair, which no UTF-8 file and no tokeniser can hold; shape (n,).

    >>> with_surrogates(["fine", "\ud800"]).tolist()
    [False, True]
    """
    texts = list(texts)
    found = np.zeros(len(texts), bool)
    for start in range(0, len(texts), _TOGETHER):
        some = texts[start:start + _TOGETHER]
        try:
            "".join(some).encode()
        except UnicodeEncodeError:
            found[start:start + len(some)] = [_SURROGATE.search(text) is not None for text in some]
    return found
