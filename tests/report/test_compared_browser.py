"""The section "Which architecture, and why" in a real browser: it draws, and nothing of the data runs or loads."""

import dataclasses

import pytest

from tangentlens.report.page import write_page

pytest.importorskip("selenium", reason="selenium is not installed (extra: dev)")
from chromium import assert_nothing_ran_or_loaded, needs_chromium, open_every_tab, visit
from selenium.webdriver.common.by import By

pytestmark = [pytest.mark.slow, needs_chromium]
CHARTS = ("flipped", "learned")


@pytest.fixture
def opened(browser, compared_report, tmp_path):
    write_page(compared_report, tmp_path / "audit.html")
    visit(browser, tmp_path / "audit.html")
    return browser


def test_draws_everything_and_runs_and_loads_nothing(opened, compared_report):
    open_every_tab(opened)
    count = len(compared_report.compared)
    for name, drawn in zip(CHARTS, (count, 1), strict=True):
        path = f"#which [data-chart={name}] svg[role=img][aria-label]"
        assert len(opened.find_elements(By.CSS_SELECTOR, path)) == drawn
    assert not opened.find_elements(By.CSS_SELECTOR, "#which .empty")
    assert len(opened.find_elements(By.CSS_SELECTOR, "#which .heat tbody tr")) == 12
    opened.find_element(By.ID, "theme").click()
    opened.execute_script("dispatchEvent(new Event('beforeprint')); dispatchEvent(new Event('afterprint'))")
    assert_nothing_ran_or_loaded(opened)


def test_numbers_that_are_missing_are_not_drawn(opened, compared_report):
    dots = opened.execute_script("return document.querySelectorAll('[data-chart=learned] [aria-label=dot] > *').length")
    assert dots == 3 * len(compared_report.compared)
    assert "NaN" not in opened.execute_script("return document.querySelector('#which').innerHTML")


def test_empty_tables_still_open(browser, compared_report, tmp_path):
    names = ("accuracy", "leads", "contrary", "interactions", "flipped", "learned")
    empty = [dataclasses.replace(answer, **{name: getattr(answer, name).clear() for name in names})
             for answer in compared_report.compared]
    write_page(dataclasses.replace(compared_report, compared=tuple(empty)), tmp_path / "audit.html")
    visit(browser, tmp_path / "audit.html")
    assert len(browser.find_elements(By.CSS_SELECTOR, "#which .empty")) == len(CHARTS)
    assert "Nothing that these architectures learn" in browser.find_element(By.ID, "which").text
    assert_nothing_ran_or_loaded(browser)


def test_narrow_page_does_not_scroll_sideways(opened):
    size = {"width": 400, "height": 900, "deviceScaleFactor": 1, "mobile": False}
    opened.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    opened.refresh()
    assert opened.execute_script("return document.documentElement.scrollWidth") <= 400
    opened.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def test_the_tables_scroll_by_keyboard(opened):
    regions = opened.find_elements(By.CSS_SELECTOR, "#which .scroll")
    assert len(regions) == 6
    assert all(region.get_attribute("tabindex") == "0" and region.get_attribute("aria-label") for region in regions)
