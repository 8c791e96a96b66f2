"""What rounds of growth of a basis are still to change, from how their changes shrink."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

SLOWEST = 0.95  # by which changes are taken to shrink from round to round, at most
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
