"""What the rules for flags read of the training texts, and how sure one is of a feature's class (theory, eq. 91)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tangentlens.data.duplicates import near_duplicates
from tangentlens.data.suspects import Lists, kinds_of
from tangentlens.data.tokens import Tokens
from tangentlens.learning.losses import encode
from tangentlens.predictions.chances import at_least, discovery_rates, lowest_share

Array = NDArray[np.float64]
Ids = NDArray[np.int64]
PURE = 0.65  # least purity, the lower 95 % bound, of classes made equally large; SST itself then has 2 or 3 flags
LEVEL = 0.05  # expected share of chance among the one-class suspects (Benjamini and Hochberg)
RESTS = 0.05  # mean share of a decision that must rest on a feature of these kinds


@dataclass(frozen=True, eq=False)
class Ground:
    """What the rules read of n training texts, once for all architectures. index (n,) of classes; groups (n,) of
    near-duplicates; sources (n,) or None; kinds (v,); first (n,): one text of every group and class. The thresholds
    pure, level and rests are those of the constants.
    """

    tokens: Tokens
    classes: tuple[str, ...]
    index: Ids
    groups: Ids
    first: NDArray[np.bool_]
    kinds: NDArray[Any]
    sources: Ids | None = None
    lists: Lists = field(default_factory=Lists)
    pure: float = PURE
    level: float = LEVEL
    rests: float = RESTS

    @classmethod
    def of(cls, tokens: Tokens, labels: Any, *, lists: Lists | None = None, sources: Sequence[Any] | None = None,
           lowercased: bool = False) -> Ground:
        """Looks at the texts."""
        targets = encode(labels, None, texts=len(tokens))
        groups = near_duplicates(tokens)
        _, places = np.unique(np.column_stack([groups, targets.index]), axis=0, return_index=True)
        first = np.zeros(len(tokens), bool)
        first[places] = True
        numbers = None
        if sources is not None:
            numbers = np.unique(np.array([str(one) for one in sources]), return_inverse=True)[1]
        kinds = np.array(kinds_of(tokens, lowercased=lowercased), dtype=object)
        return cls(tokens, tuple(map(str, targets.classes)), targets.index, groups, first, kinds, numbers,
                   lists or Lists())


@dataclass(frozen=True)
class Purity:
    """Of features, by distinct texts: texts with it, of them in its class, the lower bound of its purity, p-value."""

    texts: Ids
    inside: Ids
    low: Array
    p: Array


def purity(texts: Ids, inside: Ids, prior: Array) -> Purity:
    """Lower 95 % bound (Clopper–Pearson) of k/m with classes made equally large, and P(Binomial(m, π) ≥ k) (eq. 91).

    >>> found = purity(np.array([10]), np.array([10]), np.array([0.5]))
    >>> found.low.round(2).tolist(), found.p.round(4).tolist()
    ([0.74], [0.001])
    """
    shares, number = np.unique(prior, return_inverse=True)
    keys = (texts * (np.max(texts, initial=0) + 1) + inside) * max(len(shares), 1) + number
    _, first, place = np.unique(keys, return_index=True, return_inverse=True)  # few are different
    m, k, share = texts[first], inside[first], prior[first]
    low = lowest_share(k, m, 0.05)
    odds: Array = low * (1 - share)
    low = odds / np.maximum(odds + (1 - low) * share, 1e-300)
    return Purity(texts, inside, low[place], at_least(k, m, share)[place])


def priors(toward: Ids, ground: Ground) -> Array:
    """The share of the class that each feature pushes to, among distinct texts."""
    return np.asarray(np.bincount(ground.index[ground.first], minlength=len(ground.classes))[toward]
                      / ground.first.sum())


def discoveries(p: Array, suspect: NDArray[np.bool_], level: float) -> NDArray[np.bool_]:
    """Which suspects the procedure of Benjamini and Hochberg keeps at a level."""
    kept = np.zeros(len(p), bool)
    kept[suspect] = discovery_rates(p[suspect]) <= level if suspect.any() else False
    return kept
