"""What sets architectures apart: the rows and tables that terminal, page and files share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import polars as pl

from tangentlens.predictions.evidence import ORDERS
from tangentlens.report.biased import largest
from tangentlens.report.content import ComparedAnswer, Report
from tangentlens.report.sentences import plain
from tangentlens.report.verdict import corrected, right, verdict
from tangentlens.report.wording import finite, rate

NGRAM = ("order", "feature", "class", "texts", "in_class", "polarity", "words")  # columns that all architectures share
SCHEMA = {"architecture": pl.String, "measure": pl.String, "of": pl.String, "order": pl.Int64, "feature": pl.String,
          "class": pl.String, "value": pl.Float64}
_VALUES: dict[str, dict[str, str]] = {  # table of ComparedAnswer → its columns of numbers, and what they measure
    "accuracy": {"texts": "accuracy_texts", "accuracy": "accuracy", "error": "accuracy_error"},
    "leads": {"lead": "lead", "error": "lead_error"} | {
        f"{name}{subset}": f"lead_{name}{subset}" for subset in ("", "_with", "_without") for name in ("only", "lost")},
    "contrary": {name: f"contrary_{name}" for name in ("texts", "in_class", "polarity", "words", "effect",
                                                      "interaction")},
    "interactions": {"interaction": "interaction"},
    "bias": {"bias": "bias", "net": "bias_net", "lengths": "bias_lengths", "share": "bias_share",
             "flipped": "bias_flipped", "dropped": "bias_dropped"},
    "flipped": {"texts": "flipped_texts", "own": "flipped_own", "response": "flipped_response"},
    "learned": {"features": "learned_features", "half_step": "half_step"},
}

_KINDS = {1: "right", -1: "wrong", 0: "none"}
DEPTH = 55  # percentage of colour in a cell with the largest effect

Row = dict[str, Any]


def ngram_rows(report: Report, most: int) -> list[Row]:
    """The surest contrary n-grams, with `cells`: what every architecture makes of them, in their order.

    A cell has the effect, its kind ("right" if it goes the way the n-gram points, "wrong" or "none"), and its depth, a
    percentage of the largest effect that the architecture has on any contrary n-gram.
    """
    if not report.compared:
        return []
    cells = [_cells(answer) for answer in report.compared]
    rows = report.compared[0].contrary.select(NGRAM).head(most).to_dicts()
    return [row | {"cells": [mine[place] for mine in cells]} for place, row in enumerate(rows)]


def _cells(answer: ComparedAnswer) -> list[Row]:
    effects = [finite(effect) or 0.0 for effect in answer.contrary["effect"]]
    largest = max(map(abs, effects), default=0.0) or 1.0
    kinds = [_KINDS[int(np.sign(effect * polarity))] for effect, polarity in
             zip(effects, answer.contrary["polarity"], strict=True)]
    return [{"effect": effect, "kind": kind, "depth": round(DEPTH * abs(effect) / largest)}
            for effect, kind in zip(effects, kinds, strict=True)]


def turned_rows(report: Report, most: int) -> list[Row]:
    """Of every architecture the first tokens whose sign the bias turns."""
    return [{"architecture": answer.name, **row} for answer in report.compared
            for row in answer.flipped.head(most).to_dicts()]


def interaction_rows(report: Report, most: int) -> list[Row]:
    """Every architecture that has interactions, with its strongest ones by order: name, orders {2: rows, 3: rows}."""
    rows = []
    for answer in report.compared:
        table = answer.interactions.sort(pl.col("interaction").abs(), descending=True, maintain_order=True)
        if table.height:
            rows.append({"name": answer.name, "orders": {
                order: table.filter(order=order).head(most).to_dicts() for order in ORDERS}})
    return rows


def summed(answer: ComparedAnswer) -> Row:
    """The bias in one line: the output where it is largest, and the counts summed over outputs; `tokens`: of how many.
    """
    return largest(answer) | {name: int(answer.bias[name].sum()) for name in ("flipped", "dropped")} | {
        "tokens": answer.frequent * answer.bias.height, "strongest": answer.strongest * answer.bias.height}


def accuracies(answer: ComparedAnswer) -> dict[str, Row]:
    """The rows of `accuracy` by subset: all, with, without; each {} where no text is held out."""
    found = {row["subset"]: row for row in answer.accuracy.to_dicts()}
    return {subset: found.get(subset, {}) for subset in ("all", "with", "without")}


def rated(row: Row) -> str:
    """A row of `accuracy` with its standard error; a dash for {}."""
    return rate(row.get("accuracy"), row.get("error"))


def share_name(report: Report) -> str:
    """What the interaction share is called: of which texts it is, if not of held-out ones."""
    return "interaction share" if report.compared[0].share_held else "interaction share (training texts)"


def share_texts(answer: ComparedAnswer, report: Report) -> tuple[int, int] | None:
    """On how many texts the interaction share was taken and of how many; None where it was on all of them."""
    count = report.data.validation if answer.share_held else report.data.training
    return (answer.share_texts, count) if answer.share_texts < count else None


def half_times(answer: ComparedAnswer) -> list[float | None]:
    """When bias, tokens, pairs, and longer patterns are half learned; None for what is not learned."""
    found = dict(answer.learned.select("order", "half_step").iter_rows())
    return [found.get(order) for order in range(4)]


def compared_table(answers: Sequence[ComparedAnswer]) -> pl.DataFrame:
    """Everything in long form: architecture, measure, of (the subset of texts, or the other architecture), order,
    feature, class, value; null where a measure has none of these.
    """
    return pl.concat([table for answer in answers for table in (_scalars(answer), *_unpivoted(answer))])


def compared_result(report: Report) -> Row:
    """What run.json holds: the verdict, the contrary n-grams, and every architecture's figures."""
    return {
        "verdict": [f"{subject}: {plain(sentence)}" for subject, sentence in verdict(report)],
        "contrary": report.compared[0].contrary.select(NGRAM).to_dicts(),
        "compared": [_result(answer) for answer in report.compared],
    }


