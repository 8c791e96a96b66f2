"""Embeddings that learn at a rate of their own for every token: the sparse map is the kernel of finite networks."""

import finite
import finite_linear
import numpy as np
import pytest
from cases import EXACT, tokens_of

import tangentlens as tl
from tangentlens import CNN, MLP, ElmanRNN, LinearRNN, MatrixVector, SelfAttention, TokenRates
from tangentlens.errors import OptionError
from tangentlens.predictions.scores import score_paths

TEXTS = [[0, 1, 2], [2, 1, 0], [0, 2, 1], [1, 0, 2, 0], [0, 0, 0], [3, 1, 3, 1], [3, 4, 1, 2, 0], [2, 0, 1]]
CASES = {
    "mlp": (finite.FiniteMLP, MLP()),
    "mlp-depth2": (finite.FiniteMLP, MLP(depth=2, activation="tanh", pooling="sum", bias_std=0.4)),
    "cnn3": (finite.FiniteCNN, CNN(padding="valid", bias_std=0.3, weight_std=1.2)),
    "attention": (finite.FiniteTiedAttention, SelfAttention(scores="tied", pooling="sum", value_std=0.8)),
    "matrix-vector": (finite_linear.FiniteMatrixVector, MatrixVector(residual=True)),
    "linear-rnn": (finite_linear.FiniteLinearRNN, LinearRNN(gate_std=0.8)),
    "elman-rnn-sum": (finite_linear.FiniteElmanRNN, ElmanRNN(pooling="sum", weight_std=0.8)),
    "elman-rnn-last": (finite_linear.FiniteElmanRNN, ElmanRNN(pooling="last", weight_std=0.9)),
}
every_case = pytest.mark.parametrize(("kind", "architecture"), CASES.values(), ids=CASES)


@every_case
def test_the_map_is_the_mean_kernel_of_networks_whose_embeddings_learn_at_these_rates(kind, architecture):
    """Within four standard errors of the mean over seeds, entry by entry, and 1/m for the width of 96."""
    tokens = tokens_of(TEXTS)
    rated = TokenRates(architecture, power=0.7, rate=2.5)
    roots = np.sqrt(rated.rates(tokens))
    kernels = []
    for seed in range(60):
        network = kind(architecture, len(roots), 96, seed=seed)
        gradients = np.stack([network.gradient(ids) for ids in TEXTS])
        gradients[:, :roots.size * 96] *= np.repeat(roots, 96)
        kernels.append(gradients @ gradients.T)
    exact = rated.features(tokens).kernel()
    error = np.std(kernels, axis=0, ddof=1) / np.sqrt(len(kernels))
    assert np.all(np.abs(np.mean(kernels, axis=0) - exact) < 4 * error + 0.02 * np.abs(exact).max())
    plain = architecture.features(tokens).kernel()
    assert np.abs(plain - exact).max() > 0.2 * np.abs(exact).max()  # the test would see rates left out


@every_case
def test_equal_rates_change_nothing_but_the_embeddings_part(kind, architecture):
    tokens = tokens_of(TEXTS)
    same = TokenRates(architecture, power=0.0).features(tokens).kernel()
    np.testing.assert_allclose(same, architecture.features(tokens).kernel(), rtol=EXACT)


@every_case
def test_new_texts_are_read_at_the_rates_of_the_training_texts(kind, architecture, tmp_path):
    tokens = tokens_of(TEXTS)
    rated = TokenRates(architecture, rate=3.0)
    features = rated.features(tokens[:6])
    new = rated.features(tokens[6:], columns=features)
    trajectory = tl.learn(features, [0, 1, 0, 1, 1, 0], time=3.0)
    trajectory.save(tmp_path / "t.npz")
    kept = tl.load(tmp_path / "t.npz")
    for one in (trajectory, kept):  # f = Σ features × scores = Θ a
        found = one.decision(new)
        np.testing.assert_allclose(found, new.kernel(features) @ trajectory.duals[-1], rtol=1e-9)


@every_case
def test_learning_goes_through_the_same_kernel(kind, architecture):
    """The flow of the squared loss to a short time is −Θ's first order, so a wrong product would show."""
    tokens = tokens_of(TEXTS)
    features = TokenRates(architecture, rate=3.0).features(tokens)
    y = np.array([0, 1, 0, 1, 1, 0, 0, 1])
    trajectory = tl.learn(features, y, "squared", time=1e-6)
    first = features.kernel() @ (2.0 * y - 1) / len(y) * 1e-6
    np.testing.assert_allclose(trajectory.decision(features)[:, 0], first, rtol=1e-4, atol=1e-12)


def test_label_scores_are_per_occurrence():
    """One more occurrence of a token moves the output of a sum by its label score, at every record."""
    tokens = tokens_of(TEXTS)
    rated = TokenRates(MLP(activation="identity", pooling="sum"), rate=3.0)
    trajectory = tl.learn(rated.features(tokens), [0, 1, 0, 1, 1, 0, 0, 1], steps=20)
    alone = tl.Tokens.from_ids([[token] for token in range(5)], vocabulary=tokens.vocabulary)
    found = trajectory.decision(rated.features(alone, columns=trajectory.features))[:, 0]
    np.testing.assert_allclose(trajectory.label_scores()["score"].to_numpy(), found, rtol=1e-12)
    path = score_paths(trajectory.features.families[0], trajectory.dynamics, np.array([3, 1]))
    np.testing.assert_allclose(path[-1, :, 0], found[[3, 1]], rtol=1e-12)


@pytest.mark.parametrize(("make", "words"), [
    (lambda: TokenRates(MLP(), power=-1), "power"), (lambda: TokenRates(MLP(), rate=0), "rate"),
    (lambda: TokenRates(CNN()), "same"), (lambda: TokenRates(MLP(train_embedding=False)), "frozen"),
    (lambda: TokenRates(TokenRates(MLP())), "architecture"), (lambda: TokenRates("MLP"), "architecture"),
])
def test_what_cannot_be_is_refused(make, words):
    with pytest.raises(OptionError, match=words):
        make()
