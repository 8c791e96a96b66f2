"""Shares, intervals and correlations over networks are right on planted answers, about as often as they say."""

from importlib import import_module
from itertools import combinations

import numpy as np
import pytest
from cases import distance

from tangentlens.errors import ShapeError
from tangentlens.predictions.questions import Answers
from tangentlens.verification import Measured, correlation

module = import_module("tangentlens.verification.measured")


def planted(mains, joints, responses=()):
    """Measured answers, by hand: arrays (S, T, n, c) and (S, T, k, c)."""
    responses = responses if len(responses) else np.zeros((*mains.shape[:2], 0, mains.shape[3]))
    nothing = np.zeros((*mains.shape[1:2], mains.shape[3]))
    answers = tuple(Answers(nothing, r, (), m, j) for m, j, r in zip(mains, joints, responses, strict=True))
    return Measured(None, None, None, (), None, answers)


@pytest.mark.parametrize("seeds", [2, 5])
def test_the_common_share_is_one_of_covariances_between_networks(seeds):
    mains, joints = np.random.default_rng(seeds).normal(size=(2, seeds, 3, 20, 2)) + 5.0
    found = planted(mains, joints).common_share
    for record in range(3):
        main, joint = (np.mean([np.cov(part[i, record, :, output], part[j, record, :, output])[0, 1]
                                for i, j in combinations(range(seeds), 2) for output in range(2)])
                       for part in (mains, joints))
        assert found[record] == pytest.approx(joint / (main + joint) if main + joint > 0 else np.nan, nan_ok=True)


@pytest.mark.parametrize("seeds", [2, 8])
def test_the_common_share_is_unbiased_and_that_of_one_network_is_not(seeds):
    """Of 400 sets of networks: the noise-free share within three standard errors and 0.005 for the ratio."""
    rng = np.random.default_rng(seeds)
    main, joint = rng.normal(size=(60, 2)), 0.4 * rng.normal(size=(60, 2)) * [1.0, 0.3]
    truth = Answers(None, None, (), main, joint).interaction_share
    noise = rng.normal(size=(2, 400, seeds, 1, 60, 2)) * 0.5
    studies = [planted(main + mains, joint + joints) for mains, joints in zip(*noise, strict=True)]
    shares = np.array([study.common_share[0] for study in studies])
    assert abs(shares.mean() - truth) < 3 * shares.std() / 20 + 0.005
    single = np.mean([study.trained[0].interaction_share[0] for study in studies])
    averaged = np.mean([study.mean.interaction_share[0] for study in studies])
    expected = (joint.var(axis=0).sum() + 0.5) / (main.var(axis=0).sum() + joint.var(axis=0).sum() + 1)
    assert single == pytest.approx(expected, rel=0.05)
    assert single > averaged > truth + 0.2 * (single - truth) / seeds


def test_without_noise_every_share_is_the_same_and_without_a_second_network_there_is_none():
    mains, joints = np.random.default_rng(0).normal(size=(2, 1, 2, 9, 3))
    three = planted(np.repeat(mains, 3, axis=0), np.repeat(joints, 3, axis=0))
    assert three.common_share == pytest.approx(three.trained[0].interaction_share)
    assert three.common_interval(0) == pytest.approx((three.common_share[0],) * 2)
    assert np.isnan(planted(mains, joints).common_share).tolist() == [True, True]
    assert np.isnan(planted(np.ones((4, 2, 5, 1)), np.ones((4, 2, 5, 1))).common_share).all()
    two = planted(np.repeat(mains, 2, axis=0), np.repeat(joints, 2, axis=0))
    assert np.isnan(two.common_interval()).all()


def test_intervals_of_the_common_share_are_a_jackknife():
    mains, joints = np.random.default_rng(0).normal(size=(2, 5, 3, 20, 2)) + np.linspace(0, 4, 20)[:, None]
    study = planted(mains, joints)
    for record in (0, 1, -1):
        left = [planted(np.delete(mains, i, axis=0), np.delete(joints, i, axis=0)).common_share[record]
                for i in range(5)]
        error = np.sqrt(4 / 5 * sum((share - sum(left) / 5) ** 2 for share in left))
        wide = 2.7764451 * error  # Student's t of four degrees of freedom
        centre = study.common_share[record]
        assert study.common_interval(record) == pytest.approx((centre - wide, centre + wide), rel=1e-6)


@pytest.mark.parametrize("seeds", [4, 8])
def test_intervals_of_the_common_share_cover_it(seeds):
    """Of 300 studies: 0.95 ± 0.04 (three standard errors), less a little for few seeds."""
    rng, hits = np.random.default_rng(seeds), []
    main, joint = rng.normal(size=(40, 1)), 0.5 * rng.normal(size=(40, 1))
    truth = Answers(None, None, (), main, joint).interaction_share
    for _ in range(300):
        noise = 0.4 * rng.normal(size=(2, seeds, 2, 40, 1)) * [[2.0], [1.0]][0]
        study = planted(main + noise[0], joint + noise[1])
        low, high = study.common_interval()
        assert study.common_interval(1) == (low, high) != study.common_interval(0)
        hits.append(low <= truth <= high)
    assert 0.87 < np.mean(hits) < 0.99


