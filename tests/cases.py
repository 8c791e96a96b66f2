"""The one table of architectures and the sets of texts that every law loops over, and the tolerances."""

from __future__ import annotations

from itertools import chain

import numpy as np
import pytest
from hypothesis import strategies as st

import tangentlens as tl
from tangentlens import CNN, MLP, ElmanRNN, LinearRNN, MatrixVector, SelfAttention
from tangentlens.kernels import Architecture
from tangentlens.learning import by_text, galerkin

EXACT = 1e-12  # two evaluations of one closed form, relative to the largest entry
SUMMED = 1e-10  # after many additions, or through numerical quadrature

# ---- architectures -------------------------------------------------------------------------------------------------
# A new architecture is one line here (and its slow kernel in reference.py). Laws about the sparse map loop over SPARSE,
# laws about the kernel over ARCHITECTURES. Truncating options (max_order, max_lag) must reach the LONGEST text below.

SPARSE: dict[str, Architecture] = {
    "mlp": MLP(),
    "mlp-sum": MLP(pooling="sum"),
    "mlp-leaky-sum": MLP(activation="leaky_relu", pooling="sum"),
    "mlp-gelu": MLP(activation="gelu"),
    "mlp-silu-sum": MLP(activation="silu", pooling="sum"),
    "mlp-tanh": MLP(activation="tanh"),
    "mlp-tanh-bias": MLP(activation="tanh", bias_std=0.5),
    "mlp-erf-sum": MLP(activation="erf", pooling="sum"),
    "mlp-identity": MLP(activation="identity"),
    "mlp-depth2-sum": MLP(depth=2, pooling="sum"),
    "mlp-depth2-erf-bias": MLP(depth=2, activation="erf", weight_std=1.5, bias_std=0.2),
    "mlp-depth3-gelu": MLP(depth=3, activation="gelu", bias_std=0.1),
    "mlp-depth3-stds": MLP(depth=3, weight_std=(1.5, 0.7, 1.2), bias_std=(0.0, 0.4, 0.1), pooling="sum"),
    "mlp-stds": MLP(weight_std=1.4, bias_std=0.3, embedding_std=0.6, readout_std=1.7),
    "mlp-frozen": MLP(train_embedding=False),
    "mlp-depth2-frozen-sum": MLP(depth=2, bias_std=0.3, train_embedding=False, pooling="sum"),
    "cnn1-valid-sum": CNN(kernel_size=1, padding="valid", pooling="sum"),
    "cnn1-same": CNN(kernel_size=1, activation="silu"),
    "cnn2-valid": CNN(kernel_size=2, padding="valid", activation="gelu"),
    "cnn2-same-sum": CNN(kernel_size=2, pooling="sum"),
    "cnn3-valid": CNN(padding="valid"),
    "cnn3-valid-sum": CNN(padding="valid", pooling="sum"),
    "cnn3-same": CNN(),
    "cnn3-same-sum": CNN(pooling="sum"),
    "cnn3-erf-valid-sum": CNN(padding="valid", activation="erf", pooling="sum"),
    "cnn3-tanh-bias": CNN(activation="tanh", bias_std=0.5),
    "cnn3-leaky": CNN(activation="leaky_relu"),
    "cnn3-silu-valid": CNN(padding="valid", activation="silu"),
    "cnn3-identity": CNN(activation="identity"),
    "cnn3-identity-bias-valid": CNN(padding="valid", activation="identity", bias_std=0.7),
    "cnn3-stds-same-sum": CNN(weight_std=1.3, bias_std=0.4, embedding_std=0.8, readout_std=1.6, pooling="sum"),
    "cnn3-frozen": CNN(train_embedding=False),
    "cnn3-frozen-bias-valid": CNN(padding="valid", train_embedding=False, bias_std=0.3),
    "cnn4-same": CNN(kernel_size=4, activation="gelu"),
    "cnn4-valid-sum": CNN(kernel_size=4, padding="valid", pooling="sum"),
    "cnn5-same-sum": CNN(kernel_size=5, pooling="sum"),
    "cnn5-valid": CNN(kernel_size=5, padding="valid", bias_std=0.2),
    "attention": SelfAttention(),
    "attention-sum-stds": SelfAttention(pooling="sum", value_std=1.3, output_std=0.7, embedding_std=1.2, readout_std=2),
    "attention-tied": SelfAttention(scores="tied"),
    "attention-tied-sum-stds": SelfAttention(scores="tied", pooling="sum", key_std=1.4, embedding_std=0.9, value_std=2),
    "attention-tied-frozen": SelfAttention(scores="tied", train_embedding=False),
    "attention-positions": SelfAttention(scores="tied", positions=True),
    "attention-positions-stds-sum": SelfAttention(scores="tied", positions=True, position_std=1.5, position_scale=2.0,
                                                  key_std=0.8, embedding_std=1.3, pooling="sum"),
    "attention-uniform-positions": SelfAttention(positions=True),
    "matrix-vector": MatrixVector(),
    "matrix-vector3-sum-stds": MatrixVector(order=3, pooling="sum", weight_std=1.3, vector_std=0.7, embedding_std=1.1),
    "matrix-vector2-full-frozen": MatrixVector(matrices="full", train_embedding=False, readout_std=1.5),
    "matrix-vector3-residual": MatrixVector(order=3, residual=True, weight_std=0.8),
    "linear-rnn": LinearRNN(max_order=9),
    "linear-rnn-sum-stds": LinearRNN(max_order=9, pooling="sum", gate_std=0.7, input_std=1.2, embedding_std=0.9),
    "linear-rnn-last-frozen": LinearRNN(max_order=9, pooling="last", train_embedding=False, readout_std=1.4),
    "elman-rnn": ElmanRNN(max_lag=8),
    "elman-rnn-sum-stds": ElmanRNN(max_lag=8, pooling="sum", weight_std=0.8, input_std=1.3, embedding_std=0.9),
    "elman-rnn-last-frozen": ElmanRNN(max_lag=8, pooling="last", train_embedding=False),
}
DENSE: dict[str, Architecture] = {
    "attention-relu": SelfAttention(activation="relu"),
    "attention-tied-relu-sum": SelfAttention(scores="tied", activation="relu", pooling="sum"),
    "attention-positions-erf-frozen": SelfAttention(scores="tied", positions=True, activation="erf",
                                                    train_embedding=False, readout_std=1.3),
}
ARCHITECTURES = SPARSE | DENSE

