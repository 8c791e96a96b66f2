"""The grammar of negation: what it promises about words, combinations, labels and shares."""

import itertools
import re
from collections import Counter

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tangentlens as tl
from tangentlens.data.grammar import BAD, GOOD, INTENSIFIERS
from tangentlens.data.negation import ADJECTIVES, NEGATORS
from tangentlens.errors import OptionError

POSITIVE = set(ADJECTIVES[:12].tolist())
CLAUSE = re.compile(rf"(?:({'|'.join(NEGATORS)}) )?(?:({'|'.join(INTENSIFIERS)}) )?({'|'.join(ADJECTIVES)})\b")
options = st.fixed_dictionaries({
    "seed": st.integers(0, 100), "size": st.integers(600, 1500), "positive": st.floats(0.2, 0.8),
    "negated": st.floats(0.1, 0.5), "noise": st.floats(0, 0.5), "held_out": st.floats(0.02, 0.8),
    "clauses": st.integers(1, 3),
})


def parsed(texts: tl.Texts) -> list[list[tuple[str, str, str]]]:
    """(negator, intensifier, adjective) of every clause, "" for none."""
    return [CLAUSE.findall(text) for text in texts]


def positive(negator: str, adjective: str) -> bool:
    return (adjective in POSITIVE) != bool(negator)


