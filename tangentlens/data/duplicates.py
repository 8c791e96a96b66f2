"""Near-duplicate texts, found by MinHash over shingles: without comparing every pair."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.sparse.csgraph import connected_components

from tangentlens.data.tokens import Tokens

SHINGLE = 3  # tokens
ALIKE = 0.5  # Jaccard similarity of the shingle sets, from which on two texts are near-duplicates
BANDS, ROWS = 12, 3  # a pair of similarity J shares a band with probability 1 − (1 − J³)¹²: 0.8 at 0.5, 0.999 at 0.75
_PRIME = np.uint64(0x9E3779B97F4A7C15)

Ids = NDArray[np.int64]


def near_duplicates(tokens: Tokens, *, seed: int = 0) -> Ids:
    """The group of near-duplicates that every text belongs to; shape (n,), numbered from 0.

    Two texts are near-duplicates if their sets of SHINGLE-token shingles have a Jaccard similarity of ALIKE or more;
    texts shorter than a shingle are one shingle. Candidates come from MinHash with banding (Broder 1997) and are
    checked exactly against the first text of their band's bucket; groups are the connected components. Memory: BANDS ·
    ROWS numbers a text and one a token; no pair of texts is formed outside of a bucket. Unknown tokens match nothing.

    >>> import tangentlens as tl
    >>> texts = ["a fine film with a cast to match", "a fine film with a cast to match !", "a dull film", "a dull film"]
    >>> near_duplicates(tl.tokenize(texts)).tolist()
    [0, 0, 1, 1]
    """
    text, shingle = _shingles(tokens)
    n = len(tokens)
    starts = np.searchsorted(text, np.arange(n))
    filled = np.flatnonzero(np.diff(np.append(starts, len(text))))
    if not len(filled):
        return np.arange(n)
    rng = np.random.default_rng(seed)
    left, right = [], []
    for _ in range(BANDS):
        key = np.zeros(len(filled), np.uint64)
        for salt in rng.integers(1, 2**63, ROWS, dtype=np.uint64):
            key = _mixed(key ^ np.minimum.reduceat(_mixed(shingle ^ salt), starts[filled]))
        _, first, bucket = np.unique(key, return_index=True, return_inverse=True)
        pair = np.flatnonzero(first[bucket] != np.arange(len(key)))
        left.append(filled[first[bucket[pair]]])
        right.append(filled[pair])
    pairs = np.unique(np.column_stack([np.concatenate(left), np.concatenate(right)]), axis=0)
    pairs = pairs[_alike(pairs, text, shingle, n)]
    graph = sparse.coo_array((np.ones(len(pairs)), (pairs[:, 0], pairs[:, 1])), shape=(n, n))
    return np.asarray(connected_components(graph, directed=False)[1], dtype=np.int64)


def _shingles(tokens: Tokens) -> tuple[Ids, NDArray[np.uint64]]:
    """Text and hash of every different shingle, sorted by both."""
    size = len(tokens.ids)
    ids = tokens.ids.astype(np.int64)
    ids = np.where(ids < 0, len(tokens.vocabulary) + np.arange(size), ids).astype(np.uint64)
    text, place = tokens.text_of_token, np.arange(size)
    ends = tokens.offsets[1:][text] if size else np.empty(0, np.int64)
    key = np.zeros(size, np.uint64)
    for step in range(SHINGLE):
        inside = place + step < ends
        key = _mixed(key ^ np.where(inside, ids[np.minimum(place + step, max(size - 1, 0))], _PRIME))
    whole = (place + SHINGLE <= ends) | (place == tokens.offsets[:-1][text])
    text, key = text[whole].astype(np.int64), key[whole]
    order = np.lexsort((key, text))
    text, key = text[order], key[order]
    new = np.ones(len(key), bool)
    new[1:] = (text[1:] != text[:-1]) | (key[1:] != key[:-1])
    return text[new], key[new]


def _alike(pairs: Ids, text: Ids, shingle: NDArray[np.uint64], n: int) -> NDArray[np.bool_]:
    """Which pairs of texts reach the similarity ALIKE."""
    if not len(pairs):
        return np.zeros(0, bool)
    column = np.unique(shingle, return_inverse=True)[1]
    sets = sparse.csr_array((np.ones(len(text), np.int64), (text, column)), shape=(n, int(column.max()) + 1))
    size = np.bincount(text, minlength=n)
    shared = np.concatenate([np.asarray(sets[block[:, 0]].multiply(sets[block[:, 1]]).sum(axis=1)).ravel()
                             for block in np.array_split(pairs, max(1, len(pairs) // 2000))])
    return np.asarray(shared >= ALIKE * (size[pairs[:, 0]] + size[pairs[:, 1]] - shared))


def _mixed(key: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """A bijection that scatters 64-bit keys (the finaliser of splitmix64)."""
    key = (key + _PRIME)
    key = (key ^ (key >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    key = (key ^ (key >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return key ^ (key >> np.uint64(31))
