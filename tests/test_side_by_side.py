"""Jobs side by side: results in order, warnings with names, and an end as soon as one fails."""

import os
import signal
import threading
import time
import warnings
from dataclasses import dataclass
from typing import Any

import pytest

from tangentlens.data.threads import single_threaded_blas, workers
from tangentlens.side_by_side import side_by_side


@dataclass
class Job:
    name: str
    work: Any

    def run(self, say):
        return self.work(say)


def nothing(line):
    """Says nothing."""


def long(stopped):
    """Work of five seconds that notes when it is stopped."""
    def run(say):
        try:
            for _ in range(500):
                say("going on")
                time.sleep(0.01)
        except BaseException:
            stopped.append(True)
            raise
    return run


@pytest.mark.parametrize("most", [1, 2])
def test_results_are_in_order_and_warnings_have_names(most):
    def work(number):
        def run(say):
            say("begins")
            time.sleep(0.05 * (3 - number))
            for _ in range(2):
                warnings.warn("the same words", stacklevel=1)
            return number
        return run

    lines = []
    found, heard = side_by_side([Job(f"job {number}", work(number)) for number in range(4)], lines.append, most=most)
    assert found == [0, 1, 2, 3]
    assert sorted(heard) == [f"job {number}: the same words" for number in range(4)]
    assert sorted(lines) == [f"job {number}: begins" for number in range(4)]


def test_warnings_of_threads_that_a_job_starts():
    def run(say):
        for kind in (UserWarning, RuntimeWarning):
            thread = threading.Thread(target=warnings.warn, args=("from below", kind))
            thread.start()
            thread.join()

    assert side_by_side([Job("one", run), Job("two", run)], nothing, most=2) == ([None, None], ["from below"])


@pytest.mark.skipif(workers() == 1, reason="one processor: jobs run one after another")
def test_a_failure_stops_the_others():
    stopped: list[bool] = []

    def failing(say):
        time.sleep(0.1)
        raise ValueError("broken")

    before = warnings.showwarning
    jobs = [Job("long", long(stopped)), Job("failing", failing), Job("never", long(stopped))]
    with pytest.raises(ValueError, match="broken"):
        side_by_side(jobs, nothing, most=2)
    assert stopped
    assert warnings.showwarning is before


@pytest.mark.skipif(workers() == 1, reason="one processor: jobs run one after another")
def test_an_interruption_stops_all():
    ended: list[bool] = []
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # in the background it may be ignored
    threading.Timer(0.2, lambda: os.kill(os.getpid(), signal.SIGINT)).start()
    try:
        with pytest.raises(KeyboardInterrupt):
            side_by_side([Job("one", long(ended)), Job("two", long(ended))], nothing, most=2)
    finally:
        signal.signal(signal.SIGINT, before)
    assert len(ended) == 2


def test_threads_share_the_limit_of_the_linear_algebra():
    from threadpoolctl import threadpool_info

    def threads():
        return [one["num_threads"] for one in threadpool_info() if one["user_api"] == "blas"]

    before = threads()
    first, second = single_threaded_blas(), single_threaded_blas()
    with first:
        second.__enter__()
        assert set(threads()) == {1}
    assert set(threads()) == {1}
    second.__exit__(None, None, None)
    assert threads() == before
