"""Gradient flow against an explicit solver on the dense kernel."""

import signal
from contextlib import contextmanager
from functools import cache
from itertools import product
from types import SimpleNamespace

import numpy as np
import pytest
import reference
from cases import distance, grow_slowly, random_texts, store_by_texts, tokens_of
from scipy.integrate import solve_ivp
from scipy.linalg import expm

import tangentlens as tl
from tangentlens.errors import DataError, OptionError
from tangentlens.learning import KernelProduct, galerkin, reduced, stopping, tall
from tangentlens.learning.duals import settle
from tangentlens.learning.losses import encode
from tangentlens.learning.reduced import ReducedFlow, _Step

PROBLEMS = [("squared", 2), ("logistic", 2), ("softmax", 3), ("squared", 3)]
NETS = {"mlp": tl.MLP(), "cnn-same": tl.CNN(), "cnn-valid-sum": tl.CNN(padding="valid", pooling="sum"),
        "attention": tl.SelfAttention(scores="tied"), "mlp-by-texts": tl.MLP()}
TIMES = np.array([0.3, 2.9, 31.0, 290.0])  # in natural units n / λ_max
SIZE = 40  # texts
TOLERANCES = (1e-2, 1e-3, 1e-4)


@pytest.fixture(autouse=True)
def growing(monkeypatch):
    """The basis grows, though all vectors of so few texts are known (`test_kernel_range`)."""
    grow_slowly(monkeypatch)


@contextmanager
def storage(name):
    """Where this problem's map is stored by texts, so that the basis is one of features."""
    with pytest.MonkeyPatch.context() as patch:
        if name == "mlp-by-texts":
            store_by_texts(patch)
        yield


@cache
def problem(name, loss, classes):
    """Features, labels, dense kernel, times and the exact dual coefficients there."""
    tokens, labels = random_texts(SIZE, classes=classes, seed=SIZE)
    features = NETS[name].features(tokens)
    kernel = NETS[name].kernel(tokens)
    times = TIMES * SIZE / np.linalg.eigvalsh(kernel)[-1]
    return features, labels, kernel, times, reference.flow(kernel, reference.targets(labels, loss), loss, times)


@cache
def errors(name, loss, classes, tolerance, *, recorded=False):
    """Relative errors of the label scores at all times, the one at the end in the norm of Θ, and the estimate.

    `recorded`: one flow that records just these times; else a flow of its own to each, with the records of default.
    """
    features, labels, kernel, times, exact = problem(name, loss, classes)

    def learn(end, record=None):
        with storage(name):
            return tl.learn(features, labels, loss, time=end, record=record, tolerance=tolerance)

    if recorded:
        trajectory = learn(times[-1], times)
        found = [trajectory.scores(place) for place in range(1, len(times) + 1)]
    else:
        found = [(trajectory := learn(end)).scores() for end in times]
    relative = []
    for scores, duals in zip(found, exact, strict=True):
        expected = np.concatenate(features.push(duals))
        relative.append(np.linalg.norm(np.concatenate(scores) - expected) / np.linalg.norm(expected))
    away, end = trajectory.duals[-1] - exact[-1], exact[-1]
    true = np.sqrt(max(np.sum(away * (kernel @ away)), 0.0) / np.sum(end * (kernel @ end)))
    return np.array(relative), true, trajectory.dynamics.error


every_problem = pytest.mark.parametrize(("loss", "classes"), PROBLEMS, ids=str)


@pytest.mark.parametrize("name", ["mlp", "mlp-by-texts", "cnn-same"])
@every_problem
def test_flow_is_as_exact_as_asked_for(name, loss, classes):
    assert errors(name, loss, classes, 1e-3)[0].max() < 1e-3


@pytest.mark.slow
@every_problem
def test_a_finer_tolerance_is_better(loss, classes):
    """A thousand times finer, on average over the architectures, unless the few texts are solved exactly either way."""
    coarse, fine = (np.mean([np.log10(errors(name, loss, classes, tolerance)[0].max()) for name in NETS])
                    for tolerance in (1e-2, 1e-5))
    assert fine < coarse - 0.5 or (loss == "squared" and coarse < -8)


@pytest.mark.slow
@pytest.mark.parametrize("recorded", [False, True], ids=["default records", "few records"])
def test_flow_is_as_exact_as_asked_for_at_every_tolerance(recorded):
    ratios = {key: errors(key[0], *key[1], key[2], recorded=recorded)[0].max() / key[2]
              for key in product(NETS, PROBLEMS, TOLERANCES)}
    assert max(ratios.values()) < 1.0, {key: ratio for key, ratio in ratios.items() if ratio >= 1}


@pytest.mark.slow
def test_the_error_estimate_is_not_far_below_an_error_that_matters():
    low = {}
    for (name, case, tolerance), recorded in product(product(NETS, PROBLEMS, TOLERANCES), (False, True)):
        _, true, estimate = errors(name, *case, tolerance, recorded=recorded)
        if true > tolerance / 50 and estimate < true / 3:
            low[name, case, tolerance, recorded] = estimate / true
    assert not low, low


