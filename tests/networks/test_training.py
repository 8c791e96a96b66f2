"""Training is gradient descent on f − f_0, and in the limit of width it is the prediction."""

from itertools import chain

import numpy as np
import pytest
import torch
from cases import ALL, ARCHITECTURES, SIZE, SUMMED, distance, labels_of, random_texts, tokens_of
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional

import tangentlens as tl
from tangentlens.errors import DataError, OptionError, ShapeError
from tangentlens.learning.losses import LOSSES, encode
from tangentlens.networks import build, train
from tangentlens.networks.training import Schedule

PROBLEMS = [("logistic", 2), ("squared", 2), ("softmax", 2), ("softmax", 3), ("squared", 3)]
every_problem = pytest.mark.parametrize(("loss", "classes"), PROBLEMS, ids=str)
ONE_OF_EACH = ["mlp-depth2-erf-bias", "cnn3-stds-same-sum", "attention-positions", "attention-tied-relu-sum",
               "matrix-vector3-residual", "matrix-vector2-full-frozen", "linear-rnn-sum-stds", "elman-rnn-last-frozen"]


def twin_of(name, outputs=1, **options):
    return build(ARCHITECTURES[name], **{"vocabulary_size": SIZE, "width": 6, "dtype": torch.float64} | options,
                 outputs=outputs)


def trained(network):
    return {name: p for name, p in network.named_parameters() if p.requires_grad}


def by_hand(network, tokens, labels, loss, *, learning_rate, batches, momentum=0.0):
    """The same descent by PyTorch's own losses and autograd, one batch (row numbers) after another."""
    targets = encode(labels, loss, texts=len(tokens))
    y, index = torch.as_tensor(targets.y), torch.as_tensor(targets.index)
    losses = {"logistic": lambda f, rows: functional.binary_cross_entropy_with_logits(f, 1.0 * index[rows, None]),
              "softmax": lambda f, rows: functional.cross_entropy(f, index[rows]),
              "squared": lambda f, rows: 0.5 * functional.mse_loss(f, y[rows], reduction="sum") / len(rows)}
    start = network(tokens).detach()
    velocity = {name: torch.zeros_like(p) for name, p in trained(network).items()}
    for rows in batches:
        value = losses[targets.loss.name](network(tokens[rows]) - start[rows], rows)
        gradients = torch.autograd.grad(value, list(trained(network).values()))
        with torch.no_grad():
            for (name, p), gradient in zip(trained(network).items(), gradients, strict=True):
                velocity[name] = momentum * velocity[name] - learning_rate * gradient
                p.add_(velocity[name])
    return network


def assert_same_parameters(first, second, tolerance=SUMMED):
    for (name, p), q in zip(first.named_parameters(), second.parameters(), strict=True):
        assert distance(p.detach(), q.detach()) < tolerance, name


@pytest.mark.parametrize("name", ONE_OF_EACH)
@every_problem
def test_one_step_is_the_gradient_by_hand(name, loss, classes):
    tokens = tokens_of(ALL)
    labels, everything = labels_of(tokens, classes), np.arange(len(ALL))
    outputs = encode(labels, loss, texts=len(ALL)).y.shape[1]
    network, expected, before = (twin_of(name, outputs) for _ in range(3))
    train(network, tokens, labels, loss=loss, learning_rate=0.3, steps=1)
    by_hand(expected, tokens, labels, loss, learning_rate=0.3, batches=[everything])
    assert_same_parameters(network, expected)
    moved = {key for key, p in network.named_parameters() if not torch.equal(p, before.get_parameter(key))}
    assert moved == set(trained(network))


