"""What architectures are asked about: frequent tokens, and n-grams that say the opposite of their words."""

import pytest

import tangentlens as tl
from tangentlens.predictions.evidence import FREQUENT, LEAST, Evidence, contrary_ngrams, texts_with


@pytest.fixture(scope="module")
def negated():
    texts = tl.negations(size=8000, seed=5, clauses=2).train
    return tl.tokenize(texts), texts.labels


def test_frequent_tokens_are_counted_in_texts():
    tokens = tl.Tokens.from_ids([[0, 0, 0, 0, 0, 1]] + [[2, 3]] * (FREQUENT - 1) + [[2, -1]], vocabulary_size=5)
    found = Evidence.of(tokens, [0, 1] * (len(tokens) // 2), tokens[:2])
    assert (found.frequent.tolist(), found.texts.tolist()) == ([2], [FREQUENT])
    assert found.contrary.is_empty()
    assert found.holding.tolist() == [False, False]
    assert found.ngrams[0].tolist()[0] == [0, 0]


def test_longer_ngrams_need_a_reason_of_their_own():
    """`not good` reverses `good`, and `so not good` only because of it; `good so bad` is contrary by itself."""
    rows = [("good", 1), ("bad", 0), ("so", 1), ("so", 0), ("not", 1), ("not", 0)] * 30
    rows += [("so not good", 0)] * 9 + [("film not good", 0)] * 9 + [("good so", 1), ("so bad", 0)] * 20
    rows += [("good so bad", 1)] * 15 + [("film", 0), ("film", 1)] * 9
    texts = tl.Texts(tuple(f"{text} {number}" for number, (text, _) in enumerate(rows)), [label for _, label in rows])
    tokens = tl.tokenize(texts)
    every = {order: set(tl.contrary(tokens, texts.labels, order=order)["feature"]) for order in (2, 3)}
    found = contrary_ngrams(tokens, texts.labels)
    assert every == {2: {"not good"}, 3: {"so not good", "film not good", "good so bad"}}
    assert set(found["feature"]) == {"not good", "good so bad"}
    assert found["p"].is_sorted()
    assert (found["texts"] >= LEAST).all()


@pytest.mark.parametrize("patterns", [[], [[0, 1]], [[0, 1], [2, 3, 0]], [[4, 4]]])
def test_texts_with_an_ngram(patterns):
    texts = [[0, 1], [1, 0], [3, 0, 1], [2, 3, 0], [2, 3, -1, 0], [], [0]]
    tokens = tl.Tokens.from_ids(texts, vocabulary_size=5)
    expected = [any(text[start:start + len(row)] == row for row in patterns for start in range(len(text)))
                for text in texts]
    assert texts_with(patterns, tokens).tolist() == expected


def test_short_texts_are_long_enough(negated):
    found = Evidence.of(*negated, negated[0][:5])
    questions = found.questions(4)
    assert set(questions.texts.lengths.tolist()) == {4}
    assert questions.texts[0].ids.tolist()[-2:] == found.contrary["patterns"][0].to_list()[-2:]
