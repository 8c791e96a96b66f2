"""The page of spectra as text: every number in a table, nothing of an architecture is markup, written whole or not."""

from __future__ import annotations

import dataclasses
import json
import re
from pathlib import Path

import polars as pl
import pytest
from test_page import Tags

import tangentlens as tl
from tangentlens.errors import NoSparseFormError, OptionError, OutputError
from tangentlens.kernels import ARCHITECTURES, Architecture, shares
from tangentlens.report import document, spectra
from tangentlens.report.spectra import TRENDED, render_spectra
from tangentlens.report.wording import percent

EVERY = [kind() for kind in ARCHITECTURES.values()]
ATTACK = "</script><script>window.pwned = 1</script><img src=x onerror=window.pwned=2>\x1b[31m\u202e{{ 7*7 }}"


@dataclasses.dataclass(frozen=True)
class Hostile(tl.MLP):
    """An architecture of somebody else whose every text tries to break out of the page."""

    note: str = ""

    def __repr__(self) -> str:
        return f"Hostile({ATTACK})"

    def spectrum(self) -> pl.DataFrame:
        return super().spectrum().with_columns(family=pl.lit(ATTACK))


HOSTILE = Hostile(note=ATTACK)


def test_every_share_stands_in_a_table() -> None:
    page = render_spectra(EVERY)
    for row in shares(EVERY).to_dicts():
        cells = "</td><td class=\"n\">".join(percent(row[part]) for part in ("bias", "token", "pair", "longer"))
        assert re.search(f">{row['architecture']}</bdi></th><td class=\"n\">{re.escape(cells)}</td>", page)
    for row in tl.trends(tl.CNN()).to_dicts():
        assert row["option"] in page
        assert percent(row["bias"]) in page
    assert "These shares stay as they are for any embedding_std, key_std" in page


def test_the_payload_holds_what_is_drawn() -> None:
    read = json.loads(Tags(render_spectra(EVERY)).json)["architectures"]
    assert [one["name"] for one in read] == list(ARCHITECTURES)
    table = tl.trends(tl.LinearRNN())
    drawn = read[list(ARCHITECTURES).index("LinearRNN")]["trends"]
    assert drawn["value"] == table["value"].to_list()
    assert drawn["own"] == table["own"].to_list()
    assert drawn["longer"] == pytest.approx(table["longer"].to_list(), rel=1e-5)


def test_the_answer_is_in_words() -> None:
    def words(*architectures: Architecture) -> str:
        answer = re.search(r'<p class="answer">(.*?)</p>', render_spectra(architectures), re.DOTALL)
        assert answer is not None
        return " ".join(re.sub("<[^>]*>", "", answer[1]).split())

    assert words(*EVERY) == ("Most bias: MLP, CNN (10.6 %). Most n‑grams: MatrixVector (100.0 %). "
                             "No n‑gram at all: MLP, SelfAttention, ElmanRNN.")
    assert words(tl.LinearRNN(), tl.MatrixVector()) == ("Most bias in no architecture. "
                                                        "Most n‑grams: MatrixVector (100.0 %).")
    assert words(tl.MLP()).startswith("Of what MLP reads, 10.6 % is bias, 89.4 % single tokens, 0.0 % pairs")


def test_trends_of_the_first_eight_and_a_word_on_the_others() -> None:
    nets = [tl.MLP(weight_std=1 + number / 10) for number in range(TRENDED + 2)]
    page = render_spectra(nets)
    assert f"Drawn for the first {TRENDED} of {TRENDED + 2} architectures." in page
    assert page.count('data-chart="trends"') == TRENDED
    read = json.loads(Tags(page).json)["architectures"]
    assert ["trends" in one for one in read] == [True] * TRENDED + [False] * 2
    assert "Drawn for the first" not in render_spectra(nets[:TRENDED])
    assert len(page) - len(render_spectra(nets[:1])) < 60_000


def test_what_has_no_sparse_form_is_left_out_and_named(tmp_path: Path) -> None:
    dense = tl.SelfAttention(activation="relu")
    page = render_spectra([dense, tl.MLP(), tl.SelfAttention(activation="gelu")])
    assert re.search(r"Left out.*SelfAttention:activation=relu.*SelfAttention:activation=gelu", page)
    assert [one["name"] for one in json.loads(Tags(page).json)["architectures"]] == ["MLP"]
    with pytest.raises(NoSparseFormError):
        tl.spectrum_page([dense], tmp_path / "page.html")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("given", "words"), [
    ([], "at least one architecture"), ([tl.MLP(), tl.MLP()], "given twice"), (["MLP"], "objects such as tl.MLP"),
])
def test_what_is_no_list_of_different_architectures_is_refused(given: list[Architecture], words: str, tmp_path: Path
                                                               ) -> None:
    with pytest.raises(OptionError, match=words):
        tl.spectrum_page(given, tmp_path / "page.html")
    assert list(tmp_path.iterdir()) == []


def test_one_architecture_needs_no_list(tmp_path: Path) -> None:
    tl.spectrum_page(tl.MLP(), tmp_path / "page.html")
    assert "MLP" in (tmp_path / "page.html").read_text("utf-8")


def test_the_policy_lists_exactly_the_scripts_and_nothing_is_markup() -> None:
    page = render_spectra([HOSTILE, tl.MLP()])
    tags = Tags(page).tags
    scripts = 1 + len(document.VENDOR) + len(spectra._SCRIPTS)
    assert sum(tag == "script" for tag, _ in tags) == scripts
    assert not [tag for tag, _ in tags if tag in ("img", "iframe", "object", "embed", "form", "base")]
    assert not [name for _, attributes in tags for name in attributes if name.startswith("on")]
    policy = next(a["content"] for _, a in tags if a.get("http-equiv"))
    assert str(policy).count("sha256-") == scripts - 1
    assert "{{ 7*7 }}" in page
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f\u202e]", page)


def test_a_full_disk_leaves_the_old_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "spectrum.html"
    target.write_text("old")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("tangentlens.report.document.os.replace", full)
    with pytest.raises(OutputError, match=r"No space left.*KB free"):
        tl.spectrum_page(tl.MLP(), target)
    assert [path.read_text() for path in tmp_path.iterdir()] == ["old"]
