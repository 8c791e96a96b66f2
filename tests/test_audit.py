"""The main job from Python: its table, its files, and that they agree with the trajectories they come from."""

from __future__ import annotations

import json
import sys
import time
import weakref
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

import tangentlens as tl
from tangentlens.errors import DataError, OptionError, OutputError
from tangentlens.learning import needs
from tangentlens.learning.needs import BASE, audit_bytes

AUDIT = sys.modules["tangentlens.audit"]  # `tl.audit` is the function
COLUMNS = ["architecture", "family", "feature", "class", "score", "count", "count_in_class", "half_step"]
ARCHITECTURES = [tl.MLP(), tl.CNN(kernel_size=2), tl.SelfAttention(scores="tied")]


@pytest.fixture(scope="module")
def reviews() -> tl.Texts:
    return tl.small_reviews()


@pytest.fixture(scope="module")
def found(reviews: tl.Texts) -> tl.Audit:
    return tl.audit(reviews, ARCHITECTURES)


@pytest.fixture(scope="module")
def topics() -> tl.Texts:
    """Four classes, each with a word of its own among common ones."""
    rng = np.random.default_rng(0)
    labels = np.array([f"topic {number}" for number in rng.integers(0, 4, 240)])
    words = [["money", "ball", "atom", "song"][int(label[-1])] if rng.random() < 0.8 else "thing" for label in labels]
    texts = [f"a {rng.choice(['good', 'bad', 'old'])} {word} {rng.choice(['here', 'there'])}" for word in words]
    return tl.Texts(tuple(texts), labels, source="topics")


def test_table(found: tl.Audit) -> None:
    assert found.table.columns == COLUMNS
    assert found.table["architecture"].unique(maintain_order=True).to_list() == [
        "MLP", "CNN:kernel_size=2", "SelfAttention:scores=tied"]
    assert found.table["count"].min() == 1
    assert found.table["class"].unique().to_list() == ["positive"]
    assert not found.table.select("architecture", "family", "feature", "class").is_duplicated().any()


def test_table_holds_the_scores_of_the_best_time(found: tl.Audit) -> None:
    names = found.table["architecture"].unique(maintain_order=True)
    for trajectory, name in zip(found.trajectories, names, strict=True):
        scores = trajectory.label_scores(trajectory.best).filter(pl.col("count") > 0)
        assert scores.equals(found.table.filter(architecture=name).drop("architecture"))


def test_the_planted_shortcut_is_found(found: tl.Audit) -> None:
    for answer, family in zip(found.content.architectures, ["token", "token@offset", "token"], strict=True):
        positive = answer.top.filter(pl.col("score") > 0, pl.col("family").str.starts_with(family))
        assert any(name.startswith("imax") for name in positive.sort("score", descending=True)["feature"][:4])


@pytest.mark.parametrize("name", ["reviews", "topics"])
def test_decisions_reproduce_the_curves(name: str, request: pytest.FixtureRequest) -> None:
    texts: tl.Texts = request.getfixturevalue(name)
    assert texts.labels is not None
    train, held = tl.split(texts, 0.2, seed=5)
    audit = tl.audit(texts, ARCHITECTURES[:2], validation=0.2, seed=5)
    for architecture, trajectory in zip(audit.architectures, audit.trajectories, strict=True):
        for rows, column in ((train, "train_accuracy"), (held, "validation_accuracy")):
            tokens = tl.tokenize(texts[rows], vocabulary=audit.tokens.vocabulary)
            features = architecture.features(tokens, columns=trajectory.features)
            for record in (trajectory.best, -1):
                right = trajectory.predict(features, record) == texts.labels[rows]
                assert trajectory.curves[column][record] == pytest.approx(right.mean(), abs=1e-12)


def test_more_than_two_classes(topics: tl.Texts) -> None:
    audit = tl.audit(topics, [tl.MLP()])
    assert audit.table["class"].unique().sort().to_list() == [f"topic {number}" for number in range(4)]
    best = audit.table.sort("score", descending=True).group_by("class", maintain_order=True).first()
    assert dict(best.select("class", "feature").iter_rows()) == {
        "topic 0": "money", "topic 1": "ball", "topic 2": "atom", "topic 3": "song"}
    sums = audit.table.group_by("feature").agg(pl.col("score").sum())["score"]
    assert sums.abs().max() < 1e-6 * audit.table["score"].abs().max()  # type: ignore[operator]


@pytest.mark.parametrize("options", [{}, {"time": 20.0}, {"steps": 30}, {"steps": 30, "learning_rate": 0.5}])
def test_without_validation(reviews: tl.Texts, options: dict[str, Any]) -> None:
    audit = tl.audit(reviews, [tl.MLP()], validation=0, **options)
    assert len(audit.tokens) == len(reviews)
    answer = audit.content.architectures[0]
    assert answer.best_time == answer.time_reached == options.get("steps", options.get("time", 1000.0))
    assert "No text is held out" in audit.content.notes[0]
    result = json.loads(audit.to_json())["results"][0]
    assert result["validation_loss"] is result["validation_accuracy"] is None