@settings(max_examples=30, deadline=None)
@given(options)
def test_labels_are_those_of_the_clauses_and_every_share_is_reached(chosen):
    made = tl.negations(**chosen)
    size = chosen["size"]
    assert (len(made.train), len(made.held), len(made.flipped)) == (size, size // 4, size)
    truth = (made.train.labels == "positive") ^ made.flipped
    for texts, labels in ((made.train, truth), (made.held, made.held.labels == "positive")):
        for clauses, label in zip(parsed(texts), labels, strict=True):
            assert len(clauses) == chosen["clauses"]
            assert {positive(negator, adjective) for negator, _, adjective in clauses} == {label}
    assert abs(truth.sum() - chosen["positive"] * size) <= 0.5
    assert abs((made.held.labels == "positive").sum() - len(made.held) / 2) <= 0.5
    for label in (False, True):
        assert abs(made.flipped[truth == label].sum() - chosen["noise"] * (truth == label).sum()) <= 0.5
        negated = [bool(clause[0]) for clauses in itertools.compress(parsed(made.train), truth == label)
                   for clause in clauses]
        assert abs(sum(negated) - chosen["negated"] * len(negated)) <= 0.5
    assert all(negator for clauses in parsed(made.held) for negator, _, _ in clauses)


@settings(max_examples=30, deadline=None)
@given(options)
def test_held_out_combinations_never_occur_in_training_but_their_words_do(chosen):
    made = tl.negations(**chosen)
    train, held = Counter(itertools.chain(*parsed(made.train))), Counter(itertools.chain(*parsed(made.held)))
    trained_pairs = {(negator, adjective) for negator, _, adjective in train}
    assert {adjective for negator, _, adjective in train if not negator} == set(ADJECTIVES)
    assert {negator for negator, _, _ in train if negator} == set(NEGATORS)
    assert {intensifier for _, intensifier, _ in train if intensifier} == set(INTENSIFIERS)
    words_of = "\n".join(made.train.texts) + "\n"
    for pattern, words, polarity, held_out, new_pair, count in made.combinations.iter_rows():
        negator, intensifier, adjective = words[0], words[1] if len(words) == 3 else "", words[-1]
        here, there = (held, train) if held_out else (train, held)
        assert (here[negator, intensifier, adjective], there[negator, intensifier, adjective]) == (count, 0)
        assert pattern == " ".join(words)
        assert polarity == ("positive" if positive(negator, adjective) else "negative")
        assert not held_out or (f" {pattern} " not in words_of and f" {pattern}\n" not in words_of)
        assert not new_pair or (held_out and (negator, adjective) not in trained_pairs)
    assert made.combinations["count"].sum() == sum(n for clause, n in (train + held).items() if clause[0])


@pytest.mark.parametrize("share", [0.02, 0.2, 0.5, 0.8])
def test_held_out_shares_are_reached_evenly(share):
    table = tl.negations(size=4000, held_out=share).combinations
    assert table.height == table["pattern"].n_unique() == 5 * 24 * (1 + 4)
    pairs, triples = (table.filter(pl.col("words").list.len() == length) for length in (2, 3))
    cut = round(60 * share)
    assert pairs["held_out"].sum() == pairs["new_pair"].sum() == 2 * cut
    assert triples["new_pair"].sum() == 8 * cut
    assert triples.filter(~pl.col("new_pair"))["held_out"].sum() == 2 * round(4 * (60 - cut) * share)
    for place, expected in ((0, 24 * share), (1, 5 * share)):  # negator, adjective
        per_word = pairs.group_by(pl.col("words").list.get(place)).agg(pl.col("held_out").sum())["held_out"]
        assert per_word.max() - per_word.min() <= (2 if place == 0 else 1)
        assert abs(per_word.mean() - expected) < 0.2
        assert per_word.max() < (24, 5)[place]  # every word keeps something to be learned with
    per_word = triples.filter(~pl.col("new_pair")).group_by(pl.col("words").list.get(1)).agg(pl.col("held_out").sum())
    assert per_word["held_out"].max() - per_word["held_out"].min() <= 4


def test_trained_combinations_are_dealt_evenly():
    table = tl.negations(size=20_000).combinations.filter(~pl.col("held_out"))
    for length in (2, 3):
        counts = table.filter(pl.col("words").list.len() == length)["count"]
        assert counts.max() - counts.min() <= 1 + 0.2 * counts.mean()  # the two polarities are drawn apart
        assert counts.min() > 5


@pytest.mark.parametrize(("share", "negated"), [(0.5, 0.3), (0.2, 0.3), (0.5, 0.1), (0.5, 0.5)])
def test_single_words_say_what_the_docstring_says(share, negated):
    """Log-odds of one-clause texts with the word, less those of all texts."""
    texts = tl.negations(size=40_000, positive=share, negated=negated, seed=3).train
    labels = texts.labels == "positive"
    words = [set(text.split()) for text in texts]

    def log_odds(word):
        mine = labels[[word in text for text in words]]
        return np.log(mine.sum() / (~mine).sum()) - np.log(labels.sum() / (~labels).sum())

    step = np.log((1 - negated) / negated)
    shifts = np.array([log_odds(word) for word in ADJECTIVES])
    np.testing.assert_allclose(shifts, np.repeat([step, -step], 12), atol=0.35)
    for word in [*NEGATORS, *INTENSIFIERS, "plot", "was", "overall", "!"]:
        assert abs(log_odds(word)) < 0.2


def test_reproducible_by_seed_and_independent_of_noise():
    made, again, other = tl.negations(seed=5), tl.negations(seed=5), tl.negations(seed=6)
    noisy = tl.negations(seed=5, noise=0.25)
    assert made.train.fingerprint == again.train.fingerprint != other.train.fingerprint
    assert made.held.fingerprint == again.held.fingerprint != other.held.fingerprint
    assert made.combinations.equals(again.combinations)
    assert not made.flipped.any()
    assert noisy.train.texts == made.train.texts
    assert noisy.combinations.equals(made.combinations)
    np.testing.assert_array_equal(noisy.train.labels != made.train.labels, noisy.flipped)
    assert noisy.flipped.sum() == 500


def test_nothing_held_out():
    made = tl.negations(held_out=0)
    assert len(made.held) == 0
    assert made.held.labels.shape == (0,)
    assert not made.combinations["held_out"].any()


def test_the_lexicon():
    assert set(GOOD) < set(ADJECTIVES[:12])
    assert set(BAD) < set(ADJECTIVES[12:])
    assert len(set(ADJECTIVES)) == 24
    assert np.gcd(len(NEGATORS), len(ADJECTIVES) // 2) == 1  # pairs are dealt along a diagonal
    vocabulary = tl.tokenize(tl.negations().train).vocabulary
    assert {*ADJECTIVES, *NEGATORS, *INTENSIFIERS} <= set(vocabulary)
    assert len(vocabulary) < 80


@pytest.mark.parametrize(("wrong", "message"), [
    ({"size": 1}, "at least 2"), ({"clauses": 0}, "clauses at least 1"), ({"size": 50}, "give more texts"),
    ({"positive": 0.0}, "between 0 and 1"), ({"positive": 1.0}, "between 0 and 1"),
    ({"positive": float("nan")}, "between 0 and 1"), ({"positive": 0.001}, "nearer to 0.5"),
    ({"negated": 0.0}, "above 0"), ({"negated": 0.6}, "opposites"),
    ({"noise": 0.6}, "rename"), ({"noise": -0.1}, "between 0 and 0.5"),
    ({"held_out": 0.9}, "0.8"), ({"held_out": 0.01}, "0.017"), ({"held_out": -1}, "must be 0"),
], ids=str)
def test_errors_say_what_to_do(wrong, message):
    with pytest.raises(OptionError, match=message):
        tl.negations(**wrong)
