"""Being here puts this folder on the import path: every test can import `cases`, `reference` and `chromium`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """A headless Chromium."""
    from chromium import started

    with started() as driver:
        yield driver
