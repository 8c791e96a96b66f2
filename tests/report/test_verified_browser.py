"""The section "Verified" in a real browser: it draws, and nothing of the data runs or loads."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from tangentlens.report.content import Report
from tangentlens.report.page import write_page

pytest.importorskip("selenium", reason="selenium is not installed (extra: dev)")
from chromium import assert_nothing_ran_or_loaded, needs_chromium, open_every_tab, visit
from selenium.webdriver.common.by import By

pytestmark = [pytest.mark.slow, needs_chromium]


@pytest.fixture
def opened(browser: Any, verified_report: Report, tmp_path: Path) -> Any:
    write_page(verified_report, tmp_path / "audit.html")
    visit(browser, tmp_path / "audit.html")
    return browser


def test_draws_everything_and_runs_and_loads_nothing(opened: Any) -> None:
    open_every_tab(opened)
    parts = opened.find_elements(By.CSS_SELECTOR, ".verified")
    assert len(parts) == 2
    for part in parts:
        charts = part.find_elements(By.CSS_SELECTOR, ".chart")
        assert [chart.get_attribute("data-chart") for chart in charts] == ["scatter", "errors", "paths", "split"]
        drawn = [len(chart.find_elements(By.CSS_SELECTOR, "svg[role=img][aria-label]")) for chart in charts]
        assert drawn == [1, 1, 4, 1]
        assert not part.find_elements(By.CSS_SELECTOR, ".empty")
        assert len(part.find_elements(By.CSS_SELECTOR, ".families svg path")) == 4
        assert "</script>token" in part.find_element(By.CSS_SELECTOR, ".families").text
    opened.find_element(By.ID, "theme").click()
    opened.execute_script("dispatchEvent(new Event('beforeprint')); dispatchEvent(new Event('afterprint'))")
    assert_nothing_ran_or_loaded(opened)


def test_numbers_that_are_missing_are_not_drawn(opened: Any) -> None:
    drawn = "return document.querySelectorAll('[data-chart=scatter] [aria-label=dot] > *').length"
    rows = opened.execute_script("return data.verified[0].scatter.length")
    assert opened.execute_script(drawn) == 2 * (rows - 1)
    assert "NaN" not in opened.execute_script("return document.querySelector('#verified').innerHTML")


def test_empty_tables_still_open(browser: Any, verified_report: Report, tmp_path: Path) -> None:
    first = verified_report.verified[0]
    names = ("scatter", "paths", "errors", "slopes", "own")
    empty = dataclasses.replace(first, **{name: getattr(first, name).clear() for name in names})
    write_page(dataclasses.replace(verified_report, verified=(empty,)), tmp_path / "audit.html")
    visit(browser, tmp_path / "audit.html")
    assert len(browser.find_elements(By.CSS_SELECTOR, ".verified .empty")) == 4
    assert_nothing_ran_or_loaded(browser)


def test_narrow_page_does_not_scroll_sideways(opened: Any) -> None:
    size = {"width": 400, "height": 900, "deviceScaleFactor": 1, "mobile": False}
    opened.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    opened.refresh()
    assert opened.execute_script("return document.documentElement.scrollWidth") <= 400
    opened.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
