"""Parts in a folder: interrupted anywhere, on a full disk, or with a broken part, finished work is kept and goes on."""

from __future__ import annotations

import ast
import errno
import json
import shutil
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tangentlens as tl
from tangentlens.errors import DataError, OptionError, OutputError, ShapeError
from tangentlens.learning import engines, needs

TEXTS = tl.small_reviews(60)
STAGES = 4 + 1 + 4 + 1 + 4  # tokens, vocabulary, patterns, all patterns, columns


def lines(folder: Path) -> Path:
    path = folder / "texts.jsonl"
    rows = zip(TEXTS.texts, TEXTS.labels.tolist(), strict=True)
    path.write_text("".join(json.dumps({"text": text, "label": label}) + "\n" for text, label in rows))
    return path


def run(path: Path, folder: Path | None, **options: Any) -> tuple[Any, list[str]]:
    """Dual coefficients, and the stages that were worked on."""
    said: list[str] = []
    features = tl.partition(tl.scan_texts(path, part=15), tl.CNN(), folder=folder, progress=said.append, **options)
    worked = [line.split(":")[0] for line in said if line.split(":")[0] in
              ("tokens", "vocabulary", "patterns", "all patterns", "columns")]
    return tl.learn(features, features.labels, time=9.0).duals, worked


def unfinished(folder: Path) -> list[Path]:
    return [path for path in folder.iterdir() if path.name.startswith(engines.TEMPORARY)]


@pytest.mark.parametrize(("stop", "during"), [*((stop, False) for stop in range(STAGES)), (2, True), (7, True)])
def test_an_interrupted_run_goes_on_where_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stop: int,
                                                 during: bool) -> None:
    path, folder = lines(tmp_path), tmp_path / "parts"
    write, calls = engines._write, []

    def interrupted(place: Path, arrays: Any) -> None:
        calls.append(place)
        if len(calls) == stop + 1:
            if during:
                half = place.parent / f"{engines.TEMPORARY}half"
                half.mkdir()
                (half / "data.npy").write_bytes(b"half an arr")
            raise KeyboardInterrupt
        write(place, arrays)

    monkeypatch.setattr(engines, "_write", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run(path, folder)
    monkeypatch.setattr(engines, "_write", write)
    duals, worked = run(path, folder)
    assert len(worked) == STAGES - stop
    assert np.array_equal(duals, run(path, None)[0])
    assert run(path, folder)[1] == []
    assert unfinished(folder) == []


def test_what_changed_is_made_again_and_no_more(tmp_path: Path) -> None:
    path, folder = lines(tmp_path), tmp_path / "parts"
    run(path, folder)
    rows = path.read_text().split("\n")
    rows[20] = json.dumps({"text": "something else entirely", "label": TEXTS.labels.tolist()[20]})  # second part
    path.write_text("\n".join(rows))
    duals, worked = run(path, folder)
    assert worked.count("tokens") == 1
    assert np.array_equal(duals, run(path, None)[0])
    duals, worked = run(path, folder, min_count=2)
    assert worked.count("tokens") == 0
    assert worked.count("patterns") == 4
    assert np.array_equal(duals, run(path, None, min_count=2)[0])


@pytest.mark.parametrize("write", [0, 5, 30, 60, 90])
def test_a_full_disk_keeps_what_is_finished(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, write: int) -> None:
    path, folder = lines(tmp_path), tmp_path / "parts"
    original, calls = np.lib.format.write_array, []

    def full(*arguments: Any, **options: Any) -> None:
        calls.append(1)
        if len(calls) > write:
            raise OSError(errno.ENOSPC, "No space left on device")
        original(*arguments, **options)

    monkeypatch.setattr(np.lib.format, "write_array", full)
    with pytest.raises(OutputError, match=r"parts\": No space left on device; .* is kept there"):
        run(path, folder)
    assert unfinished(folder) == []
    kept = len(list(folder.iterdir())) - 1
    monkeypatch.setattr(np.lib.format, "write_array", original)
    duals, worked = run(path, folder)
    assert len(worked) == STAGES - min(kept, STAGES)
    assert np.array_equal(duals, run(path, None)[0])


def test_a_disk_that_is_really_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, disk: Callable[[int], Path]
                                    ) -> None:
    monkeypatch.setattr(needs, "KEPT", 0)  # filled by others after work began
    place = disk(150_000)
    with pytest.raises(OutputError, match=r"No space left on device; .* is kept there: make room"):
        run(lines(tmp_path), place / "parts")
    assert len(list((place / "parts").iterdir())) > 2
    assert unfinished(place / "parts") == []


