"""Numbers of tokens, order of texts and names of classes change no measure; changed classes change every sign."""

import numpy as np
import pytest
from asking import SOME, TOKENS, blocks_of, learned, scale_of
from cases import EXACT, SIZE, SPARSE, SUMMED, VOCABULARY, distance, labels_of

import tangentlens as tl

PAIRS = [[0, 1], [1, 0], [2, 2], [1, 1], [5, 6]]


def everything(architecture, trajectory, token_ids, texts):
    """Own effects and interactions in the order of these ids, the share, the sources of the bias, half steps."""
    split = tl.bias_split(architecture, trajectory, texts)
    pairs = tl.interactions(architecture, trajectory, texts, patterns=token_ids[np.array(PAIRS)])
    return [blocks_of(split, "own")[token_ids], blocks_of(split, "bias")[:1], blocks_of(pairs, "interaction"),
            *map(np.atleast_1d, tl.bias_sources(architecture, trajectory)),
            [tl.interaction_share(architecture, trajectory, texts)]], tl.learning_order(trajectory)


@pytest.mark.parametrize("name", SOME)
def test_numbers_of_tokens_order_of_texts_and_names_of_classes_do_not_matter(name):
    architecture, rng = SPARSE[name], np.random.default_rng(3)
    for classes in (2, 3):
        labels = np.array(labels_of(TOKENS, classes))
        plain = tl.learn(architecture.features(TOKENS), labels, steps=30, learning_rate=0.1)
        expected, order = everything(architecture, plain, np.arange(SIZE), TOKENS)
        ids, rows = rng.permutation(SIZE), rng.permutation(len(TOKENS))
        renamed = tl.Tokens(np.where(TOKENS.ids < 0, -1, ids[TOKENS.ids]).astype(np.int32), TOKENS.offsets,
                            VOCABULARY)[rows]
        other = np.array([{"bad": "x", "fair": "y", "good": "z"}[label] for label in labels])[rows]
        again = tl.learn(architecture.features(renamed), other, steps=30, learning_rate=0.1)
        found, learned_in = everything(architecture, again, ids, renamed)
        for mine, theirs in zip(found, expected, strict=True):
            assert distance(mine, theirs, least=scale_of(plain)) < SUMMED
        assert learned_in.drop("half_step").equals(order.drop("half_step"))
        assert distance(learned_in["half_step"], order["half_step"]) < 1e-6


@pytest.mark.parametrize("name", ["cnn3-same-sum", "linear-rnn", "mlp-sum"])
def test_two_classes_changed_change_every_sign(name):
    architecture, labels = SPARSE[name], np.array(labels_of(TOKENS, 2))
    first, second = (tl.learn(architecture.features(TOKENS), names, steps=30, learning_rate=0.1)
                     for names in (labels, np.where(labels == "bad", "good", "bad")))
    (mine, order), (theirs, same) = (everything(architecture, one, np.arange(SIZE), TOKENS) for one in (first, second))
    for a, b in zip(mine[:-1], theirs[:-1], strict=True):
        assert distance(a, -np.asarray(b), least=scale_of(first)) < EXACT
    assert mine[-1] == pytest.approx(theirs[-1])
    assert distance(order["half_step"], same["half_step"]) < SUMMED


@pytest.mark.parametrize("name", SOME)
def test_under_softmax_outputs_add_up_to_zero(name):
    architecture, trajectory = learned(name)
    found, _ = everything(architecture, trajectory, np.arange(SIZE), TOKENS)
    for part in found[:3]:
        assert np.abs(part.sum(axis=1)).max() < SUMMED * scale_of(trajectory)
    for source in found[3:5]:
        assert abs(source.sum()) < SUMMED * scale_of(trajectory)
