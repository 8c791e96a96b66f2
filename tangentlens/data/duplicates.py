"""Near-duplicate texts, found by MinHash over shingles: without comparing every pair."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.sparse.csgraph import connected_components

from tangentlens.data.threads import parallel
from tangentlens.data.tokens import Tokens

SHINGLE = 3  # tokens
ALIKE = 0.5  # Jaccard similarity of the shingle sets, from which on two texts are near-duplicates
BANDS, ROWS = 12, 3  # a pair of similarity J shares a band with probability 1 − (1 − J³)¹²: 0.8 at 0.5, 0.999 at 0.75
BLOCK = 2**16  # shingles that are mixed at a time
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

    def candidates(salts: NDArray[np.uint64]) -> Ids:
        key = np.zeros(len(filled), np.uint64)
        for salt in salts:
            key = _mixed(key ^ _smallest(shingle, starts[filled], salt))
        _, first, bucket = np.unique(key, return_index=True, return_inverse=True)
        pair = np.flatnonzero(first[bucket] != np.arange(len(key)))
        return np.column_stack([filled[first[bucket[pair]]], filled[pair]])

    salts = np.random.default_rng(seed).integers(1, 2**63, (BANDS, ROWS), dtype=np.uint64)
    pairs = np.unique(np.concatenate(parallel(candidates, list(salts))), axis=0)
    pairs = pairs[_alike(pairs, text, shingle, n)]
    graph = sparse.coo_array((np.ones(len(pairs)), (pairs[:, 0], pairs[:, 1])), shape=(n, n))
    return np.asarray(connected_components(graph, directed=False)[1], dtype=np.int64)


def _shingles(tokens: Tokens) -> tuple[Ids, NDArray[np.uint64]]:
    """Text and hash of every shingle, in the order of the texts."""
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
    return text[whole].astype(np.int64), key[whole]


def _smallest(shingle: NDArray[np.uint64], starts: Ids, salt: np.uint64) -> NDArray[np.uint64]:
    """The least of every text's shingles after mixing with a salt; in blocks of texts that stay in the cache."""
    result = np.empty(len(starts), np.uint64)
    ends = np.append(starts, len(shingle))
    cuts = np.unique([0, *np.searchsorted(starts, np.arange(BLOCK, len(shingle), BLOCK)), len(starts)])
    for low, high in pairwise(cuts.tolist()):
        if low < high:
            block = shingle[ends[low]:ends[high]]
            result[low:high] = np.minimum.reduceat(_mixed(block ^ salt), starts[low:high] - starts[low])
    return result


def _alike(pairs: Ids, text: Ids, shingle: NDArray[np.uint64], n: int) -> NDArray[np.bool_]:
    """Which pairs of texts reach the similarity ALIKE."""
    if not len(pairs):
        return np.zeros(0, bool)
    asked = np.zeros(n, bool)
    asked[pairs.ravel()] = True
    text, shingle = text[asked[text]], shingle[asked[text]]
    column = np.unique(shingle, return_inverse=True)[1]
    sets = sparse.csr_array((np.ones(len(text), np.int64), (text, column)), shape=(n, int(column.max()) + 1))
    sets.sum_duplicates()
    sets.data[:] = 1
    size = np.diff(sets.indptr)
    shared = np.concatenate([np.asarray(sets[block[:, 0]].multiply(sets[block[:, 1]]).sum(axis=1)).ravel()
                             for block in np.array_split(pairs, max(1, len(pairs) // 2000))])
    return np.asarray(shared >= ALIKE * (size[pairs[:, 0]] + size[pairs[:, 1]] - shared))


def _mixed(key: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """A bijection that scatters 64-bit keys (the finaliser of splitmix64)."""
    key = (key + _PRIME)
    key = (key ^ (key >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    key = (key ^ (key >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return key ^ (key >> np.uint64(31))