def test_text_pairs() -> None:
    rows = {"a": ["good", "bad"] * 40, "b": ["good", "bad", "bad", "good"] * 20, "same": [1, 1, 0, 0] * 20}
    texts = tl.read_texts(pl.DataFrame(rows), text="a", text_b="b", label="same")
    audit = tl.audit(texts, [tl.CNN(padding="valid")], validation=0, time=1e4)
    assert audit.content.architectures[0].curves["train_accuracy"][-1] == 1.0
    strongest = audit.table.sort(pl.col("score").abs()).tail(4)["feature"].to_list()
    assert {name.replace("[SEP]", "_") for name in strongest} == {
        "good _ good", "good _ bad", "bad _ good", "bad _ bad"}  # the label is an exclusive or of the halves


def test_files(found: tl.Audit, reviews: tl.Texts, tmp_path: Path) -> None:
    found.report(tmp_path / "page.html")
    found.save(tmp_path / "out")
    names = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert names == ["audit.html", "flags.json", "run.json", "scores.parquet", "state.npz"]
    assert (tmp_path / "out/audit.html").read_text("utf-8") == (tmp_path / "page.html").read_text("utf-8")
    assert pl.read_parquet(tmp_path / "out/scores.parquet").equals(found.table)
    run = json.loads((tmp_path / "out/run.json").read_text("utf-8"))
    assert run["data"] == {"source": "the little grammar", "texts": 400, "skipped": 0, "sha256": reviews.fingerprint}
    assert run["settings"] == {"tokenizer": "words", "lowercase": False, "min_count": 1, "validation": 0.1, "seed": 0,
                               "loss": None, "time": "best", "steps": None, "learning_rate": "auto", "tolerance": 0.01,
                               "allow": None, "forbid": None, "suspects": None, "previous": None, "memory": None}
    assert run["architectures"] == [repr(architecture) for architecture in ARCHITECTURES]
    assert {"python", "tangentlens", "numpy", "scipy", "polars", "tokenizers"} == set(run["versions"])
    assert run["seconds"] > 0
    for result, trajectory in zip(run["results"], found.trajectories, strict=True):
        assert result["seconds"] > 0
        assert result["features"] == trajectory.features.columns
        assert result["best_time"] == trajectory.steps[trajectory.best]
        assert result["validation_accuracy"] == trajectory.curves["validation_accuracy"][trajectory.best]
        assert {row["class"] for row in result["strongest"]} == {"negative", "positive"}


def test_files_that_cannot_be_written(found: tl.Audit, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match=r"Not a directory|File exists"):
        found.save(tmp_path / "file")
    with pytest.raises(OutputError):
        found.report(tmp_path / "none" / "audit.html")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_warnings_name_the_architecture_and_become_notes(reviews: tl.Texts) -> None:
    with pytest.warns(UserWarning, match=r"^MLP: learning rate 100 is above the critical one, [\d.]+") as caught:
        audit = tl.audit(reviews, [tl.MLP()], steps=10, learning_rate=100.0)
    assert [str(warning.message) for warning in caught] == [audit.content.notes[0]]
    assert caught[0].filename == __file__


def test_progress_and_defaults(reviews: tl.Texts) -> None:
    lines: list[str] = []
    audit = tl.audit(reviews, time=1.0, progress=lines.append)
    assert [type(architecture).__name__ for architecture in audit.architectures] == ["MLP", "CNN", "SelfAttention"]
    assert lines[0] == "tokenising"
    assert any(line.startswith("CNN: time") for line in lines)
    assert tl.audit(reviews, tl.MLP(), time=1.0).architectures == (tl.MLP(),)  # type: ignore[arg-type]
    assert repr(audit) == "Audit(400 texts, MLP, CNN, SelfAttention:scores=tied)"


def test_texts_that_a_function_gives_are_let_go_once_they_are_cut(reviews: tl.Texts, found: tl.Audit) -> None:
    """And the audit is the same."""
    given: list[weakref.ref[tl.Texts]] = []
    alive: dict[str, bool] = {}

    def texts() -> tl.Texts:
        made = tl.Texts(reviews.texts, reviews.labels, reviews.source)
        given.append(weakref.ref(made))
        return made

    def progress(line: str) -> None:
        alive[line.split(": ")[-1]] = given[0]() is not None

    again = tl.audit(texts, found.architectures, progress=progress)
    assert alive["tokenising"]
    assert not alive["counting patterns"]
    assert again.table.equals(found.table)
    assert again.summary()["data"] == found.summary()["data"]


