"""Fragments of HTML for notebooks: a line in words and tables; escaped, without scripts, readable on light and dark."""

from __future__ import annotations

import html
import math
import re
import unicodedata
from collections.abc import Sequence
from typing import Any

import polars as pl

ROWS = 10  # of each table
LONGEST = 80  # characters of a cell; its title holds up to ten times as many
_LINE = "1px solid rgba(127, 127, 127, 0.4)"
_HIDDEN = ("Cc", "Cf", "Cs", "Cn", "Co", "Zl", "Zp")


def fragment(heading: str, tables: Sequence[tuple[str, pl.DataFrame]]) -> str:
    """A heading and tables, each with its caption and at most ten of its rows.

    >>> "&lt;b&gt;" in fragment("<b>", [("Features", pl.DataFrame({"score": [0.5]}))])
    True
    """
    body = "".join(_table(caption, table) for caption, table in tables)
    return f'<div class="tangentlens" style="color: inherit"><p><strong>{_escaped(heading)}</strong></p>{body}</div>'


def _table(caption: str, table: pl.DataFrame) -> str:
    rest = f" ({ROWS} of {table.height:,} rows)" if table.height > ROWS else ""
    head = "".join(f'<th scope="col" style="text-align: left; border-bottom: {_LINE}">{_escaped(name)}</th>'
                   for name in table.columns)
    rows = "".join(f"<tr>{''.join(map(_cell, row))}</tr>" for row in table.head(ROWS).iter_rows())
    return (f'<table cellpadding="6" style="border-collapse: collapse; color: inherit; margin: 0 0 1em">'
            f'<caption style="text-align: left; color: inherit">{_escaped(caption + rest)}</caption>'
            f"<thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>")


def _cell(value: Any) -> str:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return f'<td style="text-align: right; font-variant-numeric: tabular-nums">{_number(value)}</td>'
    whole = "—" if value is None else str(value)
    short = whole if len(whole) <= LONGEST else whole[:LONGEST - 1] + "…"
    title = f' title="{_escaped(whole[:10 * LONGEST])}"' if short != whole else ""
    return f'<td style="text-align: left"{title}><bdi>{_escaped(short)}</bdi></td>'


def _number(value: float) -> str:
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:.4g}".replace("-", "−") if math.isfinite(value) else "—"


def _escaped(text: str) -> str:
    """HTML's characters escaped, and invisible ones as their code points."""
    seen = "".join(f"⟨U+{ord(c):04X}⟩" if unicodedata.category(c) in _HIDDEN else c for c in text)
    return re.sub("`", "&#96;", html.escape(seen))
