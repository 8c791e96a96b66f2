"""Models by counting against a slow reference that follows the definition word by word."""

from __future__ import annotations

from collections import defaultdict

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tangentlens as tl
from tangentlens.errors import OptionError
from tangentlens.predictions.ngram_models import Bigram, KneserNey, Unigram

SIZE = 5
documents_of_tokens = st.lists(st.lists(st.integers(-1, SIZE - 1), min_size=1, max_size=12), min_size=1, max_size=4)


def contexts_of(documents: list[list[int]], window: int | None = None) -> tl.Contexts:
    return tl.Contexts(tl.Corpus(tl.Tokens.from_ids([[0, 1, 2, 3, 4, 0, 0], *documents], vocabulary_size=SIZE)), window)


def counted(documents: list[list[int]], order: int) -> list[dict[tuple[int, ...], int]]:
    """By order: raw counts of the longest n-grams, numbers of different tokens before the others."""
    counts = [defaultdict(int) for _ in range(order + 1)]
    for document in documents:
        for size in range(1, order + 1):
            for place in range(len(document) - size + 1):
                gram = tuple(document[place:place + size])
                counts[size][gram] += -1 not in gram
    grams = [[gram for gram, count in level.items() if count] for level in counts]
    levels = [{gram: sum(longer[1:] == gram for longer in grams[size + 1]) for gram in grams[size]}
              for size in range(order)]
    return [*levels, counts[order]]


def slow_kneser_ney(documents: list[list[int]], order: int):
    """A function p(w, h) of a type and the list of tokens before it."""
    levels = counted(documents, order)

    def p(word, before, size):
        if size == 0:
            return 1 / SIZE
        history, lower = tuple(before[len(before) - size + 1:]) if size > 1 else (), p(word, before, size - 1)
        if len(before) < size - 1 or -1 in history:
            return lower
        values = list(levels[size].values())
        once, twice = values.count(1), values.count(2)
        discount = min(0.9, max(0.1, once / max(1, once + 2 * twice)))
        follow = {gram[-1]: count for gram, count in levels[size].items() if gram[:-1] == history and count}
        if not follow:
            return lower
        return (max(follow.get(word, 0) - discount, 0) + discount * len(follow) * lower) / sum(follow.values())

    return lambda word, before: p(word, before, order)


@given(documents_of_tokens, documents_of_tokens, st.sampled_from([2, 3]), st.sampled_from([1, 3, None]))
@settings(deadline=None, max_examples=80)
def test_kneser_ney_is_the_reference(documents, others, order, window):
    model, training = KneserNey(contexts_of(documents, window), order), [[0, 1, 2, 3, 4, 0, 0], *documents]
    slow = slow_kneser_ney(training, order)
    held = contexts_of(others, window)
    found = model.probabilities(held)
    expected = [slow(word, document[:place]) for document in [[0, 1, 2, 3, 4, 0, 0], *others]
                for place, word in enumerate(document) if word >= 0]
    assert np.allclose(found, expected, rtol=1e-12, atol=0)


@given(documents_of_tokens, documents_of_tokens)
@settings(deadline=None, max_examples=40)
def test_probabilities_add_up_to_one(documents, others):
    training, held = contexts_of(documents), contexts_of(others)
    for model in (Unigram(training), Bigram(training, 0.7), KneserNey(training, 2), KneserNey(training, 3)):
        total = sum(model.probabilities(held, np.full(len(held), word, np.int32)) for word in range(SIZE))
        assert np.allclose(total, 1, rtol=1e-12)


def test_a_part_of_the_contexts_can_be_counted():
    model = KneserNey(contexts_of([[1, 2, 1, 2, 3], [4, 4]])[3:], 3)
    assert np.all(model.probabilities(contexts_of([[1, 2]])) > 0)


def test_other_orders_are_refused():
    with pytest.raises(OptionError, match="orders 2 and 3"):
        KneserNey(contexts_of([]), 4)
