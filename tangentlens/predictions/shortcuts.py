"""What every token and n-gram does to the decisions on the texts that hold it (theory, section "Shortcuts")."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from tangentlens.features.family import Family
from tangentlens.features.patterns import Patterns
from tangentlens.predictions.trajectory import Trajectory

Array = NDArray[np.float64]
Ids = NDArray[np.int64]
LEAST = 5  # texts that a feature needs


@dataclass(frozen=True, eq=False)
class Pulls:
    """What d patterns of one shape do in the n training texts, all their offsets and edge groups together.

    Shapes: tokens (d, r) their ids; present (n, d) where they occur; mean (d, k), over the texts with it, what they
    add to the k classes (with two classes −f/2 and f/2 of the one output); toward (d,) the class they push to; weight
    (d,), Σ over texts of the share of the decision that rests on the pattern (eq. 90); decided (d,), texts in which
    that share is 1: without the pattern the decision turns. families: those with these patterns; scores: theirs;
    columns: per family the number of each pattern in it, −1 for none.
    """

    tokens: Ids
    present: sparse.csc_array
    mean: Array
    toward: Ids
    weight: Array
    decided: Ids
    families: tuple[Family, ...]
    columns: tuple[Ids, ...]
    scores: tuple[Array, ...]


def pulls(trajectory: Trajectory, *, step: int = -1, least: int = LEAST) -> Iterator[Pulls]:
    """For every shape of pattern, single tokens first: those that `least` training texts hold, and what they do."""
    scores = trajectory.scores(step)
    decision = by_class(trajectory.features.pull(scores))
    shapes: dict[tuple[int, ...], list[int]] = {}
    for number, family in enumerate(trajectory.features.families):
        if family.patterns is not None:
            shapes.setdefault(family.patterns.shape, []).append(number)
    for shape in sorted(shapes, key=lambda steps: (len(steps), steps)):
        families = [trajectory.features.families[number] for number in shapes[shape]]
        found = _pulls(families, [scores[number] for number in shapes[shape]], decision, least)
        if found is not None:
            yield found


def by_class(decision: Array) -> Array:
    """Decisions (n, c) with one column for every class: −f and f where two classes share one output."""
    return np.column_stack([-decision, decision]) / 2 if decision.shape[1] == 1 else decision


def margin(decision: Array, chosen: Ids) -> Array:
    """By how much the chosen class is ahead of the best other one; decisions (n, k), chosen (n,)."""
    rows = np.arange(len(decision))
    others = decision.copy()
    others[rows, chosen] = -np.inf
    return np.asarray(decision[rows, chosen] - others.max(axis=1))


def _pulls(families: list[Family], scores: list[Array], decision: Array, least: int) -> Pulls | None:
    tokens, places = _united([family.patterns for family in families if family.patterns is not None])
    raw = [family.occurrences for family in families]
    n, d = len(decision), len(tokens)
    every = sparse.csr_array((n, d), dtype=np.float64)
    for counts, place in zip(raw, places, strict=True):
        every = every + _folded(counts, place, d)
    every.data[:] = 1
    keep = np.flatnonzero(np.asarray(every.sum(axis=0)).ravel() >= least)
    if not len(keep):
        return None
    present = sparse.csc_array(every[:, keep])
    present.sort_indices()
    text = present.indices.astype(np.int64)
    column = np.repeat(np.arange(len(keep)), np.diff(present.indptr))
    number = np.full(d, -1)
    number[keep] = np.arange(len(keep))
    places = [np.where(place >= 0, number[place], -1) for place in places]
    added = _added(families, scores, raw, places, present)
    chosen = decision.argmax(axis=1)
    ahead = margin(decision, chosen)[text]
    behind = margin(decision[text] - added, chosen[text])
    rests = np.divide(ahead - behind, ahead, out=np.zeros(len(text)), where=ahead > 0)
    texts = np.bincount(column, minlength=len(keep))
    summed: Array = np.column_stack([np.bincount(column, weights=part, minlength=len(keep)) for part in added.T])
    mean: Array = summed / texts[:, None]
    toward: Ids = mean.argmax(axis=1).astype(np.int64)
    helps = chosen[text] == toward[column]
    weight: Array = np.asarray(np.bincount(column, np.where(helps, np.clip(rests, 0, 1), 0.0), len(keep)), np.float64)
    decided = np.bincount(column, weights=helps & (rests >= 1), minlength=len(keep)).astype(np.int64)
    inverse = []
    for family, place in zip(families, places, strict=True):
        mine = np.full(len(keep), -1)
        patterns = place[:len(family)]
        mine[patterns[patterns >= 0]] = np.flatnonzero(patterns >= 0)
        inverse.append(mine)
    return Pulls(tokens[keep], present, mean, toward, weight, decided, tuple(families), tuple(inverse), tuple(scores))


def _united(patterns: list[Patterns]) -> tuple[Ids, list[Ids]]:
    """Token ids of all different patterns (d, r), and for every set of patterns their numbers there."""
    if all(patterns[0].same(other) for other in patterns):
        return patterns[0].tokens(), [np.arange(len(patterns[0]))] * len(patterns)
    tokens, number = np.unique(np.concatenate([one.tokens() for one in patterns]), axis=0, return_inverse=True)
    return tokens, np.split(number.ravel(), np.cumsum([len(one) for one in patterns])[:-1])


def _folded(counts: sparse.csr_array, place: Ids, size: int) -> sparse.csr_array:
    """Where counts (n, G d') are, the groups of a family added up, in the columns that `place` says."""
    return _placed(counts, place, np.ones(counts.nnz), size)


def _placed(counts: sparse.csr_array, place: Ids, values: Array, size: int) -> sparse.csr_array:
    """Values (nnz,) at the entries of counts (n, G d'), in the columns that `place` says; groups add up."""
    columns = place[counts.indices % len(place) if counts.shape[1] > len(place) else counts.indices]
    good = (columns >= 0) & (counts.data > 0)
    ends = np.concatenate([[0], np.cumsum(good)])[counts.indptr]
    placed = sparse.csr_array((values[good], columns[good], ends), shape=(counts.shape[0], size))
    placed.sum_duplicates()
    return placed


def _added(families: list[Family], scores: list[Array], raw: list[sparse.csr_array], places: list[Ids],
           present: sparse.csc_array) -> Array:
    """What the patterns add to every class, at the entries of `present` (n, d) in its order; (entries, k)."""
    number = np.arange(1, present.nnz + 1, dtype=np.float64)
    entry = sparse.csr_array(sparse.csc_array((number, present.indices, present.indptr), shape=present.shape))
    total = np.zeros((present.nnz, scores[0].shape[1]))
    for family, score, counts, place in zip(families, scores, raw, places, strict=True):
        pooled = family.pooled(counts)
        at = entry.multiply(_folded(counts, place, present.shape[1]).sign()).data.astype(np.int64) - 1
        for output in range(total.shape[1]):
            values = pooled.data * score[pooled.indices, output]
            total[at, output] += _placed(counts, place, values, present.shape[1]).data
    return by_class(total)
