"""Flags at the top of the page, and the trajectory of a row in focus, over hostile texts."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest

import tangentlens as tl
from tangentlens.report.content import FLAGS, Report
from tangentlens.report.flagged import flags_table
from tangentlens.report.page import write_page

pytest.importorskip("selenium", reason="selenium is not installed (extra: dev)")
from chromium import assert_nothing_ran_or_loaded, needs_chromium, visit
from hostile import HOSTILE
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

pytestmark = [pytest.mark.slow, needs_chromium]
REVIEWS = tl.small_reviews()
TEXTS = [*REVIEWS.texts, *(f"{text} {word}" for text, word in zip(HOSTILE, ["imax", "dull"] * 7, strict=True))]
LABELS = [*("<b>good</b>" if label == "positive" else "bad" for label in REVIEWS.labels), *["<b>good</b>", "bad"] * 7]


@pytest.fixture(scope="module")
def audited(tmp_path_factory: pytest.TempPathFactory) -> tuple[tl.Audit, Path]:
    """An audit of hostile texts and labels, and its page."""
    found = tl.audit(tl.read_texts(TEXTS, LABELS), [tl.MLP(), tl.CNN(), tl.LinearRNN()], validation=0, time=5.0)
    path = tmp_path_factory.mktemp("live") / "audit.html"
    write_page(found.content, path)
    return found, path


def test_flags_come_first_filter_and_lead_to_texts(browser: Any, audited: tuple[tl.Audit, Path]) -> None:
    found, page = audited
    assert found.content.flags.height
    visit(browser, page)
    assert browser.find_element(By.CSS_SELECTOR, "main section").get_attribute("id") == "shortcuts"
    browser.execute_script("const kind = document.getElementById('kind'); kind.value = 'flagged';"
                           "kind.dispatchEvent(new Event('change'))")
    names = [cell.text for cell in browser.find_elements(By.CSS_SELECTOR, ".panel:not([hidden]) .top tbody th")]
    flagged = found.content.flags.filter(architecture="MLP")["feature"].to_list()
    assert names
    assert set(names) <= set(flagged)
    browser.find_element(By.CSS_SELECTOR, ".behind:not([hidden])").send_keys(Keys.ENTER)
    assert browser.find_elements(By.CSS_SELECTOR, "#texts tbody tr")
    assert_nothing_ran_or_loaded(browser)


def test_a_row_in_focus_shows_its_trajectory(browser: Any, audited: tuple[tl.Audit, Path]) -> None:
    visit(browser, audited[1])
    browser.execute_script("document.querySelector('.panel:not([hidden]) .top tbody td button').focus()")
    assert browser.find_elements(By.CSS_SELECTOR, ".glimpse:not([hidden]) svg")
    browser.switch_to.active_element.send_keys(Keys.ESCAPE)
    assert not browser.find_elements(By.CSS_SELECTOR, ".glimpse:not([hidden])")
    assert_nothing_ran_or_loaded(browser)


def test_hostile_flags_stay_text(browser: Any, two_classes: Report, tmp_path: Path) -> None:
    rows = [{"architecture": text, "family": text, "feature": text, "class": text, "reason": text, "score": -1.0,
             "evidence": text, "rule": "one class", "cue": text, "decided": 1, "change": "new"} for text in HOSTILE]
    flags = flags_table(rows)
    assert set(FLAGS) <= set(flags.columns)
    write_page(dataclasses.replace(two_classes, flags=flags, gone=flags), tmp_path / "audit.html")
    visit(browser, tmp_path / "audit.html")
    heads = browser.find_elements(By.CSS_SELECTOR, ".flags tbody th bdi")
    assert len(heads) == len(HOSTILE)
    assert heads[0].text == HOSTILE[0]
    assert_nothing_ran_or_loaded(browser)
