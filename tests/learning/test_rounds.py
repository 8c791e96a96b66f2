"""When rounds of growth may end: what they are still to change, and the error where slow modes are many."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import reference
from cases import distance, grow_slowly, random_texts, store_by_texts

import tangentlens as tl
from tangentlens.kernels import Architecture
from tangentlens.learning import KernelProduct, galerkin, stopping
from tangentlens.learning.losses import encode
from tangentlens.learning.reduced import ReducedFlow, Start
from tangentlens.learning.rounds import LAST, Push, remaining, remaining_at_rest

SST = Path(__file__).parents[3] / "shared" / "data" / "sst" / "train.csv"


def test_what_rounds_still_change() -> None:
    """At least what the last did; more where they shrink slowly, or one is small by chance."""
    assert remaining([1e-3]) == 1e-3
    assert remaining([1e-1, 1e-3]) == pytest.approx(1e-3)
    assert remaining([1e-1, 1e-3, 1e-5]) == pytest.approx(1e-5)
    assert remaining([1e-3, 8e-4]) == pytest.approx(8e-4 * 4)
    assert remaining([1e-3, 9e-4, 8e-4, 1e-6]) > 5e-5
    assert remaining([1e-4, 1e-3]) == pytest.approx(1e-3 * 19)
    assert remaining([0.0, 0.0]) == 0.0
    assert remaining([1e-3], before=0.9) == pytest.approx(1e-3 * 9)  # of a segment of one round, as in the one before
    assert remaining([1e-3, 1e-5], before=0.9) == pytest.approx(1e-5)


def test_rounds_go_on_while_much_is_to_change(monkeypatch: pytest.MonkeyPatch) -> None:
    """What remains, not what the last round changed, ends a segment, and is the error that is said."""
    tokens, labels = random_texts(300, size=200)
    features = tl.MLP().features(tokens)
    spent = []
    for rule in (lambda changes, _: changes[-1], lambda changes, _: 10 * changes[-1]):
        monkeypatch.setattr(galerkin, "remaining", rule)
        spent.append(tl.learn(features, labels, time=1e4).dynamics.products)
    assert spent[1] > spent[0]


def test_what_rounds_at_rest_still_change() -> None:
    """Squares that fall like a power of the number of vectors add up to that; one small change says nothing."""
    sizes = 100 * 1.1 ** np.arange(1000)
    changes = sizes**-0.125
    assert remaining_at_rest(changes[:10].tolist(), 0.1) == pytest.approx(np.sqrt(np.sum(changes[10:] ** 2)), rel=0.03)
    assert remaining_at_rest([1e-2, 1e-2, 1e-9], 0.1) > 5e-2
    assert remaining_at_rest([1e-9] * (LAST - 1), 0.1) == np.inf


def solved_and_rounds(patch: pytest.MonkeyPatch) -> tuple[list[int], list[int]]:
    """To which the number of vectors is added with every path that is solved, and with every round that adds some."""
    solved, rounds = list[int](), list[int]()
    path, change = ReducedFlow.path, Push.change

    def noted(flow: ReducedFlow, z: np.ndarray, *how: Any) -> Iterator[np.ndarray]:
        solved.append(len(z))
        return path(flow, z, *how)

    def changed(push: Push, start: Start, stops: np.ndarray) -> np.ndarray:
        rounds.append(len(start.rate))
        return change(push, start, stops)

    patch.setattr(ReducedFlow, "path", noted)
    patch.setattr(Push, "change", changed)
    return solved, rounds


@pytest.mark.parametrize("loss", ["logistic", "squared"])
def test_a_path_is_not_solved_in_every_round_but_at_the_end(loss: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """In far fewer than there are, and as exactly: what changes of first order leave is seen in no estimate."""
    tokens, labels = short_reviews(600)
    features, end, tolerance = tl.MLP().features(tokens), 1e5, 1e-3
    exact = tl.learn(features, labels, loss, time=end, tolerance=1e-8, record=[]).duals[-1]
    solved, rounds = solved_and_rounds(monkeypatch)
    errors_, spent, kernel = [], [], features.kernel()
    for large in (galerkin.LARGE, 0):
        monkeypatch.setattr(galerkin, "LARGE", large)
        apart = tl.learn(features, labels, loss, time=end, tolerance=tolerance, record=[]).duals[-1] - exact
        errors_.append(float(np.sqrt(np.sum(apart * (kernel @ apart)) / np.sum(exact * (kernel @ exact)))))
        spent.append(len(solved) / len(rounds))
        solved.clear()
        rounds.clear()
    assert max(errors_) < tolerance
    assert spent[0] < 0.8 * spent[1]


@pytest.mark.parametrize("units", [0.3, 0.6, 1.0, 2.0])
def test_a_path_is_solved_again_where_a_round_finds_nothing_more(units: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two kinds of text, three classes: the first round adds all vectors that there are, to first order only."""
    grow_slowly(monkeypatch)
    store_by_texts(monkeypatch)
    tokens, labels = tl.Tokens.from_ids([[0], [1], [0], [1], [1], [0]], vocabulary_size=2), [0, 0, 1, 2, 1, 0]
    features = tl.MLP().features(tokens)
    kernel = features.kernel()
    end = units * 6 / np.linalg.eigvalsh(kernel)[-1] * 3
    found = tl.learn(features, labels, "softmax", time=end, tolerance=1e-3, record=[]).duals[-1]
    exact = reference.flow(kernel, reference.targets(labels, "softmax"), "softmax", [end])[0]
    assert distance(kernel @ found, kernel @ exact) < 1e-3


