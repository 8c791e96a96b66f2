"""The page as text: escaped, valid JSON, and written whole or not at all."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from hostile import HOSTILE

import tangentlens as tl
from tangentlens.errors import OutputError
from tangentlens.report import document, page, spectra, wording
from tangentlens.report.content import Report

ALLOWED = {"html", "head", "meta", "title", "link", "style", "script", "body"}


class Tags(HTMLParser):
    """Collects (tag, attributes) and the text of the JSON block."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.json = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        if self.tags and self.tags[-1] == ("script", {"type": "application/json", "id": "payload"}) and not self.json:
            self.json = data


def test_json_round_trips(report: Report) -> None:
    read = json.loads(Tags(page.render(report)).json)
    assert read == page.payload(report)
    column = read["architectures"][0]["top"]["feature"]
    features = [column["levels"][code] for code in column["codes"]]
    assert features == [wording.visible(text) for text in report.architectures[0].top["feature"]]
    assert read["architectures"][0]["top"]["score"][-1] is None


def test_the_data_adds_no_tag_and_no_handler(report: Report) -> None:
    tags = Tags(page.render(report)).tags
    assert sum(tag == "script" for tag, _ in tags) == 1 + len(document.VENDOR) + len(page._SCRIPTS)
    assert not [tag for tag, _ in tags if tag in ("img", "iframe", "object", "embed", "form", "base", "i", "b", "u")]
    assert not [name for _, attributes in tags for name in attributes if name.startswith("on")]
    links = [a.get("href") or a.get("src") for _, a in tags if "href" in a or "src" in a]
    assert all(link == "data:," or str(link).startswith("#") for link in links)


def test_nothing_of_the_data_is_a_template(two_classes: Report) -> None:
    text = page.render(two_classes)
    assert "{{ 7*7 }}" in text
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f\u202e]", text)


def test_policy_allows_only_listed_scripts(two_classes: Report) -> None:
    policy = next(a["content"] for _, a in Tags(page.render(two_classes)).tags if a.get("http-equiv"))
    assert policy is not None
    scripts = re.search(r"script-src ([^;]*);", policy)
    assert scripts is not None
    assert re.fullmatch(r"('sha256-[A-Za-z0-9+/=]{44}' ?)+", scripts[1])
    for part in ("default-src 'none'", "base-uri 'none'", "form-action 'none'", "img-src data:"):
        assert part in policy


def test_scripts_never_parse_html_or_code() -> None:
    dangerous = r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\b|new Function|\.html\("
    for name in {*page._SCRIPTS, *spectra._SCRIPTS}:
        code = document.asset(name)
        assert not re.search(dangerous, code)


def test_write_replaces_and_leaves_one_file(two_classes: Report, tmp_path: Path) -> None:
    target = tmp_path / "audit.html"
    target.write_text("old")
    page.write_page(two_classes, target)
    assert target.read_text(encoding="utf-8") == page.render(two_classes)
    assert list(tmp_path.iterdir()) == [target]
    assert target.stat().st_size < 2_000_000


@pytest.mark.parametrize("name", ["file/audit.html", "missing/audit.html", "folder"])
def test_failure_leaves_nothing(two_classes: Report, tmp_path: Path, name: str) -> None:
    (tmp_path / "file").write_text("a regular file")
    (tmp_path / "folder").mkdir()
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(OutputError, match="could not be written"):
        page.write_page(two_classes, tmp_path / name)
    assert sorted(tmp_path.rglob("*")) == before


def test_a_full_disk_leaves_the_old_page(two_classes: Report, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "audit.html"
    target.write_text("old")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("tangentlens.report.page.os.replace", full)
    with pytest.raises(OutputError, match=r"No space left.*KB free"):
        page.write_page(two_classes, target)
    assert [path.read_text() for path in tmp_path.iterdir()] == ["old"]


def test_long_texts_stay_whole(two_classes: Report) -> None:
    assert HOSTILE[11] in page.render(two_classes)


def test_the_list_of_shortcuts_says_how_many_texts_rest_on_each() -> None:
    texts = [f"red blue {'§ ' if i % 2 else ''}slow {'fast' if i % 3 else 'old'}" for i in range(120)]
    found = tl.audit(tl.read_texts(texts, [str(i % 2) for i in range(120)]), [tl.MLP()])
    row = found.flags.row(0, named=True)
    table = page.render(found.content).split('<table class="flags">')[1].split("</table>")[0]
    assert "Texts that rest on it" in table
    assert f'<td class="n">{row["score"]:.1f}</td>' in table
    assert row["score"] != row["label_score"]
