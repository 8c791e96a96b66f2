"""First order in time: the sparse counts against the dense dynamics, and against loops over places."""

from __future__ import annotations

import re
from collections import Counter

import numpy as np
import pytest
from cases import EXACT, SPARSE, distance
from hypothesis import given, settings
from hypothesis import strategies as st

import tangentlens as tl
from tangentlens.errors import NoSparseFormError, OptionError
from tangentlens.learning import cooccurrence
from tangentlens.predictions.first_order import PAIR

TEXT = ["the cat sat on the mat and the dog sat on the cat", "a dog and a cat", "the mat", "sat on on on the dog cat",
        "mat mat mat the a cat on sat dog and the mat a the"]
BY_PLACE = {name: architecture for name, architecture in SPARSE.items()
            if getattr(architecture, "scores", "") != "tied"}
every_place_weighted = pytest.mark.parametrize("architecture", BY_PLACE.values(), ids=BY_PLACE)


def contexts_of(window: int | None, least: int = 1, size: int | None = None) -> tl.Contexts:
    return tl.Contexts(tl.read_corpus(TEXT, min_count=least, vocabulary_size=size), window)


def derivative(architecture: tl.Architecture, contexts: tl.Contexts, q: np.ndarray) -> list[np.ndarray]:
    """γ_r Φ_rᵀ (Y − 1 qᵀ) / N from contexts copied out: the derivative at t = 0 of the softmax dynamics."""
    features = architecture.features(contexts.tokens())
    pushed = (np.eye(len(contexts.vocabulary))[contexts.targets] - q) / len(contexts)
    return features.push(pushed), features


@every_place_weighted
@pytest.mark.parametrize(("window", "least"), [(3, 1), (7, 3), (None, 1)])
@pytest.mark.parametrize("start", ["uniform", "unigram"])
def test_sparse_scores_are_the_derivative_of_the_dense_dynamics(architecture, window, least, start):
    contexts = contexts_of(window, least)
    (first,) = tl.first_order(contexts, architecture)
    expected, features = derivative(architecture, contexts, first.before(start))
    table = first.scores(start=start)
    assert distance(table.apply(architecture.features(contexts.tokens(), columns=first.columns)),
                    features.pull(expected)) < EXACT
    for number, (mine, theirs) in enumerate(zip(first.columns.families, features.families, strict=True)):
        assert mine.labels() == theirs.labels()
        names = [f"{label} {name}" for label in mine.labels() for name in mine.names]
        other = [f"{label} {name}" for label in theirs.labels() for name in theirs.names]
        place = {name: row for row, name in enumerate(names)}
        scores = table.rows(number, np.arange(len(names)))
        rows = [place[name] for name in other]
        assert distance(scores[rows], expected[number], least=1e-3) < EXACT
        assert not np.delete(scores, rows, axis=0).any()  # patterns that stand before no target
        for target in range(len(contexts.vocabulary)):
            assert distance(table.column(number, target), scores[:, target], least=1e-3) < EXACT


@pytest.mark.parametrize("name", ["mlp", "attention-sum-stds", "matrix-vector", "linear-rnn-last-frozen", "elman-rnn",
                                  "cnn2-valid", "cnn3-same"])
def test_learning_starts_with_these_scores(name):
    """A finite difference of `learn`: halving the time halves the error."""
    contexts, architecture = contexts_of(4), SPARSE[name]
    (first,) = tl.first_order(contexts, architecture)
    features = architecture.features(contexts.tokens(), columns=first.columns)
    slope = first.scores().apply(features)
    errors = []
    for time in (1e-4, 5e-5):
        learned = tl.learn(features, contexts.targets, "softmax", time=time, tolerance=1e-9)
        errors.append(distance(learned.decision(features) / time, slope))
    assert errors[0] < 1e-2
    assert errors[1] < 0.6 * errors[0]


@every_place_weighted
def test_both_parts_add_up(architecture):
    contexts = contexts_of(3)
    (first,) = tl.first_order(contexts, architecture)
    features = architecture.features(contexts.tokens(), columns=first.columns)
    whole, beyond = (table.apply(features) for table in (first.scores(2.5), first.beyond_unigram(2.5)))
    assert distance(beyond + first.through_unigram(2.5).apply(features), whole) < EXACT
    assert not first.through_unigram(start="unigram").apply(features).any()
    assert np.abs(whole.sum(axis=1)).max() < EXACT  # a softmax gradient adds up to zero over the outputs
    assert np.abs(beyond.sum(axis=1)).max() < EXACT


