"""One self-contained HTML page that needs no network and runs nothing but its own scripts.

Every text from outside goes through Jinja's autoescape or, in the JSON block, through `tojson`; the page's
scripts only ever set `textContent`. Should an escape still be missed, the Content-Security-Policy lets the browser
run only scripts whose SHA-256 is listed, and load nothing. (Styles are 'unsafe-inline' because Observable
Plot sets style attributes; with nothing to load, a style can only change how the page looks.)
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import os
import secrets
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from tangentlens.errors import OutputError
from tangentlens.report import wording

VENDOR = ("vendor/d3.min.js", "vendor/plot.umd.min.js")
_HERE = Path(__file__).parent
_TEXTS = {"architecture", "family", "feature", "class", "option", "target", "reason"}


def write_document(text: str, path: str | os.PathLike[str]) -> None:
    """Writes the page into one file; an existing file is replaced only when the new one is complete.

    Raises OutputError where it cannot be written; nothing is left behind then.
    """
    target = Path(path)
    page = text.encode("utf-8")
    temporary = target.parent / f".tangentlens-{secrets.token_hex(8)}.tmp"
    try:
        with open(temporary, "xb") as file:
            file.write(page)
        os.replace(temporary, target)
    except OSError as error:
        raise OutputError(
            f'The page could not be written to "{wording.visible(target)}": {error.strerror or error}. Choose a path '
            f"in an existing folder that you may write to, with at least {len(page) // 1000:,} KB free."
        ) from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink()


def document(template: str, scripts: Sequence[str], values: Mapping[str, Any]) -> str:
    """The page that the template makes of these values, with the style, the vendored libraries and these scripts."""
    texts = [_script(name) for name in (*VENDOR, *scripts)]
    hashes = [base64.b64encode(hashlib.sha256(text.encode("utf-8")).digest()).decode() for text in texts]
    return _environment().get_template(template).render(
        **values,
        style=Markup(asset("page.css")),
        scripts=[Markup(text) for text in texts],
        policy=" ".join(f"'sha256-{digest}'" for digest in hashes),
    )


def columns(table: pl.DataFrame) -> dict[str, Any]:
    """Texts as {"levels": each once, "codes": which}, numbers with six digits: a page stays small enough to mail."""
    return {name: _coded(table[name]) if name in _TEXTS else _numbers(table[name]) for name in table.columns}


def asset(name: str) -> str:
    """A script or style sheet of the pages."""
    return (_HERE / "assets" / name).read_text(encoding="utf-8")


def _coded(column: pl.Series) -> dict[str, Any]:
    shown = {value: wording.visible(value) for value in dict.fromkeys(column)}
    place = {text: code for code, text in enumerate(dict.fromkeys(shown.values()))}
    return {"levels": list(place), "codes": [place[shown[value]] for value in column]}


def _numbers(column: pl.Series) -> list[float | int | bool | None]:
    if column.dtype.is_integer() or column.dtype == pl.Boolean:
        return column.to_list()
    return [None if number is None else float(f"{number:.6g}") for number in map(wording.finite, column)]


def _script(name: str) -> str:
    """A script of the page; vendored ones carry their licences in front."""
    text = asset(name)
    return f"/*\n{asset('vendor/LICENSES.txt')}*/\n{text}" if name == VENDOR[0] else text


def _environment() -> Environment:
    loader = FileSystemLoader(_HERE / "templates")
    environment = Environment(
        loader=loader,
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_finalize,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.policies["json.dumps_kwargs"] = {"allow_nan": False}
    environment.filters.update(figure=wording.figure, percent=wording.percent, signed=wording.signed)
    return environment


def _finalize(value: Any) -> Any:
    """Make every text visible before autoescape; what Jinja already holds as markup is left alone."""
    return value if isinstance(value, Markup) else wording.visible(value)
