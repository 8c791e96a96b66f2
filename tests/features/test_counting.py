"""Counts of columns by text, against counting one by one; where text and column fit into 32 bits, and where not."""

from collections import Counter

import numpy as np
import pytest
from cases import ALL, every_sparse, tokens_of

from tangentlens.features import sums
from tangentlens.features.counting import EVENTS, count_matrix, rows_of, transposed


@pytest.mark.parametrize("columns", [1, 3, 2**17 + 1, 2**31 - 1, 2**40])
@pytest.mark.parametrize("texts", [1, 7, 70_000])
def test_counts_are_those_of_counting_one_by_one(texts, columns):
    random = np.random.default_rng(columns % 1000)
    events = 40 + EVENTS * (texts > 7)  # two blocks
    text = np.sort(random.integers(0, texts, events))
    chosen = np.append(random.integers(0, columns, 5), columns - 1)
    column = np.where(random.random(events) < 0.1, -1, random.choice(chosen, events))
    found = count_matrix(text, column if columns > 2**31 else column.astype(np.int32), (texts, columns))
    expected = Counter(pair for pair in zip(text.tolist(), column.tolist(), strict=True) if pair[1] >= 0)
    rows = np.repeat(np.arange(texts), np.diff(found.indptr))
    pairs = list(zip(rows.tolist(), found.indices.tolist(), strict=True))
    assert pairs == sorted(expected)
    assert found.data.tolist() == [expected[pair] for pair in pairs]


@pytest.mark.parametrize("dtype", [np.int32, np.float64])
def test_rows_and_transposes_are_on_the_same_memory(dtype):
    random = np.random.default_rng(0)
    whole = count_matrix(np.sort(random.integers(0, 50, 400)), random.integers(0, 9, 400), (50, 9)).astype(dtype)
    for low, high in ((0, 50), (3, 7), (49, 50), (20, 20)):
        part = rows_of(whole, low, high)
        assert part.shape == (high - low, 9)
        assert part.dtype == dtype
        np.testing.assert_array_equal(part.toarray(), whole.toarray()[low:high])
        np.testing.assert_array_equal(transposed(part).toarray(), whole.toarray()[low:high].T)
        assert high == low or all(np.shares_memory(one, other) for one, other in (
            (part.data, whole.data), (part.indices, whole.indices), (transposed(part).data, whole.data)))


@every_sparse
def test_columns_are_found_in_blocks_of_texts(architecture, monkeypatch):
    monkeypatch.setattr(sums, "BLOCK", 7)
    monkeypatch.setattr(sums, "SHARE", 0)
    for family in architecture.features(tokens_of(ALL)).families:
        stored = family.stored if family.values is None else type(family.stored)(
            (family.values, family.stored.indices, family.stored.indptr), shape=family.stored.shape)
        for low, high in {(0, family.columns), (family.columns // 3, family.columns // 2 + 1)}:
            found = sums.columns_of(family, low, high)
            np.testing.assert_array_equal(found.toarray(), stored.toarray()[:, low:high])
            assert found.format == "csc"
        np.testing.assert_array_equal(sums.texts_with(family), np.diff(family.stored.tocsc().indptr))
