"""Which targets follow which context patterns, and with what weight: C = Φᵀ Y, counted without making Φ."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from tangentlens.data.contexts import Contexts
from tangentlens.data.threads import parallel, workers
from tangentlens.features.patterns import Patterns, occurrences

Array = NDArray[np.float64]
Ints = NDArray[np.int64]
BLOCK = 2**22  # pairs of a pattern and a target that are listed at a time
SAMPLED = 4000  # patterns whose targets are counted to estimate how many pairs there are


@dataclass(frozen=True, eq=False)
class Sites:
    """The places of a corpus at which the patterns of one shape begin. Shapes: places, owners (sites,), ascending by
    owner, which is the pattern's number; ends (sites,), the end of the document; rarest (d,), the largest token id of
    every pattern.
    """

    contexts: Contexts
    patterns: Patterns
    places: Ints
    owners: NDArray[np.int32]

    @classmethod
    def of(cls, contexts: Contexts, steps: tuple[int, ...]) -> Sites:
        """For the patterns of that shape."""
        at, patterns = occurrences(contexts.corpus.tokens, steps)
        order = np.argsort(at, kind="stable")
        places = order[np.searchsorted(at, 0, sorter=order):]
        return cls(contexts, patterns, places, at[places])

    @cached_property
    def ends(self) -> Ints:
        offsets = self.contexts.corpus.offsets
        return np.asarray(offsets[np.searchsorted(offsets, self.places, side="right")])

    @cached_property
    def rarest(self) -> Ints:
        return np.asarray(self.patterns.tokens().max(axis=1, initial=-1))


@dataclass(frozen=True, eq=False)
class WeightedSites:
    """Sites, and what a pattern weighs in a context by the context's length and its own place there (theory, eq. 81).

    Shapes: weights (L + 1, L + 1).
    """

    sites: Sites
    weights: Array

    @cached_property
    def lags(self) -> tuple[int, int]:
        """The least and greatest distance between a pattern's first token and the target; (1, 0) if there is none."""
        length, place = np.nonzero(self.weights)
        return (int((length - place).min()), int((length - place).max())) if len(length) else (1, 0)

    def reach(self, sites: Ints | slice = slice(None), window: int | None = None) -> Ints:
        """How many places that may hold a target follow each of some sites, in contexts of at most `window` tokens."""
        first, last = self.lags
        left = self.sites.ends[sites] - 1 - self.sites.places[sites]
        last = last if window is None else min(last, window)
        return np.asarray(np.maximum(np.minimum(last, left) - first + 1, 0))

    def at_most(self, *, types: int | None = None, window: int | None = None) -> int:
        """No more distinct pairs of a pattern and a target than this, if there were only the most frequent types, or
        a shorter window.
        """
        v = len(self.sites.contexts.vocabulary) if types is None else types
        pairs = np.bincount(self.sites.owners, weights=self.reach(window=window), minlength=len(self.sites.patterns))
        return int(np.minimum(pairs[self.sites.rarest < v], v).sum())

    def fill(self) -> float:
        """The share of `at_most` that really occurs, estimated from every k-th pattern."""
        stride = max(1, len(self.sites.patterns) // SAMPLED)
        chosen = np.flatnonzero(self.sites.owners % stride == stride // 2)
        reach, owners = self.reach(chosen), self.sites.owners[chosen]
        bound = np.minimum(np.bincount(owners, weights=reach), len(self.sites.contexts.vocabulary)).sum()
        stream = Stream.of(self)
        found = sum(stream.block(chosen[low:high])[1].nnz for low, high in pairwise(_cuts(reach)))
        return float(found / bound) if bound else 0.0


@dataclass(frozen=True, eq=False)
class Stream:
    """The target at every place of a corpus, v where there is none, and the length of the context before it.

    `weight` holds a pattern's weight by target where it depends on the context's length only; it is empty where it also
    depends on the place. Shapes: targets, lengths (total,); weight (total,) or (0,).
    """

    sites: WeightedSites
    targets: NDArray[np.int32]
    lengths: NDArray[np.int32]
    weight: Array

    @classmethod
    def of(cls, sites: WeightedSites) -> Stream:
        """For some sites."""
        contexts = sites.sites.contexts
        total, v = len(contexts.corpus.ids), len(contexts.vocabulary)
        targets, lengths = np.full(total, v, np.int32), np.zeros(total, np.int32)
        targets[contexts.positions], lengths[contexts.positions] = contexts.targets, contexts.lengths
        first, last = sites.lags
        size = np.arange(len(sites.weights))
        lag = size[:, None] - size
        used = (lag >= first) & (lag <= last)
        most = np.max(sites.weights, axis=1, where=used, initial=0)
        by_place = np.any(used & (sites.weights != most[:, None]))
        return cls(sites, targets, lengths, np.empty(0) if by_place else most[lengths])

    def block(self, chosen: Ints) -> tuple[NDArray[np.int32], sparse.csr_array]:
        """The rows of C for the patterns at some sites: numbers of the patterns (k,), and sparse (k, v)."""
        reach, begin = self.sites.reach(chosen), self.sites.sites.places[chosen]
        ends = np.concatenate([[0], np.cumsum(reach)])
        where = np.arange(ends[-1]) + np.repeat(begin + self.sites.lags[0] - ends[:-1], reach)
        if len(self.weight):
            weight = self.weight[where]
        else:
            length, lag = self.lengths[where], where - np.repeat(begin, reach)
            weight = self.sites.weights[length, np.maximum(length - lag, 0)] * (length >= lag)
        v = len(self.sites.sites.contexts.vocabulary)
        followers = sparse.csr_array((weight, self.targets[where], _short(ends)), shape=(len(chosen), v + 1))
        owners = self.sites.sites.owners[chosen]
        change = np.flatnonzero(np.diff(owners, prepend=-1))
        adding = sparse.csr_array((np.ones(len(chosen)), _short(np.arange(len(chosen))),
                                   _short(np.append(change, len(chosen)))), shape=(len(change), len(chosen)))
        table = sparse.csr_array((adding @ followers)[:, :v])
        if not len(self.weight):
            table.eliminate_zeros()
        table.sort_indices()
        return owners[change], table


def count_pairs(sites: WeightedSites) -> sparse.csr_array:
    """C = Φᵀ Y: for every pattern and type, the summed weight of the pattern in the contexts of that target (eq. 81).

    Returns a sparse (d, v) float64 matrix. It is made some patterns at a time: what follows each of their sites is a
    row of a sparse matrix, and adding up the rows of a pattern is a sparse product.
    """
    stream = Stream.of(sites)
    writer = Rows(len(sites.sites.patterns), len(sites.sites.contexts.vocabulary), sites.at_most())
    blocks = list(pairwise(_cuts(sites.reach())))
    for start in range(0, len(blocks), workers()):
        wave = blocks[start:start + workers()]
        for owners, table in parallel(lambda cut: stream.block(np.arange(*cut)), wave):
            writer.add(owners, table)
    return writer.finish()


class Rows:
    """Writes blocks of rows one after another into one sparse matrix, whose memory is only touched as it fills."""

    def __init__(self, rows: int, columns: int, most: int) -> None:
        self.shape, self.used, self.last = (rows, columns), 0, -1
        self.index, self.data = np.empty(most, np.int32), np.empty(most)
        self.sizes = np.zeros(rows, np.int64)

    def add(self, owners: NDArray[np.int32], table: sparse.csr_array) -> None:
        """Rows `owners`, ascending; the first may go on with the last row written."""
        if owners[0] == self.last:
            begun = self.used - int(self.sizes[self.last])
            row = (self.data[begun:self.used].copy(), self.index[begun:self.used].copy(), [0, self.used - begun])
            joined = sparse.csr_array(sparse.csr_array(row, shape=(1, self.shape[1])) + table[[0]])
            self.used = begun
            table = sparse.csr_array(sparse.vstack([joined, table[1:]], format="csr"))
        high = self.used + table.nnz
        self.index[self.used:high], self.data[self.used:high] = table.indices, table.data
        self.sizes[owners] = np.diff(table.indptr)
        self.used, self.last = high, int(owners[-1])

    def finish(self) -> sparse.csr_array:
        """The matrix of all rows written."""
        bounds = _short(np.concatenate([[0], np.cumsum(self.sizes)]))
        return sparse.csr_array((self.data[:self.used], self.index[:self.used], bounds), shape=self.shape)


def lag_profile(contexts: Contexts, token: int, target: int) -> Ints:
    """How often `token` stands 1, 2, … places before `target` in its context; shape (longest of these contexts,)."""
    ids = contexts.corpus.ids
    hits = contexts[contexts.targets == target]
    lengths = hits.lengths
    return np.array([np.count_nonzero(ids[hits.positions[lengths >= lag] - lag] == token)
                     for lag in range(1, int(lengths.max(initial=0)) + 1)], dtype=np.int64)


def _cuts(reach: Ints) -> list[int]:
    """Where to cut a list of sites so that each part has about BLOCK pairs."""
    ends = np.cumsum(reach)
    if not len(ends):
        return []
    inner = np.searchsorted(ends, np.arange(BLOCK, ends[-1], BLOCK))
    return [int(cut) for cut in np.unique([0, *inner, len(reach)])]


def _short(numbers: Ints) -> NDArray[np.int32] | Ints:
    return numbers.astype(np.int32) if not len(numbers) or numbers[-1] < 2**31 else numbers
