"""What trained networks say: the sentence, the tables, the section of page and terminal, with hostile names too."""

from __future__ import annotations

import dataclasses
import io
import json
import math
from typing import Any

import polars as pl
import pytest
from hostile import make_report, verified_answer
from rich.console import Console
from test_page import Tags

from tangentlens.report import document, page, verified
from tangentlens.report.content import Report, VerifiedAnswer
from tangentlens.report.terminal import print_report


@pytest.fixture
def plain() -> VerifiedAnswer:
    return verified_answer("MLP", ["a", "b"], ["good", "bad"])


def changed(answer: VerifiedAnswer, **columns: Any) -> VerifiedAnswer:
    return dataclasses.replace(answer, slopes=answer.slopes.with_columns(**columns))


def test_sentence(plain: VerifiedAnswer, two_classes: Report) -> None:
    text = verified.sentence(plain, two_classes)
    assert text.startswith("5 networks of widths 16–64 were trained on 30 of 1,234 texts (99 distinct tokens) for 20 ")
    assert "the widest (mean of 2 seeds) follow the prediction with correlation 0.87;" in text
    slopes = changed(plain, slope=pl.Series([0.1, -0.5, -0.7, -9.0]), error_widest=pl.Series([1.0, 1.0, 1.0, 1e-7]))
    assert "width^0.10 (bias) to width^−0.70 (</script>token) (theory: −0.5)" in verified.sentence(slopes, two_classes)
    one = dataclasses.replace(plain, texts=1234, seeds=1, slopes=plain.slopes[:1], correlation=math.nan)
    text = verified.sentence(one, two_classes)
    for part in ("on all 1,234 texts", "scores of the widest follow", "correlation —", "like width^−0.50 (theory"):
        assert part in text
    assert "could be measured" in verified.sentence(changed(plain, slope=pl.lit(math.nan)), two_classes)


def test_split(plain: VerifiedAnswer) -> None:
    text = verified.split(plain)
    for part in ("After 20 steps one network of width 64 is 0.400 away", "accounts for — (", "for 0.100 (", "by 2.0 %"):
        assert part in text
    assert verified.split(dataclasses.replace(plain, own=plain.own.clear())) == ""


def test_families_have_their_own_figures(plain: VerifiedAnswer) -> None:
    scatter = plain.scatter.with_columns(trained=pl.when(pl.col("family") == "pair").then(-pl.col("predicted"))
                                         .otherwise(pl.col("trained")))
    rows = verified.slopes(dataclasses.replace(plain, scatter=scatter))
    found = [(row["family"], row["features"], row["order"]) for row in rows]
    assert found[2:] == [("</script>token", 2, 1), ("pair", 2, 2)]
    assert rows[2]["correlation"] == pytest.approx(1)
    assert rows[3]["correlation"] == pytest.approx(-1)
    plain = dataclasses.replace(plain, slopes=plain.slopes.drop("order"))
    assert [row["order"] for row in verified.slopes(plain)] == [None] * 4


def test_what_is_drawn_is_limited(plain: VerifiedAnswer) -> None:
    many = dataclasses.replace(plain, scatter=pl.concat([plain.scatter] * 1000))
    points, every = verified.points(many)
    assert (points.height, every) == (8000 // 6 + 1, 6)
    assert verified.points(plain)[1] == 1
    wide = verified_answer("MLP", list("abcde"), ["x", "y", "z"])
    lines = verified.lines(wide)
    assert lines.select("family", "feature", "class").unique().height == 4 * verified.LINES
    assert lines["step"].unique().sort().to_list() == [0, 1, 10, 20]
    assert set(lines.filter(family="pair")["feature"]) == {"x 3"}  # the largest |predicted| at the end
    errors = plain.errors.with_columns(error=pl.Series([1e-7, math.nan, *([0.1] * 6)]))
    assert verified.drawn_errors(dataclasses.replace(plain, errors=errors)).height == 6


def test_tables_and_result(plain: VerifiedAnswer) -> None:
    both = [plain, dataclasses.replace(plain, name="CNN")]
    scores, errors = verified.scores_table(both), verified.errors_table(both)
    assert scores.columns == ["architecture", "family", "feature", "class", "predicted", "trained", "low", "high"]
    assert errors.columns == ["architecture", "family", "width", "error", "low", "high"]
    assert scores["architecture"].unique(maintain_order=True).to_list() == ["MLP", "CNN"]
    found = verified.verified_result(plain)
    assert (found["networks"], found["widths"], found["own"][0]["step"]) == (5, [16, 64], 20)


def test_page_escapes_everything(verified_report: Report) -> None:
    tags = Tags(page.render(verified_report))
    read = json.loads(tags.json)
    assert read == page.payload(verified_report)
    assert [family["order"] for family in read["verified"][0]["families"]] == [0, 1, 1, 2]
    assert read["verified"][0]["scatter"]["predicted"][1] is read["verified"][0]["scatter"]["trained"][1] is None
    assert sum(tag == "script" for tag, _ in tags.tags) == 1 + len(document.VENDOR) + len(page._SCRIPTS)
    assert not {tag for tag, _ in tags.tags} & {"img", "iframe", "object", "embed", "form", "base", "i", "b", "u"}
    assert not [name for _, attributes in tags.tags for name in attributes if name.startswith("on")]
    charts = [a["data-chart"] for tag, a in tags.tags if "data-chart" in a and a["data-chart"] in ("scatter", "split")]
    assert charts == ["scatter", "split"] * 2
    assert all(a.get("data-alt") for _, a in tags.tags if "data-chart" in a)
    assert "#verified" in [a.get("href") for _, a in tags.tags]


def test_without_networks_the_page_says_nothing_of_them(two_classes: Report) -> None:
    tags = Tags(page.render(two_classes))
    assert "verified" not in json.loads(tags.json)
    assert not [a for _, a in tags.tags if a.get("href") == "#verified" or a.get("id") == "verified"]


@pytest.mark.parametrize("width", [60, 80, 200])
def test_terminal(verified_report: Report, width: int) -> None:
    stream = io.StringIO()
    print_report(verified_report, Console(file=stream, width=width))
    text = stream.getvalue()
    assert not [c for c in text if (ord(c) < 32 and c != "\n") or 127 <= ord(c) < 160 or c == "\u202e"]
    assert text.count(": verified\n") == 2
    assert "5 networks of widths 16–64" in text


def test_eighty_columns_hold_every_number() -> None:
    stream = io.StringIO()
    print_report(make_report(["a", "b"], features=["good", "bad"], verified=1), Console(file=stream, width=80))
    lines = stream.getvalue().splitlines()
    assert max(map(len, lines)) <= 80
    row = next(line for line in lines if line.startswith("pair ") and "−0.50" in line)
    assert row.split() == ["pair", "2", "1.00", "2", "1", "−0.50", "−0.60", "to", "—"]
