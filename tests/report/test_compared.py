"""What sets architectures apart, on the page and in the terminal, with hostile names too."""

import dataclasses
import io
import json
import re

import polars as pl
import pytest
from hostile import HOSTILE, compared_answer, make_report
from rich.console import Console
from test_page import Tags

from tangentlens.errors import ShapeError
from tangentlens.report import comparison, document, page, print_comparison
from tangentlens.report.content import COMPARED
from tangentlens.report.state import read_compared


def printed(report, width, **options):
    stream = io.StringIO()
    print_comparison(report, Console(file=stream, width=width, **options))
    return stream.getvalue()


def plain(labels=("negative", "positive"), **changes):
    """A report with usual names, in which the tables of the first answer are changed."""
    report = make_report(list(labels), features=["wonderful", "not good", "so dull"], compared=True)
    names = ("SelfAttention", "CNN")
    plans = tuple(dataclasses.replace(plan, name=name) for plan, name in zip(report.architectures, names, strict=True))
    answers = [dataclasses.replace(answer, name=name, leads=answer.leads.with_columns(other=pl.lit(other)), **changes)
               for answer, name, other in zip(report.compared, names, names[::-1], strict=True)]
    return dataclasses.replace(report, architectures=plans, compared=tuple(answers))


def test_tables_are_checked(two_classes):
    answer = compared_answer("MLP", [], ["a", "b"], ["good"])
    with pytest.raises(ShapeError, match=r"ComparedAnswer\.bias lacks the columns \['net'\]"):
        dataclasses.replace(answer, bias=answer.bias.drop("net"))
    with pytest.raises(ShapeError, match=r"`compared` is about \['MLP'\]"):
        dataclasses.replace(two_classes, compared=(answer,))


def test_what_was_saved_before_there_were_comparisons():
    assert read_compared({}) == ()


def test_the_data_adds_no_tag_and_no_handler(compared_report):
    tags = Tags(page.render(compared_report))
    assert sum(tag == "script" for tag, _ in tags.tags) == 1 + len(document.VENDOR) + len(page._SCRIPTS)
    assert not {"img", "iframe", "object", "embed", "form", "base", "i", "b", "u"} & {tag for tag, _ in tags.tags}
    assert not [name for _, attributes in tags.tags for name in attributes if name.startswith("on")]
    read = json.loads(tags.json)
    assert read == page.payload(compared_report)
    assert read["compared"][0]["learned"]["half_step"] == [0.01, 4, None, 6]
    assert "#which" in [attributes.get("href") for _, attributes in tags.tags]


def test_texts_of_the_data_are_isolated(compared_report):
    text = page.render(compared_report)
    section = text[text.index('<section id="which"'):text.index('<section id="data"')]
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f\u202e]", section)
    without = re.sub(r"<bdi[^>]*>.*?</bdi>|<[^>]+>", "", section, flags=re.DOTALL)
    assert "pwned" not in without
    assert "evil" not in without
    assert "tanh &lt;b&gt;" in section


def test_cells_say_right_or_wrong_in_words_too():
    report = plain()
    rows = comparison.ngram_rows(report, 2)
    assert [cell["kind"] for cell in rows[0]["cells"]] == ["right", "right"]
    effects = pl.Series("effect", [0.0, -1.0, 2.0])
    changed = dataclasses.replace(report, compared=tuple(
        dataclasses.replace(answer, contrary=answer.contrary.with_columns(effects)) for answer in report.compared))
    rows = comparison.ngram_rows(changed, 9)
    assert [(row["cells"][0]["kind"], row["cells"][0]["depth"]) for row in rows] == [
        ("none", 0), ("wrong", round(comparison.DEPTH / 2)), ("right", comparison.DEPTH)]
    text = page.render(changed)
    for word in ("no effect", "wrong", "right"):
        assert text.count(f'<span class="sr">{word}</span>') == 2


def test_the_page_without_a_comparison(two_classes):
    tags = Tags(page.render(two_classes))
    assert "compared" not in json.loads(tags.json)
    assert not [a for _, a in tags.tags if a.get("href") == "#which" or a.get("id") == "which"]