def short_reviews(size: int) -> tuple[tl.Tokens, list[str]]:
    """The first six words of reviews: many differ in little, so that there are as many slow modes as texts."""
    reviews = tl.movie_reviews().sample(size, seed=3)
    assert reviews.labels is not None
    return tl.tokenize([" ".join(text.split()[:6]) for text in reviews.texts]), list(reviews.labels)


def errors(flow: galerkin.GalerkinFlow, kernel: np.ndarray, duals: np.ndarray) -> tuple[float, float]:
    """What is said, and what is true, in the norm of the kernel."""
    apart = duals - (flow.basis.vectors @ flow.padded(flow.z))[:, None]
    squares = [float(np.sum(one * (kernel @ one))) for one in (apart, duals)]
    return flow.error, float(np.sqrt(squares[0] / squares[1]))


@pytest.mark.slow
@pytest.mark.parametrize("tolerance", [0.2, 0.1, 0.03])
@pytest.mark.parametrize("units", [1e6, 1e7])
@pytest.mark.parametrize("net", [tl.MLP(), tl.SelfAttention(scores="tied")], ids=["mlp", "attention"])
def test_a_segment_of_one_round_shrinks_no_faster_than_the_one_before(net: Architecture, units: float,
                                                                      tolerance: float) -> None:
    """Where each of a hundred rounds changes little, the first is no reason to end."""
    tokens, labels = short_reviews(800)
    features = net.features(tokens)
    flow = galerkin.GalerkinFlow(KernelProduct(features), encode(labels, "squared", texts=800), tolerance)
    end, kernel = units / flow.fastest, features.kernel()
    for stops in stopping.segments(flow, end, None):
        flow.advance(stops)
    said, true = errors(flow, kernel, reference.flow(kernel, reference.targets(labels, "squared"), "squared", [end])[0])
    assert said <= tolerance
    assert true < said


@pytest.mark.parametrize("units", [3e5, 1e6])
@pytest.mark.parametrize("seed", [3, 4, 5])
def test_a_mode_that_new_vectors_cannot_move_is_not_thought_to_be_done(seed: int, units: float) -> None:
    """40 texts of 40 words with ten random labels: hundreds of modes, of which the last are a thousand times slower."""
    features, labels = random_labels(tl.MLP(), seed, words=40)
    assert_kept(features, labels, units, tolerance=0.1)


