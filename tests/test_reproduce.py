"""The scripts of reproduce/ and benchmarks/: a small run, and a docstring with its command in every module."""

from __future__ import annotations

import ast
import csv
import importlib
import sys
from pathlib import Path

import numpy as np
import pytest

import tangentlens as tl

pytest.importorskip("sklearn", reason="the scripts compare with scikit-learn (extra dev)")
ROOT = Path(__file__).parents[1]
SST = ROOT.parent / "shared" / "data" / "sst"
MODULES = sorted(
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
    for folder in ("reproduce", "benchmarks") for path in (ROOT / folder).rglob("*.py")
    if not any(part.startswith(".") for part in path.relative_to(ROOT).parts)  # the environment of another library
)
ELSEWHERE = ("benchmarks.neural_tangents_worker",)  # needs what only an environment of its own has


@pytest.fixture(autouse=True)
def root_on_path(monkeypatch: pytest.MonkeyPatch) -> None:
    """The two folders are no part of the installed package."""
    monkeypatch.syspath_prepend(str(ROOT))


@pytest.mark.parametrize("name", MODULES)
def test_every_module_imports_and_names_its_command(name: str) -> None:
    if name in ELSEWHERE:
        text = (ROOT / f"{name.replace('.', '/')}.py").read_text(encoding="utf-8")
        assert "python -m " in (ast.get_docstring(ast.parse(text)) or "")
        return
    module = importlib.import_module(name)
    assert "python -m " in (module.__doc__ or "")


def test_every_script_stands_in_the_readme() -> None:
    readme = (ROOT / "reproduce" / "README.md").read_text(encoding="utf-8")
    scripts = [name for name in MODULES if (ROOT / f"{name.replace('.', '/')}.py").exists()
               and name.startswith("reproduce.") and hasattr(importlib.import_module(name), "main")]
    assert scripts
    assert [name for name in scripts if f"`python -m {name}`" not in readme] == []


@pytest.mark.skipif(not SST.exists(), reason=f"the Stanford Sentiment Treebank is not at {SST}")
def test_sst_label_scores_on_a_few_texts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
                                         capsys: pytest.CaptureFixture[str]) -> None:
    script = importlib.import_module("reproduce.sst_label_scores")
    monkeypatch.setattr(script, "ACTIVATIONS", ("relu", "identity"))
    script.main(["--data", str(SST), "--rows", "600", "--output", str(tmp_path)])
    assert "positive tokens" in capsys.readouterr().out
    rows = list(csv.DictReader((tmp_path / "sst_label_scores.csv").open(encoding="utf-8")))
    by_name = {row["network"]: row for row in rows}
    assert float(by_name["MLP identity"]["bias"]) == 0 < abs(float(by_name["MLP relu"]["bias"]))
    same = [float(by_name[name]["neutral_mean"]) for name in ("MLP identity", "SelfAttention uniform")]
    assert same[0] == pytest.approx(same[1], rel=0.01)  # one feature map, up to the unit of time
    assert all(float(row["positive_share"]) > 0.9 for row in rows if row["architecture"] != "LogisticRegression")
    assert "--rows 600" in (tmp_path / "sst_label_scores.md").read_text(encoding="utf-8")


needs_sst = pytest.mark.skipif(not SST.exists(), reason=f"the Stanford Sentiment Treebank is not at {SST}")


def small_run(name: str, output: Path, *arguments: str) -> list[dict[str, str]]:
    """Runs a study on networks at a small size; the rows of its table."""
    pytest.importorskip("torch", reason="studies of trained networks need the extra torch")
    importlib.import_module(f"reproduce.{name}").main(["--data", str(SST), "--output", str(output), *arguments])
    assert f"python -m reproduce.{name}" in (output / f"{name}.md").read_text(encoding="utf-8")
    return list(csv.DictReader((output / f"{name}.csv").open(encoding="utf-8")))


@needs_sst
@pytest.mark.slow
def test_kernel_widths_in_small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = importlib.import_module("reproduce.kernel_widths")
    monkeypatch.setattr(script, "WIDTHS", (16, 128))
    monkeypatch.setattr(script, "FULL", (4, 16))
    monkeypatch.setattr(script, "TEXTS", 4)
    rows = small_run("kernel_widths", tmp_path, "--seeds", "4")
    assert len(rows) == len(list(script.cases()))
    assert all(float(row["widest"]) < float(row["narrowest"]) for row in rows)


@needs_sst
@pytest.mark.slow
def test_score_widths_in_small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = importlib.import_module("reproduce.score_widths")
    monkeypatch.setattr(script, "WIDTHS", (16, 128))
    arguments = ("--texts", "20", "--seeds", "2", "--steps", "10", "--work", str(tmp_path / "work"))
    rows = small_run("score_widths", tmp_path, *arguments)
    assert {row["architecture"].partition(":")[0] for row in rows} == set(tl.kernels.ARCHITECTURES)
    assert sum(float(row["slope"]) < 0 for row in rows) > 0.9 * len(rows)
    assert (tmp_path / "score_widths.png").read_bytes().startswith(b"\x89PNG")
    monkeypatch.setattr(script, "widths_picture", lambda *_: None)
    assert small_run("score_widths", tmp_path, *arguments) == rows  # from the finished networks


