"""Small runs of the scripts in reproduce/."""

from __future__ import annotations

import csv
import importlib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SST = ROOT.parent / "shared" / "data" / "sst"

needs_sst = pytest.mark.skipif(not SST.exists(), reason=f"the Stanford Sentiment Treebank is not at {SST}")


def small_run(name: str, output: Path, *arguments: str) -> list[dict[str, str]]:
    """Runs a study on networks at a small size; the rows of its table."""
    pytest.importorskip("torch", reason="studies of trained networks need the extra torch")
    importlib.import_module(f"reproduce.{name}").main(["--data", str(SST), "--output", str(output), *arguments])
    assert f"python -m reproduce.{name}" in (output / f"{name}.md").read_text(encoding="utf-8")
    return list(csv.DictReader((output / f"{name}.csv").open(encoding="utf-8")))
