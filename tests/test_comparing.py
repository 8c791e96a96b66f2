"""`tl.compare` against slow or independent ways to its figures, over every architecture with a sparse map."""

import dataclasses
import json

import numpy as np
import polars as pl
import pytest
from cases import ALL, EXACT, SUMMED, every_sparse, labels_of, random_texts, tokens_of

import tangentlens as tl
from tangentlens.errors import DataError, OptionError
from tangentlens.predictions.evidence import FREQUENT, Evidence
from tangentlens.predictions.questions import least_length, predicted
from tangentlens.predictions.scores import score_tables
from tangentlens.report import compared
from tangentlens.report.compared import Learned, accuracy_table, weighted_median
from tangentlens.report.comparison import compared_table
from tangentlens.report.content import COMPARED
from tangentlens.report.sentences import plain
from tangentlens.report.verdict import verdict

TRAIN = tokens_of(ALL)
HELD = tokens_of([[0, 1, 2], [1, 0], [3, 2, 1, -1, 0], [2, 2], [0], [], [1, 3, 0, 1]])
NGRAMS = [[0, 1], [1, 0], [2, 3], [0, 1, 2]]


def evidence(classes):
    """Small texts hold no contrary n-gram for certain; these are taken for some."""
    found = Evidence.of(TRAIN, labels_of(TRAIN, classes), HELD)
    names = ["good", "fair", "good", "bad"] if classes > 2 else ["good"] * 4
    table = pl.DataFrame({"order": [2, 2, 2, 3], "feature": ["0 1", "1 0", "2 3", "0 1 2"], "patterns": NGRAMS,
                          "class": names, "texts": [9] * 4, "in_class": [1, 9, 9, 1],
                          "polarity": [-1.0, 2.0, 1.0, -2.0], "words": [1.0, -1.0, -1.0, 1.0]})
    return dataclasses.replace(found, contrary=table, holding=np.array([1, 1, 0, 0, 0, 0, 0], bool))


def learned(architecture, classes):
    trajectory = tl.learn(architecture.features(TRAIN), labels_of(TRAIN, classes), time=20.0)
    return Learned.of(architecture, trajectory, trajectory.label_scores(trajectory.best).filter(pl.col("count") > 0))


@every_sparse
@pytest.mark.parametrize("classes", [3])
def test_figures_are_those_of_their_definitions(architecture, classes):
    net, asked = learned(architecture, classes), evidence(classes)
    labels = np.array(labels_of(HELD, classes))
    answer, right = compared.compared(net, asked, labels)
    trajectory, outputs = net.trajectory, [str(name) for name in net.trajectory.outputs]
    held = architecture.features(HELD, columns=trajectory.features)
    assert np.array_equal(right, trajectory.predict(held) == labels)
    assert answer.accuracy["texts"].to_list() == [7, 2, 5]
    share = tl.interaction_share(architecture, trajectory, HELD)
    assert answer.interaction_share == pytest.approx(share, abs=SUMMED, nan_ok=True)
    assert answer.bias["class"].to_list() == outputs
    assert answer.bias["bias"].to_numpy() == pytest.approx((answer.bias["net"] + answer.bias["lengths"]).to_numpy(),
                                                           abs=SUMMED)
    split = tl.bias_split(architecture, trajectory, TRAIN)
    frequent = {str(token) for token in asked.frequent}
    assert frequent == {str(token) for token in range(8) if sum(token in text for text in ALL) >= FREQUENT}
    split = split.filter(pl.col("feature").is_in(frequent))
    assert answer.bias["flipped"].to_list() == [split.filter(pl.col("class") == name)["flipped"].sum()
                                                for name in outputs]
    assert answer.flipped.height == split["flipped"].sum()
    least = least_length(architecture)
    ask = predicted(architecture, trajectory)
    for row, ids in zip(answer.contrary.rows(named=True), NGRAMS, strict=True):
        front = [-1] * (least - len(ids))
        blank = [-1] * (len(front) + len(ids))
        single = [[*blank[:len(front) + place], token, *blank[len(front) + place + 1:]]
                  for place, token in enumerate(ids)]
        f = ask(tokens_of([front + ids, blank, *single]))[:, outputs.index(row["class"])]
        scale = max(1.0, float(np.abs(f).max()))
        assert row["effect"] == pytest.approx(f[0] - f[1], abs=SUMMED * scale)
        assert row["interaction"] == pytest.approx(f[0] - f[1] - np.sum(f[2:] - f[1]), abs=SUMMED * scale)
    if answer.longest < 2 and getattr(architecture, "scores", "") != "tied":
        assert answer.contrary["interaction"].abs().max() == 0
        assert answer.interactions.is_empty()