@pytest.mark.parametrize("time", [3.0, 400.0])
def test_squared_flow_ends_in_the_pseudo_inverse_and_descent_follows_it(time):
    tokens, labels = random_texts(40)
    features = tl.CNN().features(tokens)
    kernel, y = features.kernel(), reference.targets(labels, "squared")
    flow = tl.learn(features, labels, "squared", time=time, tolerance=1e-6)
    rate = tl.learn(features, labels, "squared", steps=1).dynamics.critical_learning_rate / 50
    with_steps = reference.descend(kernel, y, "squared", rate, round(time / rate))
    assert distance(kernel @ flow.duals[-1], kernel @ with_steps[-1]) < 0.03
    end = tl.learn(features, labels, "squared", time=1e8, tolerance=1e-6)
    assert distance(kernel @ end.duals[-1], kernel @ (np.linalg.pinv(kernel, hermitian=True) @ y)) < 1e-3


def test_an_end_that_rounding_sets_just_after_a_stop_of_the_solver_is_reached():
    tokens, labels = random_texts(40)
    features = tl.CNN().features(tokens)
    boundary = tl.learn(features, labels, time=1e4).steps[4]  # the end of the first segment
    end = np.nextafter(boundary, np.inf)

    def give_up(*_):
        raise TimeoutError

    before = signal.signal(signal.SIGALRM, give_up)
    signal.alarm(2)
    try:
        assert tl.learn(features, labels, time=end).steps[-1] == end
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def test_recorded_times_are_those_asked_for():
    tokens, labels = random_texts(30)
    features = tl.CNN().features(tokens)
    for record, expected in [([0.5, 7.0, 2.0], [0, 0.5, 2, 7, 10]), ([10.0], [0, 10]), ([], [0, 10]),
                             ([3, 3], [0, 3, 10]), ([1e-9, 9.999], [0, 1e-9, 9.999, 10])]:
        np.testing.assert_array_equal(tl.learn(features, labels, time=10.0, record=record).steps, expected)
    steps = tl.learn(features, labels, time=1e4).steps
    assert steps[-1] == 1e4
    assert (np.diff(steps) > 0).all()
    assert 20 < len(steps) < 80


@pytest.mark.parametrize("loss", ["logistic", "squared"])
def test_recording_more_often_does_not_change_the_flow(loss):
    tokens, labels = random_texts(40)
    features = tl.CNN().features(tokens)
    often = tl.learn(features, labels, loss, time=50.0, record=np.linspace(1, 50, 50))
    once = tl.learn(features, labels, loss, time=50.0, record=[])
    assert distance(features.pull(often.scores()), features.pull(once.scores())) < 0.01


def test_best_goes_past_the_minimum_of_the_validation_loss():
    everything, all_labels = random_texts(160, noise=3.0)
    tokens, other, labels, other_labels = everything[:100], everything[100:], all_labels[:100], all_labels[100:]
    net = tl.CNN()
    features = net.features(tokens)
    lines = []
    trajectory = tl.learn(features, labels, time="best", progress=lines.append,
                          validation=(net.features(other, columns=features), other_labels))
    losses = trajectory.curves["validation_loss"].to_numpy()
    assert 0 < trajectory.best == len(losses) - 2
    assert losses[trajectory.best] == losses.min() < losses[-1]
    *segments, outputs, duals = lines
    assert all("training loss" in line and "products" in line for line in segments)
    assert outputs == f"outputs at {len(losses) - 1} moments"
    assert duals == f"dual coefficients at {len(losses) - 1} moments"
    longer = tl.learn(features, labels, time=float(3 * trajectory.steps[-1]), record=trajectory.steps[1:],
                      validation=(net.features(other, columns=features), other_labels))
    assert longer.best == trajectory.best
    assert longer.curves["validation_loss"][-1] > 1.01 * losses.min()
    kernel = net.kernel(other, tokens)
    f = kernel @ trajectory.duals[trajectory.best]
    y = np.array(other_labels)[:, None]
    assert np.mean(np.logaddexp(0, f) - y * f) == pytest.approx(losses.min(), rel=1e-4)  # a tenth of the tolerance


def test_without_validation_best_is_the_last_record():
    tokens, labels = random_texts(20)
    trajectory = tl.learn(tl.MLP().features(tokens), labels, time=3.0)
    assert trajectory.best == len(trajectory.steps) - 1


@pytest.mark.parametrize("loss", ["logistic", "squared", "softmax"])
@pytest.mark.parametrize("net", [tl.MLP(), tl.CNN()], ids=["mlp", "cnn"])
def test_singular_kernels(net, loss):
    """Equal texts, texts without tokens, and equal texts with other labels."""
    texts = [[0, 1], [0, 1], [2], [2], [], [], [3, 3], [0, 1, 2], [3]]
    labels = [1, 1, 0, 1, 0, 1, 0, 1, 0]
    tokens = tokens_of(texts)
    features = net.features(tokens)
    kernel, y = features.kernel(), reference.targets(labels, loss)
    times = TIMES[:3] * len(texts) / np.linalg.eigvalsh(kernel)[-1]
    exact = reference.flow(kernel, y, loss, times)
    trajectory = tl.learn(features, labels, loss, time=times[-1], record=times, tolerance=1e-4)
    for place, duals in enumerate(exact):
        f = features.pull(trajectory.scores(place + 1))
        assert distance(f, kernel @ duals) < 1e-2
        assert distance(f[[0, 2]], f[[1, 3]]) < 1e-12
        assert not f[[4, 5]].any()


