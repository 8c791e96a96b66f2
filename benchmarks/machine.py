"""The machine and the versions that a measurement belongs to. Part of: python -m benchmarks"""

from __future__ import annotations

import os
import platform
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

PACKAGES = ("tangentlens", "numpy", "scipy", "polars", "tokenizers", "scikit-learn")


def describe() -> list[str]:
    """Sentences on processor, memory, versions, load and date."""
    return [
        f"Machine: {cores()} cores of {processor()}, {memory():.1f} GiB memory, {platform.platform(terse=True)}.",
        f"Versions: Python {platform.python_version()}, {', '.join(f'{name} {_version(name)}' for name in PACKAGES)}.",
        f"Date: {datetime.now(UTC):%Y-%m-%d %H:%M} UTC. {load()}{_warning()}",
    ]


def device(name: str) -> str:
    """Where PyTorch works, for a sentence.

    >>> device("").endswith("cores")
    True
    """
    if not name or name == "cpu":
        return f"{cores()} cores"
    import torch

    return torch.cuda.get_device_name(name) if name.startswith("cuda") else name


def cores() -> int:
    """Processor cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def processor() -> str:
    """The processor's name."""
    names = _field(Path("/proc/cpuinfo"), "model name")
    return names or platform.processor() or platform.machine()


def memory() -> float:
    """Main memory in GiB, 0 if unknown."""
    total = _field(Path("/proc/meminfo"), "MemTotal")
    return int(total.split()[0]) / 2**20 if total else 0.0


def load() -> str:
    """How many processes wanted a core in the last minute."""
    return f"Load average {os.getloadavg()[0]:.1f} at that moment." if hasattr(os, "getloadavg") else ""


def _warning() -> str:
    """A sentence if other jobs keep the cores busy, empty otherwise."""
    busy = hasattr(os, "getloadavg") and os.getloadavg()[0] > cores() / 2
    return " Other jobs were running: the seconds below are too many." if busy else ""


def _field(path: Path, name: str) -> str:
    """The value of the first line `name : value` of a file, empty if there is none."""
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    return next((line.partition(":")[2].strip() for line in lines if line.startswith(name)), "")


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"