@every_sparse
def test_half_times_are_medians_over_label_scores(architecture):
    net = learned(architecture, 3)
    parts = {}
    features, dynamics = net.trajectory.features, net.trajectory.dynamics
    tables = score_tables(features, dynamics, net.trajectory.record(-1))
    for family, table in zip(features.families, tables, strict=True):
        for row in table.rows(named=True):
            weight = abs(row["score"]) * row["count"]
            if row["half_step"] is not None and row["count"]:
                parts.setdefault(min(family.order, 3), []).append((row["half_step"], weight))
    found = compared.compared(net, evidence(3), np.array(labels_of(HELD, 3)))[0].learned
    assert found["half_step"].is_sorted()
    assert set(found["order"]) == set(parts)
    for order, count, half in found.rows():
        rows = sorted(parts[order])
        assert count == len(rows)
        total = sum(weight for _, weight in rows)
        assert sum(weight for value, weight in rows if value < half) <= total / 2 * (1 + EXACT)
        assert sum(weight for value, weight in rows if value <= half) >= total / 2 * (1 - EXACT)


def test_weights_move_a_median():
    assert weighted_median(np.array([5.0, 1.0]), np.array([1.0, 1.0])) == 1.0
    assert weighted_median(np.array([5.0, 1.0]), np.array([3.0, 1.0])) == 5.0


@pytest.mark.parametrize("budget", [2**24, 40, 1])
def test_the_cost_of_attention_with_positions_is_limited(budget, monkeypatch):
    monkeypatch.setattr(compared, "POSITIONS", budget)
    monkeypatch.setattr(compared, "BATCH", 20)
    architecture = tl.SelfAttention(scores="tied", positions=True)
    answer, _ = compared.compared(learned(architecture, 2), evidence(2), np.array(labels_of(HELD, 2)))
    assert answer.share_texts == {2**24: 7, 40: answer.share_texts, 1: 1}[budget]
    assert 1 <= answer.share_texts <= 7
    if budget == 2**24:
        assert answer.interaction_share == pytest.approx(
            tl.interaction_share(architecture, learned(architecture, 2).trajectory, HELD), abs=SUMMED)


def test_no_held_out_texts():
    asked = Evidence.of(TRAIN, labels_of(TRAIN, 2), TRAIN[:0])
    answer, right = compared.compared(learned(tl.CNN(), 2), asked, np.empty(0))
    assert len(right) == answer.accuracy.height == 0
    assert (answer.share_texts, answer.share_held) == (len(TRAIN), False)
    assert answer.interaction_share == pytest.approx(
        tl.interaction_share(tl.CNN(), learned(tl.CNN(), 2).trajectory, TRAIN), abs=SUMMED)
    assert compared.with_leads([answer, answer], [right, right], asked.holding)[0].leads.is_empty()


def test_no_text_with_a_contrary_ngram():
    table = accuracy_table(np.array([True, False]), np.array([False, False]))
    assert table["texts"].to_list() == [2, 0, 2]
    assert np.isnan(table["accuracy"][1])


@pytest.fixture(scope="module")
def negations():
    return tl.negations(size=2000, clauses=4, seed=3).train


@pytest.fixture(scope="module")
def negated(negations):
    return tl.compare(negations, [tl.MLP(), tl.LinearRNN(), tl.CNN(activation="tanh")], tolerance=0.1)


def test_negation_is_found_and_read(negated):
    """In the grammar of negation, words say the opposite of most n-grams: only what reads these gets them right."""
    bag, rnn, cnn = negated.content.compared
    assert bag.contrary.height > 10
    shared = list(COMPARED["contrary"])[:7]
    assert bag.contrary.select(shared).equals(rnn.contrary.select(shared))
    assert (bag.contrary["effect"] * bag.contrary["polarity"] < 0).all()
    assert (rnn.contrary["effect"] * rnn.contrary["polarity"] > 0).mean() > 0.8
    assert (rnn.contrary["interaction"] * rnn.contrary["polarity"] > 0).all()
    assert bag.bias["bias"][0] != 0
    assert bag.unbiased == ("identity", "erf", "sin", "tanh")
    assert cnn.bias["bias"].to_list() == [0.0]
    text = " ".join(plain(sentence) for _, sentence in verdict(negated.content))
    assert "Architectures that read n-grams do better here" in text
    assert "not because of these" not in text
    assert "MLP cannot read them at all: single tokens get 0 right" in text


