"""Work on all processors, one block each. NumPy and SciPy release the interpreter lock where it matters."""

from __future__ import annotations

import os
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import AbstractContextManager, contextmanager, suppress
from contextvars import copy_context
from functools import cache
from typing import Generic, TypeVar

from threadpoolctl import ThreadpoolController

In = TypeVar("In")
Out = TypeVar("Out")


@cache
def workers() -> int:
    """Processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


_STARTED = os.getpid()
_this_thread = threading.local()  # working: whether it works on items of `parallel`


def forked() -> bool:
    """Whether this process was forked from one that had this package, and so has none of its threads."""
    return os.getpid() != _STARTED


@cache
def _helpers(process: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(workers() - 1, thread_name_prefix="tangentlens-helper")


def parallel(function: Callable[[In], Out], items: Iterable[In], *, enough: bool = True) -> list[Out]:
    """The function of every item, in order; by this thread and, where there is work enough, others that help, in copies
    of its context (under NumPy 2 its errstate too).

    Where one fails, or the user has had enough, those that have begun end first: nothing goes on unseen.
    """
    items = list(items)
    working = getattr(_this_thread, "working", False)  # then its helpers are at work as well
    if len(items) <= 1 or workers() == 1 or working or not enough:
        return [function(item) for item in items]
    shared, helping = _Shared(function, items), list[Future[None]]()
    try:
        with suppress(RuntimeError):  # no more threads can be started: there are fewer then
            for _ in range(min(workers(), len(items)) - 1):
                helping.append(_helpers(os.getpid()).submit(copy_context().run, shared.work))
        shared.work()
        _ended(helping)
    finally:  # an interruption may have come while they were waited for
        shared.places.clear()
        _ended(helping)
    return shared.results()


def summed(function: Callable[[In], Out], items: Iterable[In]) -> Out:
    """The sum of the function of every item, of which there is one at least, in order: arrays, the first written over.
    """
    total, *others = parallel(function, items)
    for other in others:
        total += other  # type: ignore[operator]
    return total


def _ended(helping: list[Future[None]]) -> None:
    """Waits for those that have begun; the others never will."""
    wait([one for one in helping if not one.cancel()])


class _Shared(Generic[In, Out]):
    """Items that threads take one after another, and what came of each."""

    def __init__(self, function: Callable[[In], Out], items: list[In]) -> None:
        self.function, self.items, self.places = function, items, deque(range(len(items)))
        self.found: dict[int, Out] = {}
        self.failed: dict[int, BaseException] = {}

    def work(self) -> None:
        """Takes items until there are none, or one fails."""
        _this_thread.working = True
        try:
            while True:
                try:
                    place = self.places.popleft()
                except IndexError:
                    return
                try:
                    self.found[place] = self.function(self.items[place])
                except BaseException as error:
                    self.failed[place] = error
                    self.places.clear()
                    if not isinstance(error, Exception):  # the user has had enough, whatever else failed
                        raise
        finally:
            _this_thread.working = False

    def results(self) -> list[Out]:
        """In the order of the items; raises what the first of those that failed has raised."""
        if self.failed:
            raise self.failed[min(self.failed)]
        return [self.found[place] for place in range(len(self.items))]


class _OneThread:
    """One limit for all threads that want it: the first to come sets it, the last to go lifts it."""

    def __init__(self) -> None:
        self.lock, self.users = threading.Lock(), 0
        self.controller, self.modules = ThreadpoolController(), len(sys.modules)
        self.limit: AbstractContextManager[object] | None = None

    def _limited(self) -> AbstractContextManager[object]:
        """Looks for libraries again only where modules have been imported since: it takes milliseconds."""
        modules = len(sys.modules)
        if modules != self.modules:
            self.controller, self.modules = ThreadpoolController(), modules
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
