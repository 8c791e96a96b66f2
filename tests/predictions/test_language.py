"""Questions to language models: sums that add up, tables that agree with the scores, perplexities."""

from __future__ import annotations

import numpy as np
import pytest
from cases import SPARSE
from scipy.special import log_softmax

import tangentlens as tl
from tangentlens.errors import DataError, OptionError, ShapeError

TEXT = ["the cat sat on the mat and the dog sat on the cat", "a dog and a cat", "the mat", "the dog ran to the cat",
        "a cat ran and a dog sat", "on the mat the cat sat and the dog ran"]
SOME = ["mlp", "attention-sum-stds", "matrix-vector", "linear-rnn-last-frozen", "elman-rnn", "cnn3-same", "cnn2-valid"]


def contexts_of(window: int | None = 4) -> tl.Contexts:
    return tl.Contexts(tl.read_corpus(TEXT), window)


def models(name: str) -> list[tl.LanguageModel]:
    contexts = contexts_of()
    (first,) = tl.first_order(contexts, SPARSE[name])
    return [tl.at_first_order(first, 3.0), tl.at_first_order(first, 3.0, "uniform"),
            tl.learn_next(contexts, SPARSE[name], time=3.0),
            tl.learn_next(contexts, SPARSE[name], time=1.0, targets=3, batches=tl.Batches(8))]


@pytest.mark.parametrize("name", SOME)
@pytest.mark.parametrize("text", ["the cat", "cat", "", "the the unheard cat on the mat and", "unheard"])
def test_an_explanation_adds_up_to_the_logit(name, text):
    for model in models(name):
        logits = model.logits(model.context(text))[0]
        for target in ("cat", "ran"):
            told = model.explain(text, target)
            assert told.logit == pytest.approx(logits[model.outputs.class_of[model.vocabulary.ids[target]]], abs=1e-12)
            assert abs(told.residual) < 1e-10
            assert told.parts["contribution"].to_numpy() == pytest.approx(
                (told.parts["count"] * told.parts["score"]).to_numpy())
            assert told.parts["contribution"].abs().is_sorted(descending=True)


@pytest.mark.parametrize("name", SOME)
def test_tables_of_targets_and_of_contexts_hold_the_same_scores(name):
    for model in models(name):
        family = [one for one in model.scores.columns.families if one.patterns is not None][-1]
        feature = [model.vocabulary[index] for index in family.patterns.tokens()[0]]
        table = model.targets_of(feature, most=99)
        assert len(table) % len(model.outputs) == 0
        for row in table.iter_rows(named=True):
            if row["target"] == "<other>":
                continue
            same = model.contexts_of(row["target"], most=10**6).filter(
                family=row["family"], feature=row["feature"], target=row["target"])
            assert same["score"].to_list() == pytest.approx([row["score"]], abs=1e-13)
        for _, part in table.group_by("family"):
            assert part["score"].is_sorted(descending=True)


def test_both_ends_are_shown():
    model = models("mlp")[0]
    table = model.targets_of("the", most=2)
    size = len(model.vocabulary)
    assert table["rank"].to_list() == [1, 2, size - 1, size]
    dense = model.scores.rows(0, np.array([model.vocabulary.ids["the"]]))[0]
    assert table["score"].to_list() == pytest.approx(np.sort(dense)[::-1][[0, 1, -2, -1]].tolist())
    assert model.contexts_of("cat", most=1)["family"].to_list() == ["token", "token", "bias"]


def test_typed_contexts_are_cut_to_the_window():
    model = models("mlp")[0]
    assert len(model.context("on the mat the cat sat and").ids) == 4
    whole = tl.learn_next(contexts_of(None), tl.MLP(), time=1.0)
    assert len(whole.context("on the mat the cat sat and").ids) == 7


def test_next_token_is_a_distribution():
    for model in models("linear-rnn-last-frozen"):
        table = model.next_token("the cat", most=99)
        assert table["probability"].sum() == pytest.approx(1)
        assert table["unigram"].sum() == pytest.approx(1)
        assert table["probability"].is_sorted(descending=True)
        assert "LinearRNN" in repr(model)


def test_an_empty_context_has_the_unigram_only():
    contexts = contexts_of()
    table = tl.learn_next(contexts, tl.MLP(), time=5.0).next_token("", most=99)
    assert table["probability"].to_numpy() == pytest.approx(table["unigram"].to_numpy())


