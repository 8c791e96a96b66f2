"""A typed text is decided in the page as in Python: the same tokens, the same sum, for every sparse architecture."""

from __future__ import annotations

import json
import random
import re
import sys
import unicodedata
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tangentlens as tl
from tangentlens.data.cutting import NAMES, Rule
from tangentlens.report.document import asset
from tangentlens.report.live import Live

pytest.importorskip("selenium", reason="selenium is not installed (extra: dev)")
from cases import ALL, EXACT, NEW, SPARSE, TEXT_SETS, distance, labels_of, tokens_of
from chromium import assert_nothing_ran_or_loaded, needs_chromium, visit

pytestmark = [pytest.mark.slow, needs_chromium]
SCRIPTS = ("values.js", "tokenizing.js", "live.js")
PIECES = [*" .,'’-<>/=\"ab1Z\u200d\u200c\ufe0f\n\r\t\x85\x1c\xa0\ufeff\u0301\u0e33",
          *"あー漢ᄀ각👩🔬🏳🌈🇩🇪👍🏽क्षनिΣİß", "[SEP]", "<br />", "<b>", "</p>", "don't", "3.5", "👩‍🔬",
          "<script>", "\u202e", "x" * 300]


def opened(browser: Any, folder: Path, payload: dict[str, Any]) -> Any:
    """A page of nothing but the scripts that decide."""
    scripts = "".join(f"<script>{asset(name)}</script>" for name in SCRIPTS)
    text = json.dumps(payload).replace("<", "\\u003c")
    (folder / "live.html").write_text(
        f'<meta charset="utf-8"><script type="application/json" id="payload">{text}</script>{scripts}', "utf-8")
    visit(browser, folder / "live.html")
    return browser


@pytest.mark.parametrize("classes", [2, 3])
def test_decides_as_python_does(browser: Any, tmp_path: Path, classes: int) -> None:
    tokens, asked = TEXT_SETS["all"], tokens_of([*ALL, *NEW])
    labels = labels_of(tokens, classes)
    learned = [tl.learn(one.features(tokens), labels, steps=30) for one in SPARSE.values()]
    page = opened(browser, tmp_path, {"live": Live(tokens, tuple(SPARSE.values()), tuple(learned)).payload()})
    found = page.execute_script("return arguments[0].map((ids) => live.architectures.map((model) => "
                                "Array.from(decide(model, ids).output)))", [*ALL, *NEW])
    for place, (name, architecture) in enumerate(SPARSE.items()):
        trajectory = learned[place]
        features = architecture.features(asked, columns=trajectory.features)
        expected = trajectory.decision(features, trajectory.best)
        assert np.any(expected), name
        assert distance([row[place] for row in found], expected) < EXACT, name
    assert_nothing_ran_or_loaded(page)


def test_training_texts_add_up_to_each_feature(browser: Any, tmp_path: Path) -> None:
    tokens = TEXT_SETS["all"]
    learned = [tl.learn(one.features(tokens), labels_of(tokens, 3), steps=30) for one in SPARSE.values()]
    page = opened(browser, tmp_path, {"live": Live(tokens, tuple(SPARSE.values()), tuple(learned)).payload()})
    pairs = page.execute_script("""
        const texts = arguments[0];
        return live.architectures.flatMap((model) => texts.flatMap((ids) => decide(model, ids).features.map((one) => [
          Array.from(one.contribution), Array.from(behind(model, one.number, one.ids, one.counts)
            .reduce((sum, { part }) => sum.map((value, k) => value + part[k]), new Float64Array(model.outputs)))])))
        """, NEW)
    assert len(pairs) > 1000
    assert distance([one for one, _ in pairs], [other for _, other in pairs]) < EXACT


def test_cuts_texts_as_python_does(browser: Any, tmp_path: Path) -> None:
    rng = random.Random(0)
    letters = [chr(code) for code in range(sys.maxunicode)
               if unicodedata.category(chr(code)) not in ("Cs", "Cn", "Co")]
    texts = [*tl.small_reviews(60).texts]
    texts += ["".join(rng.choices(PIECES, k=rng.randint(0, 25))) for _ in range(1500)]
    texts += ["".join(rng.choices(letters[:10_000], k=rng.randint(1, 12))) for _ in range(700)]
    texts += ["".join(rng.choices(letters, k=rng.randint(1, 12))) for _ in range(700)]
    page = opened(browser, tmp_path, {})
    for name in NAMES:
        for lowercase in (False, True):
            rule = Rule.choose(name, lowercase=lowercase, separator="[SEP]")
            found = json.loads(page.execute_script(
                "const rule = JSON.parse(arguments[1]); return JSON.stringify(JSON.parse(arguments[0])"
                ".map((text) => tokensOf(text, rule)))", json.dumps(texts), rule.to_json()))
            assert found == [_cut(text, rule) for text in texts]


def _cut(text: str, rule: Rule) -> list[str]:
    if rule.tokenizer == "scikit-learn":
        return re.findall(r"\b\w\w+\b", text.lower())
    encoder = rule.words({"": 0})
    whole = encoder.normalizer.normalize_str(text) if rule.lowercase else text  # type: ignore[attr-defined]
    return [piece for piece, _ in encoder.pre_tokenizer.pre_tokenize_str(whole)]  # type: ignore[attr-defined]


def test_a_page_without_room_says_what_it_leaves_out() -> None:
    tokens = TEXT_SETS["all"]
    both = (tl.MLP(), tl.CNN())
    labels = labels_of(tokens, 2)
    live = Live(tokens, both, tuple(tl.learn(one.features(tokens), labels, steps=3) for one in both))
    whole = live.payload()
    assert len(whole["architectures"]) == 2
    size = len(json.dumps(whole))
    less = live.payload(size - 400)
    assert [one["name"] for one in less["architectures"]] == ["MLP"]
    assert less["left_out"] == ["CNN"]
    none = live.payload(100)
    assert (none["architectures"], none["left_out"], none["total"]) == ([], ["MLP", "CNN"], len(tokens.ids))
    assert "ids" not in none


def test_the_page_of_data_too_large_for_it_says_so(browser: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
                                                   ) -> None:
    monkeypatch.setattr(Live.payload, "__defaults__", (100,))
    tl.audit(tl.small_reviews(60), [tl.MLP()]).report(tmp_path / "audit.html")
    visit(browser, tmp_path / "audit.html")
    assert not browser.find_elements("id", "asking")
    assert "Not live on this page: MLP" in browser.find_element("id", "try").text
    assert browser.find_elements("css selector", "#features tbody tr")
    assert_nothing_ran_or_loaded(browser)
