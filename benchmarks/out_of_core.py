"""Features in parts in a folder, mapped into memory when needed, and learning from them: time, memory and disk.

Command: python -m benchmarks --only out_of_core [--sizes 200000] [--architectures CNN] [--work FOLDER]
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.asked import Asked
from benchmarks.processes import measure
from benchmarks.scale import reviews_file
from reproduce.sheet import Sheet, number, text

SIZES = (200_000,)
ARCHITECTURES = ("CNN",)
TIME = 1e6  # of the flow
WORK = """
import json, sys, time
import tangentlens as tl
file, folder, architecture, end = sys.argv[1:]
started = time.perf_counter()
features = tl.partition(tl.scan_texts(file), getattr(tl, architecture)(), folder=folder)
counted = time.perf_counter()
learned = tl.learn(features, features.labels, time=float(end), tolerance=1e-2)
ended = time.perf_counter()
columns = features.layout.ends(features.engine.value(features.patterns))[-1]
print(json.dumps({"columns": int(columns), "counting": counted - started, "learning": ended - counted,
                  "products": learned.dynamics.products, "accuracy": learned.curves["train_accuracy"][-1]}))
"""
SHOWN = {
    "architecture": ("architecture", text), "texts": ("texts", number(",d")), "columns": ("features", number(",d")),
    "counting": ("counting\nseconds", number(",.0f")), "learning": ("learning\nseconds", number(",.0f")),
    "products": ("products", number("d")), "accuracy": ("training\naccuracy", number(".3f")),
    "peak": ("peak MiB", number(",.0f")), "disk": ("in the folder\nMB", number(",.0f")), "state": ("state", text),
}


def row_of(architecture: str, size: int, asked: Asked) -> dict[str, Any]:
    """One size, in a process of its own; its state is "ok" or the last line that the process wrote before it failed."""
    path = reviews_file(asked.work, size)
    asked.say(f"out of core: {architecture}, {size:,} texts")
    with tempfile.TemporaryDirectory(dir=asked.work) as folder:
        run = measure([sys.executable, "-c", WORK, str(path), folder, architecture, str(TIME)])
        disk = sum(file.stat().st_size for file in Path(folder).rglob("*") if file.is_file()) / 1e6
    row: dict[str, Any] = {"architecture": architecture, "texts": size, "peak": run.peak, "disk": disk}
    if run.status:
        why = (run.errors.strip().splitlines() or ["no message"])[-1]
        return row | {"state": f"exit {run.status}: {why}"}
    return row | json.loads(run.output.strip().splitlines()[-1]) | {"state": "ok"}


def sheets(asked: Asked) -> dict[str, Sheet]:
    """All sizes."""
    rows = [row_of(architecture, size, asked) for architecture in asked.architectures or ARCHITECTURES
            for size in asked.sizes or SIZES]
    return {"out_of_core": Sheet("Features in parts, in a folder", rows, SHOWN, (
        f"tl.partition of a Parquet file with folder=, then tl.learn to time {TIME:g} with tolerance 0.01, in its own "
        "process; one run. The reviews are those of the benchmark scale. peak: largest resident set, in which pages of "
        "the mapped files count that the system could take back at any time.",))}
