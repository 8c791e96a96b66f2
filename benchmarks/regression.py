"""Learning to the training loss that scikit-learn's LogisticRegression reaches, on the same features.

Command: python -m benchmarks --only regression [--sizes 25000]
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from sklearn.linear_model import LogisticRegression

import tangentlens as tl
from benchmarks.asked import Asked
from benchmarks.paired import in_turns
from reproduce.sheet import Sheet, number, text, written
from tangentlens.kernels import Architecture, describe

Array = NDArray[np.float64]
SIZES = (25_000,)
ARCHITECTURES: tuple[Architecture, ...] = (tl.MLP(), tl.CNN(padding="valid"), tl.LinearRNN(max_order=3))  # mean
CLOSE = 1e-3  # relative, of the loss at the end
SHOWN = {
    "data": ("data", text), "texts": ("texts", number(",d")), "architecture": ("architecture", text),
    "columns": ("features", number(",d")), "counts": ("stored counts", number(",d")), "loss": ("loss", number(".5f")),
    "our_loss": ("our loss", number(".5f")), "time": ("time t", number(".3g")),
    "products": ("our\nproducts", number("d")), "iterations": ("their\niterations", number("d")),
    "ours": ("tangentlens\ns", written), "theirs": ("scikit-learn\ns", written),
    "ratio": ("times\nfaster", number(".2f")),
}
NOTES = (
    'Theirs: LogisticRegression(solver="lbfgs", C=1, fit_intercept=False).fit(X, y), other options as they come, on '
    "the same map (mean pooling) as one CSR matrix, every column scaled by the root of its coefficient; making X is "
    "not timed. loss: the unregularised mean logistic loss of its solution. Ours: tl.learn(features, y, "
    "until_loss=loss, record=[]) from the counts, the form that products use included. Both float64, two classes, no "
    "intercept. "
    f"our loss: computed from the learned outputs; a difference of more than {CLOSE:g} of the loss is an error. The "
    "solutions differ: theirs is the penalised one of this loss, ours the one that gradient flow passes.",
    "Median (least–largest) of runs in turns, in one process after one untimed run of each; ratio: median over pairs.",
)


def explicit(features: tl.Features) -> sparse.csr_array:
    """X with Θ = X Xᵀ: pooled counts times √γ; for families of one group."""
    assert all(len(family.groups) == 1 for family in features.families), "groups are coupled; no column scaling exists"
    blocks = [family.counts * np.sqrt(family.coefficient) for family in features.families]
    return sparse.csr_array(sparse.hstack(blocks, format="csr"))


def mean_loss(outputs: Array, y: Array) -> float:
    """Mean logistic loss; y = ±1."""
    return float(np.mean(np.logaddexp(0.0, -y * outputs)))


def fitted(x: sparse.csr_array, y: Array) -> LogisticRegression:
    """Their fit; that the default number of iterations may not suffice is their default."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return LogisticRegression(solver="lbfgs", C=1.0, fit_intercept=False).fit(x, y)


def row_of(architecture: Architecture, tokens: tl.Tokens, y: Array, repeats: int) -> dict[str, Any]:
    """Both sides on one map."""
    features = architecture.features(tokens)
    x = explicit(features)
    model = fitted(x, y)
    goal = mean_loss(x @ model.coef_[0], y)
    found: dict[str, Any] = {}

    def same(trajectory: tl.Trajectory, other: LogisticRegression) -> None:
        loss = mean_loss(x @ (x.T @ trajectory.duals[-1][:, 0]), y)
        assert mean_loss(x @ other.coef_[0], y) == goal, "their fit is not the same twice"
        assert abs(loss - goal) <= CLOSE * goal, f"our loss is {loss}, theirs {goal}"
        found.update(our_loss=loss, time=float(trajectory.steps[-1]), products=trajectory.dynamics.products)

    paired = in_turns(lambda: tl.learn(features, y, until_loss=goal, record=[]), lambda: fitted(x, y), same, repeats)
    return {"architecture": describe(architecture), "columns": features.columns, "counts": x.nnz, "loss": goal, **found,
            "iterations": int(model.n_iter_[0]), **paired.row()}


def sheets(asked: Asked) -> dict[str, Sheet]:
    """All architectures on IMDB reviews, a seeded sample of them where fewer are asked for."""
    reviews = tl.movie_reviews()[:25_000]
    labels = np.asarray(reviews.labels)
    rows = []
    for size in asked.sizes or SIZES:
        chosen = np.sort(np.random.default_rng(0).permutation(len(reviews))[:size])
        tokens = tl.tokenize(reviews[chosen])
        y = np.where(labels[chosen] == reviews.classes[-1], 1.0, -1.0)
        for architecture in ARCHITECTURES:
            asked.say(f"regression: {len(chosen):,} reviews, {describe(architecture)}")
            rows.append({"data": "IMDB", "texts": len(chosen), **row_of(architecture, tokens, y, asked.repeats)})
    return {"regression": Sheet("Learning to the training loss of a logistic regression", rows, SHOWN, NOTES)}
