"""Figures derived from a Report, shared by the terminal and the page: one place, so that both say the same."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import polars as pl

from tangentlens.predictions.chances import at_least, rate_error
from tangentlens.report.content import ArchitectureAnswer, Report
from tangentlens.report.wording import figure, finite, percent, rate

CHANCE = 0.05  # level of exact tests, of both sides together
_OFFSET = re.compile(r"(?<!\\)((?:\\\\)*)@\w+$")  # `good@0`, `good@lag2`; an escaped `\@` belongs to the token

Row = dict[str, Any]


@dataclass(frozen=True)
class Quality:
    """One architecture in the comparison. Shares are of the spectrum (bias + tokens + n-grams ≈ 1)."""

    name: str
    accuracy: float | None
    loss: float | None
    train_accuracy: float | None
    bias: float
    tokens: float
    ngrams: float
    answer: ArchitectureAnswer


@dataclass(frozen=True)
class RankRow:
    """A token and its rank (1 = strongest) in one class, per architecture; ">60" = not among the 60 listed."""

    token: str
    label: str
    ranks: tuple[str, ...]


def class_names(report: Report) -> list[str]:
    """The classes as text, in the order of the data table."""
    return [str(name) for name in report.data.classes["class"]]


def orders(answer: ArchitectureAnswer) -> dict[str, int | None]:
    """The order (0 bias, 1 token, 2 pair, …) of every family named anywhere in the answer.

    A family that is a group of a spectrum family ("token@0, 2 of 3 tokens") takes the order of the longest
    spectrum name it starts with; an unknown family gives None.
    """
    known = {str(family): order for family, order in zip(*answer.spectrum[["family", "order"]], strict=True)}
    families = {str(family) for table in (answer.top, answer.trajectories) for family in table["family"].unique()}
    found: dict[str, int | None] = dict(known)
    for family in sorted(families - known.keys()):
        starts = [name for name in known if family.startswith(name)]
        found[family] = known[max(starts, key=len)] if starts else None
    return found


def with_order(answer: ArchitectureAnswer, table: pl.DataFrame) -> pl.DataFrame:
    """The table with a column `order`: its own, or what the family's name tells (one name may have several orders)."""
    if "order" in table.columns:
        return table
    order = orders(answer)
    return table.with_columns(pl.Series("order", [order[str(family)] for family in table["family"]], dtype=pl.Int64))


def strongest(answer: ArchitectureAnswer, label: str, count: int | None = None) -> list[Row]:
    """The `count` (None: all) strongest features that push towards `label`, largest score first, with their order."""
    rows = [
        row
        for row in with_order(answer, answer.top).to_dicts()
        if str(row["class"]) == label
    ]
    return sorted(rows, key=lambda row: -abs(finite(row["score"]) or 0.0))[:count]


def highlights(answer: ArchitectureAnswer, label: str, tokens: int, ngrams: int) -> list[Row]:
    """The strongest tokens of a class (each at its best offset only), then its strongest n-grams; never the bias."""
    rows = strongest(answer, label)
    single: dict[str, Row] = {}
    for row in rows:
        if row["order"] != 0 and (row["order"] or 1) < 2:
            single.setdefault(_token(row), row)
    longer = [row for row in rows if (row["order"] or 0) >= 2]
    return [*list(single.values())[:tokens], *longer[:ngrams]]


def leading(answer: ArchitectureAnswer, label: str, count: int) -> list[Row]:
    """The strongest tokens and n-grams of a class together, largest score first; never the bias."""
    rows = highlights(answer, label, count, count)
    return sorted(rows, key=lambda row: -abs(finite(row["score"]) or 0.0))[:count]


def in_class(row: Row) -> float | None:
    """Share of a feature's occurrences that lie in texts of its class."""
    count, inside = finite(row["count"]), finite(row["count_in_class"])
    return inside / count if count and inside is not None else None


def at_best(answer: ArchitectureAnswer) -> Row:
    """The row of the curves nearest to the best time (empty if there are no curves)."""
    rows = [row for row in answer.curves.to_dicts() if finite(row["time"]) is not None]
    best = finite(answer.best_time)
    if not rows:
        return {}
    return min(rows, key=lambda row: abs(row["time"] - best)) if best is not None else rows[-1]


def comparison(report: Report) -> list[Quality]:
    """One row per architecture, in the order of the report."""
    return [_quality(answer) for answer in report.architectures]


