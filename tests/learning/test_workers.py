"""On Dask: the result of one process for any number of workers, and when workers are killed in the middle."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import tangentlens as tl
from tangentlens.errors import DataError, OptionError
from tangentlens.learning.partitioned import PartitionedProduct

dask, distributed = (pytest.importorskip(name) for name in ("dask", "distributed"))
TEXTS = tl.small_reviews(240)
pytestmark = [pytest.mark.slow, pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")]


@pytest.fixture(scope="module")
def client() -> Iterator[Any]:
    """Of four worker processes on this machine."""
    patient = {"distributed.deploy.lost-worker-timeout": "600s"}  # a busy machine starts processes slowly
    with (dask.config.set(patient), distributed.LocalCluster(n_workers=4, threads_per_worker=1, processes=True,
                                                               host="127.0.0.1", dashboard_address=None,
                                                               silence_logs=50) as cluster,
          distributed.Client(cluster) as opened):
        yield opened


@pytest.fixture(scope="module")
def expected() -> Any:
    """What one process finds."""
    return learned(None)


def learned(client: Any) -> tuple[Any, Any]:
    features = tl.partition(TEXTS[:200], tl.CNN(), part=40, client=client)
    held = tl.partition(TEXTS[200:], tl.CNN(), columns=features, part=20)
    trajectory = tl.learn(features, features.labels, time="best", validation=(held, held.labels))
    return trajectory, held


@pytest.mark.parametrize("number", [4, 2, 1])
def test_any_number_of_workers(client: Any, number: int, expected: Any) -> None:
    scaled(client, number)
    trajectory, held = learned(client)
    assert np.abs(trajectory.duals - expected[0].duals).max() <= 1e-10 * np.abs(expected[0].duals).max()
    assert trajectory.label_scores(top=20).equals(expected[0].label_scores(top=20))
    assert np.array_equal(trajectory.decision(held), expected[0].decision(expected[1]))


def scaled(client: Any, number: int) -> None:
    client.cluster.scale(number)
    while len(client.scheduler_info(n_workers=-1)["workers"]) != number:
        time.sleep(0.02)


def test_workers_killed_in_the_middle(client: Any, expected: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """SIGKILL while the features are made, during the first product, and twice later on."""
    scaled(client, 2)
    products: list[int] = []
    killed: list[int] = []
    product = PartitionedProduct.__matmul__

    def kill() -> None:
        while True:  # one that is at work; Dask gives up on a worker that dies while it starts
            there = client.scheduler_info(n_workers=-1)["workers"]
            alive = [nanny.pid for nanny in client.cluster.workers.values()
                     if nanny.worker_address in there and nanny.pid not in killed]
            if alive:
                killed.append(alive[len(killed) % len(alive)])
                return os.kill(killed[-1], signal.SIGKILL)
            time.sleep(0.01)

    def watched(self: Any, duals: Any) -> Any:
        products.append(1)
        if len(products) in (1, 5, 9):
            threading.Timer(0.01, kill).start()
        return product(self, duals)

    monkeypatch.setattr(PartitionedProduct, "__matmul__", watched)
    threading.Timer(0.1, kill).start()
    trajectory, _ = learned(client)
    assert len(set(killed)) == 4
    assert np.array_equal(trajectory.duals, expected[0].duals)


def test_errors_are_ours(client: Any) -> None:
    broken = tl.Texts(("a", "\ud800"), np.array([0, 1]))
    with pytest.raises(DataError, match="surrogate"):
        tl.partition(broken, tl.MLP(), client=client)
    with pytest.raises(OptionError, match=r"folder= .*client="):
        tl.partition(TEXTS, tl.MLP(), client=client, folder="somewhere")
