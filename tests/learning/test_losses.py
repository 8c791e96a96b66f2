"""The small things that flows are made of: slopes of losses, products of tall matrices; in 64 bits and in 32."""

import numpy as np
import pytest

from tangentlens.learning import tall as tall_matrices
from tangentlens.learning.losses import LOSSES

OUTPUTS = np.concatenate([np.linspace(-30, 30, 241), [-1e4, -90, -88, 88, 90, 1e4]])[:, None]


def targets_of(loss):
    """For outputs of one column, or three of which the others are zero."""
    second = np.arange(len(OUTPUTS)) % 2
    if loss.name == "softmax":
        return np.hstack([OUTPUTS, 0 * OUTPUTS, 0 * OUTPUTS]), np.eye(3)[second]
    return OUTPUTS, 2.0 * second[:, None] - 1


@pytest.mark.parametrize("loss", LOSSES.values(), ids=lambda loss: loss.name)
def test_slopes_are_differences_of_the_loss(loss):
    f, y = targets_of(loss)
    step = np.zeros_like(f)
    step[:, 0] = 1e-5
    expected = (loss.value(f + step, y) - loss.value(f - step, y)) / 2e-5
    near = np.abs(OUTPUTS[:, 0]) < 50
    assert np.abs(loss.slope(f, y)[near, 0] - expected[near]).max() < 1e-7


@pytest.mark.parametrize("loss", LOSSES.values(), ids=lambda loss: loss.name)
def test_slopes_of_outputs_in_32_bits_differ_by_their_rounding(loss):
    f, y = targets_of(loss)
    with np.errstate(over="raise", invalid="raise", divide="raise"):
        found, expected = loss.slope(f.astype(np.float32), y.astype(np.float32)), loss.slope(f, y)
    assert found.dtype == np.float32 or loss.balanced
    assert np.all(np.abs(found - expected) <= 2e-6 + 1e-7 * np.abs(expected))
    near = np.abs(OUTPUTS[:, 0]) < 50
    assert np.all(np.abs(found - expected)[near] <= 1e-5 * np.abs(expected)[near] + 1e-15)
    assert not loss.balanced or np.abs(found.sum(axis=1)).max() < 1e-14


@pytest.mark.parametrize(("dtype", "digits"), [(np.float64, 1e-14), (np.float32, 1e-6)])
def test_slopes_of_texts_long_since_learned_keep_their_digits(dtype, digits):
    """1 − p would not: 1 − 1e-20 is 1."""
    f = np.array([[20.0], [46.0], [80.0]], dtype)
    found = [LOSSES["logistic"].slope(sign * f, np.full((3, 1), sign, dtype)) for sign in (-1, 1)]
    for sign, slope in zip((1, -1), found, strict=True):
        p = np.exp(-np.float64(f)) / (1 + np.exp(-np.float64(f)))
        np.testing.assert_allclose(slope, sign * p, rtol=digits)


@pytest.mark.parametrize("columns", [0, 1, 2, 3, 4])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("rows", [50, 60_000])
def test_products_of_tall_matrices(columns, dtype, rows):
    """A few columns go one after another, large matrices in blocks and runs."""
    random = np.random.default_rng(columns)
    left = np.asfortranarray(random.normal(size=(rows, 20)).astype(dtype))
    tall, small = random.normal(size=(rows, columns)), random.normal(size=(20, columns))
    rounding = 1e-12 if dtype == np.float64 else 1e-4
    wide = left.astype(np.float64)
    assert np.allclose(tall_matrices.across(left, tall), wide.T @ tall, rtol=0, atol=rounding * rows)
    assert np.allclose(tall_matrices.times(left, small), wide @ small, rtol=0, atol=rounding)
    assert np.allclose(tall_matrices.less(tall.copy(), left, small), tall - wide @ small, rtol=0, atol=rounding)
