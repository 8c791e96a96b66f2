"""The feature spectra of architectures as one self-contained HTML page (see `document`): shares, bars and trends."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from tangentlens.errors import NoSparseFormError, OptionError
from tangentlens.kernels.architecture import Architecture, describe
from tangentlens.kernels.comparing import PARTS, distinct, parts
from tangentlens.kernels.varying import steady, trends
from tangentlens.report.document import columns, document, write_document
from tangentlens.report.wording import visible

TRENDED = 8  # architectures whose trends are drawn
_SCRIPTS = ("values.js", "spectra.js", "drawing.js", "spectrum.js")

Row = dict[str, Any]


def spectrum_page(architectures: Architecture | Sequence[Architecture], path: str | os.PathLike[str]) -> None:
    """Writes one HTML page of what architectures can extract: shares of bias, tokens, pairs and longer patterns as a
    table and as bars, and for the first 8 architectures how the shares move with each option (see `tl.trends`).

    An architecture without a sparse map is left out, and named. An existing file is replaced only when the new one is
    complete; the folder must exist.

    Raises OptionError for what is no architecture, or is given twice; NoSparseFormError where none has a sparse map;
    OutputError where the file cannot be written.

    >>> import tempfile
    >>> from tangentlens.kernels import CNN, MLP
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     spectrum_page([MLP(), CNN()], os.path.join(folder, "spectrum.html"))
    ...     os.listdir(folder)
    ['spectrum.html']
    """
    write_document(render_spectra(distinct(architectures)), path)


def render_spectra(architectures: Sequence[Architecture]) -> str:
    """The page as text: `spectrum_page` without the file, for architectures that differ."""
    tables, dense = _spectra(architectures)
    rows = [{"architecture": describe(one)} | dict(zip(PARTS, parts(table), strict=True)) for one, table in tables]
    answers = [_trended(one, table) for one, table in tables[:TRENDED]]
    return document("spectrum.html.j2", _SCRIPTS, {
        "rows": rows,
        "lines": _lines(rows),
        "answers": answers,
        "dense": dense,
        "payload": {"architectures": [
            {"name": visible(describe(one)), "spectrum": columns(table)}
            | ({"trends": columns(answers[place].trends)} if place < TRENDED else {})
            for place, (one, table) in enumerate(tables)]},
    })


@dataclass(frozen=True)
class Trended:
    """One architecture on the page; the fields are as in ArchitectureAnswer."""

    name: str
    description: str
    spectrum: pl.DataFrame
    trends: pl.DataFrame
    steady: tuple[str, ...]


def _trended(architecture: Architecture, spectrum: pl.DataFrame) -> Trended:
    table = trends(architecture)
    return Trended(describe(architecture), repr(architecture), spectrum, table, steady(architecture, table))


def _spectra(architectures: Sequence[Architecture]) -> tuple[list[tuple[Architecture, pl.DataFrame]], list[str]]:
    """Architectures with their spectra, and the names of those that have none."""
    if not architectures:
        raise OptionError("a page of spectra needs at least one architecture, such as tl.MLP()")
    found, dense = [], []
    for architecture in architectures:
        try:
            found.append((architecture, architecture.spectrum()))
        except NoSparseFormError:
            if architecture is architectures[-1] and not found:
                raise
            dense.append(describe(architecture))
    return found, dense


def _lines(rows: Sequence[Row]) -> list[Row]:
    """The answer in words: which architectures have the most bias and n-grams, and which have none at all."""
    ngrams = [row["pair"] + row["longer"] for row in rows]
    found = [_most("Most bias", rows, [row["bias"] for row in rows]), _most("Most n‑grams", rows, ngrams)]
    none = [row["architecture"] for row, share in zip(rows, ngrams, strict=True) if share == 0]
    return [*found, {"words": "No n‑gram at all", "names": none, "share": None}] if none else found


def _most(words: str, rows: Sequence[Row], shares: Sequence[float]) -> Row:
    most = max(shares)
    names = [row["architecture"] for row, share in zip(rows, shares, strict=True) if most and share == most]
    return {"words": words, "names": names, "share": most or None}
