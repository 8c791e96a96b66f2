"""A full disk, Ctrl-C and SIGTERM, at any moment: one line, nothing half written, an earlier result stays whole."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest

import tangentlens as tl
import tangentlens.report.files
from tangentlens import cli

FILES = ("audit.html", "scores.parquet", "flags.json", "state.npz", "run.json")  # in the order of writing
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


@pytest.fixture(scope="module")
def sizes(tmp_path_factory: pytest.TempPathFactory) -> list[int]:
    """How much room the files of a result take, in whole blocks."""
    folder = tmp_path_factory.mktemp("whole")
    cli.main([*ARGUMENTS, "-q", "-o", str(folder)])
    return [-(-(folder / name).stat().st_size // 4096) * 4096 for name in FILES]


@pytest.mark.parametrize("stops_at", FILES)
def test_a_full_disk(disk: Callable[[int], Path], sizes: list[int], stops_at: str, capsys: pytest.CaptureFixture[str]
                     ) -> None:
    number = FILES.index(stops_at)
    place = disk(sum(sizes[:number]) + sizes[number] // 2 + len(FILES) * 4096)  # earlier files take a block each
    folder = earlier(place / "old")
    for output in (folder, place / "new" / "deep"):
        assert status_of([*ARGUMENTS, "-q", "-o", str(output)]) == 2
        shown = capsys.readouterr()
        assert shown.out == ""
        assert shown.err.startswith("tangentlens: error: cannot write")
        assert f'"{output}": No space left on device' in shown.err
        assert shown.err.count("\n") == 1
    assert untouched(folder)
    assert list(place.iterdir()) == [folder]


@pytest.mark.slow
@pytest.mark.parametrize("size", [20_000, 400_000])
def test_a_limit_on_the_size_of_files(tmp_path: Path, size: int) -> None:
    folder = earlier(tmp_path / "out")
    limit = ["bash", "-c", f'ulimit -f {size // 1024}; exec "$0" "$@"']
    ran = subprocess.run([*limit, sys.executable, "-m", "tangentlens.cli", *ARGUMENTS, "-o", folder], check=False,
                         capture_output=True, text=True)
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
    "page": (sys.modules["tangentlens.outcome"], "render", 1),
    "parquet": (pl.DataFrame, "write_parquet", 1),
    "first move": (tangentlens.report.files.os, "replace", 2),  # state.npz makes the first call
    "a move in between": (tangentlens.report.files.os, "replace", 4),
    "last move": (tangentlens.report.files.os, "replace", 1 + 2 * len(FILES)),
}
WRITING = ("page", "parquet", "first move", "a move in between", "last move")


@pytest.mark.parametrize(("moment", "after", "signal_number"), [
    *((moment, False, signal.SIGINT) for moment in MOMENTS), *((moment, True, signal.SIGINT) for moment in WRITING),
    *(("a move in between", True, other) for other in (signal.SIGTERM, signal.SIGHUP))])
def test_a_signal_at_any_moment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
                                moment: str, signal_number: signal.Signals, after: bool) -> None:
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
    monkeypatch.setattr(signal, "getsignal", lambda number: signal.SIG_DFL)  # under nohup it is SIG_IGN
    folder = earlier(tmp_path / "old")
    arguments = [*ARGUMENTS[:-1], "SelfAttention", "--validation", "0", "--time", "100"]
    assert status_of([*arguments, "-o", str(folder)]) == 128 + signal_number
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err == "tangentlens: interrupted; no half-written result is left\n"
    assert len(calls) >= call
    assert untouched(folder)


@pytest.mark.slow
@pytest.mark.parametrize("signal_number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("delay", [0.0, 0.05, 0.2, 0.5, 1.0, 2.0])
def test_a_signal_from_outside(tmp_path: Path, delay: float, signal_number: signal.Signals) -> None:
    small = tl.small_reviews(40_000)
    pl.DataFrame({"text": small.texts, "label": small.labels}).write_csv(tmp_path / "many.csv")
    folder = earlier(tmp_path / "out")
    main = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)  # a background job ignores it\n" \
           "from tangentlens.cli import main; main()"
    command = [sys.executable, "-c", main, "audit", tmp_path / "many.csv", "-o", folder]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    while len(list(folder.iterdir())) == len(FILES) and process.poll() is None:
        time.sleep(0.002)  # until it has begun to work
    time.sleep(delay)
    process.send_signal(signal_number)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (128 + signal_number, ""), err
    assert err == "tangentlens: interrupted; no half-written result is left\n"
    assert untouched(folder)


@pytest.mark.parametrize("start", ["tangentlens", "-m"])
def test_ctrl_c_while_the_program_is_being_loaded(tmp_path: Path, start: str) -> None:
    """The first package that is loaded, here one of the test, sends the signal."""
    (tmp_path / "numpy.py").write_text("import os, signal, time; os.kill(os.getpid(), signal.SIGINT); time.sleep(9)")
    (tmp_path / "tangentlens").write_text("from tangentlens.cli import main; main()")
    home = str(Path(tl.__file__).parents[1])
    command = ["-m", "tangentlens.cli"] if start == "-m" else [str(tmp_path / start)]
    ran = subprocess.run([sys.executable, *command, "--version"], check=False, capture_output=True, text=True,
                         env=os.environ | {"PYTHONPATH": f"{tmp_path}{os.pathsep}{home}"},
                         preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL))
    assert (ran.returncode, ran.stdout) == (130, "")
    assert ran.stderr == "tangentlens: interrupted; no half-written result is left\n"


def test_the_library_leaves_ctrl_c_alone() -> None:
    script = "import signal, tangentlens; print(signal.getsignal(signal.SIGINT) is signal.default_int_handler)"
    ran = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True,
                         preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL))
    assert ran.stdout == "True\n"


@pytest.mark.parametrize("call", range(1, 8))
def test_files_of_another_command_are_moved_back_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: int
                                                     ) -> None:
    before = {"run.json": '{"versions": {"tangentlens": "0.1.0"}}', "compared.parquet": "old", "state.npz": "old"}
    for name, content in before.items():
        (tmp_path / name).write_text(content)
    original, calls = os.replace, []

    def interrupted(*arguments: Any) -> None:
        calls.append(1)
        if len(calls) == call:
            raise KeyboardInterrupt
        original(*arguments)

    def write() -> None:
        with tangentlens.report.files.staged(tmp_path) as stage:
            for name in ("run.json", "state.npz", "flags.json"):
                (stage / name).write_text("new")
            monkeypatch.setattr(tangentlens.report.files.os, "replace", interrupted)

    if call < 7:  # one left over, two replaced, one new
        with pytest.raises(KeyboardInterrupt):
            write()
        assert {path.name: path.read_text() for path in tmp_path.iterdir()} == before
    else:
        write()
        assert {path.name: path.read_text() for path in tmp_path.iterdir()} == dict.fromkeys(
            ("run.json", "state.npz", "flags.json"), "new")


def piped(command: str, folder: Path) -> subprocess.CompletedProcess[str]:
    program = f"{sys.executable} -m tangentlens.cli {' '.join(ARGUMENTS)} -o {folder / 'out'}"
    shell = ["bash", "-c", f"set -o pipefail; {program} {command}"]
    return subprocess.run(shell, check=False, capture_output=True, text=True)


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
