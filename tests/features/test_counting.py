"""Counts of columns by text, against counting one by one; where text and column fit into 32 bits, and where not."""

from collections import Counter

import numpy as np
import pytest

from tangentlens.features.counting import EVENTS, count_matrix


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