def test_two_texts():
    """Θ has eigenvalues known by hand: for opposite labels only the difference of the two texts is learned."""
    tokens = tokens_of([[0], [1]])
    same, different = tl.MLP().kernel(tokens)[0]
    trajectory = tl.learn(tl.MLP().features(tokens), ["a", "b"], "squared", time=4.0, record=[0.5, 4.0])
    for place, t in ((1, 0.5), (2, 4.0)):
        f = trajectory.features.pull(trajectory.scores(place))[:, 0]
        expected = 1 - np.exp(-(same - different) * t / 2)
        np.testing.assert_allclose(f, [-expected, expected], rtol=1e-6)


@pytest.mark.parametrize("texts", [[[], []], [[0], [0]]], ids=["empty texts", "equal texts with opposite labels"])
def test_where_nothing_can_be_learned_the_times_are_recorded_all_the_same(texts):
    trajectory = tl.learn(tl.MLP().features(tokens_of(texts)), [0, 1], time=5.0, record=[1, 2])
    np.testing.assert_array_equal(trajectory.steps, [0, 1, 2, 5])
    assert not np.concatenate(trajectory.scores()).any()


@pytest.mark.filterwarnings("ignore:invalid value")
def test_descent_without_any_window_learns_nothing():
    trajectory = tl.learn(tl.MLP().features(tokens_of([[], []])), [0, 1], steps=5)
    assert np.isfinite(trajectory.duals).all()
    assert np.isfinite(trajectory.curves["train_loss"].to_numpy()).all()


@pytest.mark.parametrize(("texts", "labels"), [([[], []], [0, 1]), ([[0, 1]] * 4, [0, 1, 0, 1])], ids=str)
def test_where_nothing_can_be_learned_no_loss_is_reached(texts, labels):
    with pytest.raises(DataError, match=r"nothing can be learned from these \d texts.* loss stays at 0\.6931"):
        tl.learn(tl.MLP().features(tl.Tokens.from_ids(texts)), labels, until_loss=0.3)


def test_late_times_are_recorded_before_rest():
    tokens, labels = random_texts(40)
    trajectory = tl.learn(tl.MLP().features(tokens), labels, "squared", time=np.inf, record=[1, 5, 1e7, 1e8])
    assert trajectory.steps.tolist() == [0, 1, 5, 1e7, 1e8, np.inf]


def test_times_asked_for_are_recorded_though_the_search_was_thought_to_end_before(monkeypatch):
    tokens, labels = random_texts(60)
    features = tl.CNN().features(tokens)
    usual = tl.learn(features, labels, until_loss=0.3)
    asked = np.geomspace(usual.steps[3], usual.steps[-1] * 0.99, 12)
    needed = stopping.Search.needed
    monkeypatch.setattr(stopping.Search, "needed", lambda search, stops, path: (
        needed(search, stops, path) or (2 if len(search.moments) < 12 else None)))
    found = tl.learn(features, labels, until_loss=0.3, record=asked)
    assert set(asked) <= set(found.steps)


def test_conflicting_labels_end_at_their_mean():
    """Three equal texts, two of them positive: the outputs end at log 2, and no further."""
    tokens = tokens_of([[0, 1], [0, 1], [0, 1], [2]])
    trajectory = tl.learn(tl.MLP(activation="tanh").features(tokens), [1, 1, 0, 0], time=1e4, tolerance=1e-5)
    f = trajectory.features.pull(trajectory.scores())[:, 0]
    np.testing.assert_allclose(f[:3], np.log(2), rtol=1e-3)


@pytest.mark.parametrize("loss", ["logistic", "softmax", "squared"])
def test_very_long_times_on_separable_texts(loss):
    tokens, labels = random_texts(40)
    trajectory = tl.learn(tl.CNN().features(tokens), labels, loss, time=1e8)
    losses = trajectory.curves["train_loss"].to_numpy()
    assert np.isfinite(trajectory.duals).all()
    assert (np.diff(losses) <= 1e-3 * losses[:-1] + 1e-12).all()
    assert losses[-1] < 1e-4
    assert trajectory.curves["train_accuracy"][-1] == 1.0


