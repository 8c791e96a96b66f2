"""Descent in the feature map is descent with the explicit kernel; near the start scores are co-occurrence."""

import numpy as np
import pytest
import reference
from cases import ALL, NEW, SUMMED, distance, every_sparse, labels_of, random_texts, tokens_of

import tangentlens as tl
from tangentlens.learning import dynamics
from tangentlens.learning.losses import LOSSES, encode

PROBLEMS = [("logistic", 2), ("squared", 2), ("softmax", 2), ("softmax", 3), ("squared", 3)]
every_problem = pytest.mark.parametrize(("loss", "classes"), PROBLEMS, ids=str)
STEEPEST = {"logistic": 0.25, "softmax": 0.5, "squared": 1.0}


@every_sparse
@every_problem
def test_descent_in_the_map_is_descent_with_the_kernel(architecture, loss, classes):
    tokens, other = tokens_of(ALL), tokens_of(NEW)
    labels = labels_of(tokens, classes)
    kernel = architecture.kernel(tokens)
    features = architecture.features(tokens)
    trajectory = tl.learn(features, labels, loss, steps=40, record=range(0, 41, 5))
    dynamics = trajectory.dynamics
    critical = 2 * len(tokens) / (STEEPEST[loss] * np.linalg.eigvalsh(kernel)[-1])
    assert dynamics.critical_learning_rate == pytest.approx(critical, rel=1e-3)
    assert dynamics.learning_rate == pytest.approx(dynamics.critical_learning_rate / 2)
    duals = reference.descend(kernel, reference.targets(labels, loss), loss, dynamics.learning_rate, 40)
    np.testing.assert_array_equal(trajectory.steps, np.arange(0, 41, 5))
    np.testing.assert_allclose(dynamics.times, trajectory.steps * dynamics.learning_rate)
    assert distance(trajectory.duals, np.stack(duals[::5])) < SUMMED
    new = architecture.features(other, columns=features)
    for step in (0, 3, -1):
        decisions = architecture.kernel(other, tokens) @ duals[::5][step]
        assert distance(trajectory.decision(new, step), decisions, least=1e-6) < SUMMED


@every_problem
def test_curves_are_loss_and_accuracy(loss, classes):
    tokens, labels = random_texts(40, classes=classes)
    other, other_labels = random_texts(15, classes=classes, seed=5)
    net = tl.CNN()
    features = net.features(tokens)
    held_out = net.features(other, columns=features)
    trajectory = tl.learn(features, labels, loss, steps=30, record=[0, 7, 30], validation=(held_out, other_labels))
    y = reference.targets(labels, loss)
    other_y = reference.targets([*other_labels, *range(classes)], loss)[:15]
    for place, row in enumerate(trajectory.curves.iter_rows(named=True)):
        sides = [("train", net.kernel(tokens), y, labels),
                 ("validation", net.kernel(other, tokens), other_y, other_labels)]
        for side, kernel, targets, wanted in sides:
            f = kernel @ trajectory.duals[place]
            if loss == "squared":
                losses = np.sum((f - targets) ** 2, axis=1) / 2
            elif loss == "logistic":
                losses = -np.log(np.where(targets == 1, 1 / (1 + np.exp(-f)), 1 / (1 + np.exp(f))))[:, 0]
            else:
                losses = -np.log(np.sum(targets * np.exp(f), axis=1) / np.sum(np.exp(f), axis=1))
            decided = f.argmax(axis=1) if f.shape[1] > 1 else (f[:, 0] > 0).astype(int)
            assert row[f"{side}_loss"] == pytest.approx(losses.mean(), rel=1e-10)
            assert row[f"{side}_accuracy"] == pytest.approx(np.mean(decided == np.array(wanted)))
    assert trajectory.best == int(np.argmin(trajectory.curves["validation_loss"].to_numpy()))


@pytest.mark.parametrize("loss", LOSSES)
def test_slopes_and_curvatures_are_derivatives(loss):
    rng = np.random.default_rng(0)
    c = 1 if loss == "logistic" else 3
    f = rng.normal(size=(6, c)) * 2
    y = rng.integers(2, size=(6, 1)).astype(float) if c == 1 else np.eye(3)[rng.integers(3, size=6)]
    entry, h = LOSSES[loss], 1e-5
    slopes = np.stack([(entry.value(f + h * e, y) - entry.value(f - h * e, y)) / (2 * h) for e in np.eye(c)], axis=1)
    np.testing.assert_allclose(entry.slope(f, y), slopes, atol=1e-8)
    assert entry.steepest == STEEPEST[loss]
    bent = entry.bend(f, np.repeat(np.eye(c)[None], 6, axis=0))  # Mᵀ, where the curvature is H = M Mᵀ
    for row in range(6):
        sides = [entry.slope(f + sign * h * e, y)[row] for e in np.eye(c) for sign in (1, -1)]
        curvature = (np.stack(sides[::2]) - np.stack(sides[1::2])) / (2 * h)
        np.testing.assert_allclose(bent[row].T @ bent[row], curvature, atol=1e-8)
        np.testing.assert_allclose(entry.curve(f, np.repeat(np.eye(c)[None], 6, axis=0))[row], curvature, atol=1e-8)
        assert np.linalg.eigvalsh(curvature)[-1] <= entry.steepest + 1e-8


