"""One data set and one architecture, stage by stage, in a process of its own; prints seconds and counts as JSON.

Command: python -m benchmarks.worker sst|reviews ARCHITECTURE FOLDER_OF_SST   (ARCHITECTURE as on the command line)
"""

from __future__ import annotations

import json
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

import tangentlens as tl
from tangentlens.data import movie_reviews, split
from tangentlens.kernels import CNN, MLP, Architecture, SelfAttention, describe
from tangentlens.learning.product import KernelProduct
from tangentlens.learning.solve import critical_learning_rate, start

ARCHITECTURES: tuple[Architecture, ...] = (MLP(), CNN(), SelfAttention(scores="tied"))
CLOSE = 1.01  # "close to the best": validation loss within this factor of its minimum
PRODUCTS = 20  # timed products
Result = TypeVar("Result")


class Stopwatch:
    """Seconds by the name of the stage."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    def __call__(self, stage: str, work: Callable[[], Result]) -> Result:
        """Does the work and notes how long it took."""
        started = time.perf_counter()
        result = work()
        self.seconds[stage] = time.perf_counter() - started
        return result


def read(data: str, folder: Path) -> tuple[tl.Texts, tl.Texts]:
    """Training texts and validation texts."""
    if data == "sst":
        return tl.read_texts(folder / "train.csv"), tl.read_texts(folder / "dev.csv")
    reviews = movie_reviews()
    training, validation = split(reviews)
    return reviews[training], reviews[validation]


def stages(data: str, architecture: Architecture, folder: Path) -> dict[str, Any]:
    """Every stage once; products several times."""
    watch = Stopwatch()
    train, other = watch("read", lambda: read(data, folder))
    tokens = watch("tokenise", lambda: tl.tokenize(train))
    others = watch("tokenise validation", lambda: tl.tokenize(other, vocabulary=tokens.vocabulary))
    features = watch("features", lambda: architecture.features(tokens))
    held_out = watch("features validation", lambda: architecture.features(others, columns=features))
    product = watch("KernelProduct", lambda: KernelProduct(features, held_out))
    validation = (held_out, other.labels)
    trajectory = watch("flow", lambda: tl.learn(features, train.labels, time="best", validation=validation))
    close = close_time(trajectory)
    short = watch("flow to 1 %", lambda: tl.learn(features, train.labels, time=close, validation=validation))
    targets = start(features, train.labels, None, validation).targets
    critical = watch("critical rate", lambda: critical_learning_rate(product, targets))
    best = float(trajectory.steps[trajectory.best])
    return {
        "seconds": watch.seconds,
        "texts": len(train), "tokens": len(tokens.ids), "vocabulary": len(tokens.vocabulary),
        "columns": features.columns, "counts": features.nnz, "stored": product.nnz,
        "product_seconds": timed_products(product),
        "best": {"time": best, "products": trajectory.dynamics.products, "steps": best / critical},
        "close": {"time": close, "products": short.dynamics.products, "steps": close / critical},
        "critical": critical,
        "loss": float(trajectory.curves["validation_loss"].to_numpy().min()),
    }


def close_time(trajectory: tl.Trajectory) -> float:
    """The first recorded time at which validation loss is within 1 % of its minimum."""
    losses = trajectory.curves["validation_loss"].to_numpy()
    return float(trajectory.steps[np.argmax(losses <= CLOSE * losses.min())])


def timed_products(product: KernelProduct) -> float:
    """Median seconds of one product with a single vector."""
    duals = np.random.default_rng(0).standard_normal((len(product.features), 1))
    seconds = []
    for _ in range(PRODUCTS):
        started = time.perf_counter()
        product @ duals
        seconds.append(time.perf_counter() - started)
    return statistics.median(seconds)


if __name__ == "__main__":
    chosen = {describe(architecture): architecture for architecture in ARCHITECTURES}[sys.argv[2]]
    print(json.dumps(stages(sys.argv[1], chosen, Path(sys.argv[3]))))
