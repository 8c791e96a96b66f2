"""At its start every twin has the closed form's kernel, up to fluctuations that fall like 1/√width."""

import numpy as np
import polars as pl
import pytest
from cases import ARCHITECTURES, SIZE, every_architecture, tokens_of

from tangentlens.networks import build
from tangentlens.verification import empirical_ntk, kernel_slope, kernel_study
from tangentlens.verification.width_study import slope_of

TEXTS = tokens_of([[0, 1, 2], [2, 1, 0], [0, 2, 1, 0], [0, 0, 0], [3, 1, 3, 1, 3], [3, 4, 1, 2, 0], [2], [1, 2]])
ONE_OF_EACH = ["mlp", "cnn2-same-sum", "attention-tied", "matrix-vector", "linear-rnn", "elman-rnn-sum-stds"]


def kernels_of(architecture, *, width, seeds, outputs=1, texts=TEXTS):
    """Empirical kernels (seeds, n, c, n, c)."""
    return np.array([empirical_ntk(build(architecture, vocabulary_size=SIZE, width=width, outputs=outputs, seed=seed),
                                   texts) for seed in range(seeds)])


@every_architecture
def test_the_mean_over_seeds_is_the_closed_form(architecture):
    """Off by 1/√S of a single network's error; by 2.5 times that, since few directions dominate. S = 12."""
    exact = architecture.kernel(TEXTS)
    found = kernels_of(architecture, width=32 if getattr(architecture, "matrices", "") == "full" else 200, seeds=12)
    single = np.sqrt(np.mean(np.sum((found[:, :, 0, :, 0] - exact) ** 2, axis=(1, 2))))
    assert single < 0.5 * np.linalg.norm(exact)
    assert np.linalg.norm(found[:, :, 0, :, 0].mean(axis=0) - exact) < 2.5 * single / np.sqrt(12)


@pytest.mark.parametrize("name", ["mlp", "cnn2-valid", "attention-tied", "linear-rnn", "elman-rnn"])
def test_unknown_tokens_match_nothing_but_themselves(name):
    """Between different texts the kernel is the closed form's; a text's with itself is larger, since a network has
    some fixed vector at every unknown token, which matches itself (the closed form says that it does not).
    """
    texts = tokens_of([[0, -1, 1], [0, 1, -1], [-1, -1, 1, 0], [-1, 2, 2], [2, 2, -1, -1], [0, 1, 2]])
    exact = ARCHITECTURES[name].kernel(texts)
    found = kernels_of(ARCHITECTURES[name], width=256, seeds=16, texts=texts)[:, :, 0, :, 0]
    apart = ~np.eye(6, dtype=bool)
    single = np.sqrt(np.mean(np.sum((found - exact)[:, apart] ** 2, axis=1)))
    assert np.linalg.norm((found.mean(axis=0) - exact)[apart]) < 2.5 * single / 4
    assert single < 0.6 * np.linalg.norm(exact[apart])
    assert (np.diag(found.mean(axis=0) - exact)[:5] > 0.03 * np.diag(exact)[:5]).all()


@pytest.mark.parametrize("name", ["mlp", "cnn3-same", "attention-tied-relu-sum", "linear-rnn"])
def test_different_outputs_have_no_kernel_between_them(name):
    """Θ ⊗ I in the limit: every output has the same kernel, and what is between two falls like 1/√width."""
    exact = ARCHITECTURES[name].kernel(TEXTS)
    between = []
    for width in (32, 512):
        found = kernels_of(ARCHITECTURES[name], width=width, seeds=8, outputs=2)
        between.append(np.sqrt(np.mean(found[:, :, 0, :, 1] ** 2)))
        np.testing.assert_allclose(found[:, :, 0, :, 1], np.swapaxes(found[:, :, 1, :, 0], 1, 2), rtol=1e-4, atol=1e-5)
    for output in range(2):
        assert np.linalg.norm(found.mean(axis=0)[:, output, :, output] - exact) < 0.15 * np.linalg.norm(exact)
    assert between[1] < 0.25 * 1.6 * between[0]  # a quarter, but for the scatter of 8 seeds


@pytest.mark.slow
@pytest.mark.parametrize("name", ONE_OF_EACH)
def test_the_error_of_single_networks_falls_like_one_over_the_root_of_the_width(name):
    """40 seeds: the slope's standard error is 0.03 to 0.06; three of these, and 0.05 for the next order in 1/width."""
    slope, low, high = kernel_slope(kernel_study(ARCHITECTURES[name], TEXTS, widths=(32, 64, 128, 256), seeds=40))
    deviation = (high - low) / 3.92
    assert low < slope < high
    assert deviation < 0.07
    assert abs(slope + 0.5) < 3 * deviation + 0.05, (slope, deviation)


def test_the_table_holds_one_row_for_every_network():
    net = ARCHITECTURES["mlp-sum"]
    table = kernel_study(net, TEXTS, widths=(16, 8, 16), seeds=3)
    assert table.columns == ["architecture", "width", "seed", "error"]
    assert table.select("width", "seed").rows() == [(width, seed) for width in (8, 16) for seed in range(3)]
    assert set(table["architecture"]) == {"MLP:pooling=sum"}
    exact = net.kernel(TEXTS)
    for error, found in zip(table["error"][3:], kernels_of(net, width=16, seeds=3), strict=True):
        assert error == pytest.approx(np.linalg.norm(found[:, 0, :, 0] - exact) / np.linalg.norm(exact), rel=1e-6)
    assert table.equals(kernel_study(net, TEXTS, widths=(8, 16), seeds=3))


def test_the_slope_of_a_power_is_its_exponent():
    widths = np.array([64, 128, 256, 512])
    for exponent in (-0.5, -1.0, 0.3):
        errors = 3.0 * widths[:, None] ** exponent * np.ones((4, 5))
        assert slope_of(widths, errors) == pytest.approx((exponent,) * 3)
    rows = [("MLP", int(width), seed, 2.0 * width**-0.5) for width in widths[::-1] for seed in (1, 0)]
    table = pl.DataFrame(rows, schema=["architecture", "width", "seed", "error"], orient="row")
    assert kernel_slope(table) == pytest.approx((-0.5,) * 3)
    slope, low, high = slope_of(widths, 2.0 * widths[:, None] ** -0.5)
    assert slope == pytest.approx(-0.5)
    assert np.isnan([low, high]).all()  # one seed says nothing about the scatter


@pytest.mark.parametrize(("seeds", "least"), [(2, 0.84), (4, 0.88), (8, 0.9)])
def test_intervals_cover_the_true_slope_about_as_often_as_they_say(seeds, least):
    """Of 250 studies with log-normal errors; 0.95 ± 0.04 (three standard errors), less a little for two seeds."""
    rng, widths = np.random.default_rng(seeds), np.array([64, 128, 256, 512])
    hits, centres = [], []
    for _ in range(250):
        errors = 3.0 * widths[:, None] ** -0.5 * np.exp(0.4 * rng.normal(size=(4, seeds)))
        slope, low, high = slope_of(widths, errors)
        hits.append(low <= -0.5 <= high)
        centres.append(slope)
    assert least < np.mean(hits) < 0.99
    assert abs(np.mean(centres) + 0.5) < 4 * np.std(centres) / np.sqrt(250)
