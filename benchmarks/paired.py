"""Two ways to compute the same thing, timed in turns: A B A B …, after one untimed run of each that is compared.

Part of: python -m benchmarks
"""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from benchmarks.command_line import ranged
from benchmarks.processes import spread

Ours = TypeVar("Ours")
Theirs = TypeVar("Theirs")


@dataclass(frozen=True)
class Paired:
    """Seconds of both sides, pair by pair."""

    ours: tuple[float, ...]
    theirs: tuple[float, ...]

    @property
    def ratio(self) -> float:
        """How many times faster we are: the median over pairs.

        >>> Paired((1.0, 2.0, 1.0), (3.0, 4.0, 5.0)).ratio
        3.0
        """
        return statistics.median(b / a for a, b in zip(self.ours, self.theirs, strict=True))

    def row(self) -> dict[str, Any]:
        """Columns of a table: medians with the least and the largest, and the ratio."""
        ours, theirs = spread(self.ours), spread(self.theirs)
        return {"ours": ranged(ours, ".3g"), "theirs": ranged(theirs, ".3g"), "ratio": self.ratio,
                "ours_median": ours[0], "theirs_median": theirs[0], "pairs": len(self.ours)}


def in_turns(ours: Callable[[], Ours], theirs: Callable[[], Theirs], same: Callable[[Ours, Theirs], None],
             repeats: int) -> Paired:
    """Runs both once and hands the results to `same`, which raises if they differ; then times `repeats` pairs."""
    same(ours(), theirs())
    pairs = [(seconds(ours), seconds(theirs)) for _ in range(repeats)]
    return Paired(tuple(a for a, _ in pairs), tuple(b for _, b in pairs))


def seconds(work: Callable[[], object]) -> float:
    """Wall seconds of one run. Rubbish is collected before, and its result is thrown away after."""
    gc.collect()
    began = time.perf_counter()
    result = work()
    spent = time.perf_counter() - began
    del result
    return spent
