"""Jobs side by side, each in a thread of its own; what they say and warn of carries the name of the job."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from typing import Any, Protocol, TypeVar

from tangentlens.data.threads import workers

Result = TypeVar("Result", covariant=True)
Say = Callable[[str], None]
_current = threading.local()


class Job(Protocol[Result]):
    """What can be run; `name` tells it from the others."""

    @property
    def name(self) -> str:
        """For what it says."""

    def run(self, say: Say) -> Result:
        """Does the work; `say` is called with a line now and then."""


class Stopped(BaseException):
    """Another job has failed, or the user has had enough."""


def side_by_side(jobs: Sequence[Job[Result]], say: Say, *, most: int) -> tuple[list[Result], list[str]]:
    """The results in the order of the jobs, `most` of them at a time; and warnings, one line each.

    When one fails, or the program is interrupted, the others stop at the next thing they say.
    """
    most = min(most, workers(), len(jobs))
    stop = threading.Event()

    def run(job: Job[Result]) -> Result:
        def prefixed(line: str) -> None:
            if stop.is_set():
                raise Stopped
            say(f"{job.name}: {line}")

        _current.name = job.name
        return job.run(prefixed)

    with _heard() as lines:
        if most <= 1:
            return [run(job) for job in jobs], lines
        with ThreadPoolExecutor(most) as pool:
            futures: list[Future[Result]] = [pool.submit(run, job) for job in jobs]
            try:
                done = wait(futures, return_when=FIRST_EXCEPTION).done
                for future in futures:
                    if future in done:
                        future.result()
                return [future.result() for future in futures], lines
            except BaseException:
                stop.set()
                for future in futures:
                    future.cancel()
                raise


@contextmanager
def _heard() -> Iterator[list[str]]:
    """Collects the warnings of the running jobs, each once."""
    lines: list[str] = []

    def show(message: Warning | str, category: type[Warning], *_: Any, **__: Any) -> None:
        name = getattr(_current, "name", "")  # threads that a job starts have none
        line = f"{name}: {message}" if name else str(message)
        if issubclass(category, UserWarning) and line not in lines:
            lines.append(line)

    with warnings.catch_warnings():
        warnings.simplefilter("always", UserWarning)
        warnings.showwarning = show
        yield lines
