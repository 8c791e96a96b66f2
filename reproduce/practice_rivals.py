"""The rivals of the prediction: counts and logistic regressions, each a decision function on texts.

Part of: python -m reproduce.practice_scores
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from sklearn.preprocessing import normalize

import tangentlens as tl
from reproduce.practice_data import Material
from reproduce.practice_questions import Array, Ask
from tangentlens.features.counting import count_matrix
from tangentlens.features.patterns import Patterns, occurrences

LEAST_BIGRAM = 2  # occurrences of a bigram that a regression sees
STRENGTHS = np.geomspace(1e-2, 1e5, 15)  # C, tried from the strongest penalty on until the development loss grows
STATISTICS = ("log-odds", "z", "PMI")
FORMS = ("counts", "mean", "tf-idf")


@dataclass(frozen=True)
class Counts:
    """Counts of tokens, and of bigrams if order is 2, in the columns of the training texts."""

    patterns: tuple[Patterns, ...]
    idf: Array
    length: float = 1.0  # mean number of tokens in a training text, a unit that keeps the solver well conditioned

    @classmethod
    def of(cls, tokens: tl.Tokens, order: int) -> Counts:
        """The columns that occur in these texts."""
        patterns = tuple(occurrences(tokens, tuple(range(r)))[1] for r in range(1, order + 1))
        texts = np.bincount(cls(patterns, np.empty(0)).raw(tokens).indices, minlength=sum(map(len, patterns)))
        return cls(patterns, np.log((1 + len(tokens)) / (1 + texts)) + 1, float(tokens.lengths.mean()))

    def raw(self, tokens: tl.Tokens) -> sparse.csr_array:
        """How often every column occurs; sparse (n, d)."""
        blocks = [count_matrix(tokens.text_of_token, occurrences(tokens, one.shape, one)[0], (len(tokens), len(one)))
                  for one in self.patterns]
        return sparse.csr_array(sparse.hstack(blocks, format="csr").astype(np.float64))

    def matrix(self, tokens: tl.Tokens, form: str) -> sparse.csr_array:
        """Counts, counts by the text's length, or tf–idf rows of length 1; sparse (n, d)."""
        raw = self.raw(tokens)
        if form == "counts":
            return raw
        if form == "mean":
            return sparse.csr_array(raw.multiply(self.length / np.maximum(tokens.lengths, 1)[:, None]))
        return sparse.csr_array(normalize(raw.multiply(self.idf[None, :]).tocsr()))


def rivals(material: Material) -> Iterator[tuple[str, Ask]]:
    """Every rival by name, its penalty tuned on the development texts."""
    for order in (1, 2):
        name = ("tokens", "tokens and bigrams")[order - 1]
        counts = Counts.of(material.train.tokens, order)
        for statistic in STATISTICS:
            yield f"{statistic}, {name}", _summing(counts, statistics(counts, material, statistic))
        if order == 2:
            weights = statistics(counts, material, "log-odds")
            yield "log-odds, bigrams less tokens", _summing(counts, _excess(counts, weights))
        for form in FORMS:
            yield f"regression, {form}, {name}", regression(counts, material, form)


def statistics(counts: Counts, material: Material, name: str) -> Array:
    """Log-odds (add one), z = (p − n) / √(p + n) against the classes' shares, or PMI difference; shape (d,).

    p and n are a column's occurrences in texts of the two classes. PMI is log p(column, class) / (p(column) p(class))
    with nothing added but a hundredth, so that rare columns keep the large values that they have there.
    """
    raw, positive = counts.raw(material.train.tokens), material.train.labels == 1
    p, n = (np.asarray(raw[mask].sum(axis=0)).ravel() for mask in (positive, ~positive))
    if name == "z":
        base = p.sum() / (p.sum() + n.sum())
        total = np.maximum(p + n, 1)
        return np.asarray((p - total * base) / np.sqrt(total * base * (1 - base)))
    add = 1.0 if name == "log-odds" else 0.01
    return np.log((p + add) / (n + add) * (n.sum() / p.sum()))


def _excess(counts: Counts, weights: Array) -> Array:
    """A bigram's weight less those of its tokens."""
    single, double = counts.patterns
    left = weights.copy()
    left[len(single):] -= weights[np.searchsorted(single.keys, double.tokens())].sum(axis=1)
    return left


def _summing(counts: Counts, weights: Array) -> Ask:
    return lambda tokens: np.asarray(counts.raw(tokens) @ weights)[:, None]


def regression(counts: Counts, material: Material, form: str) -> Ask:
    """Logistic regression whose C has the least development loss."""
    x, dev = (counts.matrix(one.tokens, form) for one in (material.train, material.dev))
    often = np.bincount(x.indices, minlength=x.shape[1]) >= LEAST_BIGRAM
    often[:len(counts.patterns[0])] = True
    keep: NDArray[np.int64] = np.flatnonzero(often)
    x, dev = sparse.csr_array(x[:, keep]), sparse.csr_array(dev[:, keep])
    best, least, rising = None, np.inf, 0
    for strength in STRENGTHS:
        model = LogisticRegression(C=strength, max_iter=300, tol=1e-4).fit(x, material.train.labels)
        loss = log_loss(material.dev.labels, model.predict_proba(dev))
        best, least, rising = (model, loss, 0) if loss < least else (best, least, rising + 1)
        if rising == 2:
            break
    assert best is not None
    return lambda tokens: best.decision_function(sparse.csr_array(counts.matrix(tokens, form)[:, keep]))[:, None]