@pytest.mark.parametrize("kind", [bool, float])
def test_labels_of_any_type(negations, kind):
    texts = dataclasses.replace(negations, labels=np.array([kind(label == "positive") for label in negations.labels]))
    answer, = tl.compare(texts, [tl.MLP()], time=5.0).content.compared
    assert set(answer.contrary["class"]) == set(answer.bias["class"]) == {str(kind(1))}


def test_words_that_add_up_praise_no_ngrams():
    tokens, labels = random_texts(600, noise=0.5, seed=4)
    texts = tl.Texts(tuple(" ".join(f"w{token}" for token in tokens[row].ids) for row in range(len(tokens))),
                     np.array(labels))
    found = tl.compare(texts, [tl.MLP(), tl.LinearRNN(), tl.CNN()]).content
    assert found.compared[0].contrary.is_empty()
    assert "do better here" not in " ".join(plain(sentence) for _, sentence in verdict(found))


def test_it_is_the_audit_and_more(negated, negations):
    audit = tl.audit(negations, negated.architectures, tolerance=0.1)
    assert audit.content.compared == ()
    assert negated.table.equals(audit.table)
    for answer, plan in zip(negated.content.compared, audit.content.architectures, strict=True):
        best = plan.curves.filter(pl.col("time") == plan.best_time)["validation_accuracy"][0]
        # the curve is that of the basis, decisions are those of the duals: a text on the edge may differ
        assert answer.accuracy["accuracy"][0] == pytest.approx(best, abs=0.0051)
        assert answer.leads["other"].to_list() == [one.name for one in audit.content.architectures
                                                   if one.name != plan.name]


def test_saved_and_loaded(negated, tmp_path):
    negated.save(tmp_path / "one")
    loaded = tl.load(tmp_path / "one")
    for answer, read in zip(negated.content.compared, loaded.content.compared, strict=True):
        for name, value in vars(answer).items():
            again = getattr(read, name)
            assert value.equals(again) and value.schema == again.schema if isinstance(value, pl.DataFrame) else (
                value == again), name
    loaded.save(tmp_path / "two")
    one, two = ((tmp_path / name / "compared.parquet") for name in ("one", "two"))
    assert one.read_bytes() == two.read_bytes()
    assert pl.read_parquet(one).equals(compared_table(negated.content.compared))
    run = json.loads((tmp_path / "one/run.json").read_text("utf-8"))
    assert run["verdict"] == [f"{subject}: {plain(sentence)}" for subject, sentence in verdict(loaded.content)]
    assert len(run["contrary"]) == negated.content.compared[0].contrary.height
    assert [row["architecture"] for row in run["compared"]] == [row["architecture"] for row in run["results"]]
    assert run["comparison"]["frequent"] == FREQUENT
    assert '<section id="which"' in (tmp_path / "one/audit.html").read_text("utf-8")


def test_the_long_table(negated):
    table = compared_table(negated.content.compared)
    assert table.columns == ["architecture", "measure", "of", "order", "feature", "class", "value"]
    keys = table.select(pl.exclude("value"))
    assert not keys.is_duplicated().any()
    bag = negated.content.compared[0]
    table = table.filter(architecture="MLP")
    assert table.filter(measure="accuracy", of="all")["value"].to_list() == [bag.accuracy["accuracy"][0]]
    assert table.filter(measure="contrary_effect")["value"].to_list() == bag.contrary["effect"].to_list()
    assert table.filter(measure="lead", of="LinearRNN")["value"].to_list() == [bag.leads["lead"][0]]


def test_six_architectures_by_default_and_bad_arguments():
    lines = []
    found = tl.compare(tl.small_reviews(60), time=5.0, progress=lines.append)
    assert [type(one).__name__ for one in found.architectures] == [
        "MLP", "CNN", "SelfAttention", "MatrixVector", "LinearRNN", "ElmanRNN"]
    assert lines[-1] == "ElmanRNN: comparing"
    with pytest.raises(OptionError, match="did you mean"):
        tl.compare(tl.small_reviews(60), tokeniser="words")
    with pytest.raises(DataError, match="at least two classes"):
        tl.compare(tl.Texts(("a", "b")))
    with pytest.raises(OptionError, match="given twice"):
        tl.compare(tl.small_reviews(60), [tl.MLP(), tl.MLP()])
