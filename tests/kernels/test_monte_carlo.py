"""Empirical tangent kernels of finite NumPy networks approach the exact kernel like 1/√width."""

import finite
import numpy as np
import pytest
from cases import tokens_of

from tangentlens import CNN, MLP, SelfAttention

TEXTS = [[0, 1, 2], [2, 1, 0], [1, 0, 2, 0], [0, 0, 0], [0, 0], [3, 1, 3, 1], [1, 3, 1, 3], [3, 4, 1, 2, 0], [2]]
NETWORKS = {
    "mlp": (finite.FiniteMLP, MLP()),
    "mlp-depth2": (finite.FiniteMLP, MLP(depth=2, activation="tanh", pooling="sum", weight_std=1.3, bias_std=0.4)),
    "cnn3-valid": (finite.FiniteCNN, CNN(padding="valid", pooling="sum")),
    "cnn3-same": (finite.FiniteCNN, CNN(bias_std=0.3, weight_std=1.2, embedding_std=0.9)),
    "cnn2-same": (finite.FiniteCNN, CNN(kernel_size=2, activation="tanh", pooling="sum", readout_std=1.5)),
    "attention-tied": (finite.FiniteTiedAttention, SelfAttention(scores="tied", key_std=1.2)),
    "attention-tied-sum": (finite.FiniteTiedAttention, SelfAttention(scores="tied", pooling="sum", value_std=0.8)),
}
WIDTHS = np.array([32, 96, 288])
SEEDS = 40
every_network = pytest.mark.parametrize(("kind", "architecture"), NETWORKS.values(), ids=NETWORKS)


@every_network
def test_the_gradients_written_by_hand_are_gradients(kind, architecture):
    network = kind(architecture, 5, 4, seed=3)
    for ids in ([0, 1, 2, 0], [3, 3, 4]):
        numeric = []
        for parameter in network.parameters:
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
    exact = architecture.kernel(tokens_of(TEXTS))
    errors = []
    for width in WIDTHS:
        squares = []
        for seed in range(SEEDS):
            network = kind(architecture, 5, int(width), seed=1000 * int(width) + seed)
            gradients = np.stack([network.gradient(ids) for ids in TEXTS])
            squares.append(np.sum((gradients @ gradients.T - exact) ** 2) / np.sum(exact**2))
        errors.append(np.sqrt(np.mean(squares)))
    slope = np.polyfit(np.log(WIDTHS), np.log(errors), 1)[0]
    assert abs(slope + 0.5) < 0.15, errors
    assert errors[-1] < 0.25
