"""Sums that go from lag to lag against a product for every family."""

import numpy as np
import pytest
from cases import EXACT, distance, every_sparse, random_texts

import tangentlens as tl
from tangentlens.features import lags, sums
from tangentlens.learning.losses import encode
from tangentlens.predictions import scores as predictions_scores
from tangentlens.predictions.scores import family_table, score_tables


@every_sparse
def test_push_and_pull_are_sums_of_products(architecture):
    tokens, _ = random_texts(40, size=7, lengths=(0, 9))
    features = architecture.features(tokens)
    rng = np.random.default_rng(0)
    duals = rng.normal(size=(len(tokens), 3))
    scores = [rng.normal(size=(family.columns, 3)) for family in features.families]
    for family, pushed in zip(features.families, features.push(duals), strict=True):
        assert distance(pushed, family.score(family.counts.T @ duals)) < EXACT
    pulled = sum(family.counts @ score for family, score in zip(features.families, scores, strict=True))
    assert distance(features.pull(scores), pulled) < EXACT


@every_sparse
def test_products_some_texts_at_a_time(architecture, monkeypatch):
    features = architecture.features(random_texts(40, size=7, lengths=(0, 9))[0])
    rng = np.random.default_rng(1)
    for family in features.families:
        assert family.part(0, 40) is family
        duals, scores = rng.normal(size=(40, 2)), rng.normal(size=(family.columns, 2))
        whole = rng.integers(5, size=(40, 2))
        monkeypatch.setattr(sums, "BLOCK", 2)
        monkeypatch.setattr(sums, "SHARE", 0)
        assert len(sums._cut(family, 2)) > (1 if family.stored.nnz > 2 else 0)
        assert distance(sums.pushed(family, duals), family.counts.T @ duals, least=1e-12) < EXACT
        assert distance(sums.pulled(family, scores), family.counts @ scores, least=1e-12) < EXACT
        np.testing.assert_array_equal(sums.occurred(family, whole), family.occurrences.T @ whole)
        monkeypatch.undo()


@every_sparse
@pytest.mark.parametrize("classes", [2, 3])
def test_half_steps_found_at_once_and_family_by_family(architecture, classes, monkeypatch):
    tokens, labels = random_texts(40, size=7, lengths=(0, 9), classes=classes)
    trajectory = tl.learn(architecture.features(tokens), labels, time=30.0)
    tables = []
    for most in (predictions_scores.TOGETHER, 0):
        monkeypatch.setattr(predictions_scores, "TOGETHER", most)
        tables.append(trajectory.label_scores())
    once, each = (table["half_step"].to_numpy() for table in tables)
    assert np.isfinite(once).any()
    np.testing.assert_array_equal(np.isnan(once), np.isnan(each))
    np.testing.assert_allclose(once, each, rtol=1e-9)


def test_lags_are_taken_together():
    features = tl.ElmanRNN().features(random_texts(40, size=7, lengths=(0, 9))[0])
    assert max(map(len, lags.runs(features.families))) > 3
    assert [number for run in lags.runs(features.families) for number in run] == list(range(len(features.families)))
    assert all(len(run) == 1 for run in lags.runs(tl.CNN().features(random_texts(9)[0]).families))


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("record", [0, -1])
def test_tables_of_several_lags(classes, record):
    tokens, labels = random_texts(40, size=7, lengths=(0, 9), classes=classes)
    net = tl.ElmanRNN()
    trajectory = tl.learn(net.features(tokens), labels, time=30.0)
    assert len(encode(labels, None, texts=len(tokens)).classes) == classes
    record = trajectory.record(record)
    tables = score_tables(trajectory.features, trajectory.dynamics, record)
    for family, table in zip(trajectory.features.families, tables, strict=True):
        other = family_table(family, trajectory.dynamics, record)
        assert table.drop("score", "half_step").equals(other.drop("score", "half_step"))
        for name in ("score", "half_step"):
            mine, theirs = (one[name].fill_null(-1.0).to_numpy() for one in (table, other))
            assert np.allclose(mine, theirs, rtol=1e-9, atol=EXACT)
