"""Dual coefficients of single texts: right where Θ does not see them, too."""

from __future__ import annotations

import numpy as np
import pytest
from cases import grow_slowly, store_by_texts
from scipy.integrate import solve_ivp

import tangentlens as tl
from tangentlens.learning import KernelProduct
from tangentlens.learning.basis import GrowingBasis
from tangentlens.learning.duals import EXCESS, Allowed, _towards, _unseen
from tangentlens.learning.feature_basis import FeatureBasis
from tangentlens.learning.integrals import integrals
from tangentlens.learning.losses import encode


@pytest.fixture(autouse=True)
def growing(monkeypatch):
    """The basis grows, though all vectors of so few texts are known (`test_kernel_range`)."""
    grow_slowly(monkeypatch)


@pytest.fixture(params=["by columns", "by texts"])
def stored(request, monkeypatch):
    """How the map is stored."""
    if request.param == "by texts":
        store_by_texts(monkeypatch)
    return request.param


@pytest.fixture
def by_texts(monkeypatch):
    """The map stored by texts, so that the basis is one of features."""
    store_by_texts(monkeypatch)


def few_tokens(texts=300, tokens=25, seed=0):
    """Many texts of few tokens and random labels: most of the space of the duals is the null space of Θ."""
    random = np.random.default_rng(seed)
    ids = [random.integers(0, tokens, random.integers(4, 20)).tolist() for _ in range(texts)]
    return tl.Tokens.from_ids(ids), random.integers(0, 2, texts)


def relative(found, expected):
    return np.linalg.norm(found - expected) / np.linalg.norm(expected)


def of_the_squared_loss(kernel, y, time):
    """The duals at a time, in the eigenbasis of Θ: they grow without end where it sees nothing."""
    values, modes = np.linalg.eigh(kernel)
    seen, n = values > 1e-12 * values[-1], len(y)
    grown = np.where(seen, -np.expm1(-values * time / n) / np.where(seen, values, 1.0), time / n)
    return modes @ (grown * (modes.T @ y))


@pytest.mark.parametrize("tolerance", [1e-2, 1e-3, 1e-5])
@pytest.mark.parametrize("time", [1e3, 1e5])
def test_duals_are_those_of_the_flow_though_the_kernel_does_not_see_most_of_them(stored, tolerance, time):
    tokens, labels = few_tokens()
    features = tl.MLP().features(tokens)
    kernel, targets = features.kernel(), encode(labels, "logistic", texts=300)
    expected = solve_ivp(lambda _, a: -targets.loss.slope((kernel @ a)[:, None], targets.y)[:, 0] / 300, (0, time),
                         np.zeros(300), method="LSODA", rtol=1e-9, atol=1e-11).y[:, -1]
    found = tl.learn(features, labels, time=time, tolerance=tolerance).duals[-1][:, 0]
    assert relative(found, expected) < max(1e-3 * tolerance / 1e-2, 1e-6)


@pytest.mark.parametrize("tolerance", [1e-2, 1e-4])
def test_late_scores_are_right_though_the_kernel_sees_few_directions(stored, tolerance):
    tokens, labels = few_tokens(800)
    features = tl.MLP().features(tokens)
    kernel, y = features.kernel(), 2.0 * labels - 1
    for time in (1e5, 1e7, 1e9):
        found = tl.learn(features, labels, "squared", time=time, record=[], tolerance=tolerance).duals[-1][:, 0]
        expected = of_the_squared_loss(kernel, y, time)
        assert relative(kernel @ found, kernel @ expected) < tolerance
        assert relative(found, expected) < tolerance


@pytest.mark.parametrize("tolerance", [1e-2, 1e-3])
@pytest.mark.parametrize("time", [3e4, 3e6, 1e8])
def test_equal_texts_of_different_labels_among_real_ones(tolerance, time):
    """Slow modes, in which duals come to rest, and a null space, in which they grow, at the same time."""
    texts = tl.movie_reviews().sample(500, seed=1)
    everything = texts[np.concatenate([np.arange(500), np.arange(100)])]
    y = np.where(np.array(everything.labels) == texts.classes[-1], 1.0, -1.0)
    y[500:550] *= -1
    features = tl.MLP().features(tl.tokenize(everything))
    kernel = features.kernel()
    trajectory = tl.learn(features, y, "squared", time=time, tolerance=tolerance)
    for moment in (-1, -5):
        expected = of_the_squared_loss(kernel, y, trajectory.steps[moment])
        found = trajectory.duals[moment][:, 0]
        assert relative(kernel @ found, kernel @ expected) < tolerance
        assert relative(found, expected) < 0.1 * tolerance


