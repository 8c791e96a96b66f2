"""Run a command as a process of its own and take its time and peak memory. Part of: python -m benchmarks"""

from __future__ import annotations

import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass

KIB = 1 if sys.platform == "darwin" else 1024  # unit of ru_maxrss in bytes


@dataclass(frozen=True)
class Measured:
    """One run: wall seconds, processor seconds, peak resident memory in MiB, exit status and what it printed."""

    seconds: float
    processor_seconds: float
    peak: float
    status: int
    output: str
    errors: str


def measure(command: Sequence[str]) -> Measured:
    """Runs a command and waits for it with wait4, so that time and memory are its own and its children's.

    The kernel lets a child start with the peak of its parent; this process therefore imports nothing large, and
    `floor` says what that peak is.
    """
    with tempfile.TemporaryFile("w+") as output, tempfile.TemporaryFile("w+") as errors:
        started = time.perf_counter()
        process = subprocess.Popen(command, stdout=output, stderr=errors, stdin=subprocess.DEVNULL)
        _, status, used = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - started
        process.returncode = os.waitstatus_to_exitcode(status)
        output.seek(0)
        errors.seek(0)
        return Measured(seconds, used.ru_utime + used.ru_stime, used.ru_maxrss * KIB / 2**20, process.returncode,
                        output.read(), errors.read())


def floor() -> float:
    """Peak resident memory of this process in MiB: no measured peak can be below it."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * KIB / 2**20


def spread(values: Sequence[float]) -> tuple[float, float, float]:
    """Median, least and largest.

    >>> spread([3.0, 1.0, 2.0])
    (2.0, 1.0, 3.0)
    """
    return statistics.median(values), min(values), max(values)
