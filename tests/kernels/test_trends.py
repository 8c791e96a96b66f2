"""Trends: one row per value of an option, shares that add up, the architecture itself among them."""

import dataclasses
import math
from functools import cache

import numpy as np
import polars as pl
import pytest
from cases import DENSE, SPARSE, every_sparse

import tangentlens as tl
from tangentlens import CNN, MLP, ElmanRNN, LinearRNN, MatrixVector, SelfAttention
from tangentlens.errors import NoSparseFormError, OptionError
from tangentlens.kernels import shares
from tangentlens.kernels.varying import GRIDS, steady

PARTS = ["bias", "token", "pair", "longer"]
SUMS = 1e-9  # nine Möbius terms of a window of nine


@cache
def trends_of(architecture):
    return tl.trends(architecture)


def shares_of(architecture):
    """The four shares, straight from the spectrum."""
    table = architecture.spectrum()
    masks = [table["order"] == 0, table["order"] == 1, table["order"] == 2, table["order"] >= 3]
    return [math.fsum(table.filter(mask)["share"]) for mask in masks]


def at(table, option, value):
    """The shares of one row."""
    return list(table.filter(pl.col("option") == option, pl.col("value") == value).select(PARTS).row(0))


@every_sparse
def test_own_rows_are_the_architecture_itself(architecture):
    own = trends_of(architecture).filter("own")
    assert own["option"].is_unique().all()
    for row in own.select(PARTS).rows():
        assert row == shares([architecture]).select(PARTS).row(0)
        assert list(row) == pytest.approx(shares_of(architecture), abs=1e-12)


@every_sparse
def test_every_row_sums_to_one_and_every_option_has_its_grid(architecture):
    table = trends_of(architecture)
    assert table.columns == ["option", "value", "own", *PARTS]
    assert (table.select(pl.sum_horizontal(PARTS) - 1).to_series().abs() < SUMS).all()
    assert all((table[part] >= 0).all() for part in PARTS)
    for (option,), rows in table.group_by("option"):
        assert set(GRIDS[option]) <= set(rows["value"])
        assert rows["value"].is_sorted()
        assert rows["value"].is_unique().all()
        assert rows["own"].sum() == 1


@every_sparse
def test_every_option_of_the_architecture_moves_the_shares_or_is_steady(architecture):
    table = trends_of(architecture)
    fields = {field.name for field in dataclasses.fields(architecture)}
    moving = table["option"].unique(maintain_order=True).to_list()
    assert sorted([*moving, *steady(architecture, table)]) == sorted(fields & set(GRIDS))
    for (_,), rows in table.group_by("option"):
        assert max(rows[part].max() - rows[part].min() for part in PARTS) > 1e-9


@pytest.mark.parametrize("architecture", [SPARSE[name] for name in (
    "mlp", "mlp-depth2-erf-bias", "cnn2-same-sum", "cnn3-stds-same-sum", "matrix-vector3-residual", "attention-tied",
    "linear-rnn", "elman-rnn")], ids=repr)
def test_a_row_is_the_architecture_with_that_value(architecture):
    table = tl.trends(architecture)
    for option in GRIDS:
        for value in GRIDS[option] if hasattr(architecture, option) else ():
            expected = shares_of(dataclasses.replace(architecture, **{option: value}))
            found = shares_of(architecture) if option in steady(architecture, table) else at(table, option, value)
            assert found == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("architecture", DENSE.values(), ids=DENSE)
def test_without_sparse_form_there_is_no_trend(architecture):
    with pytest.raises(NoSparseFormError, match="no sparse feature map"):
        tl.trends(architecture)


def test_what_never_moves():
    for architecture in (SelfAttention(), SelfAttention(scores="tied"), ElmanRNN()):
        assert tl.trends(architecture).height == 0
    for activation in ("relu", "leaky_relu", "identity"):  # homogeneous: without a bias, scale cancels
        mlp = MLP(activation=activation)
        assert {"weight_std", "embedding_std"} <= set(steady(mlp, tl.trends(mlp)))


