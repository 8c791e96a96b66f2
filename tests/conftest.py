"""Being here puts this folder on the import path: every test can import `cases`, `reference` and `chromium`."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

import hypothesis
import pytest

hypothesis.settings.register_profile("untimed", deadline=None)  # tests say what is right; benchmarks say how fast
hypothesis.settings.load_profile("untimed")


@pytest.fixture(scope="module")
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
