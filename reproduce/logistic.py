"""The rival: scikit-learn's logistic regression on the same tokens, its C chosen on dev.

Part of: python -m reproduce.sst_label_scores
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss

import tangentlens as tl
from reproduce.sst import Split

GRID = tuple(float(c) for c in np.round(10.0 ** np.arange(-2, 3.5, 0.5), 5))  # C


@dataclass(frozen=True)
class Fitted:
    """A logistic regression: its responses to one-token texts (v,), the intercept, the chosen C, test accuracy."""

    responses: NDArray[np.float64]
    intercept: float
    c: float
    accuracy: float


def counts(tokens: tl.Tokens, *, mean: bool) -> sparse.csr_array:
    """Token counts (n, v) of the known tokens; `mean` divides by the length of the text, unknown tokens included."""
    known = tokens.ids >= 0
    weight = 1.0 / np.maximum(tokens.lengths, 1) if mean else np.ones(len(tokens))
    text = tokens.text_of_token[known]
    return sparse.csr_array((weight[text], (text, tokens.ids[known])), shape=(len(tokens), len(tokens.vocabulary)))


def fit(train: Split, dev: Split, test: Split, *, mean: bool) -> Fitted:
    """The model of the grid with the least log loss on dev, the measure by which the networks' time is chosen too."""
    x, held_out, last = (counts(split.tokens, mean=mean) for split in (train, dev, test))
    models = [LogisticRegression(C=c, solver="newton-cg", tol=1e-6, max_iter=1000).fit(x, train.labels) for c in GRID]
    losses = [log_loss(dev.labels, model.predict_proba(held_out)) for model in models]
    best = int(np.argmin(losses))
    intercept = float(models[best].intercept_[0])
    return Fitted(models[best].coef_[0] + intercept, intercept, GRID[best],
                  float(models[best].score(last, test.labels)))