@pytest.mark.parametrize("momentum", [0.0, 0.9])
@pytest.mark.parametrize("batch_size", [None, 7, 1, 1000])
@pytest.mark.parametrize(("loss", "classes"), [("logistic", 2), ("softmax", 3)], ids=str)
def test_many_steps_are_the_recursion_by_hand(momentum, batch_size, loss, classes):
    """With batches of 1 some hold only an empty text, whose outputs depend on no parameter."""
    tokens, schedule = tokens_of(ALL), Schedule(0.2, 40, momentum, batch_size, seed=3)
    labels, outputs = labels_of(tokens, classes), 1 if classes == 2 else classes
    batches = [schedule.batch(step, len(ALL)) for step in range(1, 41)]
    for name in ("linear-rnn", "mlp-sum"):
        network, expected = twin_of(name, outputs), twin_of(name, outputs)
        train(network, tokens, labels, learning_rate=0.2, steps=40, momentum=momentum, batch_size=batch_size, seed=3)
        with_empty = expected if name == "mlp-sum" else HasGradient(expected)
        by_hand(with_empty, tokens, labels, loss, learning_rate=0.2, batches=batches, momentum=momentum)
        assert_same_parameters(network, expected)


class HasGradient(nn.Module):
    """The same outputs, always with a gradient, even if it is 0."""

    def __init__(self, inner):
        super().__init__()
        self.inner = inner

    def forward(self, tokens):
        return self.inner(tokens) + 0 * sum(p.sum() for p in self.inner.parameters())