@pytest.mark.parametrize("activation", ["identity", "erf", "sin", "tanh"])
def test_odd_activations_have_no_bias_at_any_depth(activation):
    table = tl.trends(MLP(activation=activation, depth=2))
    assert table.filter(pl.col("option") != "bias_std").is_empty()
    assert at(table, "bias_std", 0.0) == [0, 1, 0, 0]


@pytest.mark.parametrize("activation", ["relu", "identity", "erf"])
def test_bias_grows_with_bias_std(activation):
    for architecture in (MLP(activation=activation), CNN(activation=activation)):
        assert (tl.trends(architecture).filter(option="bias_std")["bias"].diff().drop_nulls() > 0).all()


def test_identity_has_no_ngram_at_any_value():
    table = tl.trends(CNN(activation="identity", bias_std=0.5))
    assert table.height > 0
    assert (table["pair"] + table["longer"]).max() < 1e-9


def test_windows_hold_no_longer_pattern_than_themselves():
    table = tl.trends(CNN())
    assert at(table, "kernel_size", 1) == pytest.approx(shares_of(MLP()), abs=1e-12)
    assert at(table, "kernel_size", 2)[3] == 0
    assert at(tl.trends(MatrixVector()), "order", 5) == [0, 0, 0, 1]


def test_wider_gates_read_longer_patterns():
    table = tl.trends(LinearRNN()).filter(option="gate_std")
    assert (table["longer"].diff().drop_nulls() > 0).all()
    assert (table["token"].diff().drop_nulls() < 0).all()


def test_numbers_per_layer_are_scaled_together():
    weights, biases = (1.5, 0.7, 1.2), (0.0, 0.4, 0.1)
    table = tl.trends(MLP(depth=3, weight_std=weights, bias_std=biases))
    mean = sum(weights) / 3
    assert table.filter("own", option="weight_std")["value"].item() == pytest.approx(mean)
    scaled = MLP(depth=3, weight_std=tuple(2 * x / mean for x in weights), bias_std=biases)
    assert at(table, "weight_std", 2.0) == pytest.approx(shares_of(scaled), abs=1e-12)
    assert at(table, "depth", 1) == pytest.approx(shares_of(MLP(weight_std=1.5)), abs=1e-12)
    deep = MLP(depth=5, weight_std=(*weights, 1.2, 1.2), bias_std=(*biases, 0.1, 0.1))
    assert at(table, "depth", 5) == pytest.approx(shares_of(deep), abs=1e-12)


def test_zeros_per_layer_become_one_number():
    table = tl.trends(MLP(depth=2, bias_std=(0.0, 0.0)))
    assert at(table, "bias_std", 0.5) == pytest.approx(shares_of(MLP(depth=2, bias_std=0.5)), abs=1e-12)


def test_a_value_outside_the_grid_stands_among_the_others():
    table = tl.trends(CNN(kernel_size=12, weight_std=np.float64(1.1), activation="gelu"))
    assert table.filter("own").select("option", "value").rows() == [
        ("kernel_size", 12.0), ("weight_std", 1.1), ("bias_std", 0.0), ("embedding_std", 1.0)]
    with pytest.raises(OptionError, match="go up to 16"):
        tl.trends(CNN(kernel_size=17))


@pytest.mark.filterwarnings("error")
def test_values_that_overflow_are_left_out():
    table = tl.trends(LinearRNN(embedding_std=1e-90, gate_std=1e90))
    assert table.filter(option="embedding_std")["value"].to_list() == [1e-90]
    assert table.select(pl.col(PARTS).is_finite().all()).row(0) == (True,) * 4
    with pytest.raises(ArithmeticError, match=r"LinearRNN.* is not finite"):
        tl.trends(LinearRNN(gate_std=1e60))


def test_shares_keep_architectures_apart():
    """Two rows for two architectures whose short names agree."""
    twins = [MLP(depth=2, weight_std=(1.0, 1.0)), MLP(depth=2, weight_std=(1.0, 1.0000001))]
    assert shares(twins).select(pl.sum_horizontal(PARTS)).to_series().to_list() == pytest.approx([1, 1])
