"""Texts in parts give what they give in one piece: vocabulary, columns, Θ, label scores and decisions."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from cases import EXACT, SPARSE, SUMMED, distance

import tangentlens as tl
from tangentlens.kernels import Architecture
from tangentlens.learning.partitioned import PartitionedProduct
from tangentlens.learning.product import KernelProduct

WORDS = ["a", "b", "c", "d", "e", "f"]


def drawn(n: int, *, seed: int = 0, classes: int = 2) -> tl.Texts:
    """Short texts over few words, some of them rare, some empty, with labels that lean on the first word."""
    rng = np.random.default_rng(seed)
    texts = [" ".join([*rng.choice(WORDS, rng.integers(0, 8), p=[.3, .25, .2, .1, .1, .05]), *[f"x{i}"] * (i % 5 == 0)])
             for i in range(n)]
    labels = np.array([(len(text) + i) % classes for i, text in enumerate(texts)])
    return tl.Texts(tuple(texts), labels)


TEXTS, HELD = drawn(23), drawn(9, seed=1)
every_sparse = pytest.mark.parametrize("architecture", SPARSE.values(), ids=SPARSE)
whole_numbers = ("family", "feature", "class", "count", "count_in_class")


def same_table(mine: pl.DataFrame, theirs: pl.DataFrame) -> None:
    """The same rows; numbers equal to rounding."""
    assert mine.select(whole_numbers).equals(theirs.select(whole_numbers))
    largest = theirs["score"].abs().max()
    np.testing.assert_allclose(mine["score"], theirs["score"], rtol=0, atol=SUMMED * largest)
    clear = theirs["score"].abs() > 1e-6 * largest
    np.testing.assert_allclose(mine.filter(clear)["half_step"], theirs.filter(clear)["half_step"], rtol=1e-6)


@every_sparse
def test_every_architecture_in_parts(architecture: Architecture) -> None:
    tokens = tl.tokenize(TEXTS)
    whole = architecture.features(tokens)
    held = architecture.features(tl.tokenize(HELD, vocabulary=tokens.vocabulary), columns=whole)
    parts = tl.partition(TEXTS, architecture, part=6)
    held_parts = tl.partition(HELD, architecture, columns=parts, part=4)
    assert parts.vocabulary == tokens.vocabulary
    parts.columns.check_columns(whole)
    whole.check_columns(parts.columns)
    assert (len(parts), parts.windowless, parts.unknown) == (len(whole), whole.windowless, whole.unknown)
    assert (len(held_parts), held_parts.unknown) == (len(held), held.unknown)
    duals = np.random.default_rng(0).normal(size=(len(TEXTS), 2))
    mine, theirs = PartitionedProduct(parts, held_parts), KernelProduct(whole, held)
    assert distance(mine @ duals, theirs @ duals) < EXACT
    assert distance(mine @ duals[:, 0], theirs @ duals[:, 0]) < EXACT
    options: dict[str, Any] = {"steps": 20}
    learned = tl.learn(parts, parts.labels, validation=(held_parts, held_parts.labels), **options)
    expected = tl.learn(whole, TEXTS.labels, validation=(held, HELD.labels), **options)
    assert distance(learned.duals, expected.duals) < SUMMED
    same_table(learned.label_scores(top=None), expected.label_scores())
    assert distance(learned.decision(held_parts), expected.decision(held)) < SUMMED
    assert distance(learned.decision(held), expected.decision(held)) < SUMMED
    assert learned.predict(parts).tolist() == expected.predict(whole).tolist()
    assert learned.best == expected.best


@pytest.mark.parametrize("options", [{"time": "best"}, {"until_loss": 0.4}, {"loss": "squared", "time": np.inf}],
                         ids=str)
def test_the_flow_does_not_notice(options: dict[str, Any]) -> None:
    architecture = tl.CNN()
    tokens = tl.tokenize(TEXTS)
    whole = architecture.features(tokens)
    held = architecture.features(tl.tokenize(HELD, vocabulary=tokens.vocabulary), columns=whole)
    parts = tl.partition(TEXTS, architecture, part=10)
    held_parts = tl.partition(HELD, architecture, columns=parts)
    learned = tl.learn(parts, parts.labels, validation=(held_parts, held_parts.labels), **options)
    expected = tl.learn(whole, TEXTS.labels, validation=(held, HELD.labels), **options)
    assert distance(learned.decision(held), expected.decision(held)) < SUMMED
    assert distance(learned.decision(parts), expected.decision(whole)) < SUMMED
    found, wanted = (one.curves["validation_loss"].to_numpy() for one in (learned, expected))
    assert distance(found[-1:], wanted[-1:]) < SUMMED
    # on the way to rest, what rounding leaves decides about some of the basis: the tolerance is all that is promised
    assert distance(found, wanted) < (1e-3 if "loss" in options else SUMMED)


def test_several_classes_and_rare_tokens() -> None:
    texts = drawn(40, classes=3)
    tokens = tl.tokenize(texts, min_count=2, lowercase=True)
    parts = tl.partition(texts, tl.LinearRNN(), part=7, min_count=2, lowercase=True)
    assert parts.vocabulary == tokens.vocabulary
    learned = tl.learn(parts, parts.labels, time=30.0)
    expected = tl.learn(tl.LinearRNN().features(tokens), texts.labels, time=30.0)
    same_table(learned.label_scores(top=None), expected.label_scores())


def test_the_strongest_are_those_of_the_whole_table() -> None:
    parts = tl.partition(TEXTS, tl.CNN(), part=5)
    learned = tl.learn(parts, parts.labels, time=30.0)
    everything, strongest = learned.label_scores(top=None), learned.label_scores(top=3)
    for (family,), mine in strongest.group_by(["family"]):
        theirs = everything.filter(pl.col("family") == family)
        assert mine["score"].abs().max() == pytest.approx(theirs["score"].abs().max(), rel=1e-12)
    assert strongest.join(everything, on=["family", "feature", "class", "count"]).height == strongest.height


def test_the_size_of_parts_changes_only_rounding() -> None:
    results = []
    for part in (1, 4, 100):
        parts = tl.partition(TEXTS, tl.CNN(), part=part)
        results.append(tl.learn(parts, parts.labels, time=30.0).duals)
    assert distance(results[1], results[0]) < SUMMED
    assert distance(results[2], results[0]) < SUMMED


def test_a_folder_changes_nothing(tmp_path: Path) -> None:
    here, there = (tl.partition(TEXTS, tl.CNN(), part=6, folder=folder) for folder in (None, tmp_path / "parts"))
    assert np.array_equal(tl.learn(here, here.labels, time=9.0).duals, tl.learn(there, there.labels, time=9.0).duals)