@pytest.mark.parametrize("width", [60, 80, 200])
def test_no_control_character_reaches_the_terminal(compared_report, width):
    text = printed(compared_report, width)
    assert not [c for c in text if (ord(c) < 32 and c != "\n") or 127 <= ord(c) < 160 or c == "\u202e"]
    assert "⟨ESC⟩[" in text


def test_markup_is_shown_not_read():
    text = printed(make_report(["[i]a", "b"], features=["[red]bold[/red]"], compared=True), 120, force_terminal=True,
                   color_system="truecolor")
    assert "[red]bold[/red]" in text
    assert "\x1b[31m" not in text


def test_eighty_columns_hold_every_number():
    lines = printed(plain(), 80).splitlines()
    assert max(map(len, lines)) <= 80
    rows = [line.split() for line in lines if line.startswith("SelfAttention  ")]
    assert [" ".join(row[1:]) for row in rows] == [
        "80.0 ± 3.0 % 2 0 70.0 ± 8.0 % 83.0 ± 4.0 %", "−0.300 −0.500 +0.200 — 3 2 of 20",
        "3 10.0 % 10 0.1 % 40.0 % — 60.0 %"]
    wide = printed(plain(), 200).splitlines()
    assert max(map(len, wide)) <= 100


def test_options_of_an_architecture_stay_whole_at_eighty_columns():
    report = plain()
    names = {"SelfAttention": "SelfAttention:scores=tied,value_std=0.5"}
    compared, plans = ([dataclasses.replace(one, name=names.get(one.name, one.name)) for one in answers]
                       for answers in (report.compared, report.architectures))
    lines = printed(dataclasses.replace(report, compared=tuple(compared), architectures=tuple(plans)), 80).splitlines()
    assert len([line for line in lines if line.startswith("value_std=0.5 ")]) == 2


def test_tables_leave_out_what_there_is_not():
    empty = {name: pl.DataFrame(schema=COMPARED[name]) for name in ("accuracy", "contrary")}
    report = plain(**empty, share_texts=134, bias=plain().compared[0].bias.with_columns(bias=pl.lit(0.0)))
    text = printed(report, 80)
    for word in ("held-out", "n-grams", "strongest", "net"):
        assert word not in text[text.index("What is read"):]
    assert len(re.findall(r"^architecture ", text, re.MULTILINE)) == 1
    assert "The bias of SelfAttention and CNN is 0 here" in text
    section = page.render(report)
    assert "N‑grams right" not in section
    assert 'class="heat"' not in section


@pytest.mark.parametrize(("held", "texts", "said"), [
    (True, 99, "99 of 134"), (True, 134, None), (False, 99, "99 of 1,100"), (False, 1100, None)])
def test_texts_of_the_interaction_share(held, texts, said):
    """Which texts they are is told where they are not held out, and how many where these are not all."""
    report = plain(share_held=held, share_texts=texts)
    section, text = page.render(report), " ".join(printed(report, 80).split())
    assert ("Interaction share (training texts)</th>" in section) == (not held)
    assert ("(training" in text) == (not held)
    assert ("Interaction share of CNN: on" in text) == bool(said)
    assert ("texts)</small>" in section) == bool(said)
    if said:
        assert f"Interaction share of CNN: on {said} {'held-out' if held else 'training'} texts" in text
        assert f"<small>({said} texts)</small>" in section


def test_more_than_two_classes():
    text = printed(plain(("x", "y", "z")), 80)
    assert "tokens summed over 3 classes" in " ".join(text.split())
    assert comparison.summed(plain(("x", "y", "z")).compared[0]) | {"share": 0} == {
        "class": "x", "bias": -0.3, "net": -0.5, "lengths": 0.2, "share": 0, "flipped": 9, "dropped": 6, "tokens": 120,
        "strongest": 60}


def test_every_hostile_text_is_in_the_long_table():
    table = comparison.compared_table([compared_answer("MLP", ["MLP", "CNN"], ["a", "b"], HOSTILE)])
    assert set(HOSTILE) <= set(table["feature"])
    assert table["value"].is_not_null().all()