@pytest.mark.parametrize("tolerance", [0.1, 1e-3, 1e-5, 1e-7])
@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("place", ["here", "in parts", "on a device"])
@pytest.mark.filterwarnings("ignore:label scores are known", "ignore:Sparse CSR tensor")
def test_duals_that_have_grown_until_scores_drown_in_their_rounding(stored, place, seed, tolerance):
    """What cannot be told from nothing is left alone, and said to be the error."""
    tokens, _ = few_tokens(5, 2, seed)
    texts = tl.Texts([" ".join("ab"[token] for token in ids) for ids in np.split(tokens.ids, tokens.offsets[1:-1])],
                     np.array([2, 1, 0, 1, 1]))
    features, how = tl.MLP().features(tl.tokenize(texts)), {}
    kernel = features.kernel()
    if place == "in parts":
        features = tl.partition(texts, tl.MLP(), part=2)
    elif place == "on a device":
        pytest.importorskip("torch")
        how = {"device": "cpu"}
    found = tl.learn(features, texts.labels, "squared", time=5e10, tolerance=tolerance, **how)
    expected = np.stack([of_the_squared_loss(kernel, y, 5e10) for y in np.eye(3)[texts.labels].T], axis=1)
    assert relative(found.duals[-1], expected) < 1e-6
    assert relative(kernel @ found.duals[-1], kernel @ expected) < max(tolerance, 1e-4)
    assert tolerance > 1e-6 or tolerance < found.dynamics.error < 1e-4


@pytest.mark.parametrize("tolerance", [0.1, 0.03, 1e-3])
@pytest.mark.parametrize("time", [1e6, 1e7])
def test_outputs_of_settled_duals_are_as_right_as_scores(stored, tolerance, time):
    """What is left where duals are settled must not lie along frequent features, which move all texts alike."""
    texts = tl.movie_reviews().sample(1000, seed=2)
    y = np.where(np.array(texts.labels) == texts.classes[-1], 1.0, -1.0)
    features = tl.MLP().features(tl.tokenize(texts))
    kernel = features.kernel()
    found = tl.learn(features, y, "squared", time=time, record=[], tolerance=tolerance).duals[-1][:, 0]
    assert relative(kernel @ found, kernel @ of_the_squared_loss(kernel, y, time)) < tolerance


@pytest.mark.parametrize("tolerance", [0.1, 1e-3])
@pytest.mark.parametrize("seed", [1, 2])
def test_outputs_of_settled_duals_of_many_classes(seed, tolerance):
    """A frequent feature moves outputs by far more than it adds to the norm in Θ."""
    tokens, _ = few_tokens(150, 5, seed)
    labels = np.random.default_rng(seed).integers(0, 6, 150)
    features = tl.LinearRNN().features(tokens)
    kernel = features.kernel()
    time = 1e4 * 150 / np.linalg.eigvalsh(kernel)[-1]
    found = tl.learn(features, labels, "squared", time=time, record=[], tolerance=tolerance).duals[-1]
    expected = np.stack([of_the_squared_loss(kernel, y, time) for y in np.eye(6)[labels].T], axis=1)
    assert relative(kernel @ found, kernel @ expected) < tolerance


@pytest.mark.parametrize("tolerance", [1e-2, 5e-3])
@pytest.mark.parametrize("net", [tl.LinearRNN(), tl.MLP(), tl.MLP(pooling="sum")], ids=["rnn", "mlp", "sum"])
def test_late_flows_are_of_64_bits(stored, net, tolerance):
    """After 1e10 natural units of time, slow modes would have followed what 32 bits round."""
    for seed in range(3):
        random = np.random.default_rng(seed)
        ids = [random.integers(0, 30, random.integers(1, 12)).tolist() for _ in range(40)]
        ids = [ids[random.integers(40)] if random.random() < 0.4 else one for one in ids]  # equal texts of two labels
        features, labels = net.features(tl.Tokens.from_ids(ids)), random.integers(0, 2, 40)
        kernel = features.kernel()
        time = 1e10 * 160 / np.linalg.eigvalsh(kernel)[-1]
        found, exact = (tl.learn(features, labels, time=time, record=[], tolerance=one).duals[-1][:, 0]
                        for one in (tolerance, 1e-5))
        assert relative(kernel @ found, kernel @ exact) < tolerance


@pytest.mark.parametrize("units", [1.0, 2e4])
@pytest.mark.parametrize("tolerance", [1e-2, 1e-3])
def test_features_that_depend_on_each_other(stored, tolerance, units):
    """With sums the bias is the sum of all tokens: weights that no text has must not come into the basis."""
    for seed in range(3):
        tokens, labels = few_tokens(150, 4, seed)
        features = tl.MLP(pooling="sum", depth=2, bias_std=0.3).features(tokens)
        kernel, y = features.kernel(), 2.0 * labels - 1
        time = units * 150 / np.linalg.eigvalsh(kernel)[-1]
        found = tl.learn(features, labels, "squared", time=time, record=[], tolerance=tolerance).duals[-1][:, 0]
        assert relative(kernel @ found, kernel @ of_the_squared_loss(kernel, y, time)) < tolerance


def test_where_labels_cancel_in_every_feature_duals_grow_all_the_same():
    tokens = tl.Tokens.from_ids([[0, 1], [0, 1], [1], [1]])
    found = tl.learn(tl.MLP().features(tokens), [0, 1, 1, 0], "squared", time=7.0)
    np.testing.assert_allclose(found.duals[-1][:, 0], 7.0 / 4 * np.array([-1.0, 1.0, 1.0, -1.0]))
    np.testing.assert_allclose(found.decision(found.features), 0.0, atol=1e-12)


