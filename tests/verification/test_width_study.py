"""Trained networks have the predicted label scores, up to errors that fall like 1/√width."""

from importlib import import_module
from types import SimpleNamespace

import numpy as np
import polars as pl
import pytest
from cases import ARCHITECTURES, SUMMED, distance, labels_of, random_texts, tokens_of

import tangentlens as tl
from tangentlens.errors import OptionError
from tangentlens.networks import build, train
from tangentlens.verification import WidthStudy, foretell, network_scores, trained_scores, width_study
from tangentlens.verification.width_study import family_errors

TOKENS, LABELS = random_texts(16, size=8, lengths=(3, 7))


def material_of(name="mlp", **options):
    return foretell(ARCHITECTURES[name], TOKENS, LABELS, **{"steps": 20, "most": 20, "record": [5, 20]} | options)


def same(first, second):
    return all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["mlp", "linear-rnn"])
def test_the_error_of_label_scores_falls_like_one_over_the_root_of_the_width(name):
    """16 seeds: a slope's standard error is about 0.05; three of these, and 0.07 for the next order in 1/width."""
    study = width_study(material_of(name), widths=(32, 64, 128, 256, 512), seeds=16)
    table = study.slopes()
    assert table["family"].to_list() == [probe.family for probe in study.material.probes.probes]
    for row in table.iter_rows(named=True):
        deviation = (row["high"] - row["low"]) / 3.92
        assert deviation < 0.15
        assert abs(row["slope"] + 0.5) < 3 * deviation + 0.07, row
        assert row["error_widest"] < row["error_narrowest"] / 2
    assert table["error_widest"][0] < 0.15


def test_the_prediction_is_the_trajectory_asked_by_probes():
    material = material_of("linear-rnn")
    assert material.steps == [0, 5, 20]
    assert material.rate == material.trajectory.dynamics.learning_rate
    features = ARCHITECTURES["linear-rnn"].features(TOKENS)
    again = tl.learn(features, LABELS, steps=20, learning_rate=material.rate, record=[5, 20])
    np.testing.assert_array_equal(again.duals, material.trajectory.duals)
    for place in range(3):
        bigrams = {tuple(pattern): score for pattern, score in zip(
            features.families[1].patterns.tokens().tolist(), again.scores(place)[1][:, 0], strict=True)}
        expected = [[bigrams[tuple(pattern)]] for pattern in material.probes.patterns[1].tolist()]
        assert distance(material.predicted[1][place], expected) < SUMMED


def test_the_learning_rate_ends_where_the_loss_has_fallen_but_stays_below_the_critical_one():
    for fall in (0.95, 0.8):
        material = material_of(steps=400, fall=fall)
        assert material.trajectory.curves["train_loss"][-1] == pytest.approx(fall * np.log(2), rel=2e-3)
    few = material_of(steps=2, fall=0.3, record=None)
    assert few.rate == pytest.approx(0.25 * few.trajectory.dynamics.critical_learning_rate, rel=1e-6)
    assert material_of(learning_rate=0.125).rate == 0.125


@pytest.mark.parametrize(("loss", "classes"), [(None, 2), ("squared", 2), (None, 3)], ids=str)
def test_trained_scores_are_those_of_a_network_trained_by_hand(loss, classes):
    material = foretell(ARCHITECTURES["cnn2-same-sum"], TOKENS, labels_of(TOKENS, classes), steps=6, most=5, loss=loss)
    outputs = 1 if classes == 2 else classes
    found = trained_scores(material, 16, 3)
    size = len(TOKENS.vocabulary) + material.probes.blanks
    network, start = (build(material.architecture, vocabulary_size=size, width=16, outputs=outputs, seed=3)
                      for _ in range(2))
    train(network, TOKENS, labels_of(TOKENS, classes), loss=loss, learning_rate=material.rate, steps=6)
    expected = network_scores(lambda texts: network(texts) - start(texts), material.probes)
    for scores, other in zip(found, expected.values(), strict=True):
        assert scores.shape[0] == len(material.steps)
        assert distance(scores[-1], other, least=np.abs(found[1]).max()) < 1e-4  # float32
        assert not scores[0].any()
    assert same(found, trained_scores(material, 16, 3))
    assert not same(found, trained_scores(material, 16, 4))


def test_errors_are_relative_distances_of_the_last_step():
    material = material_of()
    perfect = [scores.copy() for scores in material.predicted]
    assert family_errors(material, perfect) == [0.0, 0.0]
    perfect[1][-1] *= 1.5
    perfect[1][0] += 7.0
    assert family_errors(material, perfect) == pytest.approx([0.0, 0.5])
    identity = foretell(tl.CNN(activation="identity"), TOKENS, LABELS, steps=5, most=10)
    everything = np.sqrt(sum(np.sum(scores[-1] ** 2) for scores in identity.predicted))
    families = [probe.family for probe in identity.probes.probes]
    moved = [scores + (family == "skip-gram x x") for scores, family in zip(identity.predicted, families, strict=True)]
    errors = dict(zip(families, family_errors(identity, moved), strict=True))
    patterns = len(identity.probes.patterns[families.index("skip-gram x x")])
    assert errors["skip-gram x x"] == pytest.approx(np.sqrt(patterns) / everything)  # predicted as zero
    assert errors["token"] == 0.0


