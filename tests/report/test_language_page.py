"""The page of a language model: hostile tokens stay text, charts are drawn, nothing is loaded."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hostile import HOSTILE

import tangentlens as tl
from tangentlens.report.language_page import render_language

pytest.importorskip("selenium", reason="selenium is not installed (extra: dev)")
from chromium import assert_nothing_ran_or_loaded, needs_chromium, visit

TOKENS = ["".join(token.split()) for token in HOSTILE]


@pytest.fixture(scope="module")
def page() -> str:
    documents = [" ".join([*TOKENS[place:], "the", *TOKENS[:place]]) for place in range(len(TOKENS))] * 4
    corpus = tl.read_corpus(documents, tokenizer="whitespace")
    return render_language(tl.language(corpus, [tl.MLP(), tl.MatrixVector()], window=4))


def test_no_token_becomes_markup(page: str) -> None:
    assert "\u202e" not in page
    assert "\x1b" not in page
    assert "<script>window.pwned" not in page
    assert "<img src=x" not in page


@pytest.mark.slow
@needs_chromium
@pytest.mark.parametrize("width", [400, 1400])
def test_in_a_browser(browser: Any, page: str, tmp_path: Path, width: int) -> None:
    (tmp_path / "page.html").write_text(page, "utf-8")
    size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    visit(browser, tmp_path / "page.html")
    assert browser.execute_script("return document.querySelectorAll('.chart svg[role=img] rect').length") > 100
    assert browser.execute_script("return document.querySelectorAll('.pairs tbody tr').length") == 30
    assert browser.execute_script("return document.documentElement.scrollWidth") <= width
    browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
    assert_nothing_ran_or_loaded(browser)
    assert browser.get_log("browser") == []
