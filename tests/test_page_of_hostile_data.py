"""The program's own page of hostile data, opened from disk: it draws, and nothing of the data runs or loads."""

from __future__ import annotations

import csv
import itertools
from pathlib import Path
from typing import Any

import pytest

import tangentlens as tl
from tangentlens import cli

pytest.importorskip("selenium", reason="selenium is not installed (extra: dev)")
from chromium import assert_nothing_ran_or_loaded, needs_chromium, open_every_tab, visit
from selenium.webdriver.common.by import By

pytestmark = [pytest.mark.slow, needs_chromium]

HOSTILE = [
    "<script>window.pwned=1</script>",
    "</script><script>window.pwned=2</script>",
    "<img src=x onerror=window.pwned=3>",
    '"',
    "&",
    "'",
    "&lt;b&gt;",
    "</textarea></title><svg/onload=window.pwned=4>",
    "{{7*7}}",
    "${window.pwned=5}",
    "\u202etfel ot thgir",
    "مرحبا بالعالم",
    "👩\u200d🔬🏳️\u200d🌈",
    "\x1b[31mred\x1b]0;title\x07",
    "line\nbreak\r\n",
    "<!--",
    "]]>",
    "http://example.invalid/x.js",
]
LABELS = ["<script>window.pwned=6</script>", "</script>\x1b[1m\n\u202e&\"ok"]


@pytest.mark.parametrize("command", ["audit", "compare"])
@pytest.mark.parametrize("labels", [LABELS, [*LABELS, "👍"]], ids=["2 classes", "3 classes"])
def test_page_of_hostile_data(browser: Any, tmp_path: Path, labels: list[str], command: str) -> None:
    small = tl.small_reviews(240)
    assert small.labels is not None
    hostile = itertools.cycle(HOSTILE)
    file = tmp_path / "<img src=x onerror=window.pwned=7>&.csv"
    with open(file, "w", encoding="utf-8", newline="") as stream:
        rows = csv.writer(stream)
        rows.writerow(["text", "label"])
        for place, (text, label) in enumerate(zip(small.texts, small.labels.tolist(), strict=True)):
            number = 2 if len(labels) == 3 and place % 3 == 0 else int(label == "positive")
            spoiled = next(hostile) if number else " ".join([next(hostile), next(hostile)])
            rows.writerow([f"{text} {spoiled}", labels[number]])
    arguments = ["--architecture", "MLP", "-a", "CNN:kernel_size=2", "--tokenizer", "whitespace", "--validation", "0"]
    cli.main([command, str(file), *arguments, "--quiet", "--output", str(tmp_path / "out")])
    visit(browser, tmp_path / "out" / "audit.html")
    open_every_tab(browser)
    shown = browser.find_element(By.TAG_NAME, "body").text
    assert "<script>window.pwned=6</script>" in shown
    assert "onerror=window.pwned=7" in shown
    assert "\x1b" not in shown
    assert "\u202e" not in shown
    listed = [cell.text for cell in browser.find_elements(By.CSS_SELECTOR, ".panel:not([hidden]) .top tbody th")]
    assert any("window.pwned" in name for name in listed)
    assert_nothing_ran_or_loaded(browser)
