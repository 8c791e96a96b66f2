"""Tails and discovery rates against those of scipy.stats."""

import numpy as np
from scipy import stats

from tangentlens.predictions.chances import at_least, at_most, discovery_rates, lowest_share


def binomials():
    """Hits, trials and shares: few trials and many, no hits and all, shares of 0 and 1."""
    rng = np.random.default_rng(0)
    trials = np.concatenate([rng.integers(12, size=3000), rng.integers(5000, size=3000)])
    return rng.integers(trials + 1), trials, np.concatenate([[0, 1], rng.random(5998) ** 3])


def test_binomial_tails():
    hits, trials, share = binomials()
    np.testing.assert_allclose(at_least(hits, trials, share), stats.binom.sf(hits - 1, trials, share), rtol=1e-12)
    np.testing.assert_allclose(at_most(hits, trials, share), stats.binom.cdf(hits, trials, share), rtol=1e-12,
                               atol=1e-300)


def test_the_exact_test_of_equal_shares_is_twice_a_tail():
    for more in range(1, 25):
        for less in range(more):
            expected = stats.binomtest(more, more + less).pvalue
            np.testing.assert_allclose(2 * at_least(more, more + less, 0.5), expected, rtol=1e-12)


def test_the_lowest_share_is_that_of_clopper_and_pearson():
    hits, trials, _ = binomials()
    some = trials > 0
    expected = [stats.binomtest(k, n, alternative="greater").proportion_ci(0.95).low
                for k, n in zip(hits[some][::20].tolist(), trials[some][::20].tolist(), strict=True)]
    np.testing.assert_allclose(lowest_share(hits[some], trials[some], 0.05)[::20], expected, rtol=1e-9)


def test_discovery_rates():
    rng = np.random.default_rng(0)
    for p in (rng.random(500) ** 3, rng.random(500).round(1), np.array([0.2]), np.ones(3)):
        np.testing.assert_array_equal(discovery_rates(p), stats.false_discovery_control(p))
    assert discovery_rates(np.empty(0)).shape == (0,)