every_architecture = pytest.mark.parametrize("architecture", ARCHITECTURES.values(), ids=ARCHITECTURES)
every_sparse = pytest.mark.parametrize("architecture", SPARSE.values(), ids=SPARSE)

# ---- texts ---------------------------------------------------------------------------------------------------------

SIZE = 8  # tokens in the vocabulary
LONGEST = 9  # tokens in the longest text
VOCABULARY = tl.Vocabulary(tuple(str(index) for index in range(SIZE)))
IDS: dict[str, list[list[int]]] = {
    "repeated": [[0, 0], [0, 0, 0, 0], [1, 1, 0, 1], [0, 1, 0, 1, 0, 1], [2, 2, 2, 3, 3, 2, 2, 2, 3], [2, 2, 3]],
    "permuted": [[0, 1, 2, 3], [3, 2, 1, 0], [1, 0, 3, 2], [0, 2, 1, 3, 4], [4, 2, 1, 3, 0], [0, 1, 2, 3]],
    "empty": [[], [0, 1, 2], [], [2]],
    "one token": [[0], [1], [0], [7]],
    "shorter than windows": [[0, 1], [1, 0], [5], [0, 1, 2], [2, 1, 0], [0, 1, 2, 4]],
    "unknown": [[-1], [-1, -1], [0, -1, 1], [0, 1], [-1, 0, 1, 2, 3], [0, -1, -1, 1], [-1, 3, -1], [1, 1, -1, 1, -1]],
}
ALL = list(chain.from_iterable(IDS.values()))
NEW = [[5, 6], [0, 1, 6, 2, 3], [6, 6, 6, 6], [], [3, 2, 1, -1, 0, 1], [7, 0, 0], [6]]  # 6 is in no text of ALL


def tokens_of(ids: list[list[int]]) -> tl.Tokens:
    """Those texts over the common vocabulary."""
    return tl.Tokens.from_ids(ids, vocabulary=VOCABULARY)


TEXT_SETS = {name: tokens_of(ids) for name, ids in [*IDS.items(), ("all", ALL)]}


@st.composite
def token_sets(draw: st.DrawFn, most: int = 6) -> tl.Tokens:
    """1 to `most` texts of 0 to 7 tokens, few of them different, some unknown."""
    distinct = draw(st.integers(1, SIZE)) - 1
    text = st.lists(st.integers(-1, distinct), max_size=7)
    return tokens_of(draw(st.lists(text, min_size=1, max_size=most)))


def labels_of(tokens: tl.Tokens, classes: int) -> list[str]:
    """Labels that depend on order and length; every class occurs, and equal texts may disagree."""
    names = ["bad", "fair", "good"][:classes] if classes > 2 else ["bad", "good"]
    return [names[(place + int(np.sum(tokens[place].ids))) % classes] for place in range(len(tokens))]


def window_count(architecture: Architecture, length: int) -> int:
    """How many positions or windows a text of that length has."""
    if getattr(architecture, "padding", "") == "valid":
        return max(0, length - architecture.kernel_size + 1)
    if hasattr(architecture, "order") and not getattr(architecture, "residual", False):
        return max(0, length - architecture.order + 1)
    return length


def distance(actual: object, expected: object, *, least: float = 0.0) -> float:
    """Largest difference, relative to the largest expected entry (or to `least`, where all are smaller)."""
    actual, expected = np.asarray(actual, float), np.asarray(expected, float)
    assert actual.shape == expected.shape
    if not expected.size:
        return 0.0
    largest = max(float(np.abs(expected).max()), least)
    return float(np.abs(actual - expected).max()) / (largest if largest else 1.0)


def random_texts(n: int, *, size: int = 30, lengths: tuple[int, int] = (3, 12), classes: int = 2, seed: int = 0,
                 noise: float = 1.0) -> tuple[tl.Tokens, list[int]]:
    """n texts of Zipf-like tokens, and labels that lean on their tokens."""
    rng = np.random.default_rng(seed)
    weight = 1 / np.arange(2, size + 2)
    ids = [rng.choice(size, rng.integers(*lengths), p=weight / weight.sum()).tolist() for _ in range(n)]
    lean = rng.normal(size=(size, classes))
    labels = [int(np.argmax(lean[row].sum(axis=0) + noise * rng.normal(size=classes))) for row in ids]
    labels[:classes] = range(classes)
    return tl.Tokens.from_ids(ids, vocabulary_size=size), labels


def store_by_texts(patch: pytest.MonkeyPatch) -> None:
    """Maps that can be are stored by texts, so that the basis is one of features, though texts are few."""
    patch.setattr(by_text, "MANY", 1)
    patch.setattr(by_text, "DENSE", 0)


def grow_slowly(patch: pytest.MonkeyPatch) -> None:
    """The basis grows as that of many texts does, though all vectors of few are known (`test_kernel_range`)."""
    patch.setattr(galerkin, "COMPLETE", 0)
    patch.setattr(galerkin, "SHORT", (0, 0))
