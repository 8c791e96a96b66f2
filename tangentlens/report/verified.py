"""What trained networks say beside a prediction: the sentence and tables that page, terminal and files share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import polars as pl

from tangentlens.report.content import ERRORS, SCATTER, Report, VerifiedAnswer
from tangentlens.report.wording import figure, finite, percent

POINTS = 1500  # of a scatter plot that a page draws
LINES = 2  # features of every family whose way is drawn
ROUNDING = 1e-5  # relative errors below are those of the computer's arithmetic

Row = dict[str, Any]


def sentence(answer: VerifiedAnswer, report: Report) -> str:
    """What was trained, how well it follows the prediction, and how its error falls."""
    whole = f"all {figure(answer.texts)}" if answer.texts == report.data.texts else (
        f"{figure(answer.texts)} of {figure(report.data.texts)}")
    seeds = "" if answer.seeds == 1 else f" (mean of {answer.seeds} seeds)"
    return (f"{networks(answer)} networks of widths {answer.widths[0]}–{answer.widths[-1]} were trained on {whole} "
            f"texts ({figure(answer.tokens)} distinct tokens) for {figure(answer.steps)} steps: the label scores of "
            f"the widest{seeds} follow the prediction with correlation {_two(answer.correlation)}; the relative error "
            f"of a single network goes like {_powers(answer)} (theory: −0.5).")


def networks(answer: VerifiedAnswer) -> int:
    """How many were trained: every width and seed, and the one whose own kernel was studied."""
    return len(answer.widths) * answer.seeds + 1


def split(answer: VerifiedAnswer) -> str:
    """The parts of one network's error at the last step; "" where nothing was recorded."""
    if answer.own.is_empty():
        return ""
    last = answer.own.row(-1, named=True)
    return (f"After {figure(last['step'])} steps one network of width {answer.own_width} is {figure(last['total'])} "
            f"away from the prediction, relative to its own scores. Its random start accounts for "
            f"{figure(last['fluctuation'])} (fluctuation: its kernel is not that of infinite width), what changed in "
            f"its kernel while training for {figure(last['drift_error'])} (drift: the kernel moved by "
            f"{percent(last['drift'])}). These are distances: they need not add up.")


def slopes(answer: VerifiedAnswer) -> list[Row]:
    """One row per family: family, order, features, correlation (as in VerifiedAnswer, within the family), slope, low,
    high, error_narrowest, error_widest.
    """
    table = answer.scatter.group_by("family").agg(
        pl.col("feature").n_unique().alias("features"), pl.corr("predicted", "trained").alias("correlation"))
    found = {row.pop("family"): row for row in table.to_dicts()}
    none = {"order": None, "features": 0, "correlation": None}
    return [none | row | found.get(row["family"], {}) for row in answer.slopes.to_dicts()]


def power(value: Any) -> str:
    """A slope with two decimals.

    >>> power(-0.5), power(0.123), power(float("nan"))
    ('−0.50', '0.12', '—')
    """
    return _two(value)


def points(answer: VerifiedAnswer) -> tuple[pl.DataFrame, int]:
    """The scatter plot's table, every k-th row of it where it is long, and k."""
    every = -(-answer.scatter.height // POINTS) or 1
    return answer.scatter.gather_every(every), every


def lines(answer: VerifiedAnswer) -> pl.DataFrame:
    """The recorded steps of the features and classes of every family whose predicted scores end largest."""
    line = ["family", "feature", "class"]
    ends = answer.paths.group_by(line, maintain_order=True).agg(pl.col("predicted").last().abs().alias("end"))
    chosen = ends.sort("end", descending=True, maintain_order=True).group_by("family", maintain_order=True).head(LINES)
    return answer.paths.join(chosen.select(line), on=line, how="semi", maintain_order="left")


def drawn_errors(answer: VerifiedAnswer) -> pl.DataFrame:
    """Errors that a logarithmic axis can show: not those of a family that prediction and networks agree is zero."""
    return answer.errors.filter(pl.col("error").is_finite() & (pl.col("error") > ROUNDING))


def scores_table(answers: Sequence[VerifiedAnswer]) -> pl.DataFrame:
    """Of every architecture: architecture, family, feature, class, predicted, trained, low, high."""
    return pl.concat([_named(answer, answer.scatter.select(SCATTER)) for answer in answers])


def errors_table(answers: Sequence[VerifiedAnswer]) -> pl.DataFrame:
    """Of every architecture: architecture, family, width, error, low, high."""
    return pl.concat([_named(answer, answer.errors.select(ERRORS)) for answer in answers])


def verified_result(answer: VerifiedAnswer) -> Row:
    """What run.json holds of an architecture."""
    return {
        "architecture": answer.name, "texts": answer.texts, "tokens": answer.tokens, "networks": networks(answer),
        "widths": list(answer.widths), "seeds": answer.seeds, "steps": answer.steps, "time": answer.time,
        "correlation": answer.correlation, "slopes": slopes(answer), "own_width": answer.own_width,
        "own": answer.own.tail(1).to_dicts(), "seconds": round(answer.seconds, 3),
    }


def _named(answer: VerifiedAnswer, table: pl.DataFrame) -> pl.DataFrame:
    return table.select(pl.lit(answer.name).alias("architecture"), pl.all())


def _powers(answer: VerifiedAnswer) -> str:
    """The slopes in words, without families that are zero on both sides."""
    rows = [row for row in slopes(answer) if finite(row["slope"]) is not None and row["error_widest"] > ROUNDING]
    ordered = sorted(rows, key=lambda row: -row["slope"])
    if not ordered:
        return "no power of the width that could be measured"
    first, last = f"width^{power(ordered[0]['slope'])}", f"width^{power(ordered[-1]['slope'])}"
    if len(ordered) == 1:
        return first
    return f"{first} ({ordered[0]['family']}) to {last} ({ordered[-1]['family']})"


def _two(value: Any) -> str:
    number = finite(value)
    return "—" if number is None else f"{number:.2f}".replace("-", "−")
