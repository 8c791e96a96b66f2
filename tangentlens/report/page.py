"""A Report as one self-contained HTML page that needs no network and runs nothing but its own scripts.

Every text of the data set goes through Jinja's autoescape or, in the JSON block, through `tojson`; the page's
scripts only ever set `textContent`. Should an escape still be missed, the Content-Security-Policy lets the browser
run only scripts whose SHA-256 is listed, and load nothing. (Styles are 'unsafe-inline' because Observable
Plot sets style attributes; with nothing to load, a style can only change how the page looks.)
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import os
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import polars as pl
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from tangentlens.errors import OutputError
from tangentlens.report import summary, verified, wording
from tangentlens.report.content import ArchitectureAnswer, Report, VerifiedAnswer

_HERE = Path(__file__).parent
_VENDOR = ("vendor/d3.min.js", "vendor/plot.umd.min.js")
_SCRIPTS = ("data.js", "lines.js", "charts.js", "verified.js", "tables.js", "page.js")


def write_page(report: Report, path: str | os.PathLike[str]) -> None:
    """Write the report as one HTML file; an existing file is replaced only when the new one is complete.

    Args:
        report: what to show; see `tangentlens.report.content`.
        path: where to write, usually ending in `.html`. Its folder must exist.

    Raises:
        OutputError: the file cannot be written; nothing is left behind.

    Example: `write_page(report, "audit.html")`, then open the file in any browser.
    """
    target = Path(path)
    page = render(report).encode("utf-8")
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


def render(report: Report) -> str:
    """The page as text: `write_page` without the file."""
    scripts = [_script(name) for name in (*_VENDOR, *_SCRIPTS)]
    hashes = [base64.b64encode(hashlib.sha256(text.encode("utf-8")).digest()).decode() for text in scripts]
    template = _environment().get_template("audit.html.j2")
    return template.render(
        report=report,
        classes=summary.class_names(report),
        rows=summary.comparison(report),
        best=summary.most_accurate(report),
        majority=summary.majority(report),
        ranks=summary.rank_differences(report),
        settings=list(flat(report.settings).items()),
        payload=payload(report),
        style=Markup(_asset("page.css")),
        scripts=[Markup(text) for text in scripts],
        policy=" ".join(f"'sha256-{digest}'" for digest in hashes),
    )


def payload(report: Report) -> dict[str, Any]:
    """What the page's scripts read: tables as {column: list}, texts made visible, NaN and infinity as None."""
    found = {
        "classes": [wording.visible(name) for name in summary.class_names(report)],
        "lengths": _columns(report.data.lengths),
        "architectures": [_architecture(answer) for answer in report.architectures],
    }
    return found | ({"verified": [_verified(answer) for answer in report.verified]} if report.verified else {})


def flat(settings: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """Nested settings as one level, ready to show.

    >>> flat({"seed": 0, "split": {"share": 0.1}, "names": ["a", "b"]})
    {'seed': '0', 'split.share': '0.1', 'names': '["a", "b"]'}
    """
    found: dict[str, str] = {}
    for key, value in settings.items():
        if isinstance(value, Mapping) and value:
            found |= flat(value, f"{prefix}{key}.")
        else:
            found[f"{prefix}{key}"] = (
                value if isinstance(value, str) else json.dumps(value, default=str, ensure_ascii=False)
            )
    return found


def _architecture(answer: ArchitectureAnswer) -> dict[str, Any]:
    tables = {name: _columns(getattr(answer, name)) for name in ("spectrum", "curves")}
    for name in ("top", "trajectories"):
        tables[name] = _columns(summary.with_order(answer, getattr(answer, name)))
    return {"name": wording.visible(answer.name), "best_time": wording.finite(answer.best_time), **tables}


def _verified(answer: VerifiedAnswer) -> dict[str, Any]:
    families = [{"family": wording.visible(row["family"]), "order": row["order"]} for row in verified.slopes(answer)]
    tables = {"scatter": verified.points(answer)[0], "paths": verified.lines(answer),
              "errors": verified.drawn_errors(answer), "own": answer.own}
    return {"families": families, **{name: _columns(table) for name, table in tables.items()}}


def _columns(table: pl.DataFrame) -> dict[str, Any]:
    """Texts as {"levels": each once, "codes": which}, numbers with six digits: a page stays small enough to mail."""
    texts = {"family", "feature", "class"}
    return {name: _coded(table[name]) if name in texts else _numbers(table[name]) for name in table.columns}


def _coded(column: pl.Series) -> dict[str, Any]:
    shown = [wording.visible(value) for value in column]
    place = {text: code for code, text in enumerate(dict.fromkeys(shown))}
    return {"levels": list(place), "codes": [place[text] for text in shown]}


def _numbers(column: pl.Series) -> list[float | int | None]:
    if column.dtype.is_integer():
        return column.to_list()
    return [None if number is None else float(f"{number:.6g}") for number in map(wording.finite, column)]


def _script(name: str) -> str:
    """A script of the page; vendored ones carry their licences in front."""
    text = _asset(name)
    return f"/*\n{_asset('vendor/LICENSES.txt')}*/\n{text}" if name == _VENDOR[0] else text


def _asset(name: str) -> str:
    return (_HERE / "assets" / name).read_text(encoding="utf-8")


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
    environment.globals.update(verified=verified)
    environment.globals.update(highlights=summary.highlights, leading=summary.leading, in_class=summary.in_class)
    return environment


def _finalize(value: Any) -> Any:
    """Make every text visible before autoescape; what Jinja already holds as markup is left alone."""
    return value if isinstance(value, Markup) else wording.visible(value)
