"""Ordinary networks: padding changes nothing, tokens without training stay as they are, training ends at its best."""

import numpy as np
import pytest

import tangentlens as tl
from tangentlens.errors import OptionError

torch = pytest.importorskip("torch")
from tangentlens.networks import Fitting, fit, ordinary, outputs_of  # noqa: E402
from tangentlens.networks.fitting import loss_of  # noqa: E402
from tangentlens.networks.ordinary import ORDINARY  # noqa: E402

TEXTS = [[0, 1, 2, 3, 4, 5, 6], [2], [3, -1, 3], [6, 5], [1, 1, 1, 1, 0], [4, 0, 2]]
every_network = pytest.mark.parametrize("name", ORDINARY)


def tokens_of(texts):
    return tl.Tokens.from_ids(texts, vocabulary=tl.Vocabulary(tuple("abcdefgh")))


@every_network
def test_a_text_gets_the_same_output_alone_and_beside_longer_ones(name):
    network = ordinary(name, vocabulary_size=8, size=8, outputs=3, seed=4)
    together = outputs_of(network, tokens_of(TEXTS))
    alone = np.concatenate([outputs_of(network, tokens_of([text])) for text in TEXTS])
    np.testing.assert_allclose(together, alone, rtol=1e-4, atol=1e-6)
    assert together.std(axis=0).min() > 0.01


@every_network
def test_order_counts_but_in_a_bag(name):
    network = ordinary(name, vocabulary_size=8, size=8, seed=1)
    first, second = outputs_of(network, tokens_of([[0, 1, 2, 3, 4, 5, 6], [6, 5, 4, 3, 2, 1, 0]]))[:, 0]
    assert (abs(first - second) < 1e-6) == (name == "bag")


@every_network
def test_training_leaves_tokens_that_do_not_occur_and_ends_at_the_least_development_loss(name):
    texts = tl.small_reviews().sample(120)
    tokens = tl.tokenize(texts)
    size, y = len(tokens.vocabulary), np.where(np.asarray(texts.labels) == "positive", 1.0, -1.0)[:, None]
    found = []
    for _ in range(2):
        network = ordinary(name, vocabulary_size=size + 5, size=8, seed=2)
        before = network.embedding.weight.detach().clone()
        fitted = fit(network, tokens[:90], texts.labels[:90], dev=(tokens[90:], texts.labels[90:]),
                     fitting=Fitting(epochs=6, patience=1, learning_rate=2e-2), seed=3,
                     watch=lambda network=network: outputs_of(network, tokens[:2])[:, 0])
        after = network.embedding.weight.detach()
        seen = np.unique(tokens[:90].ids)
        unseen = np.setdiff1d(np.arange(size + 6), seen)
        assert torch.equal(before[unseen], after[unseen])
        assert (before[seen] != after[seen]).any(dim=1).all()
        assert loss_of(outputs_of(network, tokens[90:]), y[90:]) == pytest.approx(fitted.dev_losses.min(), rel=1e-5)
        assert fitted.epochs[-1] == np.argmin(fitted.dev_losses) + 1
        np.testing.assert_allclose(fitted.curves[-1], outputs_of(network, tokens[:2])[:, 0], rtol=1e-4, atol=1e-6)
        found.append(outputs_of(network, tokens))
    np.testing.assert_array_equal(*found)  # same seeds, same network


def test_more_than_two_classes():
    tokens = tokens_of(TEXTS)
    network = ordinary("bag", vocabulary_size=8, size=8, outputs=3)
    fit(network, tokens, list("abcabc"), dev=(tokens, list("abcabc")), fitting=Fitting(epochs=60, learning_rate=0.05))
    assert (outputs_of(network, tokens).argmax(axis=1) == [0, 1, 2, 0, 1, 2]).all()


@pytest.mark.parametrize("make", [
    lambda: ordinary("mlp", vocabulary_size=3), lambda: ordinary("bag", vocabulary_size=0),
    lambda: ordinary("transformer", vocabulary_size=3, size=6), lambda: Fitting(epochs=0),
    lambda: Fitting(learning_rate=-1), lambda: tl.stand_in("textcn")])
def test_what_cannot_be_is_refused(make):
    with pytest.raises(OptionError):
        make()
