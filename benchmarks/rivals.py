"""Other rankings of features by how much they look like shortcuts. Part of: python -m benchmarks.shortcuts"""

from __future__ import annotations

import itertools
from functools import lru_cache
from typing import Any

import numpy as np
from scipy import sparse
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.linear_model import LogisticRegression

import tangentlens as tl
from tangentlens.data.suspects import kinds_of

RIVALS = ("z", "PMI", "logistic", "z, suspects")
LEAST = 5


def ranking(method: str, texts: tl.Texts) -> list[str]:
    """Tokens, bigrams and first tokens that LEAST texts hold, the most telling first.

    z: Gardner et al. (2021), |p̂ − π| / sqrt(π (1 − π) / n) of the class; PMI: the largest over classes, add-one;
    logistic: |coefficient| of a regression on all of them; z, suspects: z of those that the audit holds for suspects.
    """
    tokens, counts, names = _counted(texts)
    strings = tokens.vocabulary.strings
    positive = np.asarray(texts.labels == texts.classes[-1])
    n, k = np.asarray(counts.sum(axis=0)).ravel(), np.asarray(counts[positive].sum(axis=0)).ravel()
    prior = positive.mean()
    z = np.abs(k / n - prior) / np.sqrt(prior * (1 - prior) / n)
    if method.startswith("z"):
        value = z
    elif method == "PMI":
        value = np.maximum(np.log((k + 1) / (n + 2) / prior), np.log((n - k + 1) / (n + 2) / (1 - prior)))
    else:
        value = np.abs(LogisticRegression(max_iter=300).fit(counts, positive).coef_[0])
    order = names[np.argsort(-value, kind="stable")].tolist()
    if method != "z, suspects":
        return order
    kinds = dict(zip(strings, kinds_of(tokens), strict=True))
    return [name for name in order if all(kinds[one] for one in name.removesuffix(" in first place").split(" "))]


@lru_cache(maxsize=1)
def _counted(texts: tl.Texts) -> tuple[tl.Tokens, sparse.csr_array, Any]:
    """Which text holds which feature."""
    tokens = tl.tokenize(texts)
    strings = np.array(tokens.vocabulary.strings, dtype=object)
    rows = [strings[tokens[row].ids].tolist() for row in range(len(tokens))]
    documents = [[*row, *(" ".join(pair) for pair in itertools.pairwise(row)),
                  *(f"{one} in first place" for one in row[:1])] for row in rows]
    counter = CountVectorizer(analyzer=lambda row: row, binary=True, min_df=LEAST)
    counts = sparse.csr_array(counter.fit_transform(documents))
    names = counter.get_feature_names_out()
    return tokens, counts, names
