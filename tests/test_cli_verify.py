"""`tangentlens verify`: its files, what it refuses and when, and that an interrupted run goes on to the same result."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from command import Ran, Run, refusing, runner

import tangentlens as tl

pytest.importorskip("torch", reason="torch is not installed (extra: torch)")
from tangentlens.verification import Size, verify

FILES = ["audit.html", "flags.json", "run.json", "scores.parquet", "state.npz", "verified-errors.parquet",
         "verified.parquet"]
SMALL = ["--texts", "30", "--widths", "16,32", "--networks", "2", "--verify-steps", "10", "--patterns", "20"]
TORCHLESS = refusing("torch") + "from tangentlens.cli import main\nmain()\n"
STUDY = sys.modules["tangentlens.verification.width_study"]
EXPECTED = sys.modules["tangentlens.verification.expected"]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with reviews.csv: 120 reviews of two classes."""
    monkeypatch.chdir(tmp_path)
    small = tl.small_reviews(120)
    pl.DataFrame({"text": small.texts, "label": small.labels}).write_csv("reviews.csv")
    return tmp_path


@pytest.fixture
def run(home: Path, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs `tangentlens verify` in this process."""
    return runner(capsys, "verify")


def left(home: Path) -> list[str]:
    return sorted(path.relative_to(home).as_posix() for path in home.rglob("*"))


def test_a_good_run(run: Run, home: Path) -> None:
    ran = run("reviews.csv", "-a", "MLP", "-a", "LinearRNN:max_order=2", "-o", "deep/out", *SMALL)
    assert ran.status == 0
    line = (r"verification: 30 of 120 texts, \d+ distinct tokens; 5 networks for each of 2 architectures, "
            r"widths 16, 32, 2 seeds, 10 steps; up to \d+ MiB for gradients; about \d+ \w+\n")
    assert re.fullmatch(line, ran.err), ran.err
    for words in ("MLP: verified", "5 networks of widths 16–32 were trained on 30 of 120 texts", "n-gram 2",
                  "verified.parquet"):
        assert words in " ".join(ran.out.split())
    assert left(home / "deep") == ["out", *(f"out/{name}" for name in FILES)]
    scores = pl.read_parquet("deep/out/verified.parquet")
    assert scores.columns == ["architecture", "family", "feature", "class", "predicted", "trained", "low", "high"]
    assert set(scores["family"]) == {"bias", "token", "n-gram 1", "n-gram 2"}
    assert scores.filter((pl.col("low") > pl.col("trained")) | (pl.col("trained") > pl.col("high"))).is_empty()
    errors = pl.read_parquet("deep/out/verified-errors.parquet")
    assert errors.columns == ["architecture", "family", "width", "error", "low", "high"]
    assert errors.height == 4 * 2
    assert 'id="verified"' in Path("deep/out/audit.html").read_text("utf-8")


def test_run_json(run: Run) -> None:
    ran = run("reviews.csv", "-a", "MLP", "--json", "--seed", "3", "--tokenizer", "whitespace", *SMALL)
    assert ran.status == 0
    found = json.loads(ran.out, parse_constant=pytest.fail)
    assert ran.out == Path("audit-output/run.json").read_text("utf-8")
    assert found["verification"].pop("torch")
    assert found["verification"] == {"texts": 30, "widths": [16, 32], "networks": 2, "steps": 10, "patterns": 20,
                                     "device": "cpu"}
    (answer,) = found["verified"]
    assert answer["architecture"] == found["results"][0]["architecture"] == "MLP"
    assert (answer["texts"], answer["networks"], answer["own_width"]) == (30, 5, 32)
    assert {row["family"] for row in answer["slopes"]} == {"bias", "token"}
    assert answer["own"][0]["step"] == 10


def test_quiet(run: Run, home: Path) -> None:
    assert run("reviews.csv", "-a", "MLP", "-q", *SMALL) == Ran(0, "", "")
    assert sorted(path.name for path in (home / "audit-output").iterdir()) == FILES


def test_the_same_from_python_and_after_loading(run: Run, home: Path) -> None:
    assert run("reviews.csv", "-a", "MLP", "-a", "CNN", "-q", "-o", "one", *SMALL).status == 0
    texts = tl.read_texts("reviews.csv")
    audit = tl.audit(texts, [tl.MLP(), tl.CNN()])
    size = Size(texts=30, widths=(16, 32), seeds=2, steps=10, patterns=20)
    answers = verify(texts, audit.architectures, size=size)
    assert audit.content.verified == ()
    audit.verified(answers).save("two")
    loaded = tl.load("two")
    assert isinstance(loaded, tl.Audit)
    assert [answer.name for answer in loaded.content.verified] == ["MLP", "CNN"]
    for answer, read in zip(answers, loaded.content.verified, strict=True):
        for name, value in vars(answer).items():
            again = getattr(read, name)
            assert value.equals(again) if isinstance(value, pl.DataFrame) else value == again, name
    loaded.save("three")
    for name in FILES[-2:]:
        assert len({(home / folder / name).read_bytes() for folder in ("one", "two", "three")}) == 1
    pages = [(home / folder / "audit.html").read_text("utf-8") for folder in ("two", "three")]
    assert len({page[page.index('<section id="verified"'):page.index('<section id="help"')] for page in pages}) == 1


BAD = {
    "--widths 16": ("at least two different widths",),
    "--widths 16,16": ("at least two different widths",),
    "--widths 16,x": ("--widths", "whole numbers joined by commas", '"16,x"', "see tangentlens verify --help"),
    "--widths 0,16": ("width must be a whole number of at least 1, not 0",),
    "--networks 0": ("--networks", "0"),
    "--verify-steps 0": ("--verify-steps", "0"),
    "--texts x": ("--texts", "x"),
    "--patterns -1": ("--patterns", "-1"),
    "--device tpu": ("--device", "tpu"),
    "-a SelfAttention:activation=relu": ("no sparse feature map", "activation=None"),
    "-a MLP -a MLP": ("given twice",),
    "--validation 1.5": ("validation", "below 1"),
    "--sample 1": ("at least two",),
    "--min-count 999": ("no token of the 30 texts", "lower min_count"),
    "--loss logisitc": ("--loss", "logistic"),
    "--text nope": ("no column 'nope'", "text"),
}


def refused(ran: Ran, *words: str) -> None:
    assert (ran.status, ran.out) == (2, ""), ran
    assert re.fullmatch(r"tangentlens: error: [^\n]+\n", ran.err), ran.err
    assert all(word in ran.err for word in words), ran.err


@pytest.mark.parametrize("options", BAD)
def test_bad_option(run: Run, home: Path, options: str) -> None:
    refused(run("reviews.csv", *SMALL, *options.split()), *BAD[options])
    assert left(home) == ["reviews.csv"]


def test_texts_from_which_nothing_can_be_learned(run: Run, home: Path) -> None:
    pl.DataFrame({"text": ["good film"] * 30, "label": [0, 1] * 15}).write_csv("same.csv")
    refused(run("same.csv", "-a", "MLP", *SMALL), "nothing can be learned from these 30 texts")
    pl.DataFrame({"text": ["good", "bad"] * 20, "label": [1, 0] * 20}).write_csv("short.csv")
    refused(run("short.csv", "-a", "MatrixVector", *SMALL), "nothing can be learned")
    ran = run("short.csv", "-a", "CNN", *SMALL)
    assert ran.status == 0
    assert "skip-gram" not in ran.out[ran.out.index("CNN: verified"):]


def test_gradients_that_take_too_much_memory(run: Run, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(EXPECTED, "OWN_MEMORY", 1000)
    refused(run("reviews.csv", "-a", "MLP", *SMALL), "MLP: the gradients of a network of width 32", "fewer texts")
    assert left(home) == ["reviews.csv"]


@pytest.mark.parametrize("error", [RuntimeError("DefaultCPUAllocator: can't allocate memory"), MemoryError()])
def test_memory_that_runs_out(run: Run, monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(STUDY, "trained_scores", fail)
    ran = run("reviews.csv", "-a", "MLP", *SMALL)
    assert ran.status == 2
    assert ran.err.splitlines()[-1].startswith("tangentlens: error: not enough memory to train")


def test_a_device_that_is_not_there(run: Run, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    refused(run("reviews.csv", "--device", "cuda"), "no CUDA device", "cpu")
    assert left(home) == ["reviews.csv"]


def test_without_torch(home: Path) -> None:
    """It is said before any work is done, even before the file is looked for; the other commands do without."""
    def start(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-c", TORCHLESS, *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    done = start("verify", "none.csv")
    refused(Ran(done.returncode, done.stdout, done.stderr), "PyTorch", 'pip install "tangentlens[torch]"')
    assert left(home) == ["reviews.csv"]
    assert start("verify", "--help").returncode == 0
    assert start("audit", "reviews.csv", "-a", "MLP", "-q").returncode == 0


def counted(monkeypatch: pytest.MonkeyPatch, *, stop_at: int | None) -> list[int]:
    """Counts trained networks, and sends SIGINT in the midst of one of them."""
    original, calls = STUDY.trained_scores, [0]

    def trained(*arguments: Any, **options: Any) -> Any:
        calls[0] += 1
        watch = options["progress"]

        def watching(step: int, steps: int, loss: float) -> None:
            watch(step, steps, loss)
            if calls[0] == stop_at and step == 5:
                signal.raise_signal(signal.SIGINT)

        return original(*arguments, **options | {"progress": watching})

    monkeypatch.setattr(STUDY, "trained_scores", trained)
    monkeypatch.setattr(signal, "getsignal", lambda number: signal.SIG_DFL)  # under nohup it is SIG_IGN
    return calls


def test_interrupted_and_resumed(run: Run, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    arguments = ["reviews.csv", "-a", "MLP", "-a", "LinearRNN", "-q", *SMALL]
    assert run(*arguments, "-o", "whole").status == 0
    with monkeypatch.context() as patched:
        counted(patched, stop_at=4)
        ran = run(*arguments, "-o", "out")
    assert (ran.status, ran.out) == (130, "")
    assert ran.err == ("tangentlens: interrupted; no half-written result is left; 3 finished networks are kept in "
                       f'"{home / "out.networks"}", and the same command goes on from there\n')
    assert not (home / "out").exists()
    assert len(list((home / "out.networks").iterdir())) == 3
    (home / "out.networks" / "mine.txt").write_text("kept")
    with monkeypatch.context() as patched:
        calls = counted(patched, stop_at=None)
        assert run(*arguments, "-o", "out") == Ran(0, "", "")
        assert calls == [2 * 4 - 3]
    for name in FILES[-2:]:
        assert (home / "out" / name).read_bytes() == (home / "whole" / name).read_bytes()
    assert [path.name for path in (home / "out.networks").iterdir()] == ["mine.txt"]  # only its own files are deleted


def test_interrupted_before_any_network(run: Run, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    counted(monkeypatch, stop_at=1)
    ran = run("reviews.csv", "-a", "MLP", "-q", *SMALL)
    assert (ran.status, ran.err) == (130, "tangentlens: interrupted; no half-written result is left\n")
    assert not (home / "audit-output").exists()


def test_a_result_that_cannot_be_written_keeps_the_networks(run: Run, home: Path) -> None:
    (home / "out" / "verified.parquet").mkdir(parents=True)
    ran = run("reviews.csv", "-a", "MLP", "-o", "out", *SMALL)
    assert ran.status == 2
    last = ran.err.splitlines()[-1]
    assert "a folder named verified.parquet in it" in last
    assert "4 finished networks are kept in" in last
    assert [path.name for path in (home / "out").iterdir()] == ["verified.parquet"]


def test_a_place_for_networks_that_cannot_be_used(run: Run, home: Path) -> None:
    (home / "out.networks").write_text("in the way")
    ran = run("reviews.csv", "-a", "MLP", "-o", "out", *SMALL)
    assert ran.status == 2
    assert re.search(r"cannot write to the folder \".*out\.networks\": (File exists|Not a directory)", ran.err)
    assert (home / "out.networks").read_text() == "in the way"