@pytest.mark.parametrize("count", [1, 2, 3, 30])
def test_integrals_of_decays(count):
    """To the order of the polynomial that so many times allow."""
    times = np.concatenate([[0.0], np.geomspace(0.2, 100.0, count)]) if count > 1 else np.array([0.0, 0.2])
    rates = np.array([0.01, 0.3, 1.0])
    found = np.array(list(integrals(times, np.exp(-np.outer(times, rates)))))
    expected = -np.expm1(-np.outer(times, rates)) / rates
    assert np.all(found[0] == 0.0)
    if count in (1, 30):
        np.testing.assert_allclose(found, expected, rtol={1: 0.01, 30: 1e-3}[count])
    else:
        assert np.all(np.isfinite(found))


def test_times_that_are_nearly_equal_do_no_harm():
    times = np.concatenate([[0.0], np.geomspace(0.2, 100.0, 30)])
    near = np.sort(np.concatenate([times, times[1:] * (1 + 1e-16), times[1:] * (1 + 3e-16), times[5:] * (1 - 1e-9)]))
    found = np.array(list(integrals(near, np.exp(-near))))
    np.testing.assert_allclose(found, -np.expm1(-near), rtol=2e-3)


def test_integrals_at_some_times_are_those_at_all():
    times = np.concatenate([[0.0], np.geomspace(0.2, 100.0, 30)])
    values = np.exp(-np.outer(times, [0.01, 1.0]))
    found = list(integrals(times, values))
    for wanted in ({0}, {30}, {1, 2, 17}, set(range(31))):
        np.testing.assert_allclose(list(integrals(times, iter(values), wanted)),
                                   [found[place] for place in sorted(wanted)], rtol=1e-13)


def test_integrals_are_exact_for_polynomials_in_the_logarithm():
    times = np.concatenate([[0.0], np.sort(np.random.default_rng(0).uniform(0.5, 9.0, 12))])
    u = np.log(times + times[1])
    found = list(integrals(times, [np.array([1.0, one, one**5]) for one in u]))
    nodes, weights = np.polynomial.legendre.leggauss(60)
    for end, value in zip(times, found, strict=True):
        v = np.log(end * (nodes + 1) / 2 + times[1])
        np.testing.assert_allclose(value, np.stack([v**0, v, v**5]) @ weights * end / 2, rtol=1e-9, atol=1e-12)


def grown(texts, tokens, seed, *, dtype=np.float64, balanced=False, outputs=1):
    """A basis of features with some vectors, and the slope that it grew from."""
    features = tl.MLP().features(few_tokens(texts, tokens, seed)[0])
    basis = FeatureBasis(KernelProduct(features), (texts, outputs), balanced, dtype)
    slope = np.random.default_rng(seed).normal(size=(texts * outputs, 1))
    basis.grow(slope)
    return basis, slope


def test_a_basis_of_32_bits_does_not_grow_by_what_they_round(by_texts):
    basis, slope = grown(60, 25, 0, dtype=np.float32)
    assert basis.grow(slope.astype(np.float32).astype(np.float64)) == 0
    assert basis.grow(np.random.default_rng(1).normal(size=slope.shape)) == 1


def test_weights_that_add_up_to_nothing_are_nothing_new(by_texts):
    basis, _ = grown(60, 25, 0, balanced=True, outputs=3)
    alike = np.repeat(basis.seen(np.ones((180, 1)))[::3], 3, axis=0)
    assert basis.add(alike) == 0
    assert len(basis) == 1


def test_duals_that_move_outputs_too_far_are_not_left_alone():
    """Though their norm in Θ is allowed."""
    features = tl.MLP().features(few_tokens(60, 25)[0])
    basis = GrowingBasis(KernelProduct(features), (60, 1))
    duals = np.random.default_rng(0).normal(size=(60, 1))
    size, outputs = basis.norm(duals.ravel()), float(np.linalg.norm(basis.image(duals)))
    basis.largest = float(np.linalg.eigvalsh(features.kernel())[-1])
    same, _ = _unseen(basis, duals, Allowed(2 * size, 2 * outputs), lambda left: left)
    assert same is duals
    less, _ = _unseen(basis, duals, Allowed(2 * size, 0.1 * outputs), lambda left: left)
    assert np.linalg.norm(basis.image(less)) <= EXCESS * 0.1 * outputs


def test_what_steps_add_is_orthogonal_to_the_basis(by_texts):
    """Also where nearly all of an image is in the basis, and what is left of it is rounding."""
    for seed in range(5):
        basis, _ = grown(60, 6, seed)
        while basis.grow(np.random.default_rng(len(basis)).normal(size=(60, 1))) and len(basis) < 5:
            pass
        wanted = basis.seen(np.random.default_rng(9).normal(size=(60, 1)))
        _, _, directions = _towards(basis, wanted, Allowed(0.0, 0.0))
        assert np.abs(basis.features.T @ directions).max() < 1e-9
