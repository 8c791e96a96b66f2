"""A network's own kernel foretells its training; what remains is drift, and the rest of the error is fluctuation."""

import numpy as np
import pytest
import torch
from cases import ALL, ARCHITECTURES, SUMMED, distance, labels_of, random_texts, tokens_of

import tangentlens as tl
from tangentlens.errors import OptionError
from tangentlens.learning.losses import encode
from tangentlens.verification import empirical_ntk, foretell, jacobian_bytes, own_kernel, trained_scores
from tangentlens.verification.own_kernel import descend_with, kernel_product

TOKENS, LABELS = random_texts(10, size=6, lengths=(2, 6))
PROBLEMS = [("logistic", 2), ("squared", 2), ("softmax", 2), ("softmax", 3), ("squared", 3)]


def material_of(name="mlp", **options):
    return foretell(ARCHITECTURES[name], TOKENS, LABELS, **{"steps": 12, "most": 6, "record": [4, 12]} | options)


@pytest.mark.parametrize(("loss", "classes"), PROBLEMS, ids=str)
@pytest.mark.parametrize("name", ["mlp", "cnn3-same", "linear-rnn"])
def test_descent_in_the_exact_kernel_is_that_of_the_prediction(name, loss, classes):
    """On the training texts and on others, with Θ ⊗ I for several outputs."""
    net, tokens, record = ARCHITECTURES[name], tokens_of(ALL), [0, 1, 7, 30]
    labels = labels_of(tokens, classes)
    features, targets = net.features(tokens), encode(labels, loss, texts=len(tokens))
    trajectory = tl.learn(features, labels, loss, steps=30, record=record)
    others = tokens_of([[0, 1, 2], [], [3, 2, 3, 0]])
    identity = np.eye(targets.y.shape[1])
    for texts in (tokens, others):
        found = descend_with(np.einsum("nm,cd->ncmd", net.kernel(tokens), identity),
                             np.einsum("nm,cd->ncmd", net.kernel(texts, tokens), identity), targets,
                             learning_rate=trajectory.dynamics.learning_rate, record=record)
        asked = net.features(texts, columns=features)
        expected = np.stack([trajectory.decision(asked, place) for place in range(4)])
        assert distance(found, expected) < SUMMED


def test_descent_couples_outputs_through_the_kernel_between_them():
    """By hand for one step, two texts and three outputs: a = −η/n slope(0), f = Θ a."""
    rng = np.random.default_rng(0)
    targets = encode(["a", "b", "c", "b"], None, texts=4)
    kernel, rows = rng.normal(size=(4, 3, 4, 3)), rng.normal(size=(2, 3, 4, 3))
    found = descend_with(kernel, rows, targets, learning_rate=0.4, record=[0, 1])
    duals = -0.1 * (1 / 3 - targets.y)
    assert distance(found, [np.zeros((2, 3)), np.einsum("ncmd,md->nc", rows, duals)]) < SUMMED


@pytest.mark.parametrize("name", ["mlp", "cnn2-same-sum", "linear-rnn"])
@pytest.mark.parametrize("loss", ["logistic", "softmax"])
def test_the_error_splits_into_fluctuation_and_drift(name, loss):
    own = own_kernel(material_of(name, loss=loss), 24, seed=1)
    errors = own.errors
    assert errors.columns == ["step", "total", "fluctuation", "drift_error", "drift"]
    assert errors["step"].to_list() == [0, 4, 12]
    assert errors.row(0) == (0, 0.0, 0.0, 0.0, 0.0)
    for row in errors.iter_rows(named=True):
        assert row["total"] <= row["fluctuation"] + row["drift_error"] + 1e-12
        assert row["total"] >= abs(row["fluctuation"] - row["drift_error"]) - 1e-12
    assert (np.diff(errors["drift"]) > 0).all()
    assert errors["fluctuation"][1] > 0.05
    assert own.width == 24


