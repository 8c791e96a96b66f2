"""Inside the process: what every stage costs, and products with the kernel against steps of descent.

Part of: python -m benchmarks
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from benchmarks.command_line import ranged
from benchmarks.processes import measure, spread
from reproduce.sheet import Format, Row, Sheet, number, text, written

NAMES = ("MLP", "CNN", "SelfAttention:scores=tied")
DATA = {"sst": "SST", "reviews": "33,530 reviews"}
STAGES = ("tokenise", "features", "KernelProduct", "flow")
WHO: dict[str, tuple[str, Format]] = {"data": ("data", text), "architecture": ("architecture", text)}
SPEED_SHOWN = {
    **WHO, "columns": ("features", number(",d")), "counts": ("counts", number(",d")),
    **{stage: (f"{stage}\ns", written) for stage in STAGES},
    "per_second": ("products\n/s", written), "peak": ("peak\nMiB", written), "state": ("state", text),
}
LEARNING_SHOWN = {
    **WHO, "goal": ("goal", text), "time": ("time t", number(".3g")),
    "products": ("flow:\nproducts", number(",d")), "flow_seconds": ("flow:\ns", number(".2f")),
    "steps": ("descent:\nsteps", number(",.0f")), "descent_seconds": ("descent:\ns", number(",.1f")),
    "ratio": ("steps ÷\nproducts", number(",.0f")),
}
SPEED_NOTE = (
    "Median (least–largest). SST: train, with dev as validation; reviews: 90 % of them, with the other 10 % as "
    "validation. tokenise, features: the training texts only. counts: stored entries of the map. KernelProduct: "
    'turning the map into the form that products use. flow: learn(…, time="best"), KernelProduct included. products/s: '
    "with one vector, training and validation rows. peak: the whole worker process, which learns twice."
)
LEARNING_NOTES = (
    'best: the recorded time of least validation loss; its products are those of learn(…, time="best"), which has to '
    "look beyond it. within 1 %: the first recorded time whose validation loss is within 1 % of the minimum, and a "
    "flow that is told to end there.",
    "descent: t · λ_max · ℓ''_max / (2n) steps, one product each, at the critical learning rate, where it only just "
    "does not diverge; the default rate is half of it and takes twice as many. descent: s is steps × the measured time "
    "of one product, not a run. flow: s is measured, with KernelProduct and all the work besides products.",
)
Runs = dict[tuple[str, str], list[dict[str, Any]]]


def sheets(folder: Path, repeats: int, say: Callable[[str], None], data: Sequence[str] = tuple(DATA)
           ) -> dict[str, Sheet]:
    """Runs every data set and architecture `repeats` times, each in a new process."""
    runs: Runs = {(which, name): repeated(which, name, folder, repeats, say) for which in data for name in NAMES}
    done = {key: found for key, found in runs.items() if "failed" not in found[0]}
    speed_rows = [speed_row(*key, found) for key, found in runs.items()]
    rows = [learning_row(*key, found, goal) for key, found in done.items() for goal in ("best", "close")]
    speed = Sheet("Stages inside the process", speed_rows, SPEED_SHOWN, (f"{repeats} processes each. {SPEED_NOTE}",))
    learning = Sheet("Products with the kernel, against steps of descent to the same time", rows, LEARNING_SHOWN,
                     LEARNING_NOTES)
    return {"stages": speed, "learning": learning}


def repeated(data: str, name: str, folder: Path, repeats: int, say: Callable[[str], None]) -> list[dict[str, Any]]:
    """The worker's answers with their peak memory, or one {"failed": why}."""
    answers = []
    for repeat in range(repeats):
        say(f"{DATA[data]}, {name} (run {repeat + 1} of {repeats})")
        run = measure([sys.executable, "-m", "benchmarks.worker", data, name, str(folder)])
        if run.status:
            return [{"failed": (run.errors.strip().splitlines() or ["no message"])[-1]}]
        answers.append({**json.loads(run.output.splitlines()[-1]), "peak": run.peak})
    return answers


def speed_row(data: str, name: str, runs: list[dict[str, Any]]) -> Row:
    """Seconds by stage, products per second, peak memory."""
    row: dict[str, Any] = {"data": DATA[data], "architecture": name}
    if "failed" in runs[0]:
        return row | {"state": runs[0]["failed"]}
    measured = {stage: [run["seconds"][stage] for run in runs] for stage in runs[0]["seconds"]}
    measured |= {"per_second": [1 / run["product_seconds"] for run in runs], "peak": [run["peak"] for run in runs]}
    for stage, values in measured.items():
        row[stage] = ranged(spread(values), ",.0f" if stage in ("per_second", "peak") else ".2f")
        row |= dict(zip((f"{stage}_median", f"{stage}_least", f"{stage}_largest"), spread(values), strict=True))
    counts = ("texts", "tokens", "vocabulary", "columns", "counts", "stored")
    return row | {key: runs[0][key] for key in counts} | {"runs": len(runs), "state": "ok"}


def learning_row(data: str, name: str, runs: list[dict[str, Any]], goal: str) -> Row:
    """Products and seconds of the flow, steps and seconds of descent. Counts are the same in every run."""
    seconds = spread([run["seconds"]["flow" if goal == "best" else "flow to 1 %"] for run in runs])[0]
    product = spread([run["product_seconds"] for run in runs])[0]
    found = runs[0][goal]
    return {
        "data": DATA[data], "architecture": name, "goal": "best" if goal == "best" else "within 1 %",
        **found, "flow_seconds": seconds, "descent_seconds": found["steps"] * product,
        "ratio": found["steps"] / found["products"], "critical_rate": runs[0]["critical"],
    }