def test_a_broken_part_keeps_the_others(tmp_path: Path) -> None:
    path, folder = lines(tmp_path), tmp_path / "parts"
    good = path.read_text()
    rows = good.split("\n")
    path.write_text("\n".join([*rows[:40], "{broken", *rows[41:]]))
    with pytest.raises(DataError, match=r"texts.jsonl, line 41: .*finished parts are kept in .*run again"):
        run(path, folder)
    path.write_text(good)
    duals, worked = run(path, folder)
    assert worked.count("tokens") == 2  # the third and the fourth
    assert np.array_equal(duals, run(path, None)[0])


def test_folders_of_others_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(OptionError, match="holds other files"):
        tl.partition(TEXTS, tl.MLP(), folder=tmp_path)
    with pytest.raises(OutputError, match="give another folder"):
        tl.partition(TEXTS, tl.MLP(), folder=tmp_path / "mine.txt" / "deep")
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_nothing_is_pickled(tmp_path: Path) -> None:
    run(lines(tmp_path), tmp_path / "parts")
    for file in (tmp_path / "parts").glob("*/*"):
        np.load(file, allow_pickle=False)


def test_options_that_contradict() -> None:
    features = tl.partition(TEXTS, tl.MLP(), part=20)
    with pytest.raises(OptionError, match=r"columns= say"):
        tl.partition(TEXTS, tl.MLP(), columns=features, min_count=2)
    with pytest.raises(OptionError, match=r"columns= are those of MLP"):
        tl.partition(TEXTS, tl.CNN(), columns=features)
    other = tl.partition(TEXTS, tl.MLP(), part=20)
    with pytest.raises(ShapeError, match="different columns"):
        tl.learn(features, features.labels, validation=(other, other.labels), time=1.0)
    with pytest.raises(OptionError, match=r"distributed\.Client"):
        tl.partition(TEXTS, tl.MLP(), client="tcp://127.0.0.1:8786")
    with pytest.raises(OptionError, match="TokenRates"):
        tl.partition(TEXTS, tl.TokenRates(tl.MLP()))


def test_what_will_not_fit_is_refused_before_work_starts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, said = lines(tmp_path), []
    scan = tl.scan_texts(path, part=15)
    with pytest.raises(OptionError, match=r"about .* GB of memory, and .* are there; make parts smaller"):
        tl.partition(scan, tl.CNN(), folder=tmp_path / "parts", memory=0.01)
    with pytest.raises(OptionError, match="parts in a folder"):
        tl.partition(scan, tl.CNN(), memory=0.01)
    tl.partition(scan, tl.CNN(), folder=tmp_path / "parts", progress=said.append)
    assert "GB of memory" in said[0]
    monkeypatch.setattr(needs.shutil, "disk_usage", lambda folder: shutil._ntuple_diskusage(1000, 1000, 0))
    with pytest.raises(OutputError, match="larger disk"):
        tl.partition(scan, tl.CNN(), folder=tmp_path / "other")


def test_one_header_is_read_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """NumPy reads headers with `ast`, which fails now and then where two threads do so, before Python 3.13."""
    for number in range(8):
        np.save(tmp_path / f"{number}.npy", np.arange(number + 1))
    literal_eval, inside, most = ast.literal_eval, [0], [0]

    def slow(source: Any) -> Any:
        inside[0] += 1
        most[0] = max(most[0], inside[0])
        time.sleep(0.002)
        inside[0] -= 1
        return literal_eval(source)

    monkeypatch.setattr(ast, "literal_eval", slow)
    with ThreadPoolExecutor(4) as pool:
        loaded = list(pool.map(lambda _: engines.Stored(tmp_path, "").load(), range(8)))
    assert most == [1]
    assert all(len(arrays["7"]) == 8 for arrays in loaded)
