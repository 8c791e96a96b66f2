"""How much a pattern weighs at each place of a context: what makes feature counts of contexts sums over places."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from tangentlens.data.tokens import Tokens, Vocabulary
from tangentlens.errors import NoSparseFormError, OptionError
from tangentlens.features.family import Family, Features
from tangentlens.features.patterns import Patterns, occurrences
from tangentlens.kernels.architecture import Architecture, describe

Array = NDArray[np.float64]
LONGEST = 4096  # tokens in a context for which a table of weights is kept


@dataclass(frozen=True, eq=False)
class PlaceWeights:
    """One family of an architecture: Φ(x)_{g, f} = Σ_p weights[g, L, p] 1(pattern f begins at place p of x), L = |x|.

    Shapes (G groups): weights (G, longest + 1, longest + 1); for the bias, which has no place, all is at p = 0.
    """

    family: Family
    weights: Array

    @property
    def steps(self) -> tuple[int, ...]:
        """Where the pattern's tokens stand, counted from its first; empty for the bias."""
        return () if self.family.patterns is None else self.family.patterns.shape


def place_weights(architecture: Architecture, longest: int) -> tuple[PlaceWeights, ...]:
    """The weights of every family, for contexts of up to `longest` tokens (theory, eq. 81).

    They are read off the feature map itself: in a text of L different tokens every place has its own pattern. Raises
    NoSparseFormError where a token's weight depends on the other tokens (tied attention), OptionError for contexts
    that are too long.

    >>> from tangentlens.kernels.mlp import MLP
    >>> [one.weights[0, 2].tolist() for one in place_weights(MLP(), 2)]
    [[0.5, 0.5, 0.0], [1.0, 0.0, 0.0]]
    """
    if longest > LONGEST:
        raise OptionError(f"the longest context has {longest:,} tokens, more than {LONGEST:,}; "
                          "take a window, such as window=32, or cut the documents")
    lengths = np.arange(longest + 1)
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    ids = np.arange(offsets[-1]) - np.repeat(offsets[:-1], lengths)
    features = architecture.features(_tokens(ids, offsets, longest))
    found = tuple(PlaceWeights(family, _table(family, longest)) for family in features.families)
    _check(architecture, found, longest)
    return found


def empty_columns(architecture: Architecture, tokens: Tokens) -> Features:
    """The columns that the architecture has for the patterns of those texts, without any row: for `columns=`."""
    probe = architecture.features(_tokens(np.empty(0, np.int64), np.array([0]), 1))
    found: dict[tuple[int, ...], Patterns] = {}
    for family in probe.families:
        shape = () if family.patterns is None else family.patterns.shape
        if shape and shape not in found:
            found[shape] = occurrences(tokens, shape)[1]
    return Features(tuple(rowless(family, found) for family in probe.families), 0)


def rowless(family: Family, patterns: dict[tuple[int, ...], Patterns]) -> Family:
    """The family without texts, in the columns of the patterns given for its shape."""
    mine = None if family.patterns is None else patterns[family.patterns.shape]
    columns = (1 if mine is None else len(mine)) * len(family.groups)
    return replace(family, patterns=mine, stored=_no_rows(columns), weight=np.empty(0),
                   values=None, ends=None)


def _no_rows(columns: int) -> sparse.csr_array:
    return sparse.csr_array(np.zeros((0, columns), np.int32))


def _tokens(ids: NDArray[np.int64], offsets: NDArray[np.int64], longest: int) -> Tokens:
    strings = tuple(map(str, range(max(1, longest))))
    return Tokens(ids.astype(np.int32), offsets.astype(np.int64), Vocabulary(strings))


def _table(family: Family, longest: int) -> Array:
    counts = family.counts.tocoo()
    group, pattern = np.divmod(counts.col, len(family))
    place = pattern * 0 if family.patterns is None else family.patterns.tokens()[pattern, 0]
    table = np.zeros((len(family.groups), longest + 1, longest + 1))
    table[group, counts.row, place] = counts.data
    return table


def _check(architecture: Architecture, found: tuple[PlaceWeights, ...], longest: int) -> None:
    """Raises NoSparseFormError unless the weights also hold for a text in which tokens repeat."""
    ids = np.array([0, 1, 1, 1, 0, 1, 0])[:longest]
    length = len(ids)
    tokens = _tokens(ids, np.array([0, length]), longest)
    for one, family in zip(found, architecture.features(tokens).families, strict=True):
        if family.patterns is None:
            expected = one.weights[:, length, 0]
        else:
            at, _ = occurrences(tokens, one.steps, family.patterns)
            here = np.flatnonzero(at >= 0)
            expected = np.zeros((len(family.groups), len(family)))
            np.add.at(expected.T, at[here], one.weights[:, length, here].T)
        if not np.allclose(family.counts.toarray().ravel(), expected.ravel(), rtol=1e-9, atol=1e-12):
            raise NoSparseFormError(
                f"{describe(architecture)} weights a token by the other tokens of its context, so its counts are no "
                "sums over places; take learn_next, which copies contexts out batch by batch")
