"""An audit as a fragment of HTML for notebooks."""

from __future__ import annotations

import polars as pl

from tangentlens.predictions.fragments import fragment
from tangentlens.report import flagged
from tangentlens.report.content import Report
from tangentlens.report.summary import comparison


def glimpsed(report: Report) -> str:
    """Possible shortcuts, architectures side by side, and the strongest features of each; without scripts."""
    tables = []
    cues = flagged.cues(report)
    if cues:
        tables.append(("Possible shortcuts, worst first", pl.DataFrame(
            [{"feature": row["cue"], "class": str(row["class"]), "why": row["reason"], "evidence": row["evidence"],
              "label score": row["score"]} for row in cues], infer_schema_length=None)))
    rows = [{"architecture": row.name, "accuracy": row.accuracy, "loss": row.loss} for row in comparison(report)]
    tables.append(("Architectures at their best times", pl.DataFrame(rows, infer_schema_length=None)))
    for answer in report.architectures:
        top = answer.top.select("feature", "family", "class", "score", "count", "count_in_class", "half_step")
        tables.append((f"{answer.name}: strongest features", top.sort(
            pl.col("score").abs().fill_nan(0.0), descending=True, maintain_order=True)))
    return fragment(report.title, tables)
