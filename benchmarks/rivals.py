"""Other rankings of features by how much they look like shortcuts. Part of: python -m benchmarks.shortcuts"""

from __future__ import annotations

import itertools
from collections.abc import Container
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.linear_model import LogisticRegression

import tangentlens as tl
from benchmarks.integrated import PLACE, attributed
from tangentlens.data.suspects import kinds_of

RIVALS = ("z", "PMI", "logistic", "TextCNN + IG")
SUSPECTS = ", suspects"
LEAST = 5


def rankings(method: str, texts: tl.Texts) -> dict[str, list[str]]:
    """Tokens, bigrams and first tokens that LEAST texts hold, the most telling first; and, under the name with
    SUSPECTS, those of them that the audit holds for suspects by its list of kinds.

    z: Gardner et al. (2021), |p̂ − π| / sqrt(π (1 − π) / n) of the class; PMI: the largest over classes, add-one;
    logistic: |coefficient| of a regression on all of them; TextCNN + IG: see `attributed`.
    """
    tokens, counts, names = counted(texts)
    positive = np.asarray(texts.labels == texts.classes[-1])
    n, k = np.asarray(counts.sum(axis=0)).ravel(), np.asarray(counts[positive].sum(axis=0)).ravel()
    prior = positive.mean()
    if method == "z":
        value = np.abs(k / n - prior) / np.sqrt(prior * (1 - prior) / n)
    elif method == "PMI":
        value = np.maximum(np.log((k + 1) / (n + 2) / prior), np.log((n - k + 1) / (n + 2) / (1 - prior)))
    elif method == "logistic":
        value = np.abs(LogisticRegression(max_iter=300).fit(counts, positive).coef_[0])
    else:
        value = np.abs(attributed(tokens, positive, names.tolist()))
    order = names[np.argsort(-value, kind="stable")].tolist()
    kinds = dict(zip(tokens.vocabulary.strings, kinds_of(tokens), strict=True))
    suspects = [name for name in order if all(map(kinds.get, parts(name.removesuffix(PLACE), kinds)))]
    return {method: order, method + SUSPECTS: suspects}


def parts(name: str, tokens: Container[str]) -> tuple[str, ...]:
    """The token, or the two tokens of a bigram, that a name stands for; a token may hold a space.

    >>> parts("<br /> a", {"<br />", "a"}), parts("<br />", {"<br />", "a"})
    (('<br />', 'a'), ('<br />',))
    """
    words = name.split(" ")
    pairs = ((" ".join(words[:size]), " ".join(words[size:])) for size in range(1, len(words)))
    return (name,) if name in tokens else next(pair for pair in pairs if pair[0] in tokens and pair[1] in tokens)


@lru_cache(maxsize=1)
def counted(texts: tl.Texts) -> tuple[tl.Tokens, sparse.csr_array, NDArray[Any]]:
    """Tokens, which text holds which feature, and the features' names."""
    tokens = tl.tokenize(texts)
    strings = np.array(tokens.vocabulary.strings, dtype=object)
    rows = [strings[tokens[row].ids].tolist() for row in range(len(tokens))]
    documents = [[*row, *(" ".join(pair) for pair in itertools.pairwise(row)), *(one + PLACE for one in row[:1])]
                 for row in rows]
    counter = CountVectorizer(analyzer=lambda row: row, binary=True, min_df=LEAST)
    counts = sparse.csr_array(counter.fit_transform(documents))
    return tokens, counts, counter.get_feature_names_out()
