"""The contract: tables are checked, derived figures are right."""

from __future__ import annotations

import dataclasses

import polars as pl
import pytest
from hostile import answer, make_report

from tangentlens.errors import ShapeError
from tangentlens.report import summary
from tangentlens.report.content import Report


def test_a_missing_column_is_named(two_classes: Report) -> None:
    with pytest.raises(ShapeError, match=r"ArchitectureAnswer\.top lacks the columns \['half_step'\]"):
        dataclasses.replace(two_classes.architectures[0], top=two_classes.architectures[0].top.drop("half_step"))


def test_names_must_differ_and_exist(two_classes: Report) -> None:
    with pytest.raises(ShapeError, match="must differ"):
        dataclasses.replace(two_classes, architectures=two_classes.architectures[:1] * 2)
    with pytest.raises(ShapeError, match="at least one"):
        dataclasses.replace(two_classes, architectures=())


def test_comparison_takes_the_row_at_the_best_time(two_classes: Report) -> None:
    row = summary.comparison(two_classes)[0]
    assert row.loss == pytest.approx(0.7 / 11)
    assert (row.bias, row.tokens, row.ngrams) == pytest.approx((0.1, 0.8, 0.1))
    assert summary.most_accurate(two_classes) is not None


def test_without_validation_nothing_is_called_most_accurate(two_classes: Report) -> None:
    first = two_classes.architectures[0]
    blank = dataclasses.replace(first, curves=first.curves.with_columns(validation_accuracy=pl.lit(None)))
    assert summary.most_accurate(dataclasses.replace(two_classes, architectures=(blank,))) is None


def test_offsets_of_a_token_count_once_and_grouped_families_find_their_order() -> None:
    base = answer("CNN", ["a", "b"], ["good"])
    top = pl.DataFrame(
        {
            "family": ["token@0", "token@1, 2 of 3 tokens", "pair", "token@0"],
            "feature": ["good@0", "good@1", "so good", "x\\@0"],
            "class": ["b"] * 4,
            "score": [0.9, 0.8, 0.7, 0.6],
            "count": [3] * 4,
            "count_in_class": [3] * 4,
            "half_step": [1.0] * 4,
        }
    )
    spectrum = pl.DataFrame(
        {"family": ["token@0", "token@1", "pair"], "order": [1, 1, 2], "coefficient": [1.0] * 3, "share": [0.3] * 3}
    )
    cnn = dataclasses.replace(base, top=top, spectrum=spectrum, trajectories=base.trajectories.clear())
    assert summary.orders(cnn)["token@1, 2 of 3 tokens"] == 1
    assert [row["feature"] for row in summary.highlights(cnn, "b", 5, 5)] == ["good@0", "x\\@0", "so good"]


def test_rank_differences_show_the_widest_ratio_first() -> None:
    report = make_report(["a", "b"], features=["w1", "w2", "w3", "w4"])
    first, second = (
        dataclasses.replace(one, spectrum=one.spectrum.with_columns(order=pl.Series([0, 1, 1])))
        for one in report.architectures
    )
    rows = summary.rank_differences(dataclasses.replace(report, architectures=(first, second)))
    assert rows[0].token.startswith("w1")
    assert rows[0].ranks == ("1", "4")
    assert summary.rank_differences(dataclasses.replace(report, architectures=(first,))) == []
