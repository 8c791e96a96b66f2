"""The page in a real browser, opened from disk: draws, sorts and searches, and nothing of the data runs or loads."""

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
from selenium.webdriver.common.keys import Keys

pytestmark = [pytest.mark.slow, needs_chromium]


@pytest.fixture
def opened(browser: Any, report: Report, tmp_path: Path) -> Any:
    write_page(report, tmp_path / "audit.html")
    visit(browser, tmp_path / "audit.html")
    return browser


def features(browser: Any) -> list[str]:
    return [cell.text for cell in browser.find_elements(By.CSS_SELECTOR, ".panel:not([hidden]) .top tbody th")]


def column(browser: Any, number: int) -> list[str]:
    path = f".panel:not([hidden]) .top tbody td:nth-child({number})"
    return [cell.text for cell in browser.find_elements(By.CSS_SELECTOR, path)]


def test_draws_everything_and_runs_and_loads_nothing(opened: Any) -> None:
    open_every_tab(opened)
    assert len(opened.find_elements(By.CSS_SELECTOR, ".chart svg[role=img][aria-label]")) >= 2 + 5
    opened.find_element(By.ID, "theme").click()
    opened.execute_script("dispatchEvent(new Event('beforeprint')); dispatchEvent(new Event('afterprint'))")
    assert_nothing_ran_or_loaded(opened)


def test_empty_tables_still_open(browser: Any, two_classes: Report, tmp_path: Path) -> None:
    first = two_classes.architectures[0]
    names = ("spectrum", "top", "trajectories", "curves", "trends")
    empty = dataclasses.replace(first, best_time=float("nan"), **{name: getattr(first, name).clear() for name in names})
    data = dataclasses.replace(
        two_classes.data, tokens=0, texts=0, validation=0, lengths=two_classes.data.lengths.clear()
    )
    write_page(Report("Empty", data, (empty,)), tmp_path / "audit.html")
    browser.get_log("browser")
    browser.get((tmp_path / "audit.html").as_uri())
    assert browser.find_element(By.CSS_SELECTOR, ".matches").text == "0 of 0 features"
    assert browser.get_log("browser") == []


def test_an_injected_script_is_refused(opened: Any) -> None:
    opened.execute_script(
        "const s = document.createElement('script'); s.textContent = 'window.pwned = 7'; document.body.append(s);"
        "const d = document.createElement('div'); "
        "d.innerHTML = '<img src=x onerror=window.pwned=8>'; document.body.append(d);"
    )
    assert opened.execute_script("return window.pwned") is None
    assert any("Content Security Policy" in entry["message"] for entry in opened.get_log("browser"))


def test_sort_and_search_by_click(opened: Any) -> None:
    head = opened.find_element(By.CSS_SELECTOR, '.panel:not([hidden]) th button[data-key="count"]')
    for direction in ("descending", "ascending"):
        opened.execute_script("arguments[0].click()", head)
        counts = [int(text) for text in column(opened, 5)]
        assert counts == sorted(counts, reverse=direction == "descending")
        assert head.find_element(By.XPATH, "..").get_attribute("aria-sort") == direction
    box = opened.find_element(By.CSS_SELECTOR, ".panel:not([hidden]) .search")
    box.send_keys("{{ 7*7")
    assert features(opened)
    assert all("{{ 7*7 }}" in name for name in features(opened))


def test_keyboard_alone(opened: Any) -> None:
    tab = opened.find_element(By.ID, "tab-0")
    opened.execute_script("arguments[0].focus()", tab)
    tab.send_keys(Keys.ARROW_RIGHT)
    active = opened.switch_to.active_element
    assert active.get_attribute("id") == "tab-1"
    for _ in range(12):  # class, features, (scrolling regions), search box
        active.send_keys(Keys.TAB)
        active = opened.switch_to.active_element
        if active.get_attribute("class") == "search":
            break
    active.send_keys("&amp;")
    assert all("&amp;" in name for name in features(opened))
    active.send_keys(Keys.CONTROL, "a")
    active.send_keys(Keys.DELETE)
    for _ in range(3):
        active.send_keys(Keys.TAB)
        active = opened.switch_to.active_element
        if active.get_attribute("data-key") == "feature":
            break
    active.send_keys(Keys.ENTER)
    assert active.find_element(By.XPATH, "..").get_attribute("aria-sort") == "ascending"
    assert len(features(opened)) > 1


def test_narrow_page_does_not_scroll_sideways(opened: Any) -> None:
    size = {"width": 400, "height": 900, "deviceScaleFactor": 1, "mobile": False}
    opened.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    opened.refresh()
    assert opened.execute_script("return document.documentElement.scrollWidth") <= 400
    opened.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
