"""How much memory there is, and how to say how much is needed."""

from __future__ import annotations

import ctypes
import os
import re
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from tangentlens.errors import OptionError

SHARE = 0.8  # of the memory that is free now


def allowed(memory: float | None) -> float:
    """Bytes that may be used: `memory` GB, or SHARE of what is free now. Raises OptionError."""
    if memory is None:
        return SHARE * free()
    number: Any = memory
    if isinstance(number, bool) or not isinstance(number, int | float | np.number) or not 0 < number < np.inf:
        raise OptionError(f"memory must be a positive number of GB, not {memory!r}")
    return float(memory) * 1e9


def free() -> float:
    """Bytes of memory that are free or can be freed, also within the limit of a container; inf where unknown."""
    found = [np.inf]
    try:
        line = re.search(r"MemAvailable:\s+(\d+)", Path("/proc/meminfo").read_text())
        found.append(int(line[1]) * 1024.0 if line else np.inf)
    except OSError:
        if "SC_AVPHYS_PAGES" in getattr(os, "sysconf_names", {}):
            found.append(float(os.sysconf("SC_AVPHYS_PAGES")) * os.sysconf("SC_PAGE_SIZE"))
    found.append(of_container(Path("/sys/fs/cgroup")))
    return max(0.0, min(found))


def of_container(group: Path) -> float:
    """Bytes left within the limit of a control group; cached files count as free. inf where there is no limit."""
    try:
        files = re.findall(r"^(?:in)?active_file (\d+)", (group / "memory.stat").read_text(), re.MULTILINE)
        used = float((group / "memory.current").read_text()) - sum(map(float, files))
        return float((group / "memory.max").read_text()) - used
    except (OSError, ValueError):  # "max" is no number
        return np.inf


def give_back() -> None:
    """Gives free memory back to the system where the C library would keep it, as glibc does of many small pieces."""
    with suppress(AttributeError, OSError, TypeError):  # another C library, or another system
        ctypes.CDLL(None).malloc_trim(0)


def gigabytes(size: float) -> str:
    """A number of bytes for people.

    >>> gigabytes(2.34e9), gigabytes(5e6)
    ('2.3 GB', '0.005 GB')
    """
    return f"{size / 1e9:.2g} GB" if size < 1e11 else f"{size / 1e9:,.0f} GB"
