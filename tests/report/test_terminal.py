"""The terminal summary: complete at 80 columns, and no text of the data set reaches the terminal as a command."""

from __future__ import annotations

import io

import numpy as np
import pytest
from hostile import make_report
from rich.console import Console

import tangentlens as tl
from tangentlens.report.comparison import accuracies, rated
from tangentlens.report.content import Report
from tangentlens.report.page import render
from tangentlens.report.summary import best_rate
from tangentlens.report.terminal import print_report


def printed(report: Report, **options: object) -> str:
    stream = io.StringIO()
    print_report(report, Console(file=stream, **options))  # type: ignore[arg-type]
    return stream.getvalue()


@pytest.mark.parametrize("width", [60, 80, 200])
def test_no_control_character_is_emitted(report: Report, width: int) -> None:
    text = printed(report, width=width)
    assert not [c for c in text if (ord(c) < 32 and c != "\n") or 127 <= ord(c) < 160 or c == "\u202e"]
    assert "⟨ESC⟩[" in text


def test_markup_is_shown_not_read() -> None:
    report = make_report(["[i]a", "b"], features=["[red]bold[/red]", "[link=http://example.invalid]x"])
    text = printed(report, width=120)
    assert "[red]bold[/red]" in text
    assert "[blink]" in text
    coloured = printed(report, width=120, force_terminal=True, color_system="truecolor")
    assert "\x1b]8" not in coloured
    assert "\x1b[31m" not in coloured
    assert "\x1b[5" not in coloured


def test_accuracies_are_held_against_one_answer_for_all() -> None:
    """Random labels: said to be chance, in the terminal and on the page; learnable ones: not."""
    rng = np.random.default_rng(1)
    words = [" ".join([*rng.choice(list("abcdefghijklmnopq"), 9), "xy"[place % 2]]) for place in range(300)]
    for labels, chance in ((rng.integers(0, 2, 300), True), (np.arange(300) % 2, False)):
        audit = tl.audit(tl.Texts(tuple(words), labels), [tl.MLP()])
        report = audit.content
        text = printed(report, width=300)
        assert "held-out texts chance moves that by ±" in text
        assert ("no better on the held-out texts than always answering" in text) == chance
        assert ("no better on the held-out texts than always answering" in render(report)) == chance


def test_eighty_columns_hold_every_number() -> None:
    report = make_report(["negative", "positive"], features=["wonderful", "terrible", "not good"])
    text = printed(report, width=80)
    assert max(len(line) for line in text.splitlines()) <= 80
    for needed in ("1,234 texts", "wonderful 1", "+0.909", "75.0 %", "80.0 %", "12,345", "learned"):
        assert needed in text


def test_the_best_accuracy_is_as_sure_as_the_comparison_says() -> None:
    report = tl.compare(tl.small_reviews(120), [tl.MLP()]).content
    assert best_rate(report) == rated(accuracies(report.compared[0])["all"])
    assert f"<strong>{best_rate(report)}</strong>" in render(report)
