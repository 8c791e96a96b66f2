"""The page of spectra in a real browser: draws without a word on the console, in both themes, at any width."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from test_spectrum_page import EVERY, HOSTILE

import tangentlens as tl

pytest.importorskip("selenium", reason="selenium is not installed (extra: dev)")
from chromium import assert_nothing_ran_or_loaded, needs_chromium, visit
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

pytestmark = [pytest.mark.slow, needs_chromium]
LONG = [tl.CNN(kernel_size=12, weight_std=4 / 3, activation="gelu"),
        tl.MLP(depth=8, weight_std=(1.0, 2.0) * 4, bias_std=0.3, embedding_std=17.0, activation="erf")]


@pytest.fixture(params=["every", "long and hostile"])
def opened(browser: Any, request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    tl.spectrum_page(EVERY if request.param == "every" else [*LONG, HOSTILE], tmp_path / "page.html")
    visit(browser, tmp_path / "page.html")
    return browser


def parts(browser: Any, selector: str) -> list[Any]:
    return list(browser.find_elements(By.CSS_SELECTOR, selector))


def test_every_chart_is_drawn_and_the_console_is_silent(opened: Any) -> None:
    charts = parts(opened, ".chart")
    assert len(charts) == 1 + len(parts(opened, "details table caption")) - len(parts(opened, ".architecture"))
    for chart in charts:
        pictures = chart.find_elements(By.CSS_SELECTOR, "svg[role=img][aria-label]")
        assert pictures
        assert all(picture.find_elements(By.TAG_NAME, "rect") for picture in pictures)
    opened.find_element(By.ID, "theme").click()
    opened.execute_script("dispatchEvent(new Event('resize')); dispatchEvent(new Event('beforeprint'))")
    assert_nothing_ran_or_loaded(opened)
    assert opened.get_log("browser") == []


def test_bars_reach_from_0_to_100_percent_and_one_is_framed(opened: Any) -> None:
    for panel in parts(opened, "[data-chart=trends] svg"):
        boxes = [box.rect for box in panel.find_elements(By.CSS_SELECTOR, "rect:not([fill=none])")]
        groups = panel.find_elements(By.CSS_SELECTOR, "g[fill=none] rect, rect[fill=none]")
        assert len(groups) == 1
        columns = {round(box["x"]) for box in boxes if box["height"]}
        for column in columns:
            stack = [box for box in boxes if round(box["x"]) == column and box["height"]]
            height = max(box["y"] + box["height"] for box in stack) - min(box["y"] for box in stack)
            assert height == pytest.approx(136, abs=3)


def test_tables_open_with_the_keyboard(opened: Any) -> None:
    summary = parts(opened, "details summary")[0]
    assert not parts(opened, "details table")[0].is_displayed()
    opened.execute_script("arguments[0].focus()", summary)
    summary.send_keys(Keys.ENTER)
    assert parts(opened, "details table")[0].is_displayed()
    assert parts(opened, "details tr.best th")[0].text.endswith("(as it is)")


@pytest.mark.parametrize("width", [400, 1400])
def test_no_width_scrolls_sideways(opened: Any, width: int) -> None:
    size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
    opened.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    opened.refresh()
    assert opened.execute_script("return document.documentElement.scrollWidth") <= width
    opened.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def test_without_scripts_the_tables_are_there(browser: Any, tmp_path: Path) -> None:
    tl.spectrum_page(tl.CNN(), tmp_path / "page.html")
    browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
    try:
        visit(browser, tmp_path / "page.html")
        shown = browser.find_element(By.TAG_NAME, "body").text
        assert "Charts need JavaScript" in shown
        assert "59.0 %" in shown
        assert len(parts(browser, "details summary")) == 2
    finally:
        browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})
