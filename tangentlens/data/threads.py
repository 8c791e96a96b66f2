"""Work on all processors, one block each. NumPy and SciPy release the interpreter lock where it matters."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import AbstractContextManager, contextmanager
from functools import cache
from typing import TypeVar

from threadpoolctl import ThreadpoolController

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


def parallel(function: Callable[[In], Out], items: Iterable[In], *, enough: bool = True) -> list[Out]:
    """The function of every item, in order; computed in this thread where there is only one, or not work enough.

    Where one fails, or the user has had enough, those that have begun end first: nothing goes on unseen.
    """
    items = list(items)
    inside = threading.current_thread().name.startswith(_NAME)  # waiting for its own pool, a thread may wait for ever
    if len(items) == 1 or workers() == 1 or inside or not enough:
        return [function(item) for item in items]
    futures = [_pool(os.getpid()).submit(function, item) for item in items]
    try:
        return [future.result() for future in futures]
    finally:
        wait([future for future in futures if not future.cancel()])


class _OneThread:
    """One limit for all threads that want it: the first to come sets it, the last to go lifts it."""

    def __init__(self) -> None:
        self.lock, self.users, self.modules = threading.Lock(), 0, -1
        self.limit: AbstractContextManager[object] | None = None

    def _limited(self) -> AbstractContextManager[object]:
        """Looks for libraries again only where modules have been imported since: it takes milliseconds."""
        if len(sys.modules) != self.modules:
            self.controller, self.modules = ThreadpoolController(), len(sys.modules)
        limit: AbstractContextManager[object] = self.controller.limit(limits=1, user_api="blas")
        return limit

    @contextmanager
    def __call__(self) -> Iterator[None]:
        with self.lock:
            self.users += 1
            if self.users == 1:
                self.limit = self._limited()
                self.limit.__enter__()
        try:
            yield
        finally:
            with self.lock:
                self.users -= 1
                if not self.users and self.limit is not None:
                    self.limit.__exit__(None, None, None)
                    self.limit = None


_one_thread = _OneThread()


def single_threaded_blas() -> AbstractContextManager[None]:
    """Keeps the linear algebra library from starting threads of its own: beside ours, or on a busy machine, they wait
    for one another and a small problem takes ten times as long.
    """
    return _one_thread()
