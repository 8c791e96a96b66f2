"""Families of several lags: they share one count, and each leaves out some last places of every text.

With E_p the tokens that have exactly p after them, the occurrences at lag l are R + Σ_{p ≥ l} E_p, R being those at the
last lag; so no lag needs a product of its own. Sums go from the last lag to the first: nothing is subtracted.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

if TYPE_CHECKING:
    from tangentlens.features.family import Family

Array = NDArray[np.float64]


def runs(families: Sequence[Family]) -> list[list[int]]:
    """The families' numbers; those of several lags that share their counts stand together, in the order of the lags."""
    found: list[list[int]] = []
    for number, family in enumerate(families):
        before = families[found[-1][-1]] if found else None
        shared = before is not None and family.ends is not None and family.ends is before.ends
        if before is not None and shared and family.stored is before.stored and family.first > before.first:
            found[-1].append(number)
        else:
            found.append([number])
    return found


def occurring(families: Sequence[Family], vectors: Array) -> Iterator[Array]:
    """Occurrencesᵀ v at every lag, from the last to the first, for vectors (n, c); arrays (d, c)."""
    total = np.asarray(families[-1].occurrences.T @ vectors)
    yield total.copy()
    for later, family in zip(families[:0:-1], families[-2::-1], strict=True):
        for place in range(family.first, later.first):
            texts, ended = _ended(later, place)
            tokens, number = np.unique(ended, return_inverse=True)
            where = sparse.csr_array((np.ones(len(texts)), (number, texts)), shape=(len(tokens), len(vectors)))
            total[tokens] += where @ vectors
        yield total.copy()


def _ended(family: Family, place: int) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """The texts in which a known token has exactly `place` after it, and that token."""
    assert family.ends is not None
    ended = family.ends[:, place]
    texts = np.flatnonzero(ended >= 0).astype(np.int32)
    return texts, ended[texts]


def pushed(families: Sequence[Family], duals: Array) -> list[Array]:
    """Label scores γ Φᵀ a of every lag for duals (n, c); arrays (d, c)."""
    found = list(occurring(families, families[0].weight[:, None] * duals))[::-1]
    return [family.score(one) for family, one in zip(families, found, strict=True)]


def entries(families: Sequence[Family], scores: Sequence[Array]
            ) -> Iterator[tuple[NDArray[np.int32], NDArray[np.int32], Array]]:
    """What all lags together add to decisions: texts (e,), tokens (e,) and Σ_l Φ_l s_l (e, c) there, in pieces; entries
    of one text and token add up.
    """
    last, weight = families[-1].occurrences, families[0].weight
    rows = np.repeat(np.arange(len(weight), dtype=np.int32), np.diff(last.indptr))
    every = np.sum(scores, axis=0)
    yield rows, last.indices, (last.data * weight[rows])[:, None] * every[last.indices]
    so_far = np.zeros_like(scores[0])
    for family, later, score in zip(families, families[1:], scores, strict=False):
        so_far += score
        for place in range(family.first, later.first):
            texts, ended = _ended(later, place)
            yield texts, ended, weight[texts, None] * so_far[ended]


def pulled(families: Sequence[Family], scores: Sequence[Array]) -> Array:
    """Σ_l Φ_l s_l; shape (n, c)."""
    total = np.zeros((len(families[0].weight), scores[0].shape[1]))
    for number, (rows, _, values) in enumerate(entries(families, scores)):
        if number:
            total[rows] += values  # one token of every text
        else:
            for output, column in enumerate(values.T):
                total[:, output] = np.bincount(rows, weights=column, minlength=len(total))
    return total
