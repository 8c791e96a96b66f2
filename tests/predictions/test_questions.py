"""What is asked, and that the answers are those of plain loops, for any function and for every prediction."""

import warnings

import numpy as np
import pytest
from asking import (
    TOKENS,
    Loops,
    Planted,
    by_kernel,
    chaotic,
    learned,
    lists_of,
    outputs_of,
    parts_of,
    questions_of,
    slow_share,
)
from cases import ALL, EXACT, NEW, SIZE, SPARSE, SUMMED, VOCABULARY, distance, labels_of, tokens_of, window_count
from hypothesis import given, settings
from hypothesis import strategies as st

import tangentlens as tl
from tangentlens.errors import DataError, OptionError, ShapeError
from tangentlens.predictions.questions import DRAWS, Answers, Questions, answers_of, least_length, predicted

every_name = pytest.mark.parametrize("name", SPARSE)
PAIRS, TRIPLES = np.array([[0, 1], [1, 0], [2, 2], [5, 6]]), np.array([[0, 1, 2], [2, 1, 0], [0, 0, 0], [3, 6, 1]])


def everything(least=1, texts=NEW):
    return Questions(VOCABULARY, np.arange(SIZE), (PAIRS, TRIPLES), tokens_of(texts), least)


def assert_same(found, expected, tolerance=EXACT, least=1.0):
    for mine, theirs in zip(parts_of(found), parts_of(expected), strict=True):
        assert distance(mine, theirs, least=least) < tolerance


# ---- any function ---------------------------------------------------------------------------------------------------


@settings(deadline=None, max_examples=60)
@given(questions_of(), st.booleans(), st.integers(1, 3))
def test_answers_are_those_of_plain_loops(questions, blanks, outputs):
    """Of a function that has another random value on every text, □ told apart."""
    f = chaotic(outputs)
    asked = questions.asked(blanks=blanks)
    found = questions.answers(outputs_of(f, asked))
    assert_same(found, Loops(f, questions, blanks=blanks).answers(outputs))
    if len(questions.texts) > 1 and questions.texts.lengths.max() > 1:
        assert found.interaction_share == pytest.approx(slow_share(found.mains, found.joints), rel=1e-9, nan_ok=True)


@settings(deadline=None, max_examples=60)
@given(questions_of())
def test_blanks_never_occur_elsewhere(questions):
    """In no vocabulary, not twice in a text, and not in two draws; without blanks they are unknown tokens."""
    asked, plain = questions.asked(), questions.asked(blanks=False)
    texts, unknown = lists_of(asked), lists_of(plain)
    long = len(questions.texts) * 2 + int(questions.texts.lengths.sum())
    assert (len(texts) - long) == DRAWS * (len(unknown) - long)
    assert len(asked.vocabulary) == SIZE + questions.blanks
    assert asked.vocabulary.strings[:SIZE] == plain.vocabulary.strings == VOCABULARY.strings
    assert len(set(asked.vocabulary.strings)) == len(asked.vocabulary)
    each = len(unknown) - long
    draws = [{token for text in texts[draw * each:(draw + 1) * each] for token in text if token >= SIZE}
             for draw in range(DRAWS)]
    assert sum(map(len, draws)) == len(set().union(*draws))
    for text in texts:
        assert len({token for token in text if token >= SIZE}) == sum(token >= SIZE for token in text)
        assert -1 not in text
    for draw in range(DRAWS):
        rows = texts[draw * each:(draw + 1) * each] + texts[len(texts) - long:]
        assert [[-1 if token >= SIZE else token for token in text] for text in rows] == unknown
    assert all(len(text) >= questions.least for text in unknown[:each])


