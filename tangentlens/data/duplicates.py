"""Near-duplicate texts, found by MinHash over shingles: without comparing every pair."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.sparse.csgraph import connected_components

from tangentlens.data.sorting import blocks, starts
from tangentlens.data.threads import parallel
from tangentlens.data.tokens import Tokens

SHINGLE = 3  # tokens
ALIKE = 0.5  # Jaccard similarity of the shingle sets, from which on two texts are near-duplicates
BANDS, ROWS = 12, 3  # a pair of similarity J shares a band with probability 1 − (1 − J³)¹²: 0.8 at 0.5, 0.999 at 0.75
BLOCK = 2**15  # tokens whose shingles are mixed at a time: they stay in the cache
CHECKED = 2**20  # tokens of pairs that are compared at a time
_PRIME = np.uint64(0x9E3779B97F4A7C15)

Ids = NDArray[np.int64]


def near_duplicates(tokens: Tokens, *, seed: int = 0) -> Ids:
    """The group of near-duplicates that every text belongs to; shape (n,), numbered from 0.

    Two texts are near-duplicates if their sets of SHINGLE-token shingles have a Jaccard similarity of ALIKE or more;
    texts shorter than a shingle are one shingle. Candidates come from MinHash with banding (Broder 1997) and are
    checked exactly against the first text of their band's bucket; groups are the connected components. Memory: BANDS ·
    ROWS numbers a text; no pair of texts is formed outside of a bucket. Unknown tokens match nothing.

    >>> import tangentlens as tl
    >>> texts = ["a fine film with a cast to match", "a fine film with a cast to match !", "a dull film", "a dull film"]
    >>> near_duplicates(tl.tokenize(texts)).tolist()
    [0, 0, 1, 1]
    """
    n = len(tokens)
    odd = np.random.default_rng(seed).integers(1, 2**63, BANDS * ROWS, dtype=np.uint64) | np.uint64(1)
    least = np.empty((BANDS * ROWS, n), np.uint64)
    filled = tokens.lengths > 0

    def write(block: tuple[int, int]) -> None:
        text, shingle = _shingles(tokens, *block)
        places = starts(text)
        for row, factor in enumerate(odd):
            least[row, text[places]] = np.minimum.reduceat(shingle * factor, places)

    parallel(write, [block for block in tokens.blocks(BLOCK) if filled[slice(*block)].any()])
    numbers = np.flatnonzero(filled)
    pairs = np.unique(np.concatenate(parallel(
        lambda band: _candidates(least[band:band + ROWS], numbers), range(0, BANDS * ROWS, ROWS))), axis=0)
    pairs = pairs[_alike(pairs, tokens)]
    graph = sparse.coo_array((np.ones(len(pairs)), (pairs[:, 0], pairs[:, 1])), shape=(n, n))
    return np.asarray(connected_components(graph, directed=False)[1], dtype=np.int64)


def _candidates(band: NDArray[np.uint64], numbers: Ids) -> Ids:
    """Pairs of texts whose numbers in a band, (ROWS, n), are all the same: each with the first of its bucket."""
    key = np.zeros(len(numbers), np.uint64)
    for row in band:
        key = _mixed(key ^ row[numbers])
    order = np.argsort(key, kind="stable")
    first = starts(key[order])
    bucket = np.repeat(order[first], np.diff(np.append(first, len(key))))
    pair = bucket != order
    return np.column_stack([numbers[bucket[pair]], numbers[order[pair]]])


def _shingles(tokens: Tokens, low: int, high: int) -> tuple[Ids, NDArray[np.uint64]]:
    """Text and hash of every shingle of the texts low … high − 1, in their order."""
    begin, end = int(tokens.offsets[low]), int(tokens.offsets[high])
    place = np.arange(begin, end)
    ids = tokens.ids[begin:end].astype(np.int64)
    ids = np.where(ids < 0, len(tokens.vocabulary) + place, ids).astype(np.uint64)
    text = np.repeat(np.arange(low, high), tokens.lengths[low:high])
    ends = tokens.offsets[1:][text]
    key = np.zeros(len(ids), np.uint64)
    for step in range(SHINGLE):
        inside = place + step < ends
        key = _mixed(key ^ np.where(inside, ids[np.minimum(place - begin + step, len(ids) - 1)], _PRIME))
    whole = (place + SHINGLE <= ends) | (place == tokens.offsets[text])
    return text[whole], key[whole]


def _alike(pairs: Ids, tokens: Tokens) -> NDArray[np.bool_]:
    """Which pairs of texts, (pairs, 2), reach the similarity ALIKE; looked at some pairs at a time."""
    ends = np.concatenate([[0], np.cumsum(tokens.lengths[pairs].sum(axis=1))])
    found = parallel(lambda block: _similar(pairs[slice(*block)], tokens), list(blocks(ends, CHECKED)))
    return np.concatenate([np.zeros(0, bool), *found])


def _similar(pairs: Ids, tokens: Tokens) -> NDArray[np.bool_]:
    """The same, of pairs whose shingles fit into memory."""
    asked, pairs = np.unique(pairs, return_inverse=True)
    n, pairs = len(asked), pairs.reshape(-1, 2)
    text, shingle = _shingles(tokens[asked], 0, n)
    column = np.unique(shingle, return_inverse=True)[1]
    sets = sparse.csr_array((np.ones(len(text), np.int64), (text, column)), shape=(n, int(column.max()) + 1))
    sets.sum_duplicates()
    sets.data[:] = 1
    size = np.diff(sets.indptr)
    shared: Ids = np.asarray(sets[pairs[:, 0]].multiply(sets[pairs[:, 1]]).sum(axis=1)).ravel()
    return np.asarray(shared >= ALIKE * (size[pairs[:, 0]] + size[pairs[:, 1]] - shared))


def _mixed(key: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """A bijection that scatters 64-bit keys (the finaliser of splitmix64)."""
    key = key + _PRIME
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        key ^= key >> np.uint64(shift)
        key *= np.uint64(factor)
    key ^= key >> np.uint64(31)
    return key