@given(texts=st.integers(1, 40), size=st.integers(1, 50), seed=st.integers(0, 5))
def test_every_epoch_passes_over_every_text_once_in_its_own_order(texts, size, seed):
    schedule = Schedule(0.1, 100, batch_size=size, seed=seed)
    per_epoch = -(-texts // min(size, texts))
    epochs = []
    for epoch in range(3):
        batches = [schedule.batch(1 + epoch * per_epoch + place, texts).tolist() for place in range(per_epoch)]
        assert sorted(chain.from_iterable(batches)) == list(range(texts))
        assert all(len(batch) == min(size, texts) for batch in batches[:-1])
        epochs.append(batches)
    assert epochs[0] == [schedule.batch(1 + place, texts).tolist() for place in range(per_epoch)]
    if texts > 20 and size < 10:
        assert epochs[0] != epochs[1] != epochs[2]
        assert epochs[0][0] != Schedule(0.1, 100, batch_size=size, seed=seed + 1).batch(1, texts).tolist()


@every_problem
def test_records_are_the_outputs_since_the_start(loss, classes):
    tokens, probes = tokens_of(ALL), tokens_of([[0, 1, 2], [], [3, -1]])
    labels = labels_of(tokens, classes)
    targets = encode(labels, loss, texts=len(ALL))
    network = twin_of("cnn3-same", targets.y.shape[1])
    start, first = network(probes).detach().numpy(), network(tokens).detach().numpy()
    seen = []
    done = train(network, tokens, labels, loss=loss, learning_rate=0.5, steps=9, record=[2, 5], probes=probes,
                 watch=lambda step: seen.append((step, network(probes).detach().numpy(), network(tokens).detach())))
    assert done.steps.tolist() == [0, 2, 5, 9] == [step for step, _, _ in seen]
    assert done.probes.shape == (4, 3, targets.y.shape[1])
    assert done.learning_rate == 0.5
    for place, (_, f, trained_on) in enumerate(seen):
        np.testing.assert_array_equal(done.probes[place], f - start)
        change = trained_on.numpy() - first
        row = done.curves.row(place, named=True)
        assert row["train_loss"] == pytest.approx(LOSSES[loss].value(change, targets.y).mean(), rel=1e-12)
        assert row["train_accuracy"] == targets.accuracy(change)
    assert done.curves["train_loss"][-1] < done.curves["train_loss"][0]
    assert not done.probes[0].any()


def test_what_is_recorded_does_not_change_the_training():
    tokens, labels = tokens_of(ALL), labels_of(tokens_of(ALL), 2)
    results = []
    for record in (None, [], [3, 3, 0], np.arange(30.0), range(30)):
        network = twin_of("mlp-tanh")
        done = train(network, tokens, labels, learning_rate=0.5, steps=30, record=record)
        results.append(network)
        assert {0, 30} <= set(done.steps.tolist()) == {0, 30, *(done.steps if record is None else map(int, record))}
        assert done.probes.shape == (len(done.steps), 0, 1)
    assert all(torch.equal(results[0].readout, network.readout) for network in results)


def test_training_does_not_depend_on_gradients_being_recorded():
    networks = twin_of("linear-rnn"), twin_of("linear-rnn")
    for network, enabled in zip(networks, (True, False), strict=True):
        with torch.set_grad_enabled(enabled):
            train(network, tokens_of(ALL), labels_of(tokens_of(ALL), 2), learning_rate=0.5, steps=3)
    assert torch.equal(networks[0].input, networks[1].input)
    assert not torch.equal(networks[0].input, twin_of("linear-rnn").input)


def test_labels_of_any_type_are_classes():
    tokens, number = tokens_of([[0, 1], [1], [2, 2]]), [1, 0, 1]
    results = []
    for names in (["a", "b"], [0, 1], [False, True], [-1.5, 2.5], np.array(["x", "y"])):
        network = twin_of("mlp")
        done = train(network, tokens, [names[place] for place in number], learning_rate=0.5, steps=5)
        results.append(network.readout.detach())
        assert done.curves["train_loss"][0] == pytest.approx(np.log(2))
    assert all(torch.equal(results[0], other) for other in results)


def test_training_is_the_same_every_time():
    tokens, labels = random_texts(30)
    for options in ({}, {"momentum": 0.5, "batch_size": 4, "seed": 7}):
        runs = []
        for _ in range(2):
            network = build(tl.CNN(), vocabulary_size=30, width=32)
            done = train(network, tokens, labels, learning_rate=0.5, steps=20, probes=tokens, **options)
            runs.append((done, network))
        np.testing.assert_array_equal(runs[0][0].probes, runs[1][0].probes)
        assert all(torch.equal(p, q) for p, q in zip(runs[0][1].parameters(), runs[1][1].parameters(), strict=True))
    network = build(tl.CNN(), vocabulary_size=30, width=32)
    train(network, tokens, labels, learning_rate=0.5, steps=20, momentum=0.5, batch_size=4, seed=8)
    assert not torch.equal(network.readout, runs[0][1].readout)


@pytest.mark.parametrize(("name", "loss", "classes"), [
    ("mlp", "logistic", 2), ("cnn2-same-sum", "squared", 2), ("linear-rnn", "softmax", 3)])
def test_wide_networks_follow_the_prediction(name, loss, classes):
    """Outputs on the training texts at every record; the error of 16 times the width is about a quarter.

    The ratio of two root mean squares over 6 seeds is off by a factor of about exp(√(2 · 1/12)) = 1.5, so less than
    a quarter times 1.5² is asked for.
    """
    tokens, labels = random_texts(15, size=8, classes=classes, lengths=(3, 8))
    features = ARCHITECTURES[name].features(tokens)
    trajectory = tl.learn(features, labels, loss, steps=20, record=[1, 5, 20])
    predicted = np.stack([trajectory.decision(features, place) for place in range(4)])
    errors = []
    for width in (64, 1024):
        squares = []
        for seed in range(6):
            network = build(ARCHITECTURES[name], vocabulary_size=8, width=width, outputs=predicted.shape[2], seed=seed)
            done = train(network, tokens, labels, loss=loss, learning_rate=trajectory.dynamics.learning_rate, steps=20,
                         record=[1, 5, 20], probes=tokens)
            squares.append(np.sum((done.probes - predicted) ** 2, axis=(1, 2))[1:])
        errors.append(np.sqrt(np.mean(squares, axis=0) / np.sum(predicted**2, axis=(1, 2))[1:]))
    assert (errors[1] < 0.25 * 1.5**2 * errors[0]).all(), errors
    assert (errors[1] < 0.15).all(), errors


class Bags(nn.Module):
    """A user's own module: different parameters for the first tokens and for the others."""

    def __init__(self):
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        self.low = nn.Parameter(torch.randn(4, 1, generator=generator, dtype=torch.float64))
        self.high = nn.Parameter(torch.randn(4, 1, generator=generator, dtype=torch.float64))
        self.fixed = nn.Parameter(torch.ones(1, dtype=torch.float64), requires_grad=False)

    def forward(self, tokens):
        rows = [torch.as_tensor(tokens[text].ids.astype(np.int64)) for text in range(len(tokens))]
        parts = [self.low[ids].sum(0) if (ids < 4).all() else self.high[ids % 4].sum(0) for ids in rows]
        return torch.stack(parts) if parts else torch.zeros(0, 1)


def test_a_module_of_ones_own_trains_even_where_a_batch_leaves_parameters_out():
    """Momentum carries those on too."""
    tokens, labels = tokens_of([[0, 1], [5], [2, 2], [7, 7, 5]]), ["a", "b", "a", "b"]
    network, expected, schedule = Bags(), Bags(), Schedule(0.3, 12, 0.8, 1, seed=1)
    done = train(network, tokens, labels, learning_rate=0.3, steps=12, momentum=0.8, batch_size=1, seed=1)
    batches = [schedule.batch(step, 4) for step in range(1, 13)]
    by_hand(HasGradient(expected), tokens, labels, "logistic", learning_rate=0.3, batches=batches, momentum=0.8)
    assert_same_parameters(network, expected)
    assert done.curves["train_loss"][-1] < done.curves["train_loss"][0]


@pytest.mark.parametrize(("options", "message"), [
    ({"learning_rate": 0.0}, "learning_rate must be a positive number, not 0.0"),
    ({"learning_rate": float("nan")}, "learning_rate must be a positive number"),
    ({"steps": 0}, "steps must be a whole number of at least 1, not 0"),
    ({"steps": 2.5}, "steps must be a whole number of at least 1, not 2.5"),
    ({"momentum": 1.0}, "momentum must be at least 0 and below 1, not 1.0"),
    ({"momentum": -0.1}, "momentum must be at least 0 and below 1, not -0.1"),
    ({"batch_size": 0}, "batch_size must be a whole number of at least 1, not 0"),
    ({"record": [4]}, "record must name whole steps from 0 to 3"),
    ({"record": [-1]}, "record must name whole steps from 0 to 3"),
    ({"record": [1.5]}, "record must name whole steps from 0 to 3"),
    ({"loss": "hinge"}, 'unknown loss "hinge"; there are: logistic, softmax, squared'),
])
def test_impossible_schedules_are_refused(options, message):
    options = {"learning_rate": 0.1, "steps": 3} | options
    with pytest.raises(OptionError, match=message):
        train(twin_of("mlp"), tokens_of([[0], [1]]), ["a", "b"], **options)


def test_labels_that_do_not_fit_are_refused():
    with pytest.raises(ShapeError, match="1 labels for 2 texts"):
        train(twin_of("mlp"), tokens_of([[0], [1]]), ["a"], learning_rate=0.1, steps=3)
    with pytest.raises(DataError, match="all 2 labels are 'a'"):
        train(twin_of("mlp"), tokens_of([[0], [1]]), ["a", "a"], learning_rate=0.1, steps=3)
    with pytest.raises(ShapeError, match="outputs"):
        train(twin_of("mlp"), tokens_of([[0], [1], [2]]), ["a", "b", "c"], learning_rate=0.1, steps=3)
    with pytest.raises(ShapeError, match=r"outputs have the shape \(2, 3\), .* need \(2, 1\); .* outputs=1"):
        train(twin_of("mlp", 3), tokens_of([[0], [1]]), ["a", "b"], learning_rate=0.1, steps=3)