@given(st.lists(st.lists(st.integers(-1, 4), min_size=1, max_size=9), min_size=1, max_size=4),
       st.integers(1, 4), st.integers(1, 3), st.integers(1, 40))
@settings(deadline=None, max_examples=60)
def test_counts_are_those_of_a_loop(documents, window, order, block):
    """Sums over places, one at a time, whatever the blocks are."""
    documents.append([0, 1, 2, 3, 4, 0])
    corpus = tl.Corpus(tl.Tokens.from_ids(documents, vocabulary_size=5))
    contexts = tl.Contexts(corpus, window)
    old, cooccurrence.BLOCK = cooccurrence.BLOCK, block
    try:
        (first,) = tl.first_order(contexts, tl.MatrixVector(order=order))
    finally:
        cooccurrence.BLOCK = old
    expected: Counter[tuple[tuple[int, ...], int]] = Counter()
    for document in documents:
        for place, target in enumerate(document):
            context = document[max(0, place - window):place]
            grams = [tuple(context[p:p + order]) for p in range(len(context) - order + 1)]
            for gram in grams:
                if target >= 0 and -1 not in gram:
                    expected[gram, target] += 1 / len(grams)
    names = first.columns.families[0].patterns.tokens().tolist()
    table = first.tables[0].tocoo()
    found = {(tuple(names[row]), int(column)): value
             for row, column, value in zip(table.row, table.col, table.data, strict=True)}
    assert found.keys() == expected.keys()
    assert all(abs(found[pair] - expected[pair]) < EXACT for pair in found)
    assert first.tables[0].has_canonical_format


def test_a_part_of_the_contexts_counts_alone():
    contexts = contexts_of(5)[3::2]
    (first,) = tl.first_order(contexts, tl.MLP())
    expected, features = derivative(tl.MLP(), contexts, first.before("uniform"))
    columns = tl.MLP().features(contexts.tokens(), columns=first.columns)
    assert distance(first.scores().apply(columns), features.pull(expected)) < EXACT


def test_architectures_share_equal_counts():
    first, second, third = tl.first_order(contexts_of(4), [tl.MLP(), tl.SelfAttention(), tl.MLP(pooling="sum")])
    assert first.tables[0] is second.tables[0]
    assert first.tables[0] is not third.tables[0]


def test_tied_attention_is_refused():
    with pytest.raises(NoSparseFormError, match="by the other tokens of its context"):
        tl.first_order(contexts_of(4), tl.SelfAttention(scores="tied"))


def test_what_does_not_fit_is_refused_with_what_would():
    """The window and the vocabulary that the message names do fit."""
    rng = np.random.default_rng(0)
    words = [" ".join(f"w{number}" for number in (rng.pareto(1.0, 4000) * 9).astype(int) % 3000)]
    contexts = tl.Contexts(tl.read_corpus(words), 32)
    lines: list[str] = []
    need = 12 * tl.first_order(contexts, tl.MLP(), progress=lines.append)[0].pairs
    assert "may be used" in lines[0]
    memory = need / 4 / 1e9
    with pytest.raises(OptionError, match="would fit") as refused:
        tl.first_order(contexts, tl.MLP(), memory=memory)
    (window,) = re.findall(r"window=(\d+)", str(refused.value))
    (size,) = re.findall(r"vocabulary_size=(\d+)", str(refused.value))
    assert tl.first_order(tl.Contexts(tl.read_corpus(words), int(window)), tl.MLP(), memory=memory)
    assert tl.first_order(tl.Contexts(tl.read_corpus(words, vocabulary_size=int(size)), 32), tl.MLP(), memory=memory)
    assert tl.first_order(contexts, tl.MLP(), memory=1.1 * need / 1e9)  # the estimate is not far off
    with pytest.raises(OptionError, match="positive number of GB"):
        tl.first_order(contexts, tl.MLP(), memory=0)


def test_start_is_checked():
    (first,) = tl.first_order(contexts_of(4), tl.MLP())
    with pytest.raises(OptionError, match="uniform, unigram"):
        first.scores(start="bigram")
    assert "pairs" in repr(first)
    assert first.tables[0].data.itemsize + first.tables[0].indices.itemsize == PAIR
