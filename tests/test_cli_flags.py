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
