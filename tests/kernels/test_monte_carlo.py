"""Empirical tangent kernels of finite NumPy networks approach the exact kernel like 1/√width."""

import finite
import finite_linear
import numpy as np
import pytest
from cases import tokens_of

from tangentlens import CNN, MLP, ElmanRNN, LinearRNN, MatrixVector, SelfAttention

TEXTS = [[0, 1, 2], [2, 1, 0], [0, 2, 1], [1, 0, 2, 0], [0, 0, 0], [0, 0], [3, 1, 3, 1], [1, 3, 1, 3], [3, 4, 1, 2, 0],
         [2]]
NETWORKS = {
    "mlp": (finite.FiniteMLP, MLP()),
    "mlp-depth2": (finite.FiniteMLP, MLP(depth=2, activation="tanh", pooling="sum", weight_std=1.3, bias_std=0.4)),
    "cnn3-valid": (finite.FiniteCNN, CNN(padding="valid", pooling="sum")),
    "cnn3-same": (finite.FiniteCNN, CNN(bias_std=0.3, weight_std=1.2, embedding_std=0.9)),
    "cnn2-same": (finite.FiniteCNN, CNN(kernel_size=2, activation="tanh", pooling="sum", readout_std=1.5)),
    "attention-tied": (finite.FiniteTiedAttention, SelfAttention(scores="tied", key_std=1.2)),
    "attention-tied-sum": (finite.FiniteTiedAttention, SelfAttention(scores="tied", pooling="sum", value_std=0.8)),
    "matrix-vector": (finite_linear.FiniteMatrixVector, MatrixVector()),
    "matrix-vector3-residual-sum": (finite_linear.FiniteMatrixVector, MatrixVector(
        order=3, residual=True, pooling="sum", weight_std=0.8, vector_std=1.2, embedding_std=0.9)),
    "matrix-vector-frozen": (finite_linear.FiniteMatrixVector, MatrixVector(train_embedding=False)),
    "matrix-vector-full-residual": (finite_linear.FiniteMatrixVector, MatrixVector(
        matrices="full", residual=True, pooling="sum", weight_std=0.8, readout_std=1.2)),
    "linear-rnn": (finite_linear.FiniteLinearRNN, LinearRNN(gate_std=0.8)),
    "linear-rnn-sum": (finite_linear.FiniteLinearRNN, LinearRNN(pooling="sum", gate_std=0.9, input_std=1.1)),
    "linear-rnn-last-frozen": (finite_linear.FiniteLinearRNN, LinearRNN(
        pooling="last", gate_std=0.8, train_embedding=False)),
    "elman-rnn-frozen": (finite_linear.FiniteElmanRNN, ElmanRNN(weight_std=0.7, train_embedding=False)),
    "elman-rnn-sum": (finite_linear.FiniteElmanRNN, ElmanRNN(pooling="sum", weight_std=0.8, input_std=0.7)),
    "elman-rnn-last": (finite_linear.FiniteElmanRNN, ElmanRNN(pooling="last", weight_std=0.9, embedding_std=1.1)),
}
WIDTHS, SMALL_WIDTHS = (32, 64, 128, 256), (20, 40, 80)  # small where there are m³ weights
SEEDS = 80
FULL = (finite_linear.FiniteMatrixVector, MatrixVector(order=3, matrices="full"))
every_network = pytest.mark.parametrize(("kind", "architecture"), NETWORKS.values(), ids=NETWORKS)


@pytest.mark.parametrize(("kind", "architecture"), [*NETWORKS.values(), FULL], ids=[*NETWORKS, "matrix-vector3-full"])
def test_the_gradients_written_by_hand_are_gradients(kind, architecture):
    network = kind(architecture, 5, 4, seed=3)
    for ids in ([0, 1, 2, 0], [3, 3, 4], [1]):
        numeric = []
        for parameter in network.parameters[0 if getattr(architecture, "train_embedding", True) else 1:]:
            for place in np.ndindex(parameter.shape):
                kept, sides = parameter[place], []
                for move in (1e-6, -1e-6):
                    parameter[place] = kept + move
                    sides.append(network.output(ids))
                parameter[place] = kept
                numeric.append((sides[0] - sides[1]) / 2e-6)
        np.testing.assert_allclose(network.gradient(ids), numeric, rtol=1e-5, atol=1e-8)


@pytest.mark.slow
@every_network
def test_the_empirical_kernel_approaches_the_exact_one_like_one_over_the_root_of_the_width(kind, architecture):
    """Errors of single networks fall like m^(−1/2), and those of different seeds cancel.

    The slope may be off by three of its standard errors (from the scatter of the seeds: 0.03 to 0.07) and by 0.05 for
    the next order in 1/m; the mean kernel of the widest networks by three of its standard errors.
    """
    exact = architecture.kernel(tokens_of(TEXTS))
    errors, scatter = [], []
    widths = SMALL_WIDTHS if getattr(architecture, "matrices", "") == "full" else WIDTHS
    for width in widths:
        kernels = []
        for seed in range(SEEDS):
            network = kind(architecture, 5, width, seed=1000 * width + seed)
            gradients = np.stack([network.gradient(ids) for ids in TEXTS])
            kernels.append(gradients @ gradients.T)
        squares = np.sum((np.array(kernels) - exact) ** 2, axis=(1, 2)) / np.sum(exact**2)
        errors.append(np.sqrt(np.mean(squares)))
        scatter.append(np.std(squares, ddof=1) / np.mean(squares) / 2 / np.sqrt(SEEDS))  # of log(error)
    x = np.log(widths) - np.mean(np.log(widths))
    slope, deviation = x @ np.log(errors) / (x @ x), np.sqrt(x**2 @ np.square(scatter)) / (x @ x)
    assert abs(slope + 0.5) < 3 * deviation + 0.05, (slope, deviation, errors)
    assert deviation < 0.08
    assert errors[-1] < 0.25
    assert np.linalg.norm(np.mean(kernels, axis=0) - exact) < 3 * errors[-1] / np.sqrt(SEEDS) * np.linalg.norm(exact)
