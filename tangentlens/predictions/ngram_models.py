"""Language models by counting, to hold predictions against: unigram, bigram, interpolated Kneser–Ney."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from tangentlens.data.contexts import Contexts
from tangentlens.data.tokens import UNKNOWN
from tangentlens.errors import OptionError

Array = NDArray[np.float64]
Ints = NDArray[np.int64]


class CountingModel(ABC):
    """Gives every type a probability after any context."""

    @abstractmethod
    def probabilities(self, contexts: Contexts, targets: NDArray[np.int32] | None = None) -> Array:
        """p(target | context) of n contexts, of their own targets or of others; (n,)."""


@dataclass(frozen=True, eq=False)
class Unigram(CountingModel):
    """p(w): how often w is a target in `training`; a type that never is counts as seen once."""

    training: Contexts

    def probabilities(self, contexts: Contexts, targets: NDArray[np.int32] | None = None) -> Array:
        """See CountingModel.probabilities."""
        return np.asarray(self.training.unigram[contexts.targets if targets is None else targets])


@dataclass(frozen=True, eq=False)
class Level:
    """Counts of n-grams of one order by their beginning: `keys` = beginning · v + last token, sorted.

    Shapes: keys, counts (n-grams,); totals, types (beginnings,): summed counts and different last tokens.
    """

    keys: Ints
    counts: Ints
    totals: Ints
    types: Ints

    @classmethod
    def of(cls, keys: Ints, counts: Ints, v: int, beginnings: int) -> Level:
        """From distinct sorted keys and their counts."""
        begin = keys // v
        totals = np.bincount(begin, weights=counts, minlength=beginnings).astype(np.int64)
        return cls(keys, counts, totals, np.bincount(begin, minlength=beginnings))

    @cached_property
    def discount(self) -> float:
        """D = n_1 / (n_1 + 2 n_2), n_k the number of n-grams counted k times; within 0.1 … 0.9."""
        once, twice = (int(np.count_nonzero(self.counts == times)) for times in (1, 2))
        return min(0.9, max(0.1, once / max(1, once + 2 * twice)))

    def count(self, keys: Ints) -> Ints:
        """The counts of some n-grams, 0 for those that do not occur."""
        found = lookup(self.keys, keys)
        return np.where(found >= 0, self.counts[found], 0) if len(self.counts) else np.zeros(len(keys), np.int64)


@dataclass(frozen=True, eq=False)
class KneserNey(CountingModel):
    """Interpolated Kneser–Ney of an order, one discount per level (theory, eq. 86).

    The highest level counts n-grams, each lower one the different tokens before a shorter n-gram, and the lowest is
    interpolated with the uniform distribution. An n-gram lies within a document and holds no unknown token; where a
    context is shorter, or was never seen, the next lower level answers. The window of the contexts does not matter.
    """

    training: Contexts
    order: int = 3

    def __post_init__(self) -> None:
        if self.order not in (2, 3):
            raise OptionError(f"Kneser–Ney is here for the orders 2 and 3, not {self.order!r}")

    @cached_property
    def grams(self) -> list[Ints]:
        """Distinct keys of the orders 1 to `order`, sorted; the place of a key numbers it as a beginning."""
        return [level[0] for level in self._counted]

    @cached_property
    def levels(self) -> list[Level]:
        """The levels 1 to `order`, lower ones with continuation counts."""
        v, counted = len(self.training.vocabulary), self._counted
        found = []
        for order in range(1, self.order + 1):
            keys, counts = counted[order - 1]
            if order < self.order:  # how many different tokens stand before the gram
                longer = counted[order][0]
                shorter = self._suffix(longer, order)
                counts = np.bincount(shorter[shorter >= 0], minlength=len(keys))
            beginnings = 1 if order == 1 else len(self.grams[order - 2])
            keep = counts > 0
            found.append(Level.of(keys[keep], counts[keep], v, beginnings))
        return found

    def probabilities(self, contexts: Contexts, targets: NDArray[np.int32] | None = None) -> Array:
        """See CountingModel.probabilities."""
        v = len(self.training.vocabulary)
        last = (contexts.targets if targets is None else targets).astype(np.int64)
        before = self._beginnings(contexts)
        p = np.full(len(last), 1 / v)
        for level, begin in zip(self.levels, before, strict=True):
            seen = (begin >= 0) & (level.totals[begin] > 0)
            total, types = level.totals[begin], level.types[begin]
            counted = np.maximum(level.count(begin * v + last) - level.discount, 0)
            mixed = (counted + level.discount * types * p) / np.maximum(total, 1)
            p = np.where(seen, mixed, p)
        return p

    @cached_property
    def _counted(self) -> list[tuple[Ints, Ints]]:
        """Distinct keys and counts of the n-grams of every order that end in a target."""
        found: list[tuple[Ints, Ints]] = []
        for order in range(1, self.order + 1):
            begin = self._before(self.training, order, [keys for keys, _ in found])
            last = self.training.targets.astype(np.int64)
            keys, counts = np.unique((begin * len(self.training.vocabulary) + last)[begin >= 0], return_counts=True)
            found.append((keys, counts))
        return found

    def _beginnings(self, contexts: Contexts) -> list[Ints]:
        """The number of the beginning that each level sees before every target; −1 for none."""
        return [self._before(contexts, order, self.grams) for order in range(1, self.order + 1)]

    def _before(self, contexts: Contexts, order: int, grams: list[Ints]) -> Ints:
        """The (order − 1)-gram before every target, as a place in the grams of that order; −1 for none."""
        if order == 1:
            return np.zeros(len(contexts), np.int64)
        begin, v = np.zeros(len(contexts), np.int64), len(self.training.vocabulary)
        lengths = replace(contexts, window=None).lengths
        for back in range(order - 1, 0, -1):
            inside = lengths >= back
            token = np.where(inside, contexts.corpus.ids[np.maximum(contexts.positions - back, 0)], UNKNOWN)
            known = (begin >= 0) & (token >= 0)
            begin = np.where(known, lookup(grams[order - 1 - back], begin * v + token), -1)
        return begin

    def _suffix(self, keys: Ints, order: int) -> Ints:
        """For keys of order + 1: the place of the n-gram without its first token among those of `order`."""
        v = len(self.training.vocabulary)
        begin, last = np.divmod(keys, v)
        if order == 1:
            return lookup(self.grams[0], last)
        middle = self.grams[1][begin] % v
        return lookup(self.grams[1], lookup(self.grams[0], middle) * v + last)


@dataclass(frozen=True, eq=False)
class Bigram(CountingModel):
    """weight · count(a b) / count(a ·) + (1 − weight) · p(b); the unigram alone after a token that was never seen."""

    training: Contexts
    weight: float = 0.5

    @cached_property
    def counts(self) -> KneserNey:
        """Where the counts come from."""
        return KneserNey(self.training, 2)

    def probabilities(self, contexts: Contexts, targets: NDArray[np.int32] | None = None) -> Array:
        """See CountingModel.probabilities."""
        pair, single = self.both(contexts, targets)
        return np.where(np.isnan(pair), single, self.weight * pair + (1 - self.weight) * single)

    def both(self, contexts: Contexts, targets: NDArray[np.int32] | None = None) -> tuple[Array, Array]:
        """Relative frequency after the token before (NaN after an unseen one), and unigram; (n,) each."""
        last = (contexts.targets if targets is None else targets).astype(np.int64)
        begin, level = self.counts._beginnings(contexts)[1], self.counts.levels[1]
        total = np.where(begin >= 0, level.totals[begin], 0)
        pair = np.where(total > 0, level.count(begin * len(self.training.vocabulary) + last), np.nan)
        return pair / np.maximum(total, 1), Unigram(self.training).probabilities(contexts, targets)


def lookup(keys: Ints, wanted: Ints) -> Ints:
    """The place of every wanted number in sorted keys, −1 where it is missing.

    >>> lookup(np.array([2, 5]), np.array([5, 1, 9])).tolist()
    [1, -1, -1]
    """
    if not len(keys):
        return np.full(len(wanted), -1)
    place = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
    return np.where(keys[place] == wanted, place, -1)
