"""What rounds of growth of a basis change, to first order, and are still to change, from how their changes shrink."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tangentlens.learning.product import TINY
from tangentlens.learning.reduced import Start
from tangentlens.learning.tall import norms

Array = NDArray[np.float64]
SLOWEST = 0.95  # by which changes are taken to shrink from round to round, at most
USUAL = 6.0  # times by which forces that decay at their mean rate come to more than what they change, at most, but …
# … where modes that are far slower than others are in the residual
LAST = 3  # rounds that tell how much those at rest change, …
POWER = 0.25  # … the squares of which are taken to fall like this power of the number of vectors


def shrinking(changes: Sequence[float], before: float = 0.0) -> float:
    """By how much changes shrink from round to round since the largest, at most SLOWEST; before: where there is one
    change at most, by how much those of an earlier segment did.
    """
    if len(changes) < 2 or not max(changes):
        return before
    last, most = len(changes) - 1, int(np.argmax(changes))
    return min((changes[last] / changes[most]) ** (1 / (last - most)) if most < last else 1.0, SLOWEST)


def remaining(changes: Sequence[float], before: float = 0.0) -> float:
    """What is still to change after some rounds, d_k r / (1 − r) if changes go on to shrink by r (`shrinking`), and not
    less than the last change: rounds that shrink slowly fluctuate, so that one small change says little.

    >>> remaining([0.4, 0.2, 0.1])
    0.1
    >>> round(remaining([0.5, 0.4]), 3)
    1.6
    """
    ratio = shrinking(changes, before)
    return max(changes[-1], ratio * changes[-2:][0]) * max(1.0, ratio / (1 - ratio))


def remaining_at_rest(changes: Sequence[float], share: float) -> float:
    """What is still to change where every round adds this share of the vectors, infinite if too few rounds are known.

    At rest slow modes come out one by one, some rounds find none, and no change is small by itself: squares of changes
    are taken to fall like a power p of the number of vectors, and add up to D² / ((1 + share)^p − 1) after rounds whose
    mean is D².

    >>> round(remaining_at_rest([0.02, 0.01, 0.02], 0.1), 3)
    0.112
    """
    if len(changes) < LAST:
        return float("inf")
    return float(np.sqrt(np.mean(np.square(changes[-LAST:])) / np.expm1(POWER * np.log1p(share))))


def mean_rates(seen: Array, residuals: Array) -> Array:
    """rᵀ Θ r / rᵀ r, (k,), of residuals r, (n c, k), from what the new vectors see of them, (p, k). Where products go
    by text, r is not at hand, and few modes are far slower than others.
    """
    return np.asarray((norms(seen) / np.maximum(norms(residuals), TINY)) ** 2)


@dataclass(frozen=True, eq=False)
class Push:
    """What drives new vectors: the integrals of the forces on them, `sums` (p, k), over the k spans between `moments`
    (k + 1,). share: how much larger the residual is than its part in those directions that were added. rates: at which
    the forces of every span would decay, (k,), if all modes in the residual did so at their mean; where it is known.
    """

    sums: Array
    moments: Array
    share: float
    rates: Array | None

    def change(self, start: Start, stops: Array) -> Array:
        """What that changes at the stops, (m, len(stops)), in the linear flow of the Jacobian of a start, of which the
        new vectors are the last.
        """
        pushes = np.zeros((len(start.rate), self.sums.shape[1]))
        pushes[-len(self.sums):] = self.sums
        change = start.response(pushes, np.diff(self.moments))
        if np.array_equal(stops, self.moments[1:]):
            return change
        change = np.hstack([np.zeros((len(change), 1)), change])
        place = np.interp(stops, self.moments, np.arange(len(self.moments)))
        low = np.minimum(place.astype(int), change.shape[1] - 2)
        return np.asarray(change[:, low] * (1 + low - place) + change[:, low + 1] * (place - low))

    def size(self, change: Array) -> float:
        """The norm of a change at the last stop, or what the forces would come to if they decayed by their rates, as
        far as that is more than USUAL times as much: a slow mode cannot move in a vector that carries a little of fast
        ones, and is not seen in the change.
        """
        found = float(np.linalg.norm(change[:, -1]))
        if self.rates is not None:
            spans, left = np.diff(self.moments), self.moments[-1] - self.moments[1:]
            decayed = np.maximum(self.rates * spans, TINY)
            kept = np.exp(-self.rates * left) * -np.expm1(-decayed) / decayed
            found = max(found, float(norms(self.sums) @ kept) / USUAL)
        return self.share * found
