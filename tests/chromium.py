"""Pages in a headless Chromium; the fixture `browser` is in conftest.py. Needs the package selenium."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
DRIVER = shutil.which("chromedriver")
FLAGS = [
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-sync",
    "--disable-background-networking",
    "--disable-component-update",
    "--window-size=1300,1000",
]
needs_chromium = pytest.mark.skipif(not (CHROMIUM and DRIVER), reason="chromium and chromedriver are not installed")


@contextmanager
def started() -> Iterator[Any]:
    """A browser that keeps what its console and its network say."""
    options = webdriver.ChromeOptions()
    options.binary_location = str(CHROMIUM)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    with tempfile.TemporaryDirectory() as profile:
        for flag in [*FLAGS, f"--user-data-dir={profile}"]:
            options.add_argument(flag)
        driver = webdriver.Chrome(options=options, service=Service(str(DRIVER)))
        try:
            # without it, whether the window has the focus, and its events come, is a matter of chance
            driver.execute_cdp_cmd("Emulation.setFocusEmulationEnabled", {"enabled": True})
            yield driver
        finally:
            driver.quit()


def visit(browser: Any, page: Path) -> None:
    """Opens a file from disk, with empty logs."""
    browser.get("about:blank")
    browser.get_log("browser")
    browser.get_log("performance")
    browser.get(page.as_uri())
    WebDriverWait(browser, 30).until(complete)  # on a busy machine `get` may return earlier


def complete(browser: Any) -> bool:
    """Whether the page, not the blank one before it, is there as a whole."""
    return bool(browser.execute_script(
        "return location.href !== 'about:blank' && document.readyState === 'complete'"))


def open_every_tab(browser: Any) -> None:
    """Clicks through the architectures; each has four charts, and one of trends where an option matters; all drawn."""
    for tab in browser.find_elements(By.CSS_SELECTOR, '[role="tab"]'):
        browser.execute_script("arguments[0].click()", tab)
        charts = browser.find_elements(By.CSS_SELECTOR, ".panel:not([hidden]) .chart")
        assert len(charts) in (4, 5)
        assert all(chart.find_elements(By.TAG_NAME, "svg") for chart in charts)


def assert_nothing_ran_or_loaded(browser: Any) -> None:
    """No script of the data ran, the console is silent, and nothing but the page itself was requested."""
    assert browser.execute_script("return window.pwned") is None
    assert [entry for entry in browser.get_log("browser") if entry["level"] in ("SEVERE", "WARNING")] == []
    messages = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    loaded = [m["params"]["request"]["url"] for m in messages if m["method"] == "Network.requestWillBeSent"]
    page = browser.current_url.split("#")[0]
    assert [url for url in loaded if url.split("#")[0] != page and not url.startswith(("data:", "blob:"))] == []
