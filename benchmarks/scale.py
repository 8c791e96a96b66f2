"""Whole audits of up to a million reviews: time and memory of the process, and how they grow.

Command: python -m benchmarks --only scale [--sizes 10000,100000] [--architectures MLP,CNN] [--work FOLDER]
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.asked import Asked
from benchmarks.command_line import program, ranged
from benchmarks.growth import PowerLaw
from benchmarks.processes import floor, measure, spread
from reproduce.sheet import Row, Sheet, number, text, written

SIZES = (10_000, 30_000, 100_000, 300_000, 1_000_000)
ARCHITECTURES = ("MLP",)
ONCE = 200_000  # from so many texts on, a single run
SHOWN = {
    "architecture": ("architecture", text), "texts": ("texts", number(",d")), "file": ("file\nMB", number(",.0f")),
    "seconds": ("seconds", written), "processor": ("processor\ns", written), "peak": ("peak MiB", written),
    "runs": ("runs", number("d")), "state": ("state", text),
}
SLOPES_SHOWN = {
    "architecture": ("architecture", text), "from": ("from", number(",d")), "to": ("to", number(",d")),
    "seconds": ("slope of\nseconds", number(".3f")), "processor": ("slope of\nprocessor s", number(".3f")),
    "peak": ("slope of\npeak memory", number(".3f")),
}


def reviews_file(folder: Path, rows: int) -> Path:
    """The file of that many made-up reviews; written once, by a process of its own."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"reviews-{rows}.parquet"
    if not path.exists():
        made = measure([sys.executable, "-m", "benchmarks.resampling", str(path), "--rows", str(rows)])
        if made.status:
            raise RuntimeError(f"the reviews could not be written: {made.errors}")
    return path


def row_of(architecture: str, size: int, asked: Asked) -> dict[str, Any]:
    """One size; its state is "ok" or the last line that the process wrote before it failed."""
    path = reviews_file(asked.work, size)
    row: dict[str, Any] = {"architecture": architecture, "texts": size, "file": path.stat().st_size / 1e6}
    runs = []
    for repeat in range(1 if size >= ONCE else asked.repeats):
        asked.say(f"scale: {architecture}, {size:,} texts, run {repeat + 1}")
        with tempfile.TemporaryDirectory(dir=asked.work) as folder:
            run = measure([*program(), "audit", str(path), "--text", "text", "--label", "label", "--architecture",
                           architecture, "--output", str(Path(folder) / "out")])
        if run.status:
            why = (run.errors.strip().splitlines() or ["no message"])[-1]
            return row | {"state": f"exit {run.status}: {why}", "runs": len(runs) + 1}
        runs.append(run)
    for column, values, spec in (("seconds", [run.seconds for run in runs], ".1f"),
                                 ("processor", [run.processor_seconds for run in runs], ".1f"),
                                 ("peak", [run.peak for run in runs], ",.0f")):
        row |= {column: ranged(spread(values), spec), f"{column}_median": spread(values)[0]}
    return row | {"state": "ok", "runs": len(runs)}


def slopes(rows: Sequence[dict[str, Any]]) -> list[Row]:
    """Of the logarithms, over all sizes that went well."""
    found: list[Row] = []
    for architecture in dict.fromkeys(row["architecture"] for row in rows):
        mine = [row for row in rows if row["architecture"] == architecture and row["state"] == "ok"]
        sizes = [row["texts"] for row in mine]
        if len(set(sizes)) > 1:
            found.append({"architecture": architecture, "from": min(sizes), "to": max(sizes),
                          **{column: PowerLaw.fit(sizes, [row[f"{column}_median"] for row in mine]).slope
                             for column in ("seconds", "processor", "peak")}})
    return found


def sheets(asked: Asked) -> dict[str, Sheet]:
    """All sizes."""
    rows = [row_of(architecture, size, asked) for architecture in asked.architectures or ARCHITECTURES
            for size in asked.sizes or SIZES]
    made = {"scale": Sheet("Whole audits, from a Parquet file to the page", rows, SHOWN, (
        "tangentlens audit FILE.parquet --text text --label label --architecture … --output DIR as a process of its "
        "own, start to end. The reviews are made by python -m benchmarks.resampling: of a random IMDB review as many "
        "sentences as it has, drawn from all reviews of its class. Median (least–largest). peak: largest resident set; "
        f"the harness takes {floor():.0f} MiB, below which none could be seen.",))}
    if found := slopes(rows):
        made["scale_growth"] = Sheet("Growth with the number of texts", found, SLOPES_SHOWN, (
            "Slopes of straight lines through the logarithms of the medians; 1 is proportional.",))
    return made
