"""Learning on Dask's worker processes against one process: seconds, and whether the result is the same, also when
workers are killed in the middle.

Command: python -m benchmarks --only workers [--sizes 25000]; needs the extra dask.
"""

from __future__ import annotations

import os
import random
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import dask
import numpy as np
from distributed import Client, LocalCluster

import tangentlens as tl
from benchmarks.asked import Asked
from reproduce.sheet import Row, Sheet, number, text

SIZES = (25_000,)
ARCHITECTURES = ("CNN",)
PARTS = 10
TIME = 1e6  # of the flow
CLUSTERS = (1, 2, 4)  # worker processes
KILLED = 2  # workers of the cluster in which some are killed …
MOMENTS = 0.15, 0.4, 0.7, 0.9  # … at these shares of the seconds that it took undisturbed
PATIENT = {"distributed.deploy.lost-worker-timeout": "600s"}  # a busy machine starts processes slowly
SHOWN = {
    "architecture": ("architecture", text), "texts": ("texts", number(",d")), "where": ("where", text),
    "counting": ("counting\nseconds", number(",.1f")), "learning": ("learning\nseconds", number(",.1f")),
    "products": ("products", number("d")), "killed": ("workers\nkilled", number("d")),
    "difference": ("largest relative\ndifference of duals", number(".0e")),
}


@contextmanager
def cluster_of(workers: int) -> Iterator[Client]:
    """A client of that many processes of one thread on this machine."""
    with (dask.config.set(PATIENT),
          LocalCluster(n_workers=workers, threads_per_worker=1, host="127.0.0.1", dashboard_address=None,
                       silence_logs=50) as cluster, Client(cluster) as client):
        yield client


def learned(texts: tl.Texts, architecture: str, client: Client | None = None) -> tuple[Row, Any]:
    """Seconds and products, and the dual coefficients."""
    started = time.perf_counter()
    features = tl.partition(texts, getattr(tl, architecture)(), part=-(-len(texts) // PARTS), client=client)
    counted = time.perf_counter()
    found = tl.learn(features, features.labels, time=TIME, record=[])
    return {"counting": counted - started, "learning": time.perf_counter() - counted,
            "products": found.dynamics.products}, found.duals[-1]


class Killer:
    """Kills a worker at each of some moments, in seconds from now: SIGKILL to its process."""

    def __init__(self, client: Client, moments: tuple[float, ...]) -> None:
        self.client, self.moments, self.killed = client, moments, 0
        self.over, self.thread = threading.Event(), threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Killer:
        self.thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.over.set()
        self.thread.join()

    def _run(self) -> None:
        draw, began = random.Random(0), time.monotonic()
        for moment in self.moments:
            if self.over.wait(max(0.0, began + moment - time.monotonic())):
                return
            alive: list[int] = []
            while not alive and not self.over.wait(0.01):  # of those that are at work, not starting
                there = self.client.scheduler_info(n_workers=-1)["workers"]
                alive = [nanny.pid for nanny in self.client.cluster.workers.values() if nanny.worker_address in there]
            if alive:
                os.kill(draw.choice(alive), signal.SIGKILL)
                self.killed += 1


def rows_of(architecture: str, size: int, asked: Asked) -> Iterator[Row]:
    """One process, every cluster, and one whose workers are killed."""
    texts = tl.movie_reviews().sample(size, seed=0)
    known: Row = {"architecture": architecture, "texts": len(texts)}
    asked.say(f"workers: {architecture}, {len(texts):,} texts, one process")
    row, expected = learned(texts, architecture)
    yield known | row | {"where": "one process", "killed": 0, "difference": None}
    undisturbed: dict[int, float] = {}
    for workers in CLUSTERS:
        asked.say(f"workers: {architecture}, {len(texts):,} texts, {named(workers)}")
        with cluster_of(workers) as client:
            row, found = learned(texts, architecture, client)
        undisturbed[workers] = row["counting"] + row["learning"]
        yield known | row | {"where": named(workers), "killed": 0, "difference": difference(found, expected)}
    asked.say(f"workers: {architecture}, {len(texts):,} texts, {named(KILLED)}, killed in the middle")
    moments = tuple(share * undisturbed[KILLED] for share in MOMENTS)
    with cluster_of(KILLED) as client, Killer(client, moments) as killer:
        row, found = learned(texts, architecture, client)
    yield known | row | {"where": named(KILLED), "killed": killer.killed,
                         "difference": difference(found, expected)}


def named(workers: int) -> str:
    return f"{workers} worker{'s' if workers > 1 else ''}"


def difference(found: Any, expected: Any) -> float:
    """In parts of the largest dual coefficient."""
    return float(np.abs(found - expected).max() / np.abs(expected).max())


def sheets(asked: Asked) -> dict[str, Sheet]:
    """All sizes."""
    rows = [row for architecture in asked.architectures or ARCHITECTURES for size in asked.sizes or SIZES
            for row in rows_of(architecture, size, asked)]
    return {"workers": Sheet("Learning on Dask's worker processes", rows, SHOWN, (
        f"IMDB reviews in {PARTS} parts: tl.partition with client=, then tl.learn to time {TIME:g}; one run. Worker "
        "processes have one thread each; one process uses all cores. Clusters are started before the clock. workers "
        f"killed: SIGKILL at {', '.join(f'{share:g}' for share in MOMENTS)} of the seconds that the same cluster took "
        "undisturbed, at a worker drawn at random. Workers import the package when they count for the first time.",))}
