"""A full disk, Ctrl-C and SIGTERM, at any moment: one line, nothing half written, an earlier result stays whole."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest

import tangentlens as tl
import tangentlens.report.files
from tangentlens import cli

FILES = ("audit.html", "run.json", "scores.parquet")
AUDIT = sys.modules["tangentlens.audit"]  # `tl.audit` is the function
ARGUMENTS = ["demo", "--small", "-a", "MLP", "-a", "CNN"]

pytestmark = pytest.mark.skipif(os.name != "posix", reason="signals and limits of POSIX")


def earlier(folder: Path) -> Path:
    """A folder with an earlier result."""
    folder.mkdir(exist_ok=True)
    for name in FILES:
        (folder / name).write_text("earlier")
    return folder


def untouched(folder: Path) -> bool:
    return {path.name: path.read_text() for path in folder.iterdir()} == dict.fromkeys(FILES, "earlier")


def status_of(arguments: list[str]) -> int:
    with pytest.raises(SystemExit) as stop:
        cli.main(arguments)
    return int(stop.value.code or 0)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Callable[[int], Path]]:
    """Mounts file systems with room for so many bytes; skips where that is not allowed."""
    mounted: list[Path] = []

    def mount(size: int) -> Path:
        place = tmp_path / f"disk{len(mounted)}"
        place.mkdir()
        made = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", place], capture_output=True)
        if made.returncode:
            pytest.skip("cannot mount a file system here")
        mounted.append(place)
        return place

    yield mount
    for place in mounted:
        subprocess.run(["umount", place], check=True)


@pytest.mark.parametrize("stops_at", FILES)
def test_a_full_disk(disk: Callable[[int], Path], tmp_path: Path, stops_at: str, capsys: pytest.CaptureFixture[str]
                     ) -> None:
    cli.main([*ARGUMENTS, "-q", "-o", str(tmp_path / "whole")])
    page, run, scores = (-(-(tmp_path / "whole" / name).stat().st_size // 4096) * 4096 for name in FILES)
    room = {"audit.html": page // 2, "scores.parquet": page + scores // 2, "run.json": page + scores + run // 2}[stops_at]
    place = disk(room + 3 * 4096)
    folder = earlier(place / "old")
    for output in (folder, place / "new" / "deep"):
        assert status_of([*ARGUMENTS, "-q", "-o", str(output)]) == 2
        shown = capsys.readouterr()
        assert shown.out == ""
        assert shown.err.startswith(f'tangentlens: error: cannot write to the folder "{output}": No space left on device')
        assert shown.err.count("\n") == 1
    assert untouched(folder)
    assert list(place.iterdir()) == [folder]


@pytest.mark.slow
@pytest.mark.parametrize("size", [20_000, 400_000])
def test_a_limit_on_the_size_of_files(tmp_path: Path, size: int) -> None:
    folder = earlier(tmp_path / "out")
    ran = subprocess.run([sys.executable, "-m", "tangentlens.cli", *ARGUMENTS, "-o", folder], capture_output=True, text=True,
                         preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (size, size)))
    assert (ran.returncode, ran.stdout) == (2, "")
    assert "File too large" in ran.stderr
    assert ran.stderr.count("\n") == 1
    assert untouched(folder)


def test_errors_of_polars_become_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise pl.exceptions.ComputeError("parquet: underlying IO error: No space left on device (os error 28)")

    found = tl.audit(tl.small_reviews(200), [tl.MLP()])
    monkeypatch.setattr(pl.DataFrame, "write_parquet", fail)
    with pytest.raises(OSError, match=r'folder ".*out": No space left on device \(os error 28\); give another'):
        found.save(tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


MOMENTS = {
    "reading": (cli, "small_reviews", 1),
    "tokenising": (AUDIT, "tokenize", 1),
    "learning": (AUDIT, "learn", 2),
    "scores": (AUDIT, "strongest", 2),
    "page": (AUDIT, "render", 1),
    "parquet": (pl.DataFrame, "write_parquet", 1),
    "first move": (tangentlens.report.files.os, "replace", 1),
    "a move in between": (tangentlens.report.files.os, "replace", 4),
    "last move": (tangentlens.report.files.os, "replace", 6),
}


@pytest.mark.parametrize("signal_number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize("moment", MOMENTS)
@pytest.mark.parametrize("after", [False, True])
def test_a_signal_at_any_moment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
                                moment: str, signal_number: signal.Signals, after: bool) -> None:
    if after and moment not in ("page", "parquet", "first move", "a move in between", "last move"):
        pytest.skip("nothing is written before")
    owner, name, call = MOMENTS[moment]
    original = getattr(owner, name)
    calls: list[int] = []

    def interrupted(*arguments: Any, **options: Any) -> Any:
        calls.append(1)
        if len(calls) != call:
            return original(*arguments, **options)
        if after:
            original(*arguments, **options)
        signal.raise_signal(signal_number)
        raise AssertionError("the signal does nothing")

    small = tl.small_reviews(120)
    monkeypatch.setattr(cli, "small_reviews", lambda: small)
    if owner is cli:
        original = cli.small_reviews
    monkeypatch.setattr(owner, name, interrupted)
    monkeypatch.setattr(signal, "getsignal", lambda number: signal.SIG_DFL)
    folder = earlier(tmp_path / "old")
    arguments = [*ARGUMENTS[:-1], "SelfAttention", "--validation", "0", "--time", "100"]
    assert status_of([*arguments, "-o", str(folder)]) == (130 if signal_number == signal.SIGINT else 128 + signal_number)
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.count("\n") <= 1
    assert shown.err.startswith("tangentlens: ")
    assert len(calls) >= call
    assert untouched(folder)


@pytest.mark.slow
@pytest.mark.parametrize("signal_number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("delay", [0.0, 0.05, 0.2, 0.5, 1.0, 2.0])
def test_a_signal_from_outside(tmp_path: Path, delay: float, signal_number: signal.Signals) -> None:
    small = tl.small_reviews(40_000)
    pl.DataFrame({"text": small.texts, "label": small.labels}).write_csv(tmp_path / "many.csv")
    folder = earlier(tmp_path / "out")
    command = [sys.executable, "-m", "tangentlens.cli", "audit", tmp_path / "many.csv", "-o", folder]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={
        **os.environ, "OPENBLAS_NUM_THREADS": "1"}, preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL))
    while len(list(folder.iterdir())) == len(FILES) and process.poll() is None:
        time.sleep(0.002)  # until it has begun to work
    time.sleep(delay)
    process.send_signal(signal_number)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (130 if signal_number == signal.SIGINT else 143, ""), err
    assert err.startswith("tangentlens: ")
    assert err.count("\n") == 1
    assert untouched(folder)


def piped(command: str, folder: Path) -> subprocess.CompletedProcess[str]:
    program = f"{sys.executable} -m tangentlens.cli {' '.join(ARGUMENTS)} -o {folder / 'out'}"
    return subprocess.run(["bash", "-c", f"set -o pipefail; {program} {command}"], capture_output=True, text=True)


@pytest.mark.slow
@pytest.mark.parametrize("command", ["| head -n 1", "| true", "--json | head -c 1", "--json | true", "> /dev/null",
                                     ">&-", ">&- 2>&-", "--quiet >&- 2>&-"])
def test_a_reader_that_stops_reading_is_no_error(tmp_path: Path, command: str) -> None:
    ran = piped(command, tmp_path)
    assert (ran.returncode, ran.stderr) == (0, "")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == sorted(FILES)


@pytest.mark.slow
@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full")
@pytest.mark.parametrize("option", ["", "--json"])
def test_a_summary_that_cannot_be_printed(tmp_path: Path, option: str) -> None:
    ran = piped(f"{option} > /dev/full", tmp_path)
    assert ran.returncode == 2
    assert ran.stderr.count("\n") == 1
    assert "the results are in" in ran.stderr
    assert "No space left" in ran.stderr
    assert len(list((tmp_path / "out").iterdir())) == len(FILES)
