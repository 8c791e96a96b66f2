"""A Report as one self-contained HTML page (see `document`): the audit."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from typing import Any

from tangentlens.predictions.evidence import FREQUENT, MOST
from tangentlens.report import comparison, flagged, summary, verified, wording
from tangentlens.report.content import ArchitectureAnswer, ComparedAnswer, Report, VerifiedAnswer
from tangentlens.report.document import columns, document, write_document
from tangentlens.report.live import LARGEST
from tangentlens.report.verdict import verdict

_SCRIPTS = ("values.js", "tokenizing.js", "live.js", "texts.js", "data.js", "lines.js", "spectra.js", "charts.js",
            "verified.js", "compared.js", "tables.js", "drawing.js", "page.js", "try.js", "hover.js")
SURE = 12  # contrary n-grams that are shown
CHIPS = 5  # interactions of each architecture and order that are shown
TURNED = 12  # tokens of each architecture that are shown


def write_page(report: Report, path: str | os.PathLike[str]) -> None:
    """Write the report as one HTML file; an existing file is replaced only when the new one is complete.

    Args:
        report: what to show; see `tangentlens.report.content`.
        path: where to write, usually ending in `.html`. Its folder must exist.

    Raises:
        OutputError: the file cannot be written; nothing is left behind.

    Example: `write_page(report, "audit.html")`, then open the file in any browser.
    """
    write_document(render(report), path)


def render(report: Report) -> str:
    """The page as text: `write_page` without the file."""
    shown = payload(report)
    return document("audit.html.j2", _SCRIPTS, {
        "report": report,
        "classes": summary.class_names(report),
        "rows": summary.comparison(report),
        "best": summary.most_accurate(report),
        "majority": summary.majority(report),
        "doubt": summary.doubt(report),
        "best_rate": summary.best_rate(report),
        "ranks": summary.rank_differences(report),
        "settings": list(flat(report.settings).items()),
        "payload": shown,
        "live": shown.get("live"),
        "largest": LARGEST,
        "verified": verified,
        "comparison": comparison,
        "flagged": flagged,
        "verdict": verdict(report),
        "ngrams": comparison.ngram_rows(report, SURE),
        "interactions": comparison.interaction_rows(report, CHIPS),
        "turned": comparison.turned_rows(report, TURNED),
        "frequent": FREQUENT,
        "most": MOST,
        "highlights": summary.highlights,
        "leading": summary.leading,
        "in_class": summary.in_class,
    })


def payload(report: Report) -> dict[str, Any]:
    """What the page's scripts read: tables as {column: list}, texts made visible, NaN and infinity as None."""
    found: dict[str, Any] = {
        "classes": [wording.visible(name) for name in summary.class_names(report)],
        "lengths": columns(report.data.lengths),
        "architectures": [_architecture(answer) for answer in report.architectures],
    }
    found["flags"] = columns(report.flags.select("architecture", "family", "feature", "class", "reason"))
    if report.live is not None:
        found["live"] = report.live.payload()
    if report.compared:
        found["compared"] = [_compared(answer, plan) for answer, plan in
                             zip(report.compared, report.architectures, strict=True)]
    if report.verified:
        found["verified"] = [_verified(answer) for answer in report.verified]
    return found


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
    tables = {name: columns(getattr(answer, name)) for name in ("spectrum", "trends", "curves")}
    for name in ("top", "trajectories"):
        tables[name] = columns(summary.with_order(answer, getattr(answer, name)))
    return {"name": wording.visible(answer.name), "best_time": wording.finite(answer.best_time), **tables}


def _compared(answer: ComparedAnswer, plan: ArchitectureAnswer) -> dict[str, Any]:
    return {"name": wording.visible(answer.name), "best_time": wording.finite(plan.best_time),
            "learned": columns(answer.learned), "flipped": columns(answer.flipped.head(TURNED))}


def _verified(answer: VerifiedAnswer) -> dict[str, Any]:
    families = [{"family": wording.visible(row["family"]), "order": row["order"]} for row in verified.slopes(answer)]
    tables = {"scatter": verified.points(answer)[0], "paths": verified.lines(answer),
              "errors": verified.drawn_errors(answer), "own": answer.own}
    return {"families": families, **{name: columns(table) for name, table in tables.items()}}