# ---- intervals ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("seeds", "least"), [(2, 0.9), (3, 0.92), (4, 0.92), (8, 0.92)])
def test_intervals_cover_the_truth_about_as_often_as_they_say(seeds, least, monkeypatch):
    """Of 1,500 means, 30 at a time: 0.95 ± 0.02, less a little for two seeds."""
    monkeypatch.setattr(module, "RESAMPLES", 300)
    rng, hits = np.random.default_rng(seeds), []
    truth = rng.normal(size=30)
    for number in range(50):
        responses = (truth + rng.normal(size=(seeds, 1, 30)))[..., None]
        study = planted(np.zeros((seeds, 1, 0, 1)), np.zeros((seeds, 1, 0, 1)), responses)
        low, high = study.interval(lambda answers: answers.responses[-1, :, 0], seed=number)
        centre = responses.mean(axis=(0, 1, 3))
        assert (low < centre).all()
        assert (centre < high).all()
        hits.append((low <= truth) & (truth <= high))
    assert least < np.mean(hits) < 0.97


def test_an_interval_is_the_same_every_time_and_has_the_shape_of_its_measure():
    responses = np.random.default_rng(0).normal(size=(5, 2, 3, 1))
    study = planted(np.zeros((5, 2, 0, 1)), np.zeros((5, 2, 0, 1)), responses)
    first, again, other = (study.interval(lambda answers: answers.responses, seed=seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)
    assert distance(first, other) < 0.2
    assert first[0].shape == first[1].shape == (2, 3, 1)
    low, high = study.interval(lambda answers: np.mean(answers.responses))
    assert low < study.mean.responses.mean() < high
    single = planted(np.zeros((1, 2, 0, 1)), np.zeros((1, 2, 0, 1)), responses[:1])
    assert np.isnan(single.interval(lambda answers: answers.responses)).all()
    assert np.shape(single.interval(lambda answers: answers.responses)) == (2, 2, 3, 1)


def test_a_correlation_is_that_with_the_mean_network():
    rng = np.random.default_rng(0)
    truth = rng.normal(size=80)
    networks = truth + rng.normal(size=(6, 80))
    found, low, high = correlation(truth, list(networks))
    assert found == pytest.approx(np.corrcoef(truth, networks.mean(axis=0))[0, 1])
    assert low < found < high < 1
    assert correlation(truth, list(networks)) == (found, low, high)
    assert correlation(truth, list(networks), seed=1) != (found, low, high)
    assert correlation(3 * truth - 1, list(networks)) == pytest.approx((found, low, high))
    assert correlation(-truth, list(networks)) == pytest.approx((-found, -high, -low))
    few, noisy = correlation(truth[:20], list(networks[:, :20])), correlation(truth, list(networks[:2]))
    for wider in (few, noisy):
        assert wider[2] - wider[1] > 1.3 * (high - low)
    one = correlation(truth, [networks[0]])
    rows = [np.corrcoef(truth[chosen], networks[0][chosen])[0, 1] for chosen in rng.integers(80, size=(2000, 80))]
    assert one[1:] == pytest.approx(np.quantile(rows, [0.025, 0.975]), abs=0.02)


def test_the_interval_of_a_correlation_knows_that_networks_differ():
    rng = np.random.default_rng(0)
    truth = rng.normal(size=400)
    same, other = (truth + rng.normal(size=(4, 400)) * scatter for scatter in (0.5, np.array([[0], [0], [3], [3]])))
    widths = [high - low for _, low, high in (correlation(truth, list(networks)) for networks in (same, other))]
    assert widths[0] < 0.15 < 0.3 < widths[1]


@pytest.mark.filterwarnings("error")
def test_a_constant_correlates_with_nothing():
    for first, second in ((np.zeros(5), [np.arange(5.0)]), (np.arange(5.0), [np.ones(5)] * 2),
                          (np.ones(1), [np.ones(1)]), (np.ones(0), [np.ones(0)])):
        assert np.isnan(correlation(first, second)).all()
    assert correlation(np.array([0.0, 0, 0, 1]), [np.array([0.0, 0, 0, 2])]) == pytest.approx((1.0, 1.0, 1.0))


@pytest.mark.parametrize(("first", "second"), [(np.zeros(5), [np.zeros(4)]), (np.zeros((4, 1)), [np.zeros((4, 1))])])
def test_values_that_do_not_fit_are_refused(first, second):
    with pytest.raises(ShapeError, match="one list of values, and one as long for every network"):
        correlation(first, second)