@needs_sst
@pytest.mark.slow
def test_own_kernel_in_small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = importlib.import_module("reproduce.own_kernel")
    monkeypatch.setattr(script, "STEPS", 20)
    monkeypatch.setattr(script, "RECORD", (10, 20))
    rows = small_run("own_kernel", tmp_path, "--width", "128", "--texts", "10")
    assert len(rows) == 2 * len(script.CASES)
    assert all(float(row["drift_error"]) < 0.5 * float(row["total"]) for row in rows)


@needs_sst
@pytest.mark.slow
def test_sst_trained_in_small(tmp_path: Path) -> None:
    rows = small_run("sst_trained", tmp_path, "--rows", "300", "--width", "64", "--seeds", "3")
    frequent = [row for row in rows if row["occurrences"] == "≥ 20"]
    assert len(frequent) == 2
    assert all(float(row["mean"]) > 0.5 for row in frequent)


@needs_sst
@pytest.mark.slow
def test_score_curves_in_small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = importlib.import_module("reproduce.score_curves")
    monkeypatch.setattr(script, "EPOCHS", 3)
    monkeypatch.setattr(script, "END", 0.6)
    rows = small_run("score_curves", tmp_path, "--rows", "200", "--width", "32", "--seeds", "2", "--only", "SST",
                     "--work", str(tmp_path / "work"))
    assert [row["epoch"] for row in rows] == ["1", "2", "3"] * len(script.CASES)
    assert all(float(row["correlation"]) > 0 for row in rows)
    assert (tmp_path / "score_curves_sst.png").exists()


@needs_sst
@pytest.mark.slow
def test_deeper_networks_in_small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script, texts, measured = (importlib.import_module(name) for name in (
        "reproduce.deeper_networks", "reproduce.deeper_texts", "tangentlens.verification.measured"))
    for module, name, value in ((script, "STEPS", 12), (script, "LEAST", 4), (texts, "TOKENS", 20),
                                (texts, "BIGRAMS", 10), (texts, "TEXTS", 10), (measured, "RESAMPLES", 50)):
        monkeypatch.setattr(module, name, value)
    chosen = ("uniform attention", "MLP of depth 3", "tied attention, ReLU", "4 heads + block", "two convolutions")
    monkeypatch.setattr(script, "CASES", {name: script.CASES[name] for name in chosen})
    rows = small_run("deeper_networks", tmp_path, "--rows", "60", "--width", "32", "--seeds", "3")
    closed = [row for row in rows if row["route"] == "closed form"]
    assert len(rows) == 2 * (5 + 3)
    assert all(float(row["effects"]) > 0.5 for row in closed)
    assert {row["network"] for row in closed if not row["interactions"]} == {"uniform attention", "MLP of depth 3"}
    shares = list(csv.DictReader((tmp_path / "deeper_shares.csv").open(encoding="utf-8")))
    assert all(abs(float(row["share_trained"])) < 0.05 for row in shares if row["share_closed"] == "0.0")
    orders = [float(row["order_closed"]) for row in shares if row["order_closed"]]
    assert orders == pytest.approx(np.zeros(len(orders)), abs=1e-9)  # attention without positions


@pytest.mark.slow
@pytest.mark.parametrize("name", ["attention", "convolution"])
def test_a_layer_by_itself_has_the_kernel_of_its_architecture(name: str) -> None:
    torch = pytest.importorskip("torch", reason="networks need the extra torch")
    combined = importlib.import_module("reproduce.combined")
    architecture, layer = {
        "attention": (tl.SelfAttention(scores="tied"), combined.TiedAttention),
        "convolution": (tl.CNN(kernel_size=3), lambda width: combined.Convolution(width, 3)),
    }[name]
    tokens = tl.Tokens.from_ids([[0, 1, 2], [2, 1, 0], [0, 0, 1, 3, 1], [3]], vocabulary_size=4)
    torch.manual_seed(0)
    found = np.mean([tl.verification.empirical_ntk(combined.Stack(layer(512), vocabulary_size=4, width=512), tokens)
                     for _ in range(20)], axis=0)[:, 0, :, 0]
    exact = architecture.kernel(tokens)
    assert np.linalg.norm(found - exact) < 0.1 * np.linalg.norm(exact)


def test_a_process_is_measured_by_itself() -> None:
    processes = importlib.import_module("benchmarks.processes")
    code = "block = bytearray(300 * 2**20); block[::4096] = b'x' * len(block[::4096]); print('done')"
    run = processes.measure([sys.executable, "-c", code])
    assert (run.status, run.output) == (0, "done\n")
    assert run.peak > 300
    assert run.processor_seconds > 0
    assert processes.measure([sys.executable, "-c", "raise SystemExit(3)"]).status == 3


def test_a_failing_command_is_a_row_not_a_crash(monkeypatch: pytest.MonkeyPatch) -> None:
    command_line = importlib.import_module("benchmarks.command_line")
    failing = [sys.executable, "-c", "import sys; sys.exit('no such thing')"]
    monkeypatch.setattr(command_line, "program", lambda: failing)
    row = command_line.row(["audit", "x.csv"], 2, lambda line: None)
    assert row["state"] == "exit 1: no such thing"
