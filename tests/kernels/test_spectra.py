"""Coefficients: non-negative, shares that add up, and the figures of the theory."""

import dataclasses
import math

import numpy as np
import pytest
from cases import ALL, SIZE, SPARSE, every_sparse, tokens_of

from tangentlens import CNN, MLP, ElmanRNN, LinearRNN, MatrixVector, SelfAttention


def coefficients(architecture):
    return architecture.spectrum()["coefficient"].to_list()


def key(family):
    """A family's row of the spectrum."""
    return family.name, family.order


@every_sparse
def test_coefficients_are_positive_semi_definite(architecture):
    for family in architecture.features(tokens_of(ALL)).families:
        matrix = family.coefficients
        np.testing.assert_allclose(matrix, matrix.T, rtol=1e-12, atol=1e-15)
        values = np.linalg.eigvalsh(matrix)
        assert values[0] >= -1e-13 * values[-1]
        assert values[-1] > 0, "families with γ = 0 are left out"


@every_sparse
def test_spectrum_is_that_of_the_features_and_sums_to_one(architecture):
    table = architecture.spectrum()
    assert table.columns == ["family", "order", "coefficient", "share"]
    assert (table["coefficient"] >= 0).all()
    assert table["share"].sum() == pytest.approx(1.0, abs=1e-12)
    stated = {(family, order): value for family, order, value, _ in table.rows() if value > 0}
    used = {key(family): family.coefficient for family in architecture.features(tokens_of(ALL)).families}
    assert used == pytest.approx(stated, rel=1e-12)


def one_full_window(architecture):
    """Whether a text can have just one window, a full one, with every pattern in it once."""
    if getattr(architecture, "padding", "") == "same" and architecture.kernel_size > 1:
        return False
    if isinstance(architecture, LinearRNN | ElmanRNN) and architecture.pooling != "last":
        return False
    return not getattr(architecture, "residual", False)


SINGLE = {name: net for name, net in SPARSE.items() if one_full_window(net)}


@pytest.mark.parametrize("architecture", SINGLE.values(), ids=SINGLE)
def test_share_is_the_families_part_of_a_fully_matched_window(architecture):
    """A text of one window and distinct tokens: its kernel with itself is κ(full)."""
    length = getattr(architecture, "kernel_size", getattr(architecture, "order", 1))
    for option, value in (("max_order", SIZE), ("max_lag", SIZE - 1)):
        if hasattr(architecture, option):
            architecture, length = dataclasses.replace(architecture, **{option: value}), SIZE
    features = architecture.features(tokens_of([list(range(length))]))
    parts = {}
    for family in features.families:
        own = family.coefficient * float(np.sum(family.counts.toarray() ** 2))
        parts[key(family)] = parts.get(key(family), 0.0) + own
    shares = {(family, order): share for family, order, value, share in architecture.spectrum().rows() if value > 0}
    assert {name: part / sum(parts.values()) for name, part in parts.items()} == pytest.approx(shares, rel=1e-12)


def test_figures_of_the_theory():
    assert coefficients(MLP()) == pytest.approx([1.340845, 0.159155], abs=5e-7)
    assert coefficients(MLP(activation="gelu")) == pytest.approx([1.257346, 0.079577], abs=5e-7)
    assert coefficients(MLP(activation="silu")) == pytest.approx([1.072048, 0.042692], abs=5e-7)
    assert coefficients(CNN(padding="valid")) == pytest.approx([0.15915, 0.29498, 0.10178, 0.15054], abs=5e-6)
    assert coefficients(SelfAttention(scores="tied")) == [4.0]
    stds = SelfAttention(embedding_std=2.0, value_std=3.0, output_std=0.5, readout_std=1.5, train_embedding=False)
    assert coefficients(stds) == pytest.approx([3 * (2 * 3 * 0.5 * 1.5) ** 2])


def test_relu_coefficients_in_closed_form():
    assert coefficients(MLP()) == pytest.approx([1.5 - 0.5 / math.pi, 0.5 / math.pi], rel=1e-14)
    # full match: E[φ²] + 2 E[φ'²] = 1/2 + 1; frozen: 1/2 + 1/2
    for net, full in [(CNN(padding="valid"), 1.5), (CNN(padding="valid", train_embedding=False), 1.0)]:
        orders = net.spectrum()
        total = sum(math.comb(3, order) * value for _, order, value, _ in orders.rows())
        assert total == pytest.approx(full, rel=1e-13)