def _result(answer: ComparedAnswer) -> Row:
    tables = {name: getattr(answer, name).to_dicts() for name in _VALUES if name != "contrary"}
    return {
        "architecture": answer.name, "longest": answer.longest, "contrary_right": right(answer),
        "contrary_corrected": corrected(answer), "interaction_share": answer.interaction_share,
        "share_texts": answer.share_texts, "share_held": answer.share_held, "frequent": answer.frequent,
        "strongest_tokens": answer.strongest, "unbiased": list(answer.unbiased), **tables,
    }


def _scalars(answer: ComparedAnswer) -> pl.DataFrame:
    values = {"longest": answer.longest, "interaction_share": answer.interaction_share,
              "contrary_right": right(answer), "contrary_corrected": corrected(answer)}
    rows = [{"architecture": answer.name, "measure": name, "value": float(value)} for name, value in values.items()]
    return pl.DataFrame(rows, schema=SCHEMA)


def _unpivoted(answer: ComparedAnswer) -> list[pl.DataFrame]:
    tables = []
    for kind, values in _VALUES.items():
        table: pl.DataFrame = getattr(answer, kind).rename({"subset": "of", "other": "of"}, strict=False).rename(values)
        numbers = [pl.col(column).cast(pl.Float64) for column in values.values()]
        keys = [column for column in table.columns if column in SCHEMA and column not in values.values()]
        long = table.select(*keys, *numbers).unpivot(index=keys, variable_name="measure", value_name="value")
        long = long.with_columns(architecture=pl.lit(answer.name))
        missing = [pl.lit(None, dtype=dtype).alias(name) for name, dtype in SCHEMA.items() if name not in long.columns]
        tables.append(long.with_columns(missing).select(list(SCHEMA)))
    return tables
