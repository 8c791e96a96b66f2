"""Pairs of a feature and a target, against sums over contexts that are made one by one."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from cases import SPARSE

import tangentlens as tl
from tangentlens.predictions.pairs import context_pairs, heat_pairs, target_pairs

TEXT = ["the cat sat on the mat and the dog sat on the cat", "a dog and a cat", "the dog ran to the cat",
        "a cat ran and a dog sat", "on the mat the cat sat and the dog ran"]
SOME = ["mlp", "attention-sum-stds", "matrix-vector", "linear-rnn-last-frozen"]
TIME, MOST = 3.0, 2
Key = tuple[str, str, str]


def first_of(name: str) -> tl.FirstOrder:
    return tl.first_order(tl.Contexts(tl.read_corpus(TEXT, vocabulary_size=9), 4), SPARSE[name])[0]


def reference(first: tl.FirstOrder) -> dict[Key, tuple[float, float, float]]:
    """(family, feature, target) → score, beyond, lift, from Φ of every context alone: γ t/N (Σ Φ [target] − Σ Φ q)."""
    contexts, families = first.contexts, first.columns.families
    v, n = len(contexts.vocabulary), len(contexts)
    together = [np.zeros((len(family) * len(family.groups), v)) for family in families]
    seen = np.zeros(v)
    for row, target in enumerate(contexts.targets.tolist()):
        seen[target] += 1
        phi = first.architecture.features(contexts[[row]].tokens(), columns=first.columns)
        for number, family in enumerate(phi.families):
            together[number][:, target] += np.asarray(family.counts.todense())[0]
    p, found = seen / n, {}
    for family, own in zip(families, together, strict=True):
        if not family.order:
            continue
        assert len(family.groups) == 1
        names = family.names_of(np.arange(len(family))).to_list()
        for feature, counts in zip(names, own, strict=True):
            for target in range(v):
                scale, total = float(family.coefficient) * TIME / n, counts.sum()
                found[family.labels()[0], feature, contexts.vocabulary[target]] = (
                    scale * (counts[target] - total / v), scale * (counts[target] - total * p[target]),
                    counts[target] / (total * p[target]) if total else 1.0)
    return found


def close(row: dict[str, object], expected: tuple[float, float, float]) -> None:
    for name, value in zip(("score", "beyond", "lift"), expected, strict=True):
        if name in row:
            assert row[name] == pytest.approx(value, abs=1e-12)


@pytest.mark.parametrize("name", SOME)
def test_both_ends_of_the_targets(name):
    first = first_of(name)
    expected, table = reference(first), target_pairs(first, TIME, features=400, most=MOST)
    shown = {(row["family"], row["feature"], row["target"]): row for row in table.to_dicts()}
    assert len(shown) == len(table)
    v, words = len(first.contexts.vocabulary), [text.split() for text in TEXT]
    for family, feature in {key[:2] for key in shown}:
        own = {key[2]: value for key, value in expected.items() if key[:2] == (family, feature)}
        for target, values in own.items():
            row = shown.get((family, feature, target))
            ranks = [1 + sum(other[kind] > values[kind] + 1e-12 for other in own.values()) for kind in (0, 1)]
            ties = [sum(abs(other[kind] - values[kind]) <= 1e-12 for other in own.values()) for kind in (0, 1)]
            inside = ranks[0] + ties[0] - 1 <= MOST or ranks[1] + ties[1] - 1 <= MOST or ranks[1] > v - MOST
            assert row is not None or not inside
            if row is not None:
                close(row, values)
                assert ranks[0] <= row["rank"] < ranks[0] + ties[0]
                assert ranks[1] <= row["rank_beyond"] < ranks[1] + ties[1]
                assert row["rank"] <= MOST or row["rank_beyond"] <= MOST or row["rank_beyond"] > v - MOST
    for row in table.filter(order=1).to_dicts():
        assert row["count"] == sum(text.count(row["feature"]) for text in words)
        assert row["target_count"] == sum(text.count(row["target"]) for text in words)


@pytest.mark.parametrize("name", SOME)
def test_contexts_of_every_target(name):
    first = first_of(name)
    expected, table = reference(first), context_pairs(first, TIME, targets=4, most=MOST)
    counts = first.contexts.counts
    frequent = np.sort(counts)[::-1][:4]
    assert table["target_count"].unique().sort(descending=True).to_list() == sorted(set(frequent), reverse=True)
    for (target,), part in table.group_by("target"):
        own = sorted((value[1] for key, value in expected.items() if key[2] == target and value[1] > 1e-12),
                     reverse=True)
        assert part.sort("rank")["beyond"].to_list() == pytest.approx(own[:MOST], abs=1e-12)
        assert part.sort("rank")["rank"].to_list() == list(range(1, len(part) + 1))
    for row in table.to_dicts():
        close(row, expected[row["family"], row["feature"], row["target"]])


@pytest.mark.parametrize("name", SOME)
def test_the_heat_map_is_around_the_strongest_pairs(name):
    first = first_of(name)
    expected, table = reference(first), heat_pairs(first, TIME, size=3, among=400)
    assert table.height == 9
    assert table["feature"].n_unique() == table["target"].n_unique() == 3
    family = {key[0] for key in expected for feature in table["feature"] if key[1] == feature}
    for row in table.to_dicts():
        assert any(abs(value[1] - row["beyond"]) < 1e-12 and abs(value[2] - row["lift"]) < 1e-9
                   for key, value in expected.items() if key[1:] == (row["feature"], row["target"]))
    largest = max(abs(value[1]) for key, value in expected.items() if key[0] in family and
                  len(key[1].split()) == len(table["feature"][0].split()))
    assert table["beyond"].abs().max() == pytest.approx(largest, abs=1e-12)


def test_lift_of_a_pair_as_often_as_by_chance_is_one():
    corpus = tl.read_corpus(["x a", "x b", "y a", "y b"])
    table = target_pairs(tl.first_order(tl.Contexts(corpus, 1), tl.MLP())[0], 1.0).filter(pl.col("feature") == "x")
    found = {row["target"]: row["lift"] for row in table.to_dicts()}
    assert found["a"] == pytest.approx(found["b"])
    assert found["a"] == pytest.approx(2.0)  # half of the targets begin a document: a is 1/4 of all, 1/2 after x