def test_the_steepest_curvatures_are_reached():
    assert LOSSES["logistic"].bend(np.zeros((1, 1)), np.ones((1, 1, 1))).item() ** 2 == 0.25
    bent = LOSSES["softmax"].bend(np.array([[0.0, 0.0, -50.0]]), np.eye(3)[None])[0]
    assert np.linalg.svd(bent)[1][0] ** 2 == pytest.approx(0.5)


@pytest.mark.parametrize("loss", ["logistic", "squared", "softmax"])
def test_below_the_critical_rate_the_loss_never_rises(loss):
    tokens, labels = random_texts(50, noise=3.0)
    features = tl.CNN().features(tokens)
    critical = tl.learn(features, labels, loss, steps=1).dynamics.critical_learning_rate
    curves = tl.learn(features, labels, loss, learning_rate=0.99 * critical, steps=60, record=range(61)).curves
    assert (np.diff(curves["train_loss"].to_numpy()) <= 1e-12).all()


def test_above_the_critical_rate_descent_warns_and_squared_loss_diverges():
    tokens, labels = random_texts(50)
    features = tl.CNN().features(tokens)
    critical = tl.learn(features, labels, "squared", steps=1).dynamics.critical_learning_rate
    with pytest.warns(UserWarning, match=f"learning rate {1.05 * critical:g} is above the critical one, {critical:g}"):
        losses = tl.learn(features, labels, "squared", learning_rate=1.05 * critical, steps=400).curves["train_loss"]
    assert losses[-1] > 10 * losses[0]


@pytest.mark.filterwarnings("ignore:overflow", "ignore:invalid value", "ignore:learning rate")
@pytest.mark.parametrize("loss", ["logistic", "softmax", "squared"])
@pytest.mark.parametrize("rate", [1e6, 1e300])
def test_an_absurd_rate_does_not_crash(loss, rate):
    tokens, labels = random_texts(30)
    features = tl.CNN().features(tokens)
    trajectory = tl.learn(features, labels, loss, learning_rate=rate, steps=50)
    assert trajectory.steps[-1] == 50
    assert trajectory.label_scores().height == features.columns * trajectory.duals.shape[2]


def test_default_records_grow_and_end_at_the_last_step():
    tokens, labels = random_texts(20)
    steps = tl.learn(tl.MLP().features(tokens), labels).steps
    assert steps[0] == 0
    assert steps[1] == 1
    assert steps[-1] == 1000
    assert 25 < len(steps) <= 41
    assert (np.diff(steps) >= 1).all()


def test_targets_of_each_kind():
    for loss, labels, y in [
        (None, ["b", "a", "b"], [[1], [-1], [1]]), ("squared", [3, 1, 3], [[1], [-1], [1]]),
        ("softmax", ["b", "a", "b"], [[0, 1], [1, 0], [0, 1]]),
        (None, ["b", "a", "c"], [[0, 1, 0], [1, 0, 0], [0, 0, 1]]),
        ("squared", [5, 9, 7], [[1, 0, 0], [0, 0, 1], [0, 1, 0]]),
    ]:
        targets = encode(labels, loss, texts=3)
        assert targets.classes == tuple(sorted(set(labels)))
        np.testing.assert_array_equal(targets.y, y)
    assert encode([0, 1], None, texts=2).loss.name == "logistic"
    assert encode([0, 1, 2], None, texts=3).loss.name == "softmax"


@every_sparse
@pytest.mark.parametrize(("loss", "classes"), [("logistic", 2), ("squared", 3), ("softmax", 3)], ids=str)
def test_early_scores_are_token_label_co_occurrence(architecture, loss, classes):
    """s = γ (t/n) Φᵀ(target slope at 0) + O(t²): the deviation halves when t halves."""
    tokens = tokens_of(ALL)
    labels = labels_of(tokens, classes)
    features = architecture.features(tokens)
    names = sorted(set(labels))
    member = np.array([[float(label == name) for name in names] for label in labels])
    if classes == 2 and loss != "softmax":
        pull = (member[:, 1:] - member[:, :1]) * (0.5 if loss == "logistic" else 1.0)
    else:
        pull = member if loss == "squared" else member - 1 / classes
    linear = []
    for family in features.families:
        counts = family.counts.toarray().reshape(len(tokens), len(family.groups), len(family))
        scores = np.einsum("gh,nhd,nc->gdc", family.coefficients, counts, pull) / len(tokens)
        linear.append(scores.reshape(-1, pull.shape[1]))
    linear = np.concatenate(linear)
    natural = len(tokens) / np.linalg.eigvalsh(architecture.kernel(tokens))[-1]
    deviations = []
    for t in (0.02 * natural, 0.01 * natural):
        scores = np.concatenate(tl.learn(features, labels, loss, time=t, tolerance=1e-5).scores())
        deviations.append(distance(scores / t, linear))
    assert deviations[0] < 0.03
    assert deviations[1] / deviations[0] == pytest.approx(0.5, abs=0.03)


def test_the_least_loss_is_the_first_of_those_that_are_equal_to_rounding():
    assert dynamics.least([0.7, 0.7 * (1 - 1e-15), 0.8]) == 0
    assert dynamics.least([np.nan, 0.7, 0.7 * (1 - 1e-9), 0.8]) == 2
    assert dynamics.least([0.1, 0.0, 0.0]) == 1
