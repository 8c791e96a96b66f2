"""Work on all processors, one block each. NumPy and SciPy release the interpreter lock where it matters."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from functools import cache
from typing import TypeVar

from threadpoolctl import threadpool_limits

In = TypeVar("In")
Out = TypeVar("Out")


@cache
def workers() -> int:
    """Processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


_STARTED = os.getpid()
_NAME = "tangentlens-pool"


def forked() -> bool:
    """Whether this process was forked from one that had this package, and so has none of its threads."""
    return os.getpid() != _STARTED


@cache
def _pool(process: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(workers(), thread_name_prefix=_NAME)


def parallel(function: Callable[[In], Out], items: Iterable[In]) -> list[Out]:
    """The function of every item, in order; computed in this thread where there is only one."""
    items = list(items)
    inside = threading.current_thread().name.startswith(_NAME)  # waiting for its own pool, a thread may wait for ever
    if len(items) == 1 or workers() == 1 or inside:
        return [function(item) for item in items]
    return list(_pool(os.getpid()).map(function, items))


def single_threaded_blas() -> AbstractContextManager[object]:
    """Keeps the linear algebra library from starting threads of its own: beside ours, or on a busy machine, they wait
    for one another and a small problem takes ten times as long.
    """
    limits: AbstractContextManager[object] = threadpool_limits(limits=1, user_api="blas")
    return limits