@pytest.mark.parametrize("outputs", [1, 3])
def test_planted_effects_are_found(outputs):
    """Whatever □ add: they are averaged over draws where they do not cancel."""
    questions = everything(texts=[text for text in ALL + NEW if -1 not in text])
    f = Planted(outputs, questions.blanks)
    found = questions.answers(outputs_of(f, questions.asked()))
    first = [f.words[SIZE + draw * (questions.blanks // DRAWS)] for draw in range(DRAWS)]
    assert distance(found.nothing, f.bias + np.mean(first, axis=0)) < EXACT
    assert distance(found.responses, f.bias + f.words[:SIZE]) < EXACT
    assert distance(found.interactions[0], f.grams[2][PAIRS[:, 0], PAIRS[:, 1]]) < EXACT
    assert distance(found.interactions[1], f.grams[3][tuple(TRIPLES.T)]) < EXACT
    texts = lists_of(questions.texts)
    assert distance(found.joints, [f.joint(text) for text in texts]) < EXACT
    expected = [sum((f.words[token] - f.words[SIZE + place] for place, token in enumerate(text)), np.zeros(outputs))
                for text in texts]
    assert distance(found.mains, expected) < EXACT


def test_records_are_answered_one_by_one():
    questions, rng = everything(), np.random.default_rng(0)
    outputs = rng.normal(size=(2, 3, len(questions.asked()), 2))
    together = questions.answers(outputs)
    assert together.interaction_share.shape == (2, 3)
    assert together.bias_shares.shape == together.effects.shape == (2, 3, SIZE, 2)
    for place in np.ndindex(2, 3):
        alone = questions.answers(outputs[place])
        for mine, theirs in zip(parts_of(together), parts_of(alone), strict=True):
            assert distance(mine[place], theirs) < EXACT
        assert together.interaction_share[place] == pytest.approx(float(alone.interaction_share))
        np.testing.assert_allclose(together.bias_shares[place], alone.bias_shares)


def test_answers_of_a_mean_are_those_of_the_mean_output():
    questions, rng = everything(), np.random.default_rng(0)
    outputs = rng.normal(size=(5, len(questions.asked()), 2))
    found = Answers.mean([questions.answers(one) for one in outputs])
    assert_same(found, questions.answers(outputs.mean(axis=0)))


def test_order_does_not_matter():
    """Of tokens, patterns and texts: each keeps its own answer."""
    rng, f = np.random.default_rng(1), Planted(2, 99)
    plain = everything()
    orders = [rng.permutation(size) for size in (SIZE, len(PAIRS), len(TRIPLES), len(NEW))]
    mixed = Questions(VOCABULARY, orders[0], (PAIRS[orders[1]], TRIPLES[orders[2]]), tokens_of(NEW)[orders[3]])
    first, second = (one.answers(outputs_of(f, one.asked())) for one in (plain, mixed))
    tokens, pairs, triples, texts = orders
    kept = [tokens, pairs, triples, texts, texts, texts, pairs, triples]
    for mine, theirs, order in zip(parts_of(second)[1:], parts_of(first)[1:], kept, strict=True):
        assert distance(mine, theirs[order]) < EXACT
    assert second.interaction_share == pytest.approx(float(first.interaction_share))


def test_a_text_keeps_its_answer_beside_any_other():
    """Also to the last bit, and beside one where a network has diverged."""
    texts = tokens_of([[0, 1, 2], [], [3, -1, 4], [], [5, 6, 7, 0], []])
    questions, alone = Questions(VOCABULARY, texts=texts), Questions(VOCABULARY, texts=texts[[2]])
    outputs = np.random.default_rng(0).normal(size=(len(questions.asked()), 1))
    f = dict(zip(map(tuple, lists_of(questions.asked())), outputs, strict=False))
    expected = alone.answers(np.stack([f[tuple(text)] for text in lists_of(alone.asked())]))
    for number in (1e9, np.nan):
        for text in f:
            if set(text) & {0, 5}:
                f[text] = np.array([number])
        found = questions.answers(np.stack([f[tuple(text)] for text in lists_of(questions.asked())]))
        assert found.mains[2] == expected.mains[0]
        assert found.joints[2] == expected.joints[0]
        assert not found.mains[[1, 3, 5]].any()


# ---- measures of answers --------------------------------------------------------------------------------------------


def test_bias_shares_and_effects_by_hand():
    responses = np.array([[3.0, 0.0], [-1.0, 0.0], [2.0, 0.5]])
    answers = Answers(np.array([2.0, 0.0]), responses, (), np.zeros((0, 2)), np.zeros((0, 2)))
    assert answers.effects.tolist() == [[1.0, 0.0], [-3.0, 0.0], [0.0, 0.5]]
    np.testing.assert_allclose(answers.bias_shares, [[2 / 3, np.nan], [0.4, np.nan], [1.0, 0.0]])


def test_the_interaction_share_is_one_of_variances_over_outputs():
    rng = np.random.default_rng(0)
    mains, joints = rng.normal(size=(3, 6, 2)), 1e3 + rng.normal(size=(3, 6, 2)) * [1.0, 5.0]
    answers = Answers(np.zeros((3, 2)), np.zeros((3, 0, 2)), (), mains, joints)
    assert answers.interaction_share == pytest.approx([slow_share(*pair) for pair in zip(mains, joints, strict=True)])
    small = Answers(np.zeros((3, 2)), np.zeros((3, 0, 2)), (), 1 + 1e-8 * mains, 1 + 1e-8 * joints)
    assert small.interaction_share == pytest.approx(answers.interaction_share, rel=1e-5)  # little, but not rounding


@pytest.mark.parametrize("texts", [[], [[]], [[], []], [[0, 1, 2]], [[-1], [-1]], [[0, 1, 2]] * 3, [[0], [0], [0]]])
def test_nothing_varies_without_two_different_texts(texts):
    """NaN, without a warning."""
    questions = Questions(VOCABULARY, texts=tokens_of(texts))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for name in ("linear-rnn", "mlp"):
            found = answers_of(*learned(name), questions, [2, -1])
            assert np.isnan(found.interaction_share).all(), name
        assert np.isnan(Questions(VOCABULARY, [1]).answers(np.zeros((2, 2))).interaction_share)


# ---- predictions ----------------------------------------------------------------------------------------------------


@every_name
def test_the_prediction_answers_by_its_kernel(name):
    """Unknown, repeated and new tokens, empty texts, texts shorter than windows, three classes, every record."""
    architecture, trajectory = learned(name)
    questions = everything(least_length(architecture), [*NEW, [2], [0, 1], [-1, 5], [2, 2, 3, 3], [-1, -1]])
    for step in (3, -1):
        expected = Loops(by_kernel(architecture, trajectory, step), questions, blanks=False).answers(3)
        scale = float(np.abs(trajectory.decision(trajectory.features, step)).max())
        assert scale > 1e-4
        found = answers_of(architecture, trajectory, questions, [step])
        for mine, theirs in zip(parts_of(found), parts_of(expected), strict=True):
            assert distance(mine[0], theirs, least=scale) < SUMMED
    assert_same(answers_of(architecture, trajectory, questions), expected, SUMMED, scale)
    ask = predicted(architecture, trajectory, 3)
    assert distance(ask(TOKENS), trajectory.decision(trajectory.features, 3)) < EXACT


@every_name
def test_an_unknown_token_is_one_that_was_never_trained(name):
    """With the blanks in the vocabulary, in no training text, the prediction answers the same, draw for draw."""
    architecture, trajectory = learned(name)
    questions = everything(least_length(architecture))
    asked = questions.asked()
    more = tl.Tokens(TOKENS.ids, TOKENS.offsets, asked.vocabulary)
    features = architecture.features(more)
    again = tl.learn(features, labels_of(TOKENS, 3), steps=7)
    outputs = again.decision(architecture.features(asked, columns=features))
    scale = float(np.abs(outputs).max())
    assert scale > 1e-4
    assert_same(questions.answers(outputs), answers_of(architecture, trajectory, questions), SUMMED, scale)


@every_name
def test_a_text_of_the_least_length_has_a_window_and_a_shorter_one_has_none(name):
    architecture, trajectory = learned(name)
    least = least_length(architecture)
    assert window_count(architecture, least) == 1
    assert window_count(architecture, least - 1) == 0
    shorter = predicted(architecture, trajectory)(tokens_of([[0, 1, 2, 3, 4][:least - 1]]))
    assert not shorter.any()


# ---- what cannot be asked -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("options", "error", "message"), [
    ({}, DataError, "nothing is asked; give token ids as tokens="),
    ({"tokens": [8]}, DataError, "has the id 8, outside the vocabulary of 8 tokens; ids run from 0 to 7"),
    ({"tokens": [3, -1]}, DataError, "has the id -1, outside the vocabulary"),
    ({"patterns": (PAIRS, TRIPLES + 7)}, DataError, "has the id 8, outside the vocabulary"),
    ({"tokens": [0.5]}, DataError, "by their ids, whole numbers, not by .*0.5.*; vocabulary.ids maps"),
    ({"tokens": ["good"]}, DataError, "by their ids, whole numbers, not by .*good"),
    ({"tokens": [[1, 2]]}, OptionError, r"tokens is one list of token ids, not an array of the shape \(1, 2\)"),
    ({"patterns": ([[1], [2]],)}, OptionError, r"at least 2 tokens, not of the shape \(2, 1\); a single token goes"),
    ({"patterns": ([1, 2],)}, OptionError, r"not of the shape \(2,\)"),
    ({"patterns": (np.zeros((3, 0), int),)}, OptionError, r"not of the shape \(3, 0\)"),
    ({"tokens": [1], "least": 0}, OptionError, "least must be a whole number of at least 1, not 0"),
    ({"texts": tl.Tokens.from_ids([[1]])}, ShapeError, "different vocabularies; tokenize the second with vocabulary="),
], ids=str)
def test_what_cannot_be_asked_is_refused(options, error, message):
    with pytest.raises(error, match=message):
        Questions(VOCABULARY, **options)


def test_lists_of_ids_will_do():
    found = Questions(VOCABULARY, [1, 2], [[[0, 1], [2, 3]]])
    assert lists_of(found.asked(blanks=False)) == [
        [-1], [1], [2], [-1, -1], [-1, -1], [0, -1], [2, -1], [-1, 1], [-1, 3], [0, 1], [2, 3]]


@pytest.mark.parametrize("shape", [(25, 1), (24,), (2, 23, 1), (27, 1), (48, 1)])
def test_outputs_on_other_texts_are_refused(shape):
    questions = Questions(VOCABULARY, np.arange(5))
    assert len(questions.asked()) == 24
    with pytest.raises(ShapeError, match=r"do not fit to these questions, which ask about 24 texts \(or 6 with"):
        questions.answers(np.zeros(shape))


def test_the_vocabulary_of_the_questions_is_that_of_the_training_texts():
    questions = Questions(tl.Vocabulary(("a", "b")), [0])
    with pytest.raises(ShapeError, match="different vocabularies"):
        answers_of(*learned("mlp"), questions)
