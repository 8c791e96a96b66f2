"""The command `explain`: from data and from a saved audit, JSON, what if, hostile texts, bad requests."""

from __future__ import annotations

import json
from pathlib import Path

import polars as pl
import pytest
from command import Run, runner

import tangentlens as tl
from tangentlens.data import Texts

EVIL = "\x1b[31m[bold]evil[/bold]\u202e"


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs the program in this process, in an empty working directory that holds 200 reviews."""
    monkeypatch.chdir(tmp_path)
    small = tl.small_reviews(200)
    assert small.labels is not None
    pl.DataFrame({"text": [f"{EVIL} {text}" for text in small.texts], "label": small.labels}).write_csv("reviews.csv")
    return runner(capsys)


def test_a_data_file_and_its_saved_audit_answer_alike(run: Run) -> None:
    texts = tl.read_texts("reviews.csv")
    assert isinstance(texts, Texts)
    audit = tl.audit(texts, [tl.MLP(), tl.CNN()])
    audit.save("out")
    options = ["--text", "a good imax film", "--json", "-a", "CNN", "--tokenizer", "words"]
    answers = []
    for file in ("reviews.csv", "out"):
        ran = run("explain", file, *options)
        assert (ran.status, ran.err) == (0, "")
        answers += json.loads(ran.out)
    for answer in answers:
        found = audit.explain("a good imax film", tl.CNN())
        assert abs(found.decision[0]) > 0.1
        assert list(answer["decision"].values()) == pytest.approx(found.decision.tolist(), rel=1e-6)
        assert sum(row["contribution"] for row in answer["features"]) == pytest.approx(found.decision[0], rel=1e-6)
        assert abs(answer["residual"]) < 1e-9
        rows = [row["row"] for row in answer["texts"]]
        assert [texts.labels.tolist()[row - 1] for row in rows] == [row["label"] for row in answer["texts"]]


def test_the_terminal_shows_hostile_texts_and_what_if(run: Run) -> None:
    ran = run("explain", "reviews.csv", "--text", f"{EVIL} good", "--text", "nothing known")
    assert (ran.status, ran.err) == (0, "")
    assert "\x1b" not in ran.out
    assert "\u202e" not in ran.out
    assert "⟨ESC⟩[31m[bold]evil" in ran.out
    assert "pull hardest" in ran.out
    assert "sum" in ran.out
    assert "undecided" not in ran.out
    assert "undecided" in run("explain", "reviews.csv", "--text", "").out


def test_what_if_is_beside_the_decision(run: Run) -> None:
    rows = tl.audit(tl.read_texts("reviews.csv"), [tl.MLP()]).rows + 1
    ran = run("explain", "reviews.csv", "--text", "good", "--without", f"{rows[0]},{rows[1]}", "-a", "MLP", "--json")
    assert (ran.status, ran.err) == (0, "")
    (answer,) = json.loads(ran.out)
    (change,) = answer["what_if"]
    assert change["before"] == pytest.approx(next(iter(answer["decision"].values())))
    assert change["exact"] != change["before"]


@pytest.mark.parametrize(("options", "words"), [
    ([], "--text"), (["--text", "a", "--without", "x"], "whole number"),
    (["--text", "a", "--without", "999"], "row 999"),
    (["--text", "a", "--relabel", "3"], "ROW=LABEL"), (["--texts", "missing.txt"], "missing.txt"),
    (["--text", "a", "--without", "1", "--relabel", "1=0"], "not both"), (["--text", "a", "--step", "9999"], "9999")])
def test_bad_requests_are_one_line(run: Run, options: list[str], words: str) -> None:
    ran = run("explain", "reviews.csv", *options)
    assert ran.status == 2
    assert words in ran.err
    assert ran.err.count("\n") == 1
    assert ran.out == ""


def test_a_folder_without_an_audit(run: Run) -> None:
    Path("pictures").mkdir()
    ran = run("explain", "pictures", "--text", "a")
    assert (ran.status, ran.out) == (2, "")
    assert "pictures is not a folder that an audit has written: state.npz is missing; give the output folder" in ran.err
