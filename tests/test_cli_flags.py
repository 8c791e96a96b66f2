"""Flags on the command line: the first screen, and the exit status after the results are written."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tangentlens.cli import main

ARGUMENTS = ["demo", "--small", "-a", "MLP"]


def status(arguments: list[str]) -> int:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    return int(ended.value.code or 0)


def test_a_flag_fails_the_run_after_it_is_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "out"
    assert status([*ARGUMENTS, "-o", str(folder), "--fail-on", "any"]) == 1
    assert "1. imax → positive" in capsys.readouterr().out.split("Classes")[0]
    flags = json.loads((folder / "flags.json").read_text())
    assert [row["cue"] for row in flags] == ["imax"]
    main([*ARGUMENTS, "-o", str(folder), "--previous", str(folder), "--fail-on", "new"])
    assert json.loads((folder / "flags.json").read_text())[0]["change"] == "kept"


@pytest.mark.parametrize("options", [["--fail-on", "nothing"], ["--fail-on", "new"], ["--forbid", "nowhere"],
                                     ["--previous", "nowhere"]])
def test_errors_have_another_status(tmp_path: Path, options: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert status([*ARGUMENTS, "-o", str(tmp_path / "out"), *options]) == 2
    assert capsys.readouterr().err.startswith("tangentlens: error: ")
    assert not (tmp_path / "out").exists()


def test_an_entry_that_matches_nothing_is_noted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "forbidden").write_text("imaxx\nimax\n")
    main([*ARGUMENTS, "-o", str(tmp_path / "out"), "--forbid", str(tmp_path / "forbidden")])
    note = 'No feature that can be flagged matches "imaxx" of your list of forbidden features'
    assert note in " ".join(capsys.readouterr().out.split())
    notes = json.loads((tmp_path / "out/run.json").read_text())["notes"]
    assert [one.startswith(note) for one in notes] == [True]


def test_lists_are_not_blamed_where_nothing_is_learned(tmp_path: Path) -> None:
    rows = "".join(f"word{number},{number % 2}\n" for number in range(40))
    (tmp_path / "noise.csv").write_text(f"text,label\n{rows}")
    (tmp_path / "forbidden").write_text("word1\n")
    main(["audit", str(tmp_path / "noise.csv"), "-a", "MLP", "-q", "-o", str(tmp_path / "out"), "--forbid",
          str(tmp_path / "forbidden")])
    notes = json.loads((tmp_path / "out/run.json").read_text())["notes"]
    assert [note for note in notes if "forbidden" in note] == []
    assert [note for note in notes if "before anything is learned" in note]
