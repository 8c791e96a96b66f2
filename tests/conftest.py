"""Being here puts this folder on the import path: every test can import `cases`, `reference` and `chromium`."""

from __future__ import annotations

import gc
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import hypothesis
import pytest

hypothesis.settings.register_profile("untimed", deadline=None)  # tests say what is right; benchmarks say how fast
hypothesis.settings.load_profile("untimed")


def pytest_collection_finish() -> None:
    """Thousands of tests and their modules stay to the end: the garbage collector need not look at them every time."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """A headless Chromium."""
    from chromium import started

    with started() as driver:
        yield driver


@pytest.fixture(autouse=True)
def one_thread() -> None:
    """Small networks are fastest on one thread of PyTorch, and the same there to the last bit."""
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(1)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Callable[[int], Path]]:
    """Mounts file systems with room for so many bytes; skips where that is not allowed."""
    mounted: list[Path] = []

    def mount(size: int) -> Path:
        place = tmp_path / f"disk{len(mounted)}"
        place.mkdir()
        mounting = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(place)]
        if subprocess.run(mounting, check=False, capture_output=True).returncode:
            pytest.skip("cannot mount a file system here")
        mounted.append(place)
        return place

    yield mount
    for place in mounted:
        subprocess.run(["umount", place], check=True)
