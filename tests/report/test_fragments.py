"""Fragments of HTML for notebooks: whole, escaped, without scripts."""

from __future__ import annotations

from html.parser import HTMLParser
from typing import Any

import pytest
from hostile import HOSTILE

import tangentlens as tl


class Balanced(HTMLParser):
    """Checks that tags close in order, and collects them and the text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.open: list[str] = []
        self.said = ""
        self.feed(text)
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert not [name for name, _ in attrs if name.startswith("on") or name in ("src", "href")]
        self.tags.append(tag)
        self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.said += data


@pytest.fixture(scope="module")
def audited() -> tl.Audit:
    texts = [f"{word} {hostile} film" for hostile in HOSTILE for word in ("good", "bad")]
    labels = ["yes <b>x</b>", "no"] * len(HOSTILE)
    return tl.audit(tl.read_texts(texts, labels), [tl.MLP(), tl.CNN()], validation=0, time=1.0)


def test_fragments_for_notebooks_are_whole_and_escaped(audited: tl.Audit) -> None:
    first = audited.trajectories[0]
    new = audited.architectures[0].features(tl.tokenize(["good <b> film"], vocabulary=audited.tokens.vocabulary),
                                            columns=first.features)
    shown: list[Any] = [audited, first, first.explain(new)]
    for one in shown:
        read = Balanced(one._repr_html_())
        assert set(read.tags) <= {"div", "p", "strong", "table", "caption", "thead", "tbody", "tr", "th", "td", "bdi"}
        assert "yes <b>x</b>" in read.said
        assert "\u202e" not in read.said


def test_an_audit_shows_its_shortcuts_first() -> None:
    said = Balanced(tl.audit(tl.small_reviews(), [tl.MLP()], validation=0, time=5.0)._repr_html_()).said
    assert 0 < said.index("Possible shortcuts") < said.index("imax") < said.index("Architectures at their best times")