def test_impossible_arguments(reviews: tl.Texts) -> None:
    for options, words in (({"tokeniser": "words"}, 'did you mean "tokenizer"'), ({"seed": -1}, "seed"),
                           ({"validation": 1.0}, "below 1"), ({"steps": 3, "time": 4.0}, "only one"),
                           ({"learning_rate": 1.0}, "steps too"), ({"min_count": 0}, "min_count")):
        with pytest.raises(OptionError, match=words):
            tl.audit(reviews, [tl.MLP()], **options)  # type: ignore[arg-type]
    with pytest.raises(OptionError, match="given twice"):
        tl.audit(reviews, [tl.MLP(), tl.MLP(depth=1)])
    with pytest.raises(OptionError, match=r"tl\.MLP\(\)"):
        tl.audit(reviews, ["MLP"])  # type: ignore[list-item]
    with pytest.raises(DataError, match="at least two classes"):
        tl.audit(tl.Texts(("a", "b")))
    with pytest.raises(DataError, match=r"text 1 .* token id 7, outside the vocabulary of 6 tokens"):
        tl.Tokens.from_ids([[3, 1, 4], [1, 7]], vocabulary_size=6)


def test_what_truncation_leaves_out_is_noted() -> None:
    texts = tl.small_reviews(80)
    cut = tl.audit(texts, [tl.LinearRNN(gate_std=0.9, max_order=2), tl.LinearRNN(gate_std=0.2), tl.ElmanRNN(max_lag=1)])
    said = [note for note in cut.content.notes if "leaves out at most" in note]
    assert [note.split(":")[0] for note in said] == ["LinearRNN", "ElmanRNN"]
    assert "max_order=2 leaves out" in said[0]
    assert "max_lag=1 leaves out" in said[1]


def test_memory_is_stated_and_an_audit_that_needs_more_is_refused():
    lines = []
    tl.audit(tl.small_reviews(), [tl.MLP()], progress=lines.append)
    assert any(line.startswith("about 0.3 GB of memory") for line in lines)
    with pytest.raises(OptionError, match=r"needs about 0\.3 GB of memory, and 0\.1 GB are there; audit fewer"):
        tl.audit(tl.small_reviews(), [tl.MLP()], memory=0.1)
    with pytest.raises(OptionError, match="memory must be a positive number of GB"):
        tl.audit(tl.small_reviews(), [tl.MLP()], memory=-1)


def test_less_memory_is_foreseen_where_products_go_by_text(monkeypatch: pytest.MonkeyPatch) -> None:
    tokens = tl.tokenize(["good film", "bad old film"] * 1000)
    before = [audit_bytes(tokens, [one]) for one in (tl.MLP(), tl.CNN())]
    monkeypatch.setattr(needs, "MANY", 2000)
    after = [audit_bytes(tokens, [one]) for one in (tl.MLP(), tl.CNN())]
    assert after[0] < before[0]
    assert after[1] == before[1]
    rare = tl.tokenize([f"good film {number}" for number in range(2000)])  # too many features for that
    foreseen = audit_bytes(rare, [tl.MLP()])
    monkeypatch.undo()
    assert audit_bytes(rare, [tl.MLP()]) == foreseen


def test_large_data_is_searched_for_duplicates_before_patterns_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not beside it, since each takes much memory; an error there ends the audit before anything is learned."""
    ground, lines = AUDIT.Ground.of, list[str]()
    small = tl.small_reviews(120)
    usual = tl.audit(small, [tl.MLP()])

    def slowly(*arguments: Any, **options: Any) -> Any:
        time.sleep(0.3)
        lines.append("searched")
        return ground(*arguments, **options)

    monkeypatch.setattr(AUDIT, "SIDE_BY_SIDE", 0)
    monkeypatch.setattr(AUDIT.Ground, "of", slowly)
    found = tl.audit(small, [tl.MLP()], progress=lines.append)
    assert lines.index("searched") < lines.index("MLP: counting patterns")
    assert found.flags.equals(usual.flags)
    monkeypatch.setattr(AUDIT.Ground, "of", lambda *_, **__: 1 / 0)
    lines.clear()
    with pytest.raises(ZeroDivisionError):
        tl.audit(small, [tl.MLP()], progress=lines.append)
    assert not any("counting" in line for line in lines)


def test_foreseen_memory_grows_with_texts_and_architectures():
    few, many = (tl.tokenize(["good film", "bad old film"] * size) for size in (1000, 2000))
    one, two = [tl.MLP()], [tl.MLP(), tl.CNN()]
    assert audit_bytes(many, one) - BASE == pytest.approx(2 * (audit_bytes(few, one) - BASE), rel=1e-6)
    assert audit_bytes(few, two) > audit_bytes(few, one)
