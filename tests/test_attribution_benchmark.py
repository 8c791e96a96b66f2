"""The benchmark of attribution: its influences are those of `what_if`, its score is a rank correlation."""

import numpy as np
import pytest
from cases import random_texts
from scipy.stats import spearmanr

import tangentlens as tl

pytest.importorskip("torch")
from benchmarks.attribution import datamodeling_score, influences


def test_the_adjoint_gives_the_first_order_of_leaving_texts_out():
    tokens, labels = random_texts(12, seed=3)
    trajectory = tl.learn(tl.MLP().features(tokens), labels, time=20.0, record=np.geomspace(0.01, 20, 300))
    theta = trajectory.features.kernel()
    moved = influences(trajectory, theta, theta, intervals=80)
    for row in (0, 5):
        table = tl.what_if(trajectory, [row], exact=False)
        change = (table["first_order"] - table["before"]).to_numpy()
        expected = moved.mean(axis=1) - moved[:, row]
        assert np.abs(change - expected).max() < 0.05 * np.abs(change).max()


def test_the_score_is_the_mean_rank_correlation():
    random = np.random.default_rng(0)
    sums, margins = random.normal(size=(2, 9, 4))
    expected = np.mean([spearmanr(sums[:, text], margins[:, text]).statistic for text in range(4)])
    assert datamodeling_score(sums, margins) == pytest.approx(expected)
    assert datamodeling_score(sums, np.exp(sums)) == pytest.approx(1)
