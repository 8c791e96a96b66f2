"""Every error the library raises on purpose. A message says what is wrong, where, and what to do next."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class TangentLensError(Exception):
    """Base of all errors raised on purpose; the command line prints its message and exits with status 2."""


class DataError(TangentLensError, ValueError):
    """The file, table or list of texts cannot be used as it is."""


class OptionError(TangentLensError, ValueError):
    """An option or argument has a value that makes no sense."""


class ShapeError(TangentLensError, ValueError):
    """Two stages do not fit together: lengths, columns or classes differ."""


class NoSparseFormError(TangentLensError, NotImplementedError):
    """The architecture has an exact kernel but no sparse feature map."""


class OutputError(TangentLensError, OSError):
    """A result could not be written; nothing half written is left behind."""


def nearest(name: str, choices: Iterable[str]) -> str:
    """A hint `did you mean "text"?` for a misspelt name, or the list of what exists.

    >>> nearest("txt", ["text", "label"])
    'did you mean "text"? There are: text, label'
    """
    known = [str(choice) for choice in choices]
    close = difflib.get_close_matches(str(name), known, n=1, cutoff=0.5)
    shown = ", ".join(known[:20]) + (", …" if len(known) > 20 else "")
    return (f'did you mean "{close[0]}"? ' if close else "") + f"There are: {shown}"