@pytest.mark.parametrize(("loss", "classes"), PROBLEMS)
def test_stops_within_steps_are_as_exact_as_their_ends(loss, classes, monkeypatch):
    tokens, labels = random_texts(SIZE, classes=classes)
    kernel = tl.CNN().kernel(tokens)
    targets = encode(labels, loss, texts=SIZE)
    flow = ReducedFlow(np.kron(kernel, np.eye(targets.y.shape[1])) / 10, targets)
    steps, step = [], ReducedFlow._step
    monkeypatch.setattr(ReducedFlow, "_step", lambda self, *how: steps.append(how) or step(self, *how))
    stops, start = np.geomspace(1e-3, 30, 60), np.zeros(flow.outputs.shape[1])
    coarse = np.stack(list(flow.path(start, 0.0, stops, 1e-3)))
    assert (len(steps) == 0) if targets.loss.linear else (0 < len(steps) < 40)  # fewer than stops
    fine = np.stack(list(flow.path(start, 0.0, stops, 1e-10)))
    assert np.all(np.linalg.norm(coarse - fine, axis=1) < 1e-4 * np.linalg.norm(fine, axis=1))
    ends = [list(flow.path(start, 0.0, stops[:k], 1e-10))[-1] for k in (10, 40)]
    assert distance(np.stack(ends), fine[[9, 39]]) < 1e-8


def test_the_flow_of_the_squared_loss_is_exact_from_any_point():
    """z(t) = z* + exp(t J) (z − z*), J = −Fᵀ F / n, at the end z* by least squares."""
    random = np.random.default_rng(0)
    outputs, z = random.normal(size=(30, 5)) * np.array([3, 1, 0.3, 0.1, 0.03]), random.normal(size=5)
    flow = ReducedFlow(outputs, encode(random.integers(0, 2, 30), "squared", texts=30))
    rest, stops = np.linalg.lstsq(outputs, flow.targets.y.ravel())[0], np.array([0.7, 2.0, 50.0, 1e4])
    for found, stop in zip(flow.path(z, 0.5, stops, 0.1), stops, strict=True):
        expected = rest + expm((0.5 - stop) * outputs.T @ outputs / 30) @ (z - rest)
        np.testing.assert_allclose(found, expected, rtol=1e-10)


def test_the_solution_within_a_step_is_the_integral():
    """z + ∫ exp((s − τ) J) (rate + (τ/h)² a / 2 + (τ/h)³ b / 6) dτ, by Gauss and Legendre's rule."""
    random = np.random.default_rng(0)
    values, vectors = -np.geomspace(1e-3, 30, 7), np.linalg.qr(random.normal(size=(7, 7)))[0]
    z, rate, square, cubic = random.normal(size=(4, 7))
    h, s = 0.8, np.array([0.1, 0.4, 0.75])
    step = _Step(z, h, (values, vectors), (rate, square, cubic), z, 0.0)
    nodes, weights = np.polynomial.legendre.leggauss(40)
    for found, end in zip(step.at(s), s, strict=True):
        tau = end * (nodes + 1) / 2
        grown = rate + np.outer((tau / h)**2, square) / 2 + np.outer((tau / h)**3, cubic) / 6
        integral = weights @ (np.exp(np.outer(end - tau, values)) * grown) * end / 2
        assert distance(found, z + vectors @ integral) < 1e-13


@pytest.mark.parametrize("large", [galerkin.LARGE, 1], ids=["64 bits", "32 bits"])
@pytest.mark.parametrize("net", [tl.MLP(), tl.CNN()], ids=["mlp", "cnn"])
def test_the_error_of_late_scores_is_below_the_tolerance(net, large, monkeypatch):
    """Real texts, the squared loss, times from which on slow modes alone are missing: the witness is Θ's eigenbasis."""
    monkeypatch.setattr(galerkin, "LARGE", large)
    texts = tl.movie_reviews().sample(1000, seed=1)
    features = net.features(tl.tokenize(texts))
    kernel = features.kernel()
    values, modes = np.linalg.eigh(kernel)
    values = np.maximum(values, 1e-300)
    for time in (1e7, 1e8):
        dynamics = tl.learn(features, texts.labels, "squared", time=time, record=[], tolerance=1e-2).dynamics
        decayed = -np.expm1(-values * time / len(texts)) / values
        exact = modes @ (decayed[:, None] * (modes.T @ dynamics.targets.y))
        left = dynamics.duals[-1] - exact
        assert np.sum(left * (kernel @ left)) < 1e-4 * np.sum(exact * (kernel @ exact))
        assert dynamics.error <= 1e-2


@pytest.mark.parametrize("tolerance", [1e-5, 1e-6, 1e-8, 1e-10])
@pytest.mark.parametrize(("loss", "classes"), PROBLEMS)
def test_fine_tolerances_are_kept(loss, classes, tolerance):
    """Between the moments of a segment nothing is seen of what is left out. Witness: the flow of w = Zᵀ a."""
    tokens, labels = random_texts(40, classes=classes, size=30)
    features, targets = tl.LinearRNN().features(tokens), encode(labels, loss, texts=40)
    values, modes = np.linalg.eigh(features.kernel())
    z = (modes * np.sqrt(np.maximum(values, 0)))[:, values > 1e-13 * values[-1]]
    c, end = targets.y.shape[1], 3 * 40 / values[-1] / targets.loss.steepest
    expected = solve_ivp(lambda _, w: -(z.T @ targets.loss.slope(z @ w.reshape(-1, c), targets.y)).ravel() / 40,
                         (0, end), np.zeros(z.shape[1] * c), method="DOP853", rtol=1e-13, atol=1e-15).y[:, -1]
    found = tl.learn(features, labels, loss, time=end, tolerance=tolerance)
    assert distance(z.T @ found.duals[-1], expected.reshape(-1, c)) < tolerance
    assert found.dynamics.error <= tolerance


