"""Which pairs of a context feature and a target a language model learns first: both ends of every ranking."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy import sparse

from tangentlens.features.family import Family
from tangentlens.features.patterns import occurrences
from tangentlens.predictions.first_order import FirstOrder
from tangentlens.predictions.score_tables import FirstOrderScores

Array = NDArray[np.float64]
Ints = NDArray[np.int64]
AT_A_TIME = 25  # features whose scores for every target are held at once
FAMILIES = 4  # with the largest coefficients
PAIRS = {"family": pl.String, "order": pl.Int64, "feature": pl.String, "count": pl.Int64, "target": pl.String,
         "target_count": pl.Int64, "score": pl.Float64, "beyond": pl.Float64, "lift": pl.Float64, "rank": pl.Int64,
         "rank_beyond": pl.Int64}


def target_pairs(first: FirstOrder, time: float, *, features: int = 200, most: int = 10) -> pl.DataFrame:
    """Of the most frequent context features, the `most` targets at either end.

    With E = γ (t/N) R p, the score beyond the unigram is s⁺ = γ (t/N)(C − R p), the whole score from uniform outputs
    s = s⁺ + E − γ (t/N) R / v, and lift = 1 + s⁺ / E: how many times as much as chance (theory, eq. 80 and 82).

    A row for each pair that is among the `most` highest by score, or by beyond, or among the `most` lowest by beyond:
    family, order, feature, count (in the corpus), target, target_count, score, beyond, lift, rank (by score, 1 the
    highest), rank_beyond. `features` are shared out among the FAMILIES with the largest coefficients.

    >>> import tangentlens as tl
    >>> contexts = tl.Contexts(tl.read_corpus(["the cat sat the cat ran the dog sat"]), window=1)
    >>> pairs = target_pairs(tl.first_order(contexts, tl.MLP())[0], 1.0, most=1)
    >>> pairs.filter(feature="the", rank_beyond=1)["target"].to_list()
    ['cat']
    """
    tables = [_ends_of(first, number, time, chosen, most)
              for number, chosen in _frequent(first, features).items() if len(chosen)]
    return pl.concat(tables) if tables else pl.DataFrame(schema=PAIRS)


def context_pairs(first: FirstOrder, time: float, *, targets: int = 50, most: int = 10) -> pl.DataFrame:
    """Of the most frequent targets, the `most` context features with the highest score beyond the unigram, among all.

    Columns: target, target_count, family, feature, beyond, lift, rank.
    """
    contexts = first.contexts
    chosen = np.argsort(-contexts.counts, kind="stable")[:targets]
    p, scale, tables = contexts.unigram[chosen], time / len(contexts), []
    for number, family in enumerate(first.columns.families):
        if not family.order:
            continue
        mix = _mixing(family)
        table = sparse.csc_array(mix @ first.tables[number][:, chosen])
        sums = mix @ first.sums[number]
        for place, target in enumerate(chosen):
            here = slice(table.indptr[place], table.indptr[place + 1])
            rows, chance = table.indices[here], sums[table.indices[here]] * p[place]
            beyond = scale * (table.data[here] - chance)
            best = np.argsort(-beyond, kind="stable")[:most]
            group, pattern = np.divmod(rows[best].astype(np.int64), len(family))
            labels = family.labels()
            tables.append(pl.DataFrame({
                "target": pl.Series([contexts.vocabulary[target]] * len(best), dtype=pl.String),
                "target_count": np.full(len(best), contexts.counts[target], np.int64),
                "family": pl.Series([labels[one] for one in group], dtype=pl.String),
                "feature": family.names_of(pattern), "beyond": beyond[best],
                "lift": 1 + beyond[best] / np.maximum(scale * chance[best], 1e-300)}))
    found = pl.concat(tables).sort("beyond", descending=True, maintain_order=True)
    found = found.group_by("target", maintain_order=True).head(most).filter(pl.col("beyond") > 0)
    found = found.sort("target_count", descending=True, maintain_order=True)
    return found.with_columns(pl.int_range(1, pl.len() + 1).over("target").alias("rank"))


def heat_pairs(first: FirstOrder, time: float, *, size: int = 30, among: int = 200) -> pl.DataFrame:
    """A table of `size` × `size` features and targets around the strongest pairs beyond the unigram, of either sign.

    The pairs of the `among` most frequent features of the largest family and `among` most frequent targets are gone
    through by falling |beyond|, and take their feature and target in until there are `size` of each. Columns: feature,
    target, beyond, lift; features and targets in the order of their counts.
    """
    number, rows = max(_frequent(first, among).items(), key=lambda one: len(one[1]), default=(0, np.empty(0, np.int64)))
    targets = np.argsort(-first.contexts.counts, kind="stable")[:among]
    beyond, chance = _scores(first, number, time, rows)
    beyond, chance = beyond[:, targets], chance[:, targets]
    order = np.argsort(-np.abs(beyond), axis=None, kind="stable")
    left, top = _first(order // len(targets), size), _first(order % len(targets), size)
    family, strings = first.columns.families[number], first.contexts.vocabulary
    names = family.names_of(rows[left] % len(family))
    return pl.DataFrame({
        "feature": pl.Series(np.repeat(np.array(names.to_list(), object), len(top)), dtype=pl.String),
        "target": pl.Series([strings[targets[one]] for one in top] * len(left), dtype=pl.String),
        "beyond": beyond[np.ix_(left, top)].ravel(),
        "lift": 1 + (beyond / np.maximum(chance, 1e-300))[np.ix_(left, top)].ravel()})


def _first(places: Ints, size: int) -> Ints:
    """The first `size` different numbers, ascending."""
    found, where = np.unique(places, return_index=True)
    return np.sort(found[np.argsort(where)[:size]])


def _mixing(family: Family) -> sparse.csr_array:
    """The coefficients between groups, as a matrix over the family's columns."""
    return sparse.csr_array(sparse.kron(family.coefficients, sparse.eye_array(len(family)), format="csr"))