def test_errors_and_scores_are_those_of_the_trained_network():
    material = material_of("cnn2-same-sum")
    own = own_kernel(material, 24, seed=3)
    for found, expected in zip(own.trained, trained_scores(material, 24, 3), strict=True):
        np.testing.assert_array_equal(found, expected)
    predicted, foretold, trained = (np.concatenate([part[-1].ravel() for part in parts])
                                    for parts in (material.predicted, own.foretold, own.trained))
    row, size = own.errors.row(-1, named=True), np.linalg.norm(trained)
    assert row["total"] == pytest.approx(np.linalg.norm(predicted - trained) / size)
    assert row["fluctuation"] == pytest.approx(np.linalg.norm(predicted - foretold) / size)
    assert row["drift_error"] == pytest.approx(np.linalg.norm(foretold - trained) / size)


@pytest.mark.parametrize("name", ["mlp", "attention-tied", "matrix-vector", "linear-rnn", "elman-rnn"])
def test_with_a_small_learning_rate_a_network_follows_its_own_kernel(name):
    """Drift is proportional to the learning rate, fluctuation is not."""
    errors = [own_kernel(material_of(name, learning_rate=rate), 24).errors.row(-1, named=True)
              for rate in (0.02, 0.002)]
    assert errors[1]["drift_error"] < errors[1]["fluctuation"] / 10
    assert errors[1]["drift_error"] < 0.02
    assert errors[1]["fluctuation"] == pytest.approx(errors[0]["fluctuation"], rel=0.1)
    assert errors[1]["drift_error"] == pytest.approx(errors[0]["drift_error"] / 10, rel=0.3)
    assert errors[1]["drift"] == pytest.approx(errors[0]["drift"] / 10, rel=0.3)


def test_it_is_the_same_every_time():
    first, again, other = (own_kernel(material_of(), 16, seed=seed) for seed in (2, 2, 3))
    assert first.errors.equals(again.errors)
    assert not first.errors.equals(other.errors)


def test_too_little_memory_is_refused():
    material = material_of()
    size = len(TOKENS.vocabulary) + material.probes.blanks
    network = tl.networks.build(tl.MLP(), vocabulary_size=size, width=32)
    own_kernel(material, 32, memory=jacobian_bytes(network, len(TOKENS)))
    with pytest.raises(OptionError, match=r"the Jacobian of 10 texts with 1 outputs takes .* give fewer texts"):
        own_kernel(material, 32, memory=jacobian_bytes(network, len(TOKENS)) - 1)


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_a_product_without_a_jacobian_is_the_kernels(name):
    """One backward and one forward derivative = the empirical kernel times the duals, for several outputs too."""
    tokens, others = tokens_of(ALL), tokens_of([[0, 1, 2], [], [3, 2, 3, 0], [6, -1, 6]])
    for outputs in (1, 3):
        network = tl.networks.build(ARCHITECTURES[name], vocabulary_size=8, width=10, outputs=outputs,
                                    dtype=torch.float64)
        duals = np.random.default_rng(0).normal(size=(len(tokens), outputs))
        expected = np.einsum("ncmd,nc->md", empirical_ntk(network, tokens, others), duals)
        assert distance(kernel_product(network, tokens, others, duals), expected) < SUMMED


def test_a_product_is_that_of_any_module_with_a_call():
    """A plain module that knows nothing of texts, with a frozen parameter and one without use."""
    torch.manual_seed(0)
    module = torch.nn.Sequential(torch.nn.EmbeddingBag(8, 5), torch.nn.Tanh(), torch.nn.Linear(5, 3)).double()
    module[0].weight.requires_grad_(False)
    module.register_parameter("unused", torch.nn.Parameter(torch.ones(2)))

    def call(network, texts):
        bags, *rest = network
        return torch.nn.Sequential(*rest)(bags(torch.as_tensor(texts.ids), torch.as_tensor(texts.offsets[:-1])))

    tokens, others = tokens_of([[0, 1, 2], [3, 3], [4]]), tokens_of([[2, 1], [5, 0, 3]])
    duals = np.random.default_rng(0).normal(size=(3, 3))
    before = {name: p.detach().clone() for name, p in module.named_parameters()}
    expected = np.einsum("ncmd,nc->md", empirical_ntk(module, tokens, others, call=call), duals)
    assert distance(kernel_product(module, tokens, others, duals, call=call), expected) < SUMMED
    assert all(torch.equal(p, before[name]) for name, p in module.named_parameters())