@pytest.mark.parametrize("loss", ["logistic", "squared"])
def test_outputs_of_32_bits_change_far_less_than_the_tolerance(loss):
    """In a basis of orders of magnitude, as learning makes it."""
    tokens, labels = random_texts(SIZE)
    kernel = tl.CNN().kernel(tokens)
    values, modes = np.linalg.eigh(kernel)
    outputs = (modes * np.sqrt(np.maximum(values, 0)))[:, values > 1e-9 * values[-1]]
    exact = ReducedFlow(outputs, encode(labels, loss, texts=SIZE))
    narrow = ReducedFlow(outputs.astype(np.float32), exact.targets)
    stops, start = np.geomspace(1, 1e6, 30), np.zeros(outputs.shape[1])
    wide, found = (np.stack(list(flow.path(start, 0.0, stops, 1e-6))) for flow in (exact, narrow))
    assert found.dtype == np.float64
    assert np.all(np.linalg.norm(found - wide, axis=1) < 1e-4 * np.linalg.norm(wide, axis=1))


@pytest.mark.parametrize(("loss", "classes"), PROBLEMS)
def test_values_rates_and_modes_do_not_depend_on_blocks(loss, classes, monkeypatch):
    _, labels = random_texts(SIZE, classes=classes)
    targets = encode(labels, loss, texts=SIZE)
    outputs = np.random.default_rng(1).standard_normal((SIZE * targets.y.shape[1], 7))
    z = np.linspace(-1, 1, 7)

    def found():
        flow = ReducedFlow(outputs, targets)
        f, rate = flow.at(z)
        return f, rate, flow.modes(f)[0]

    whole = found()
    np.testing.assert_allclose(whole[1], -outputs.T @ ReducedFlow(outputs, targets).slope(whole[0]), rtol=1e-12)
    monkeypatch.setattr(reduced, "BLOCK", 500)
    monkeypatch.setattr(reduced, "SHARED", 1)
    for part, expected in zip(found(), whole, strict=True):
        np.testing.assert_allclose(part, expected, rtol=1e-12, atol=1e-14)


def test_what_paths_leave_out_is_worked_out_in_64_bits(monkeypatch):
    tokens, labels = random_texts(SIZE)
    left = []
    for large in (galerkin.LARGE, 1):
        monkeypatch.setattr(galerkin, "LARGE", large)
        flow = galerkin.GalerkinFlow(KernelProduct(tl.CNN().features(tokens)), encode(labels, None, texts=SIZE), 1e-2)
        assert (flow.reduced(narrow=True).outputs.dtype == np.float32) == (large == 1)
        path = [np.linspace(0, end, len(flow.basis)) for end in (1.0, 2.0)]
        left.append(flow.basis.left_out(flow._slopes(path, np.ones(2), 2.0))[0])
    assert np.linalg.norm(left[0]) > 0
    np.testing.assert_array_equal(left[0], left[1])


@pytest.mark.parametrize("time", [1e5, np.inf])
def test_a_full_basis_knows_what_it_leaves_out(time, monkeypatch):
    tokens, labels = random_texts(200, size=400)
    features = tl.CNN().features(tokens)
    kernel = features.kernel()
    exact = tl.learn(features, labels, "squared", time=time, tolerance=1e-6).duals[-1]
    monkeypatch.setattr(galerkin, "MOST", 12)
    with pytest.warns(UserWarning, match="known to a relative"):
        learned = tl.learn(features, labels, "squared", time=time).dynamics
    left = learned.duals[-1] - exact
    assert 1e-3 < np.sqrt(np.sum(left * (kernel @ left)) / np.sum(exact * (kernel @ exact))) < learned.error


def test_a_search_ends_though_the_basis_is_full(monkeypatch):
    tokens, labels = random_texts(200, size=400)
    monkeypatch.setattr(galerkin, "START", 1)
    monkeypatch.setattr(galerkin, "MOST", 3)
    lines = []
    with pytest.raises(OptionError, match="give a larger until_loss"), pytest.warns(UserWarning, match="relative"):
        tl.learn(tl.CNN().features(tokens), labels, until_loss=1e-5, progress=lines.append)
    assert len(lines) < 2 + np.log(stopping.LONGEST) / np.log(stopping.SEGMENT)  # a line for every segment


def test_a_loss_is_reached_though_the_search_was_thought_to_end_before(monkeypatch):
    """As where a later round moves the path: here the search is told to end with its first segment."""
    tokens, labels = random_texts(120, size=30)
    features = tl.CNN().features(tokens)
    expected = tl.learn(features, labels, until_loss=0.4)
    needed = stopping.Search.needed
    monkeypatch.setattr(stopping.Search, "needed", lambda search, stops, path: (
        needed(search, stops, path) if search.moments else len(stops)))
    found = tl.learn(features, labels, until_loss=0.4)
    assert len(found.steps) == len(expected.steps) > 8
    assert found.curves["train_loss"][-1] == pytest.approx(0.4, rel=1e-6)