@pytest.mark.parametrize("seed", [0, 1, 4])
def test_late_slopes_of_the_squared_loss_are_not_rounded(seed: int) -> None:
    """What 32 bits round of them, over 300,000 natural units, would be ten times what is said."""
    features, labels = random_labels(tl.ElmanRNN(), seed, words=2)
    assert_kept(features, labels, 3e5, tolerance=0.03)


def test_slopes_that_are_differences_are_not_rounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """At a tolerance at which the others are; all are where F is of 32 bits."""
    features, labels = random_labels(tl.MLP(), 0, words=40)
    for by_texts in (False, True):
        if by_texts:
            store_by_texts(monkeypatch)
        for loss in ("squared", "softmax"):
            targets = encode(labels, loss, texts=40)
            flow = galerkin.GalerkinFlow(KernelProduct(features), targets, tolerance=0.1)
            assert flow.narrow(1.0) == (by_texts or loss == "softmax")


def random_labels(net: Architecture, seed: int, *, words: int) -> tuple[tl.Features, list[int]]:
    """The features of 40 random texts, and labels."""
    random = np.random.default_rng(seed)
    texts = [random.integers(0, words, random.integers(1, 20)).tolist() for _ in range(40)]
    labels = random.integers(0, 10, 40).tolist()
    return net.features(tl.Tokens.from_ids(texts, vocabulary_size=words)), labels


def assert_kept(features: tl.Features, labels: list[int], units: float, *, tolerance: float) -> None:
    """At a time in natural units the squared loss is learned as exactly as is said, and asked for."""
    kernel = features.kernel()
    end = units * len(labels) / np.linalg.eigvalsh(kernel)[-1]
    found = tl.learn(features, labels, "squared", time=end, tolerance=tolerance, record=[])
    exact = reference.flow(kernel, reference.targets(labels, "squared"), "squared", [end])[0]
    apart = found.duals[-1] - exact
    true = np.sqrt(np.sum(apart * (kernel @ apart)) / np.sum(exact * (kernel @ exact)))
    assert true <= found.dynamics.error <= tolerance


@pytest.mark.slow
@pytest.mark.parametrize(("size", "tolerance"), [(700, 0.01), (1500, 0.1)])
def test_rest_is_not_thought_to_be_near_where_slow_modes_are_many(size: int, tolerance: float) -> None:
    tokens, labels = short_reviews(size)
    features, targets = tl.MLP().features(tokens), encode(labels, "squared", texts=size)
    flow = galerkin.GalerkinFlow(KernelProduct(features), targets, tolerance, resting=True)
    flow.rest()
    kernel = features.kernel()
    values, modes = np.linalg.eigh(kernel)
    kept = values > 1e-11 * values[-1]
    duals = modes[:, kept] @ (modes[:, kept].T @ reference.targets(labels, "squared") / values[kept, None])
    said, true = errors(flow, kernel, duals)
    assert true < 1.5 * said
    assert (said <= tolerance) == (size == 700)  # there are not vectors enough for so many slow modes


@pytest.mark.slow
@pytest.mark.skipif(not SST.exists(), reason=f"the Stanford Sentiment Treebank is not at {SST}")
@pytest.mark.filterwarnings("ignore:label scores are known")
def test_rest_is_not_thought_to_be_near_where_some_rounds_find_little() -> None:
    """Of all of SST, whose rounds at rest fluctuate: what is said is not far below the distance to a finer solution."""
    texts = tl.read_texts(SST)
    features = tl.MLP().features(tl.tokenize(texts))
    near, finer = (tl.learn(features, texts.labels, "squared", time=np.inf, tolerance=tolerance, record=[])
                   for tolerance in (0.03, 0.003))
    product, apart, whole = KernelProduct(features), near.duals[-1] - finer.duals[-1], finer.duals[-1]
    assert np.sqrt(np.sum(apart * (product @ apart)) / np.sum(whole * (product @ whole))) < 1.5 * near.dynamics.error