def _quality(answer: ArchitectureAnswer) -> Quality:
    best = at_best(answer)
    shares = {0: 0.0, 1: 0.0, 2: 0.0}
    for order, share in zip(*answer.spectrum[["order", "share"]], strict=True):
        shares[min(int(order), 2)] += finite(share) or 0.0
    return Quality(
        name=answer.name,
        accuracy=finite(best.get("validation_accuracy")),
        loss=finite(best.get("validation_loss")),
        train_accuracy=finite(best.get("train_accuracy")),
        bias=shares[0],
        tokens=shares[1],
        ngrams=shares[2],
        answer=answer,
    )


def most_accurate(report: Report) -> Quality | None:
    """The architecture with the best validation accuracy at its best time; None if nothing was validated."""
    rated = [row for row in comparison(report) if row.accuracy is not None]
    return max(rated, key=lambda row: row.accuracy or 0.0) if rated else None


def majority(report: Report) -> tuple[str, float | None]:
    """The most frequent class and its share: what always answering it would score."""
    row = max(report.data.classes.to_dicts(), key=lambda row: finite(row["share"]) or 0.0)
    return str(row["class"]), finite(row["share"])


def beats(accuracy: float, texts: int, share: float) -> bool:
    """Whether chance alone, at this share, would get as many texts right too seldom: an exact binomial tail."""
    return bool(at_least(round(accuracy * texts), texts, share) < CHANCE / 2)


def error_of(share: float, texts: int) -> float:
    """The standard error of a share of so many texts."""
    return rate_error(round(share * texts), texts)


def best_rate(report: Report) -> str:
    """The best accuracy and its standard error; a dash if nothing was validated."""
    best = most_accurate(report)
    if best is None or best.accuracy is None:
        return rate(None, None)
    return rate(best.accuracy, error_of(best.accuracy, report.data.validation))


def no_better(report: Report) -> list[str]:
    """The architectures whose accuracy on the held-out texts is within chance of always answering one class."""
    share, texts = majority(report)[1], report.data.validation
    if share is None or not texts:
        return []
    return [row.name for row in comparison(report) if row.accuracy is not None and row.answer.best_time
            and not beats(row.accuracy, texts, share)]


def baseline(report: Report) -> str | None:
    """What an accuracy on the held-out texts is to be held against; None if there are none."""
    (label, share), texts = majority(report), report.data.validation
    if share is None or not texts:
        return None
    return (f"Always answering {label} gets {percent(share)} right; on {figure(texts)} held-out texts chance moves "
            f"that by ± {100 * error_of(share, texts):.1f} points.")


def doubt(report: Report) -> str | None:
    """A warning that accuracies may be chance; None if all architectures do better."""
    names = no_better(report)
    if not names:
        return None
    return (f"{', '.join(names)}: within what chance may do, no better on the held-out texts than always answering "
            f"{majority(report)[0]}: nothing shows that what is learned here carries over to new texts.")


def rank_differences(report: Report, limit: int = 12) -> list[RankRow]:
    """The tokens among the 20 strongest somewhere whose ranks differ most (largest ratio first).

    Offsets of one token (`good@0`, `good@1`) count once, at its best. A token outside an architecture's list
    counts as one place after its end.
    """
    if len(report.architectures) < 2:
        return []
    found: list[tuple[float, RankRow]] = []
    for label in class_names(report):
        lists = [_token_ranks(answer, label) for answer in report.architectures]
        if not all(lists):
            continue
        for token in sorted({token for ranks in lists for token in ranks}):
            placed = [ranks.get(token, len(ranks) + 1) for ranks in lists]
            shown = tuple(str(ranks.get(token, f">{len(ranks)}")) for ranks in lists)
            if min(placed) <= 20 and max(placed) > min(placed):
                found.append((max(placed) / min(placed), RankRow(token, label, shown)))
    ordered = sorted(found, key=lambda pair: -pair[0])
    return [row for _, row in ordered[:limit]]


def _token_ranks(answer: ArchitectureAnswer, label: str) -> dict[str, int]:
    tokens = dict.fromkeys(_token(row) for row in strongest(answer, label) if row["order"] == 1)
    return {token: rank for rank, token in enumerate(tokens, 1)}


def _token(row: Row) -> str:
    return _OFFSET.sub(r"\1", str(row["feature"]))