@pytest.mark.parametrize("tolerance", [1e-3, 1e-5])
@pytest.mark.parametrize("share", [1 - 1e-6, 0.9, 0.7, 0.4])
@pytest.mark.parametrize(("loss", "classes"), PROBLEMS)
def test_a_loss_is_reached_as_exactly_as_asked_for(loss, classes, share, tolerance):
    """The flow to that time ends at that loss; also where that is before the first stop."""
    tokens, labels = random_texts(120, classes=classes)
    features = tl.MLP().features(tokens)
    wanted = share * tl.learn(features, labels, loss, time=1.0).curves["train_loss"][0]
    found = tl.learn(features, labels, loss, until_loss=wanted, tolerance=tolerance)
    assert found.curves["train_loss"][-1] == pytest.approx(wanted, rel=1e-9)
    exact = tl.learn(features, labels, loss, time=found.steps[-1], tolerance=1e-9)
    assert exact.curves["train_loss"][-1] == pytest.approx(wanted, rel=tolerance)
    assert distance(np.concatenate(found.scores()), np.concatenate(exact.scores())) < tolerance


def searched(loss, until_share):
    """A flow in a few segments, and a search that wrongly believes that it has come down to a part of its loss."""
    tokens, labels = random_texts(60, size=400)
    product_ = KernelProduct(tl.MLP().features(tokens))
    targets = encode(labels, loss, texts=60)
    flow = galerkin.GalerkinFlow(product_, targets, 1e-4)
    moments = []
    for stops, _ in zip(stopping.segments(flow, np.inf, None), range(3), strict=False):
        flow.advance(stops)
        moments += stops.tolist()
    path = [flow.padded(z) for z in flow.passed]
    losses = [targets.mean_loss(f) for f in flow.outputs(path)]
    until = until_share * losses[-1]
    search = stopping.Search(None, flow, until, best=False, training=[*losses[:-1], until])
    return flow, np.array(moments), path, search


@pytest.mark.parametrize("loss", ["logistic", "squared"])
def test_the_end_is_found_though_the_flow_is_slower_than_was_foreseen(loss):
    flow, moments, path, search = searched(loss, 0.98)
    times, points = stopping.cut(flow, moments, path, search)
    assert times[-1] > moments[-1]
    (f,) = flow.outputs(points[-1:])
    assert flow.targets.mean_loss(f) == pytest.approx(search.until_loss, rel=1e-9)


def test_a_loss_that_the_flow_never_comes_down_to_is_refused():
    with pytest.raises(OptionError, match="give a larger until_loss"):
        stopping.cut(*searched("squared", 1e-9))


def test_losses_at_points_that_were_looked_at_last_are_not_worked_out_again():
    asked = []

    def outputs(path):
        asked.append(len(path))
        return [np.full((2, 1), z[0]) for z in path]

    recorder = SimpleNamespace(targets=encode([0, 1], "squared", texts=2), validation=None)
    search = stopping.Search(recorder, SimpleNamespace(outputs=outputs), 0.1, best=False)
    points = [np.array([float(z)]) for z in range(3)]
    for chosen, new in (([0, 1], 2), ([1, 2], 1), ([2], 0), ([0], 1)):
        assert search.losses([points[place] for place in chosen])[0] == [(place**2 + 1) / 2 for place in chosen]
        assert asked.pop() == new


@pytest.mark.parametrize("kept", [True, False], ids=["outputs kept", "outputs let go"])
@pytest.mark.parametrize("tolerance", [1e-2, 1e-4], ids=["32 bits", "64 bits"])
@pytest.mark.parametrize(("loss", "classes"), PROBLEMS)
def test_duals_show_what_a_basis_of_features_holds(loss, classes, tolerance, kept):
    """Zᵀ a = W z, to the share of the tolerance that duals may differ by; and what F z was, Z (W z) is."""
    tokens, labels = random_texts(300, classes=classes, size=400)
    features = tl.MLP().features(tokens)
    with storage("mlp-by-texts"):
        product_ = KernelProduct(features)
        flow = galerkin.GalerkinFlow(product_, encode(labels, loss, texts=300), tolerance)
        assert flow.basis.outputs.dtype == (np.float32 if tolerance == 1e-2 else np.float64)
        moments = []
        for stops in stopping.segments(flow, 1e4, None):
            flow.advance(stops)
            moments += stops.tolist()
    assert np.any(np.bincount(features.families[0].stored.indices) == 1)  # features of one text alone
    wanted, products = [0, 3, len(moments) - 1], product_.products
    before = list(flow.outputs(flow.passed))
    if not kept:
        flow.basis.let_go()
        assert not flow.basis.outputs.size
        assert distance(np.stack(list(flow.outputs(flow.passed))), np.stack(before)) < 1e-6
        assert product_.products == products
    found = [duals.copy() for duals, _ in flow.records(np.array(moments), flow.passed, set(wanted))]
    path = [flow.padded(flow.passed[place]) for place in wanted]
    settle(flow.basis, path, found, tolerance)
    for z, duals in zip(path, found, strict=True):
        assert distance(product_.gathered(duals).ravel(), flow.basis.features @ z) < tolerance / 2


