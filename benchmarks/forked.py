"""A function in a copy of this process: its result, processor seconds and the memory it took beyond what was there.

Used by python -m benchmarks --only attribution.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable
from multiprocessing.connection import Connection
from resource import RUSAGE_SELF, getrusage
from time import process_time
from typing import Any, TypeVar

from benchmarks.processes import KIB

Result = TypeVar("Result")


def forked(work: Callable[[], Result]) -> tuple[Result, float, float]:
    """What `work` returns, its processor seconds, and the growth of the peak of resident memory in MiB.

    >>> forked(lambda: sum(range(5)))[0]
    10
    """
    context = multiprocessing.get_context("fork")
    mine, theirs = context.Pipe(duplex=False)
    child = context.Process(target=_run, args=(work, theirs))
    child.start()
    theirs.close()
    try:
        answer: tuple[Result, float, float] = mine.recv()
    except EOFError:
        raise RuntimeError("the copy of this process ended without a result; its error stands above") from None
    finally:
        child.join()
    return answer


def _run(work: Callable[[], Any], pipe: Connection) -> None:
    before, began = _peak(), process_time()
    result = work()
    pipe.send((result, process_time() - began, _peak() - before))


def _peak() -> float:
    """A copy starts with the memory that it shares, so its first peak is what was there."""
    return getrusage(RUSAGE_SELF).ru_maxrss * KIB / 2**20
