"""SST: test accuracy of every architecture beside logistic regression on unigrams and on uni- and bigrams.

Run: python -m reproduce.sst_accuracy [--data ../shared/data/sst] [--output reproduce/results]
"""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from scipy import sparse
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss

import tangentlens as tl
from reproduce.sheet import Sheet, number, save, text
from reproduce.sst import DATA, Split, load
from tangentlens.kernels import Architecture, describe

RESULTS = Path("reproduce/results")
GRID = tuple(float(c) for c in np.round(10.0 ** np.arange(-2, 3, 0.5), 5))
SHOWN = {
    "model": ("model", text), "chosen": ("chosen on dev", text), "products": ("products", number(",d")),
    "dev_loss": ("dev loss", number(".4f")), "dev": ("dev acc.", number(".1%")), "test": ("test acc.", number(".1%")),
}
NOTES = (
    "chosen: the time of the gradient flow, or the C of the logistic regression, with the least loss on dev; nothing "
    "was chosen on test. products: products with the kernel. Mean pooling but where said otherwise, unit stds, ReLU.",
    "One standard error of a test accuracy is about 0.9 points: differences below 2 points support no ranking.",
)


def architectures() -> Iterator[Architecture]:
    """All six, with the variants that n-gram users ask for first."""
    yield tl.MLP()
    yield tl.CNN()
    yield tl.CNN(kernel_size=2)
    yield tl.SelfAttention(scores="uniform")
    yield tl.SelfAttention(scores="tied")
    yield tl.MatrixVector(order=2)
    yield tl.MatrixVector(order=2, residual=True)
    yield tl.MatrixVector(order=3, residual=True)
    yield tl.LinearRNN()
    yield tl.LinearRNN(pooling="last")
    yield tl.ElmanRNN()


def network_row(architecture: Architecture, train: Split, dev: Split, test: Split) -> dict[str, Any]:
    """One architecture, its time chosen on dev."""
    features = architecture.features(train.tokens)
    held_out, last = (architecture.features(split.tokens, columns=features) for split in (dev, test))
    trajectory = tl.learn(features, train.labels, time="best", validation=(held_out, dev.labels))
    best = trajectory.best
    curves = trajectory.curves.row(best, named=True)
    return {"model": describe(architecture), "chosen": f"t {trajectory.steps[best]:.3g}",
            "products": trajectory.dynamics.products, "dev_loss": curves["validation_loss"],
            "dev": curves["validation_accuracy"],
            "test": float(np.mean(trajectory.predict(last, best) == test.labels))}


def logistic_row(order: int, train: Split, dev: Split, test: Split, *, mean: bool) -> dict[str, Any]:
    """Logistic regression on n-grams up to an order, counted, or divided by the number of tokens."""
    grams = tl.LinearRNN(max_order=order, pooling="mean" if mean else "sum")
    features = grams.features(train.tokens)
    maps = [features, *(grams.features(split.tokens, columns=features) for split in (dev, test))]
    x, held_out, last = (sparse.csr_array(sparse.hstack([family.counts for family in part.families])) for part in maps)
    models = [LogisticRegression(C=c, solver="newton-cg", tol=1e-6, max_iter=1000).fit(x, train.labels) for c in GRID]
    losses = [log_loss(dev.labels, model.predict_proba(held_out)) for model in models]
    best = int(np.argmin(losses))
    name = "unigrams" if order == 1 else "uni- and bigrams"
    return {"model": f"logistic regression, {name}, {'mean' if mean else 'counts'}", "chosen": f"C {GRID[best]:g}",
            "products": None, "dev_loss": losses[best], "dev": float(models[best].score(held_out, dev.labels)),
            "test": float(models[best].score(last, test.labels))}


def main(arguments: Sequence[str] | None = None) -> None:
    """Parses, computes, prints and saves."""
    parser = argparse.ArgumentParser(prog="python -m reproduce.sst_accuracy")
    parser.add_argument("--data", type=Path, default=DATA, help="folder with train.csv, dev.csv and test.csv")
    parser.add_argument("--output", type=Path, default=RESULTS)
    parser.add_argument("--rows", type=int, help="draw so many training texts, for a quick trial")
    options = parser.parse_args(arguments)
    train, dev, test = load(options.data, options.rows)
    rows = [network_row(architecture, train, dev, test) for architecture in architectures()]
    rows += [logistic_row(order, train, dev, test, mean=mean) for order in (1, 2) for mean in (False, True)]
    sheet = Sheet("SST: accuracy of the predicted classifiers", rows, SHOWN, NOTES)
    sheet.print(Console())
    command = f"python -m reproduce.sst_accuracy --data {shlex.quote(str(options.data))}"
    command += f" --rows {options.rows}" if options.rows else ""
    save({"sst_accuracy": sheet}, options.output, "sst_accuracy", command=command)


if __name__ == "__main__":
    main()
