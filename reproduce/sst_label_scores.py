"""Claim: the label score of a token follows how it occurs with the labels, and the activation decides about the bias.

Learns the Stanford Sentiment Treebank with infinitely wide networks, to the time of least loss on dev, asks each for
its response f(a) to every one-token text a, and compares signs with the paper's positive and negative tokens.

Command: python -m reproduce.sst_label_scores [--data ../shared/data/sst] [--output reproduce/results] [--rows N]
"""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console

import tangentlens as tl
from reproduce import logistic
from reproduce.sheet import Row, Sheet, number, save, text, written
from reproduce.sst import DATA, Groups, Split, groups, load

RESULTS = Path("reproduce/results")
ACTIVATIONS = ("relu", "leaky_relu", "gelu", "silu", "tanh", "erf", "identity")
SHOWN = {
    "network": ("network", text),
    "positive_share": ("pos.\n> 0", number(".1%")),
    "negative_share": ("neg.\n< 0", number(".1%")),
    "neutral_mean": ("neutral\n|f|", number(".2f")),
    "neutral_to_polar": ("÷ polar\n|f|", number(".1%")),
    "neutral_bias_share": ("bias\nshare", number(".1%")),
    "chosen": ("chosen", written),
    "products": ("prod-\nucts", number(",d")),
    "test_accuracy": ("test\nacc.", number(".1%")),
}
NOTES = (
    "pos. > 0, neg. < 0: share of the positive (negative) tokens whose response f(a) to the one-token text a is "
    "positive (negative). neutral |f|: mean |f(a)| over the neutral tokens; ÷ polar |f|: divided by its mean over the "
    "positive and negative ones. bias share: mean over the neutral tokens of |f(□)| / (|f(□)| + |f(a) − f(□)|), "
    "□ an unknown token.",
    "The groups are defined by the very labels that are learned, so a plain log-odds would be right on every token; "
    "a share below 100 % is what learning, or its bias, makes of it.",
    "chosen: time t of the gradient flow, or C of the logistic regression, with the least loss on dev. products: "
    "products with the kernel, one per basis vector of the flow. Nothing was chosen on test. Pooling by the mean, unit "
    "stds, no biases.",
    "MLP with tanh, erf or identity and uniform attention have one feature map up to a factor (token counts, no bias): "
    "they must agree in all but the unit of time, to the solver's tolerance.",
)


def cases() -> Iterator[tl.Architecture]:
    """Every architecture of the table."""
    yield from (tl.MLP(activation=activation) for activation in ACTIVATIONS)
    yield from (tl.CNN(kernel_size=3, activation=activation) for activation in ACTIVATIONS)
    yield from (tl.SelfAttention(scores=scores) for scores in ("uniform", "tied"))


def named(architecture: tl.Architecture) -> dict[str, str]:
    """What to call it: its class, and its activation or scores."""
    kind = type(architecture).__name__
    option = str(getattr(architecture, "scores", None) or getattr(architecture, "activation", ""))
    return {"network": f"{kind} {option}", "architecture": kind, "option": option}


def signs(f: NDArray[np.float64], nothing: float, tokens: Groups) -> dict[str, float]:
    """What the responses f (v,) and f(□) say about the three groups of tokens."""
    neutral = f[tokens.neutral]
    size = abs(nothing) + abs(neutral - nothing)
    bias = np.divide(abs(nothing), size, out=np.zeros_like(size), where=size > 0)
    return {
        "positive_share": mean(f[tokens.positive] > 0),
        "negative_share": mean(f[tokens.negative] < 0),
        "neutral_mean": mean(abs(neutral)),
        "neutral_to_polar": mean(abs(neutral)) / mean(abs(f[tokens.positive | tokens.negative])),
        "neutral_bias_share": mean(bias),
        "bias": nothing,
    }


def mean(values: NDArray[Any]) -> float:
    """The mean, or NaN of nothing."""
    return float(np.mean(values)) if len(values) else float("nan")


def network_row(architecture: tl.Architecture, train: Split, dev: Split, test: Split, tokens: Groups) -> dict[str, Any]:
    """One architecture, learned to the time of least loss on dev."""
    features = architecture.features(train.tokens)
    held_out, last, unknown = (architecture.features(other, columns=features) for other in (
        dev.tokens, test.tokens, tl.Tokens.from_ids([[-1]], vocabulary=train.tokens.vocabulary)))
    trajectory = tl.learn(features, train.labels, time="best", validation=(held_out, dev.labels))
    best = trajectory.best
    f = tl.responses(architecture, trajectory, train.tokens.vocabulary, step=best)[:, 0]
    time = float(trajectory.steps[best])
    return {
        **signs(f, float(trajectory.decision(unknown, step=best)[0, 0]), tokens),
        "chosen": f"t {time:.0f}",
        "best_time": time,
        "products": trajectory.dynamics.products,
        "dev_loss": trajectory.curves["validation_loss"][best],
        "test_accuracy": mean(trajectory.predict(last, step=best) == test.labels),
    }


def logistic_row(train: Split, dev: Split, test: Split, tokens: Groups, *, by_length: bool) -> dict[str, Any]:
    """Logistic regression on counts, or on counts divided by the length."""
    fitted = logistic.fit(train, dev, test, mean=by_length)
    return {
        **signs(fitted.responses, fitted.intercept, tokens),
        "chosen": f"C {fitted.c:g}",
        "test_accuracy": fitted.accuracy,
    }


def table(train: Split, dev: Split, test: Split, tokens: Groups) -> list[Row]:
    """All rows: networks, then logistic regressions."""
    rows: list[Row] = [{**named(case), **network_row(case, train, dev, test, tokens)} for case in cases()]
    for by_length, option in ((False, "counts"), (True, "per length")):
        name = {"network": f"logistic, {option}", "architecture": "LogisticRegression", "option": option}
        rows.append({**name, **logistic_row(train, dev, test, tokens, by_length=by_length)})
    return rows


def main(arguments: Sequence[str] | None = None) -> None:
    """Parses, computes, prints and saves."""
    parser = argparse.ArgumentParser(prog="python -m reproduce.sst_label_scores")
    parser.add_argument("--data", type=Path, default=DATA, help="folder with train.csv, dev.csv and test.csv")
    parser.add_argument("--output", type=Path, default=RESULTS)
    parser.add_argument("--rows", type=int, help="draw so many training texts, for a quick trial")
    options = parser.parse_args(arguments)
    train, dev, test = load(options.data, options.rows)
    tokens = groups(train)
    size = f"{len(train.texts):,} training, {len(dev.texts):,} dev and {len(test.texts):,} test texts; {tokens}."
    sheet = Sheet("SST: signs of the label scores and the bias", table(train, dev, test, tokens), SHOWN, (size, *NOTES))
    sheet.print(Console())
    command = f"python -m reproduce.sst_label_scores --data {shlex.quote(str(options.data))}"
    command += f" --rows {options.rows}" if options.rows else ""
    save({"sst_label_scores": sheet}, options.output, "sst_label_scores", command=command)


if __name__ == "__main__":
    main()
