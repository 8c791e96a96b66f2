"""Features of new texts fit the training columns, or the mismatch is named."""

import numpy as np
import pytest
from cases import SPARSE, tokens_of

import tangentlens as tl
from tangentlens.errors import OptionError, ShapeError

TRAIN = tl.tokenize(["good film", "bad film", "good day", "bad day"])
LABELS = [1, 0, 1, 0]


@pytest.mark.parametrize("architecture", SPARSE.values(), ids=SPARSE)
def test_another_vocabulary_is_refused(architecture):
    features = architecture.features(TRAIN)
    with pytest.raises(ShapeError, match="different vocabularies"):
        architecture.features(tl.tokenize(["good thing", "good"]), columns=features)
    with pytest.raises(ShapeError, match="different vocabularies"):
        architecture.kernel(TRAIN, tl.tokenize(["good thing", "good"]))


def test_forgotten_columns_are_refused_even_where_the_sizes_agree():
    architecture = tl.MLP()
    trajectory = tl.learn(architecture.features(tl.tokenize(["good film", "bad film"])), [1, 0], time=9.0)
    with pytest.raises(ShapeError, match="columns=features"):
        trajectory.decision(architecture.features(tl.tokenize(["w x", "y z"])))


def test_attention_stays_finite_where_the_exponential_overflows():
    tokens = tokens_of([[0, 1, 0], [1, 2]])
    network = tl.SelfAttention(scores="tied", key_std=27.0)
    np.testing.assert_allclose(network.features(tokens).kernel(), network.kernel(tokens), rtol=1e-12)


def test_descent_where_no_text_has_a_feature():
    features = tl.MatrixVector().features(tokens_of([[0]] * 30))
    assert features.windowless == 30
    trajectory = tl.learn(features, [0, 1] * 15, steps=3)
    assert not trajectory.decision(features).any()


def test_recording_few_times_keeps_the_best_moment():
    architecture = tl.CNN()
    texts = tl.small_reviews(200)
    rows, held = tl.split(texts, 0.3)
    tokens = tl.tokenize(texts[rows])
    features = architecture.features(tokens)
    others = architecture.features(tl.tokenize(texts[held], vocabulary=tokens.vocabulary), columns=features)
    validation = (others, texts[held].labels)
    learned = [tl.learn(features, texts[rows].labels, time="best", validation=validation, record=record)
               for record in (None, [1.0])]
    assert learned[1].steps[learned[1].best] == learned[0].steps[learned[0].best] > 1.0


def test_until_loss():
    features = tl.CNN().features(TRAIN)
    trajectory = tl.learn(features, LABELS, until_loss=0.3)
    assert trajectory.curves["train_loss"][-1] == pytest.approx(0.3, rel=1e-6)
    again = tl.learn(features, LABELS, time=trajectory.steps[-1])
    assert again.curves["train_loss"][-1] == pytest.approx(0.3, rel=1e-4)
    with pytest.raises(OptionError, match=r"starts at 0\.6931"):
        tl.learn(features, LABELS, until_loss=0.8)


def test_momentum_is_the_heavy_ball():
    features = tl.MLP().features(TRAIN)
    kernel, y, n = features.kernel(), np.array(LABELS)[:, None], len(LABELS)
    duals, speed = np.zeros((n, 1)), np.zeros((n, 1))
    for _ in range(7):
        speed = 0.9 * speed - 0.5 / n * (1 / (1 + np.exp(-kernel @ duals)) - y)
        duals = duals + speed
    learned = tl.learn(features, LABELS, steps=7, learning_rate=0.5, momentum=0.9)
    np.testing.assert_allclose(learned.duals[-1], duals, rtol=1e-10)


def test_squared_loss_at_infinity_is_the_pseudo_inverse():
    """Equal texts with different labels make the kernel singular."""
    tokens = tl.tokenize(["good film", "bad film", "good film", "dull"])
    features = tl.CNN().features(tokens)
    learned = tl.learn(features, [1, 0, 0, 1], "squared", time=np.inf, tolerance=1e-9)
    kernel = features.kernel()
    expected = kernel @ np.linalg.pinv(kernel, rcond=1e-10, hermitian=True) @ np.array([1.0, -1.0, -1.0, 1.0])
    np.testing.assert_allclose(learned.decision(features)[:, 0], expected, atol=1e-8)
    with pytest.raises(OptionError, match="logistic loss needs a finite time"):
        tl.learn(features, [1, 0, 0, 1], time=np.inf)
