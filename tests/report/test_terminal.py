"""The terminal summary: complete at 80 columns, and no text of the data set reaches the terminal as a command."""

from __future__ import annotations

import io

import pytest
from hostile import make_report
from rich.console import Console

from tangentlens.report.content import Report
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


def test_eighty_columns_hold_every_number() -> None:
    report = make_report(["negative", "positive"], features=["wonderful", "terrible", "not good"])
    text = printed(report, width=80)
    assert max(len(line) for line in text.splitlines()) <= 80
    for needed in ("1,234 texts", "wonderful 1", "+0.909", "75.0 %", "80.0 %", "12,345", "learned"):
        assert needed in text
