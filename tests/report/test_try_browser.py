"""A text typed into the page: decided at once and as Python decides it, by keyboard alone, whatever the data hold."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import tangentlens as tl

pytest.importorskip("selenium", reason="selenium is not installed (extra: dev)")
from chromium import assert_nothing_ran_or_loaded, needs_chromium, visit
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import WebDriverWait

pytestmark = [pytest.mark.slow, needs_chromium]
ARCHITECTURES = [tl.MLP(), tl.CNN(), tl.SelfAttention(scores="tied"), tl.MatrixVector(), tl.LinearRNN(max_order=3),
                 tl.ElmanRNN(max_lag=8)]
HOSTILE = [
    "<script>window.pwned=1</script>",
    "</script><script>window.pwned=2</script>",
    '"><img src=x onerror=window.pwned=3>',
    "it's \"quoted\" &amp; {{7*7}} ${window.pwned=4}",
    "مرحبا بالعالم \u202etfel ot thgir\u202c",
    "zero\u200bwidth\ufeff",
    "👩\u200d🔬 🏳️\u200d🌈",
    "x" * 3000,
    "a\x00b\x1b[31m",
    "__proto__ constructor toString",
    "",
]


@pytest.fixture(scope="module")
def found() -> tl.Audit:
    """Reviews with hostile tokens in them, three classes, and a planted token."""
    small = tl.small_reviews(200)
    assert small.labels is not None
    texts = [f"{text} {HOSTILE[i % 7] if i % 5 == 0 else ''}" for i, text in enumerate(small.texts)]
    labels = ["<b>middling" if i % 3 == 0 else str(label) for i, label in enumerate(small.labels)]
    return tl.audit(tl.read_texts(texts, labels), ARCHITECTURES, validation=0.2)


@pytest.fixture
def opened(browser: Any, found: tl.Audit, tmp_path: Path) -> Any:
    found.report(tmp_path / "audit.html")
    visit(browser, tmp_path / "audit.html")
    return browser


def shown(browser: Any, selector: str) -> list[str]:
    """In one call: what is shown may be drawn again between two."""
    found = browser.execute_script(
        "return Array.from(document.querySelectorAll(arguments[0]), (one) => one.innerText)", selector)
    assert isinstance(found, list)
    return found


def write(browser: Any, text: str) -> None:
    """As if pasted: a driver cannot type every character."""
    browser.execute_script("const box = document.getElementById('typed'); box.value = arguments[0]; "
                           "box.dispatchEvent(new Event('input'))", text)
    WebDriverWait(browser, 5, 0.02).until(lambda page: page.execute_script(
        "return tried.tokens.join('|') === tokensOf(document.getElementById('typed').value, live.rule).join('|')"))


def test_the_whole_way_from_a_sentence_to_its_decision(opened: Any, found: tl.Audit) -> None:
    sentences = ["imax was a great movie, not bad at all!", "dull <b>plot</b>", "the the the", "unseenword", "\u200b"]
    for sentence in sentences:
        write(opened, sentence)
        outputs = opened.execute_script("return tried.answers.map((one) => Array.from(one.output))")
        tokens = tl.tokenize([sentence], vocabulary=found.tokens.vocabulary)
        for architecture, trajectory, output in zip(found.architectures, found.trajectories, outputs, strict=True):
            features = architecture.features(tokens, columns=trajectory.features)
            expected = trajectory.decision(features, trajectory.best)[0]
            assert output == pytest.approx(expected.tolist(), abs=1e-9), (sentence, architecture)
    assert_nothing_ran_or_loaded(opened)


def test_typing_decides_and_is_announced(opened: Any) -> None:
    box = opened.find_element(By.ID, "typed")
    box.send_keys(Keys.CONTROL, "a")
    box.send_keys("imax good film")
    WebDriverWait(opened, 5, 0.05).until(lambda page: shown(page, ".tokens bdi") == ["imax", "good", "film"])
    assert len(shown(opened, ".decisions tbody tr")) == len(ARCHITECTURES)
    WebDriverWait(opened, 5, 0.05).until(
        lambda page: "MLP" in page.find_element(By.ID, "heard").get_attribute("textContent"))
    assert opened.find_element(By.ID, "heard").get_attribute("aria-live") == "polite"
    box.send_keys(" zzzunknown")
    WebDriverWait(opened, 5, 0.05).until(lambda page: "zzzunknown" in page.find_element(By.ID, "remarks").text)


def test_by_keyboard_alone_to_the_training_texts_and_back(opened: Any) -> None:
    box = opened.find_element(By.ID, "typed")
    opened.execute_script("arguments[0].focus()", box)
    box.send_keys(Keys.CONTROL, "a")
    box.send_keys("imax film")
    WebDriverWait(opened, 5, 0.05).until(lambda page: shown(page, ".tokens bdi") == ["imax", "film"])
    active = _tab_to(opened, lambda one: one.text == "CNN")
    active.send_keys(Keys.ENTER)
    assert active.get_attribute("aria-pressed") == "true"
    assert shown(opened, "#why .asked") == ["CNN"]
    active = _tab_to(opened, lambda one: "imax" in (one.get_attribute("aria-label") or ""))
    active.send_keys(Keys.ENTER)
    assert opened.find_element(By.ID, "texts").get_attribute("open") is not None
    assert shown(opened, "#texts mark")
    opened.switch_to.active_element.send_keys(Keys.ESCAPE)
    assert opened.find_element(By.ID, "texts").get_attribute("open") is None
    assert opened.switch_to.active_element.text == "Texts"
    unnamed = opened.execute_script(
        "return [...document.querySelectorAll('button, input, select, textarea')].filter((one) => "
        "!one.textContent.trim() && !one.getAttribute('aria-label') && !one.labels?.length && !one.hidden).length")
    assert unnamed == 0


def _tab_to(browser: Any, wanted: Any) -> Any:
    for _ in range(20):
        browser.switch_to.active_element.send_keys(Keys.TAB)
        if wanted(browser.switch_to.active_element):
            break
    return browser.switch_to.active_element


def test_hostile_texts_are_only_texts(opened: Any) -> None:
    for text in HOSTILE:
        opened.execute_script("document.getElementById('typed').value = arguments[0]; tryText(arguments[0])", text)
        opened.execute_script("""for (const i of live.architectures.keys()) {
            document.querySelectorAll('.decisions button')[i].click();
            document.querySelectorAll('.parts td button').forEach((button) => button.click());
            document.getElementById('texts').close();
          }""")
        body = opened.execute_script("return document.body.innerText")
        assert not set("\u202e\u200b\ufeff\x1b\x00") & set(body)
        assert opened.execute_script("return document.documentElement.scrollWidth <= innerWidth")
    opened.execute_script("tryText('good ' + String.fromCharCode(0xd800) + ' film')")
    assert shown(opened, ".tokens bdi") == ["good", "\ufffd", "film"]
    assert_nothing_ran_or_loaded(opened)


def test_every_row_leads_to_its_training_texts(opened: Any, found: tl.Audit) -> None:
    """What the dialog adds up is the label score in the table."""
    rows = opened.execute_script("""
        return data.architectures.flatMap((one) => one.top.map((row) => {
          const place = featureAt(row.architecture, row.family, row.feature);
          if (place === null) return [row.feature, null, null];
          const k = live.classes.indexOf(row.class);
          const counts = place.model.families[place.number].groups.map((_, g) => Number(g === place.group));
          return [row.feature, row.score, behind(place.model, place.number, place.ids, counts)
            .reduce((sum, { part }) => sum + part[k], 0)];
        }))""")
    missing = [feature for feature, score, _ in rows if score is None]
    assert len(missing) < 0.02 * len(rows), missing
    assert all(total == pytest.approx(score, rel=1e-5) for _, score, total in rows if score is not None)
    opened.execute_script("document.querySelector('.panel:not([hidden]) .top td button').click()")
    assert opened.find_element(By.CSS_SELECTOR, "#texts mark").text
    opened.execute_script("document.getElementById('texts').close()")
    assert_nothing_ran_or_loaded(opened)