def _counts(first: FirstOrder, family: Family) -> Ints:
    """How often every pattern occurs in the corpus; (d,)."""
    assert family.patterns is not None
    at = occurrences(first.contexts.corpus.tokens, family.patterns.shape)[0]
    return np.bincount(at[at >= 0], minlength=len(family))


def _frequent(first: FirstOrder, most: int) -> dict[int, Ints]:
    """By family the columns of the most frequent patterns, in their full window, the most frequent first."""
    families = [(one.coefficient, number) for number, one in enumerate(first.columns.families) if one.order]
    numbers = sorted(number for _, number in sorted(families, reverse=True)[:FAMILIES])
    found = {}
    for number in numbers:
        family = first.columns.families[number]
        order = np.argsort(-_counts(first, family), kind="stable")[:max(1, most // len(numbers))]
        found[number] = order + (len(family.groups) - 1) * len(family)
    return found


def _scores(first: FirstOrder, number: int, time: float, rows: Ints) -> tuple[Array, Array]:
    """The score beyond the unigram, and E, of some columns of a family for every target; both (k, v)."""
    beyond = first.beyond_unigram(time).rows(number, rows)
    return beyond, _chance(first, time).rows(number, rows)


def _chance(first: FirstOrder, time: float) -> FirstOrderScores:
    """E: what the feature would say of every target if the two were independent."""
    return replace(first.through_unigram(time), q=-first.contexts.unigram)


def _ends_of(first: FirstOrder, number: int, time: float, columns: Ints, most: int) -> pl.DataFrame:
    family = first.columns.families[number]
    counts = _counts(first, family)
    return pl.concat([_block(first, number, time, columns[low:low + AT_A_TIME], most, counts)
                      for low in range(0, len(columns), AT_A_TIME)])


def _block(first: FirstOrder, number: int, time: float, columns: Ints, most: int, counts: Ints) -> pl.DataFrame:
    """The rows of `target_pairs` of some features."""
    family, unigram = first.columns.families[number], first.contexts.unigram
    beyond, chance = _scores(first, number, time, columns)
    score = beyond + chance - chance.sum(axis=1, keepdims=True) / len(unigram)
    ranks = _ranks(score), _ranks(beyond)
    kept = (ranks[0] <= most) | (ranks[1] <= most) | (ranks[1] > beyond.shape[1] - most)
    row, target = np.nonzero(kept)
    order = np.lexsort((ranks[1][row, target], row))
    row, target = row[order], target[order]
    pattern = columns % len(family)
    return pl.DataFrame({
        "family": [family.labels()[-1]] * len(row), "order": [family.order] * len(row),
        "feature": family.names_of(pattern).gather(row), "count": counts[pattern][row],
        "target": pl.Series([first.contexts.vocabulary[one] for one in target], dtype=pl.String),
        "target_count": first.contexts.counts[target],
        "score": score[row, target], "beyond": beyond[row, target],
        "lift": 1 + beyond[row, target] / np.maximum(chance[row, target], 1e-300),
        "rank": ranks[0][row, target], "rank_beyond": ranks[1][row, target]}, schema_overrides=PAIRS)


def _ranks(scores: Array) -> Ints:
    """1 for the highest of every row."""
    order = np.argsort(-scores, axis=1, kind="stable")
    ranks = np.empty_like(order)
    np.put_along_axis(ranks, order, np.arange(1, scores.shape[1] + 1)[None, :], axis=1)
    return ranks
