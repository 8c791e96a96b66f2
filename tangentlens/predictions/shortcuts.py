"""What every token and n-gram does to the decisions on the texts that hold it (theory, section "Shortcuts")."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from tangentlens.data.sorting import blocks
from tangentlens.data.threads import parallel
from tangentlens.features import sums
from tangentlens.features.family import Family
from tangentlens.features.lags import entries, runs
from tangentlens.features.patterns import Patterns
from tangentlens.learning.memory import give_back
from tangentlens.predictions.trajectory import Trajectory

Array = NDArray[np.float64]
Ids = NDArray[np.int64]
Effects = tuple[Array, Ids, Array, Ids]
Part = tuple[NDArray[np.bool_], NDArray[Any], NDArray[Any], Effects]
LEAST = 5  # texts that a feature needs
BLOCK = 2**21  # entries whose effects are worked out at a time …
TOGETHER = 2**25  # … whose values are kept …
COLUMNS = 2**23  # … and that are looked up at a time, where a pattern is one column
LARGE = 2**25  # entries from which on memory is given back after each part


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


@dataclass(frozen=True, eq=False)
class Learned:
    """Label scores by family at one record, and decisions on the training texts: (n, k), one column for every class."""

    trajectory: Trajectory
    record: int
    scores: list[Array]
    decision: Array

    @classmethod
    def at(cls, trajectory: Trajectory, step: int = -1) -> Learned:
        """Computes both."""
        record = trajectory.record(step)
        scores = trajectory.scores(record)
        return cls(trajectory, record, scores, by_class(trajectory.features.pull(scores)))


def pulls(learned: Learned, *, least: int = LEAST) -> list[Pulls]:
    """For every shape of pattern, single tokens first: those that `least` training texts hold, and what they do."""
    families = learned.trajectory.features.families
    shapes: dict[tuple[int, ...], list[int]] = {}
    for number, family in enumerate(families):
        if family.patterns is not None:
            shapes.setdefault(family.patterns.shape, []).append(number)
    ordered = [shapes[shape] for shape in sorted(shapes, key=lambda steps: (len(steps), steps))]
    found = parallel(lambda numbers: _pulls([families[number] for number in numbers],
                                            [learned.scores[number] for number in numbers], learned.decision, least),
                     ordered)
    return [one for one in found if one is not None]


def by_class(decision: Array) -> Array:
    """Decisions (n, c) with one column for every class: −f and f where two classes share one output."""
    return np.column_stack([-decision, decision]) / 2 if decision.shape[1] == 1 else decision


def margin(decision: Array, chosen: Ids) -> Array:
    """By how much the chosen class is ahead of the best other one; decisions (n, k), chosen (n,)."""
    if decision.shape[1] == 2:
        ahead: Array = decision[:, 1] - decision[:, 0]
        return np.where(chosen == 1, ahead, -ahead)
    rows = np.arange(len(decision))
    others = decision.copy()
    others[rows, chosen] = -np.inf
    return np.asarray(decision[rows, chosen] - others.max(axis=1))


def _pulls(families: list[Family], scores: list[Array], decision: Array, least: int) -> Pulls | None:
    tokens, places = _united([family.patterns for family in families if family.patterns is not None])
    bound = _bound(families, places, len(tokens))
    first, often = families[0], bound >= least
    if len(families) == 1 and len(first.groups) == 1 and first.ends is None:
        parts = (_of_one(first, scores[0], decision, some) for some in _runs_of(often, bound, COLUMNS))
    else:
        numbered = ((some, [_numbered(some)[place] for place in places]) for some in _runs_of(often, bound, TOGETHER))
        parts = (part for some, numbers in numbered
                 if (part := _of_several(families, scores, decision, (some, numbers, least))))
    text, of_run = _collected(parts, int(bound[often].sum()))
    if not of_run:
        return None
    kept, sizes, effects = zip(*of_run, strict=True)
    kept = np.logical_or.reduce(kept)
    indptr = np.concatenate([[0], np.cumsum(np.concatenate(sizes))])
    indptr = indptr.astype(np.int32) if len(text) < 2**31 else indptr
    present = sparse.csc_array((np.ones(len(text), np.int8), text, indptr),
                               shape=(len(decision), int(kept.sum())))
    number = _numbered(kept)
    inverse = tuple(_inverse(number[place], int(kept.sum())) for place in places)
    mean, toward, weight, decided = (np.concatenate(part) for part in zip(*effects, strict=True))
    return Pulls(tokens[kept], present, mean, toward, weight, decided, tuple(families), inverse, tuple(scores))


def _collected(parts: Iterator[Part], most: int) -> tuple[NDArray[np.int32], list[Any]]:
    """The texts of all parts, at most so many, one after another in one array; and the rest of every part."""
    text, used, rest = np.empty(most, np.int32), 0, []
    for kept, some, sizes, effects in parts:
        text[used:used + len(some)] = some
        used += len(some)
        rest.append((kept, sizes, effects))
        if most > LARGE:
            give_back()
    return text[:used], rest


def _runs_of(often: NDArray[np.bool_], bound: Ids, size: int) -> Iterator[NDArray[np.bool_]]:
    """Some patterns at a time, so that what all entries add is never there at once."""
    for low, high in blocks(np.cumsum([0, *np.where(often, bound, 0)]), size):
        some = np.zeros(len(often), bool)
        some[low:high] = often[low:high]
        if some.any():
            yield some


def _of_one(family: Family, scores: Array, decision: Array, often: NDArray[np.bool_]) -> Part:
    """Which patterns are kept, the texts with each, their numbers, and the effects; where a pattern is one column."""
    first, last = np.flatnonzero(often)[[0, -1]].tolist()
    columns, chosen = sums.columns_of(family, first, last + 1), often[first:last + 1]
    sizes = np.diff(columns.indptr)
    text, data = columns.indices, columns.data
    if not chosen.all():
        entry = np.repeat(chosen, sizes)
        text, data, sizes = text[entry], data[entry], sizes[chosen]
    scores = scores[often]
    factor = np.ones(len(scores)) if family.scale is None else family.scale[often]

    def added(entries: slice, pattern: Ids) -> Array:
        weight = family.weight[text[entries]] if family.values is None else 1.0
        return np.asarray((data[entries] * weight * factor[pattern])[:, None] * scores[pattern])

    return often, text, sizes, _effects(text, sizes, added, decision)


def _of_several(families: list[Family], scores: list[Array], decision: Array,
                wanted: tuple[NDArray[np.bool_], list[NDArray[np.int32]], int]) -> Part | None:
    """The same for some patterns, those that enough texts hold in any column; None if there are none."""
    some, numbers, least = wanted
    added, present = _summed(*_entries(families, scores, numbers), (len(decision), int(some.sum())))
    texts = np.diff(present.indptr)
    enough = texts >= least
    if not enough.any():
        return None
    entry, kept = np.repeat(enough, texts), np.zeros(len(some), bool)
    kept[np.flatnonzero(some)[enough]] = True
    text, values = present.indices[entry], added[entry]
    return kept, text, texts[enough], _effects(text, texts[enough], lambda entries, _: values[entries], decision)


def _inverse(numbers: NDArray[np.int32], size: int) -> Ids:
    """Where each of 0 … size − 1 stands among some numbers, −1 for nowhere."""
    places = np.full(size, -1)
    places[numbers[numbers >= 0]] = np.flatnonzero(numbers >= 0)
    return places


def _effects(texts_with: NDArray[Any], sizes: Ids, added: Callable[[slice, Ids], Array], decision: Array) -> Effects:
    """mean, toward, weight and decided of `Pulls` for patterns that stand in so many texts each, from these texts one
    pattern after another, and from what entries add, (entries, c), given their slice and patterns.
    """
    starts = np.concatenate([[0], np.cumsum(sizes)])
    chosen = decision.argmax(axis=1)
    ahead = margin(decision, chosen)

    def work(run: tuple[int, int]) -> Effects:
        low, high = run
        entries = slice(int(starts[low]), int(starts[high]))
        text, texts = texts_with[entries], sizes[low:high]
        column = np.repeat(np.arange(len(texts)), texts)
        return _of_entries(column, text, by_class(added(entries, column + low)), (decision, chosen, ahead), texts)

    parts = parallel(work, blocks(starts, BLOCK))
    mean, toward, weight, decided = (np.concatenate(part) for part in zip(*parts, strict=True))
    return mean, toward, weight, decided


def _of_entries(column: Ids, text: NDArray[Any], added: Array, decided: tuple[Array, Ids, Array], texts: Ids
                ) -> Effects:
    """The same of some patterns, from their entries: number of the pattern, text, and what is added (entries, k)."""
    decision, chosen, ahead = decided[0], decided[1][text], decided[2][text]
    size = len(texts)
    rests = ahead - margin(decision[text] - added, chosen)
    np.divide(rests, ahead, out=rests, where=ahead > 0)
    rests[ahead <= 0] = 0.0
    mean: Array = np.column_stack([np.bincount(column, weights=part, minlength=size) for part in added.T])
    mean /= texts[:, None]
    toward: Ids = mean.argmax(axis=1).astype(np.int64)
    rests[chosen != toward[column]] = 0.0
    weight: Array = np.asarray(np.bincount(column, np.clip(rests, 0, 1), size), np.float64)
    return mean, toward, weight, np.bincount(column, weights=rests >= 1, minlength=size).astype(np.int64)


def _numbered(chosen: NDArray[np.bool_]) -> NDArray[np.int32]:
    """0, 1, … for what is chosen, −1 for the rest."""
    return np.where(chosen, np.cumsum(chosen) - 1, -1).astype(np.int32)


def _bound(families: list[Family], places: list[Ids], size: int) -> Ids:
    """How many texts hold each pattern at most; the families of several lags share their counts."""
    total = np.zeros(size, np.int64)
    for run in runs(families):
        family = families[run[0]]
        total[places[run[0]]] += sums.texts_with(family).reshape(len(family.groups), -1).sum(axis=0)
    return total


def _entries(families: list[Family], scores: list[Array], numbers: list[NDArray[np.int32]]
             ) -> tuple[NDArray[np.int32], NDArray[np.int32], Array]:
    """What the patterns of number ≥ 0 add to decisions: texts (e,), their numbers (e,) and values (e, c)."""
    pieces = []
    for run in runs(families):
        family, number = families[run[0]], np.tile(numbers[run[0]], len(families[run[0]].groups))
        if len(run) > 1:
            found = list(entries([families[place] for place in run], [scores[place] for place in run]))
        else:
            rows, columns, values = family.entries(number >= 0)
            found = [(rows, columns, values[:, None] * scores[run[0]][columns])]
        for rows, columns, shares in found:
            kept = number[columns] >= 0
            pieces.append((rows, number[columns], shares) if kept.all() else (
                (rows[kept], number[columns[kept]], shares[kept])))
    rows, columns, shares = (np.concatenate(parts) for parts in zip(*pieces, strict=True))
    return rows, columns, shares


def _summed(rows: NDArray[np.int32], columns: NDArray[np.int32], values: Array, shape: tuple[int, int]
            ) -> tuple[Array, sparse.csc_array]:
    """Values (e, c) of the same text and column added up, (entries, c), and where they stand, in columns."""
    parts = [sparse.coo_array((one, (rows, columns)), shape=shape).tocsc() for one in np.ascontiguousarray(values.T)]
    return np.column_stack([part.data for part in parts]), sparse.csc_array(parts[0])


def _united(patterns: list[Patterns]) -> tuple[Ids, list[Ids]]:
    """Token ids of all different patterns (d, r), and for every set of patterns their numbers there."""
    if all(patterns[0].same(other) for other in patterns):
        return patterns[0].tokens(), [np.arange(len(patterns[0]))] * len(patterns)
    tokens, number = np.unique(np.concatenate([one.tokens() for one in patterns]), axis=0, return_inverse=True)
    return tokens, np.split(number.ravel(), np.cumsum([len(one) for one in patterns])[:-1])