@pytest.mark.parametrize("tolerance", [1e-2, 1e-4], ids=["32 bits", "64 bits"])
@pytest.mark.parametrize("until", [0.6, 0.2])
def test_a_loss_is_reached_by_a_basis_of_features_as_by_duals(until, tolerance):
    tokens, labels = random_texts(300)
    features = tl.MLP().features(tokens)
    usual = tl.learn(features, labels, until_loss=until, tolerance=1e-4)
    with storage("mlp-by-texts"):
        found = tl.learn(features, labels, until_loss=until, tolerance=tolerance)
    assert found.curves["train_loss"][-1] == pytest.approx(until, rel=1e-6)
    assert found.steps[-1] == pytest.approx(usual.steps[-1], rel=10 * tolerance)
    assert distance(np.concatenate(found.scores()), np.concatenate(usual.scores())) < 10 * tolerance


def test_a_basis_of_features_comes_to_rest_where_duals_do():
    tokens, labels = random_texts(300, size=400)
    features = tl.MLP().features(tokens)
    usual = tl.learn(features, labels, "squared", time=np.inf, tolerance=1e-4)
    with storage("mlp-by-texts"):
        found = tl.learn(features, labels, "squared", time=np.inf, tolerance=1e-4)
    assert found.steps[-1] == np.inf
    assert distance(np.concatenate(found.scores()), np.concatenate(usual.scores())) < 1e-3


def test_the_response_to_pushes_is_an_integral():
    random = np.random.default_rng(0)
    factor = random.normal(size=(30, 5)) * np.array([3, 1, 0.3, 0.01, 0])
    times, pushes = np.array([0.2, 1.0, 3.0]), random.normal(size=(5, 3))
    found = reduced.Start(np.zeros((30, 1)), np.zeros(5), factor.T @ factor).response(pushes, times)
    nodes, weights = np.polynomial.legendre.leggauss(60)
    ends = np.cumsum(times)
    for place, end in enumerate(ends):
        expected = 0.0
        for span in range(place + 1):
            s = ends[span] - times[span] + times[span] * (nodes + 1) / 2
            decayed = np.stack([expm(-(end - moment) * factor.T @ factor) @ pushes[:, span] for moment in s])
            expected = expected + weights @ decayed / 2
        np.testing.assert_allclose(found[:, place], expected, rtol=1e-9)


def test_many_texts_stay_in_32_bits_for_longer():
    """What those round evens out: late label scores are as exact as in 64 bits."""
    tokens, labels = random_texts(640, size=700)
    features, latest = tl.MLP().features(tokens), (galerkin.LATE * 1e-2) ** 2
    with storage("mlp-by-texts"):
        flow = galerkin.GalerkinFlow(KernelProduct(features), encode(labels, "squared", texts=640), 1e-2)
        assert flow.narrow(4.9 * latest / flow.fastest)
        assert not flow.narrow(5.1 * latest / flow.fastest)
        end = 3.5 * latest / flow.fastest
        for stops in stopping.segments(flow, end, None):
            flow.advance(stops)
        assert flow.basis.outputs.dtype == np.float32
        learned = tl.learn(features, labels, "squared", time=end, record=[], tolerance=1e-2)
    kernel = features.kernel()
    apart = learned.duals[-1] - reference.flow(kernel, reference.targets(labels, "squared"), "squared", [end])[0]
    whole = learned.duals[-1]
    assert np.sum(apart * (kernel @ apart)) < 1e-4 * np.sum(whole * (kernel @ whole))
    few = galerkin.GalerkinFlow(KernelProduct(features), encode(labels, "squared", texts=640), 1e-2)
    assert not few.narrow(1.1 * latest / few.fastest)  # stored by columns


@pytest.mark.parametrize("net", [tl.MLP(), tl.CNN()], ids=["mlp", "cnn"])
def test_a_round_changes_the_path_by_what_was_foreseen(net):
    """To first order, in a segment that changes much."""
    texts = tl.movie_reviews().sample(1000, seed=1)
    product_ = KernelProduct(net.features(tl.tokenize(texts)))
    flow = galerkin.GalerkinFlow(product_, encode(texts.labels, None, texts=1000), 1e-2)
    for stops in stopping.segments(flow, 1e5, None):
        flow.advance(stops)
    moments = 1e5 * 3.0 ** (np.arange(5) / 4)

    def path():
        return list(flow.reduced().path(flow.padded(flow.z), moments[0], moments[1:], 1e-6))

    fresh = path()
    push = flow._enrich(fresh, moments)
    foreseen = push.change(flow.reduced().begin(flow.padded(flow.z)), moments[1:])
    assert foreseen.shape == (len(flow.basis), len(fresh))
    true = path()[-1] - flow.padded(fresh[-1])
    assert np.linalg.norm(foreseen[:, -1] - true) < 0.3 * np.linalg.norm(true)
    assert np.linalg.norm(true) > 1e-3 * np.linalg.norm(fresh[-1])
    assert np.linalg.norm(true) == pytest.approx(push.size(foreseen) / push.share, rel=0.3)


