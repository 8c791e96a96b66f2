"""When rounds of growth may end: what they are still to change, and the error where slow modes are many."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import reference
from cases import random_texts

import tangentlens as tl
from tangentlens.kernels import Architecture
from tangentlens.learning import KernelProduct, galerkin, stopping
from tangentlens.learning.losses import encode
from tangentlens.learning.rounds import LAST, remaining, remaining_at_rest

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