def test_a_study_holds_every_network_and_the_scores_of_the_widest():
    material = material_of()
    lines, seen = [], []
    study = width_study(material, widths=(16, 8, 8), seeds=2, progress=lines.append,
                        watching=lambda *step: seen.append(step))
    assert study.errors.select("family", "width", "seed").rows() == [
        (family, width, seed) for width in (8, 16) for seed in range(2) for family in ("bias", "token")]
    assert lines == [f"MLP: width {width}, seed {seed}" for width in (8, 16) for seed in range(2)]
    assert [step[:2] for step in seen] == [(step, 20) for _ in range(4) for step in range(1, 21)]
    for seed in range(2):
        assert same([scores[seed] for scores in study.trained], trained_scores(material, 16, seed))
        errors = study.errors.filter(pl.col("width") == 16, pl.col("seed") == seed)["error"].to_list()
        assert errors == family_errors(material, trained_scores(material, 16, seed))


def test_a_folder_keeps_finished_networks(tmp_path, monkeypatch):
    """Interrupted and gone on: the same result, and no network trained twice."""
    module = import_module("tangentlens.verification.width_study")
    expected = width_study(material_of(), widths=(8, 16), seeds=3)
    calls = []

    def counted(material, width, seed, **options):
        if len(calls) == 4:
            calls.append("stop")
            raise KeyboardInterrupt
        calls.append((width, seed))
        return trained_scores(material, width, seed, **options)

    monkeypatch.setattr(module, "trained_scores", counted)
    with pytest.raises(KeyboardInterrupt):
        width_study(material_of(), widths=(8, 16), seeds=3, folder=tmp_path / "kept")
    study = width_study(material_of(), widths=(8, 16), seeds=3, folder=tmp_path / "kept")
    assert calls == [(8, 0), (8, 1), (8, 2), (16, 0), "stop", (16, 1), (16, 2)]
    assert study.errors.equals(expected.errors)
    assert same(study.trained, expected.trained)
    again = width_study(material_of(), widths=(8, 16), seeds=3, folder=tmp_path / "kept")
    assert len(calls) == 7
    assert again.slopes().equals(expected.slopes())


@pytest.mark.parametrize("other", [{"steps": 21, "record": [21]}, {"record": [20]}, {"learning_rate": 0.02},
                                   {"most": 5}, {"loss": "squared"}], ids=str)
def test_a_folder_does_not_mix_studies(other, tmp_path):
    first, second = material_of(learning_rate=0.01), material_of(**{"learning_rate": 0.01} | other)
    width_study(first, widths=(8, 16), seeds=1, folder=tmp_path)
    found = width_study(second, widths=(8, 16), seeds=1, folder=tmp_path)
    assert found.errors.equals(width_study(second, widths=(8, 16), seeds=1).errors)
    assert len(list(tmp_path.iterdir())) == 4


def test_slopes_of_a_power_law_are_its_exponent():
    rng = np.random.default_rng(0)
    rows = [("MLP", family, width, seed, scale * width**-0.5 * np.exp(0.1 * rng.normal()))
            for family, scale in (("bias", 3.0), ("token", 0.2)) for seed in range(8) for width in (512, 64, 256, 128)]
    errors = pl.DataFrame(rows, schema=["architecture", "family", "width", "seed", "error"], orient="row")
    table = WidthStudy(SimpleNamespace(architecture=tl.MLP()), errors, []).slopes()
    assert table.columns == ["architecture", "family", "slope", "low", "high", "error_narrowest", "error_widest"]
    assert table["family"].to_list() == ["bias", "token"]
    for row, scale in zip(table.iter_rows(named=True), (3.0, 0.2), strict=True):
        assert row["low"] < -0.5 < row["high"]
        assert row["high"] - row["low"] < 0.15
        assert abs(row["slope"] + 0.5) < 0.06
        for name, width in (("error_narrowest", 64), ("error_widest", 512)):
            assert row[name] == pytest.approx(scale * width**-0.5, rel=0.15)


@pytest.mark.parametrize(("widths", "seeds"), [((64,), 4), ((64, 64), 4), ((), 4), ((32, 64), 0)])
def test_too_small_a_study_is_refused(widths, seeds):
    with pytest.raises(OptionError, match="a width study needs at least two different widths and one seed"):
        width_study(material_of(), widths=widths, seeds=seeds)


def test_texts_may_hold_unknown_tokens():
    """Early in training, where it hardly counts that a text matches itself at those, label scores come close."""
    tokens = tokens_of([[0, -1, 1], [1, -1, 2, 2], [-1, 0, 0], [2, 1, -1], [3, -1], [0, 3]])
    material = foretell(tl.MLP(), tokens, ["a", "b", "a", "b", "a", "b"], steps=10)
    assert family_errors(material, trained_scores(material, 512, 0))[1] < 0.3