def test_position_in_the_window():
    """Against a loop over contexts."""
    contexts = contexts_of()
    model = tl.learn_next(contexts, tl.MLP(), time=1.0)
    table = model.by_lag("the", "cat")
    the, cat = (model.vocabulary.ids[token] for token in ("the", "cat"))
    rows = np.flatnonzero(contexts.targets == cat)
    before = [contexts[[row]].tokens().ids[::-1].tolist() for row in rows]
    expected = [sum(len(tokens) > lag and tokens[lag] == the for tokens in before) for lag in range(4)]
    assert table["count"].to_list() == expected
    chance = np.mean(contexts.corpus.ids == the) * np.array([sum(len(x) > lag for x in before) for lag in range(4)])
    assert table["lift"].to_list() == pytest.approx((np.array(expected) / chance).tolist())


def test_what_the_model_does_not_know_is_refused():
    model = models("matrix-vector")[0]
    with pytest.raises(DataError, match='did you mean "cat"'):
        model.explain("the", "cta")
    with pytest.raises(DataError, match=r"has no feature 'cat the'.*2 token"):
        model.targets_of("cat the")
    with pytest.raises(DataError, match="has no feature"):
        model.targets_of("cat")
    with pytest.raises(OptionError, match="at least 1"):
        model.targets_of("the cat", most=0)


def chain(tokens: int, seed: int) -> list[str]:
    """Documents of a process in which the last two tokens and the topic matter."""
    rng = np.random.default_rng(seed)
    chances = np.random.default_rng(0).dirichlet(np.full(12, 0.15), (2, 12))
    documents = []
    for _ in range(tokens // 40):
        topic, words = rng.integers(2), [int(rng.integers(12))]
        while len(words) < 40:
            words.append(int(rng.choice(12, p=chances[topic, words[-1]])))
        documents.append(" ".join(f"w{word}" for word in words))
    return documents


def test_perplexities_stand_beside_each_other():
    corpus = tl.read_corpus(chain(4000, 1))
    training, validation, test = (
        tl.Contexts(tl.read_corpus(chain(size, seed), vocabulary=corpus.vocabulary), 8)
        for size, seed in [(4000, 1), (1200, 2), (1200, 3)])
    first = tl.first_order(training, [tl.MLP(), tl.LinearRNN(pooling="last", max_order=2)])
    learned = tl.learn_next(training, tl.LinearRNN(pooling="last", max_order=2), time=60.0, batches=tl.Batches(200))
    table = tl.perplexities({"MLP": first[0], "RNN": first[1], "RNN, learned": learned}, validation, test, sample=900)
    found = dict(zip(table["model"], table["perplexity"], strict=True))
    assert table["contexts"].unique().to_list() == [900]
    assert table["perplexity"].to_numpy() == pytest.approx(np.exp(table["loss"].to_numpy()))
    assert found["RNN, learned"] < found["RNN"] < found["MLP"] < found["unigram"]
    assert found["Kneser–Ney 2"] < found["unigram"]
    assert all(1 < value < 12.5 for value in found.values())
    part = test.sample(900, 0)
    f = learned.outputs.start + table.filter(model="RNN, learned")["chosen"][0] * (
        learned.logits(part.tokens()) - learned.outputs.start)
    expected = -log_softmax(f, axis=1)[np.arange(900), part.targets].mean()
    assert table.filter(model="RNN, learned")["loss"][0] == pytest.approx(expected)
    assert -learned.log_probabilities(part).mean() == pytest.approx(
        -log_softmax(learned.logits(part.tokens()), axis=1)[np.arange(900), part.targets].mean())


def test_perplexities_of_different_training_are_refused():
    contexts = contexts_of()
    model, other = (tl.learn_next(part, tl.MLP(), time=1.0) for part in (contexts, contexts[:20]))
    with pytest.raises(ShapeError, match="other contexts"):
        tl.perplexities({"a": model, "b": other}, contexts, contexts)
    with pytest.raises(ShapeError, match="another vocabulary"):
        tl.perplexities({"a": model}, contexts, tl.Contexts(tl.read_corpus(["x y x y"]), 2))
    with pytest.raises(OptionError, match="at least one model"):
        tl.perplexities({}, contexts, contexts)