@pytest.mark.parametrize(("loss", "classes"), PROBLEMS)
def test_a_path_begins_in_more_vectors_as_it_would_afresh(loss, classes):
    _, labels = random_texts(SIZE, classes=classes)
    targets = encode(labels, loss, texts=SIZE)
    outputs = np.random.default_rng(1).standard_normal((SIZE * targets.y.shape[1], 9))
    before = ReducedFlow(outputs[:, :6], targets).begin(np.linspace(-1, 1, 6))
    z = np.concatenate([np.linspace(-1, 1, 6), np.zeros(3)])
    found, expected = (ReducedFlow(outputs, targets).begin(z, start) for start in (before, None))
    for name in ("f", "rate", "gram"):
        np.testing.assert_allclose(getattr(found, name), getattr(expected, name), rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize(("loss", "classes"), PROBLEMS)
def test_jacobians_of_a_path_serve_on_the_next_one(loss, classes):
    """A path in more vectors is the same, to the tolerance, and takes fewer Gram matrices."""
    _, labels = random_texts(SIZE, classes=classes)
    targets = encode(labels, loss, texts=SIZE)
    outputs = np.random.default_rng(1).standard_normal((SIZE * targets.y.shape[1], 12))
    outputs[:, 9:] *= 1e-3  # a basis grows by less and less
    stops, met = np.geomspace(0.1, 300.0, 12), reduced.Met()
    grams = []

    class Counted(ReducedFlow):
        def gram(self, f):
            grams.append(len(f))
            return super().gram(f)

    def path(columns, met=None):
        flow, before = Counted(outputs[:, :columns], targets), len(grams)
        found = np.array(list(flow.path(np.zeros(columns), 0.0, stops, 1e-6, flow.begin(np.zeros(columns)), met)))
        return found, len(grams) - before

    path(9, met)
    (found, few), (expected, many) = path(12, met), path(12)
    assert distance(found, expected) < 1e-6
    assert few < many or targets.loss.linear


@pytest.mark.parametrize(("loss", "classes"), [problem for problem in PROBLEMS if problem[0] != "squared"])
@pytest.mark.parametrize("first", [1e-4, 1.0])
def test_a_path_begins_with_the_step_that_was_best_on_the_one_before(loss, classes, first):
    """Whether that was longer than its own or shorter; fewer are tried then, and the path is the same."""
    _, labels = random_texts(SIZE, classes=classes)
    targets = encode(labels, loss, texts=SIZE)
    outputs = np.random.default_rng(1).standard_normal((SIZE * targets.y.shape[1], 9))
    tried = []

    class Counted(ReducedFlow):
        def _step(self, *given):
            tried.append(given)
            return super()._step(*given)

    def path(first):
        before, met = len(tried), reduced.Met(first)
        found = np.array(list(Counted(outputs, targets).path(np.zeros(9), 0.0, np.array([30.0]), 1e-4, met=met)))
        return found, len(tried) - before, met.first

    before, many, share = path(first)
    after, few, _ = path(share)
    assert few < many
    assert share <= 1.0
    assert distance(after, before) < 1e-4


def test_a_segment_begins_with_the_step_that_was_best_in_the_one_before(monkeypatch):
    tokens, labels = random_texts(SIZE)
    flow = galerkin.GalerkinFlow(KernelProduct(tl.MLP().features(tokens)), encode(labels, None, texts=SIZE), 0.03)
    lengths, step = [], ReducedFlow._step

    def noted(self, z, h, *given):
        lengths.append(h)
        return step(self, z, h, *given)

    monkeypatch.setattr(ReducedFlow, "_step", noted)
    flow.advance(np.array([1.0, 3.0]) / flow.fastest)
    share, _ = flow.first, lengths.clear()
    flow.advance(np.array([5.0, 9.0]) / flow.fastest)
    assert share != reduced.FIRST
    assert lengths[0] == pytest.approx(min(share, 1.0) * 6.0 / flow.fastest)


@pytest.mark.parametrize("tolerance", [np.float64(0.1), np.float32(6e-3)])
def test_confident_texts_go_on_to_learn_at_coarse_tolerances(tolerance):
    """Slopes in 32 bits stay above zero however sure outputs are, of both classes alike."""
    tokens = tl.Tokens.from_ids([[0, 1], [0, 2], [0, 1, 2], [3, 1], [3, 2], [3, 1, 2]])
    features, labels = tl.MLP().features(tokens), [1, 1, 1, 0, 0, 0]
    exact, found = (tl.learn(features, labels, time=1e10, record=[], tolerance=one) for one in (1e-6, tolerance))
    assert distance(found.decision(features), exact.decision(features)) < tolerance


def test_a_basis_grows_alike_whatever_memory_is_there(monkeypatch):
    tokens, labels = random_texts(60, size=40)
    features = tl.MLP().features(tokens)
    usual = tl.learn(features, labels, time=1e4, tolerance=1e-6)
    monkeypatch.setattr(tall, "SPARE", 0.0)
    monkeypatch.setattr(tall, "ROOM", (1, 600))
    np.testing.assert_array_equal(tl.learn(features, labels, time=1e4, tolerance=1e-6).duals, usual.duals)