@pytest.mark.parametrize("activation", ["identity", "tanh", "erf", "sin"])
def test_odd_activations_have_no_bias_without_bias_std(activation):
    for net in (MLP(activation=activation), MLP(activation=activation, depth=3), CNN(activation=activation),
                CNN(activation=activation, padding="valid")):
        spectrum = net.spectrum()
        assert spectrum.filter(order=0)["coefficient"].to_list() == [0.0]
        assert "bias" not in [family.name for family in net.features(tokens_of(ALL)).families]
    assert MLP(activation=activation, bias_std=0.5).spectrum().filter(order=0)["coefficient"].item() > 1e-3


@pytest.mark.parametrize("bias", [0.0, 0.6])
def test_identity_has_no_ngram(bias):
    for padding in ("same", "valid"):
        net = CNN(kernel_size=4, activation="identity", padding=padding, bias_std=bias)
        assert coefficients(net)[2:] == [0.0, 0.0, 0.0]
        assert {family.order for family in net.features(tokens_of(ALL)).families} == ({0, 1} if bias else {1})
    # every place: (1 covariance + 2 tangent) / k
    assert coefficients(net)[1] == pytest.approx(3 / 4, rel=1e-12)


@pytest.mark.parametrize("activation", ["relu", "gelu", "silu", "cos"])
def test_orders_follow_the_hermite_series(activation):
    """γ_j > 0 exactly where the activation has Hermite coefficients of order j and above of the right parity."""
    values = coefficients(CNN(kernel_size=4, padding="valid", activation=activation))
    assert min(values) > 0
    assert values[1] * 4 < sum(math.comb(4, j) * value for j, value in enumerate(values))


def test_wider_windows_spread_the_first_order():
    """CNN 1 is an MLP of depth 1, under both paddings."""
    for padding in ("same", "valid"):
        for options in ({}, {"activation": "tanh", "bias_std": 0.4, "weight_std": 1.3}, {"train_embedding": False}):
            one, mlp = CNN(kernel_size=1, padding=padding, **options), MLP(**options)
            assert coefficients(one)[::-1] == pytest.approx(coefficients(mlp), rel=1e-12)
            np.testing.assert_allclose(one.kernel(tokens_of(ALL)), mlp.kernel(tokens_of(ALL)), rtol=1e-12, atol=1e-15)


def test_figures_of_the_linear_networks():
    assert coefficients(MatrixVector(order=3)) == [7.0]
    assert coefficients(MatrixVector(order=3, residual=True, train_embedding=False)) == [2.0, 3.0, 4.0]
    assert coefficients(LinearRNN(gate_std=0.5, max_order=3)) == [3.0, 5 / 4, 7 / 16]
    assert coefficients(ElmanRNN(weight_std=0.5, max_lag=2)) == [3.0, 1.0, 5 / 16]
    assert coefficients(LinearRNN(gate_std=0.5, embedding_std=2.0, input_std=3.0, max_order=2)) == [108.0, 180.0]


@pytest.mark.parametrize("pooling", ["mean", "sum", "last"])
def test_what_truncation_leaves_out_is_within_its_bound(pooling):
    tokens, other = tokens_of(ALL), tokens_of([[0, 1, 2, 3], [2, 2, 3, 3], [0, 0, 0, 0, 0], []])
    for net, option in ((LinearRNN(pooling=pooling), "max_order"), (ElmanRNN(pooling=pooling), "max_lag")):
        cut = dataclasses.replace(net, **{option: 2})
        for right in (None, other):
            features = cut.features(tokens)
            mapped = features if right is None else cut.features(right, columns=features)
            left_out = cut.kernel(tokens, right) - features.kernel(mapped)
            bound = cut.truncation(tokens, right)
            assert left_out.min() >= -1e-12
            assert (left_out <= bound + 1e-12).all()
            assert left_out.max() > 0.01
        same = tokens_of([[0] * 6])  # every n-gram and every lag matches: the bound is reached
        assert (cut.kernel(same) - cut.features(same).kernel()).item() == pytest.approx(cut.truncation(same).item())
