"""The twin is the network of the design: N(0, 1) parameters, and the outputs of a slow loop over texts."""

import copy
import pickle
from itertools import combinations

import numpy as np
import pytest
import torch
import witness
from cases import ALL, ARCHITECTURES, NEW, SIZE, SUMMED, distance, every_architecture, tokens_of

import tangentlens as tl
from tangentlens.errors import OptionError, ShapeError
from tangentlens.kernels.activations import ACTIVATIONS
from tangentlens.networks import build, twin

KNOWN = [ids for ids in [*ALL, *NEW] if -1 not in ids]


def twin_of(architecture, width=7, **options):
    return build(architecture, **{"vocabulary_size": SIZE, "width": width, "dtype": torch.float64} | options)


@every_architecture
def test_outputs_are_those_of_the_slow_loop(architecture):
    network = twin_of(architecture, outputs=2, seed=5)
    expected = np.stack([witness.output(network, ids) for ids in KNOWN])
    assert distance(network(tokens_of(KNOWN)).detach(), expected) < SUMMED
    assert np.abs(expected).max() > 1e-3


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_every_activation_is_there(name):
    x = torch.linspace(-4, 4, 101, dtype=torch.float64)
    assert list(ACTIVATIONS) == list(witness.ACTIVATIONS)
    assert distance(twin.ACTIVATIONS[name](x), witness.ACTIVATIONS[name](x.numpy())) < 1e-12
    network = twin_of(tl.CNN(activation=name))
    assert distance(network(tokens_of([[0, 1, 2]])).detach(), [witness.output(network, [0, 1, 2])]) < SUMMED


def shapes(net, v, m, c):
    """Names and shapes of all parameters, and the names of those that are not trained."""
    expected, idle = {"embedding": (v, m), "readout": (m, c)}, set() if net.train_embedding else {"embedding"}
    match net:
        case tl.MLP():
            for layer in range(net.depth):
                expected |= {f"weights.{layer}": (m, m), f"biases.{layer}": (m,)}
                idle |= set() if witness.layer(net.bias_std, layer) else {f"biases.{layer}"}
        case tl.CNN():
            expected |= {"weight": (net.kernel_size, m, m), "bias": (m,)}
            idle |= set() if net.bias_std else {"bias"}
        case tl.MatrixVector():
            for number, order in enumerate(range(1, net.order + 1) if net.residual else [net.order]):
                expected |= {f"vectors.{number}": (m, m)} | ({f"readouts.{number - 1}": (m, c)} if number else {})
                expected |= {f"matrices.{number}.{slot}": (m,) * (3 if net.matrices == "full" else 2)
                             for slot in range(order - 1)}
        case tl.SelfAttention():
            expected |= dict.fromkeys(("key", "value", "output"), (m, m))
            expected |= {"query": (m, m)} if net.scores == "uniform" else {}
        case _:
            expected |= {"input": (m, m), "gate" if isinstance(net, tl.LinearRNN) else "weight": (m, m)}
    return expected, idle


@every_architecture
def test_every_parameter_is_standard_normal_and_independent(architecture):
    """Within 5 standard errors: mean, variance, fourth moment, and the correlation of every two parameters."""
    network = build(architecture, vocabulary_size=50, width=40, outputs=30, seed=2)
    expected, idle = shapes(architecture, 50, 40, 30)
    found = dict(network.named_parameters())
    assert {name: tuple(p.shape) for name, p in found.items()} == expected
    assert {name for name, p in found.items() if not p.requires_grad} == idle
    flat = {name: witness.array(p).ravel() for name, p in found.items()}
    for name, values in [*flat.items(), ("all", np.concatenate(list(flat.values())))]:
        error = 5 / np.sqrt(len(values))
        assert abs(values.mean()) < error, name
        assert abs(values.var() - 1) < np.sqrt(2) * error, name
        assert abs(np.mean(values**4) - 3) < np.sqrt(96) * error, name
    for (name, first), (other, second) in combinations(flat.items(), 2):
        size = min(len(first), len(second))
        assert abs(np.corrcoef(first[:size], second[:size])[0, 1]) < 5 / np.sqrt(size), (name, other)


@every_architecture
def test_a_seed_is_a_network(architecture):
    tokens = tokens_of([*ALL, *NEW])
    first, again, other = (twin_of(architecture, seed=seed) for seed in (3, 3, 4))
    assert all(torch.equal(p, q) for p, q in zip(first.parameters(), again.parameters(), strict=True))
    assert torch.equal(first(tokens), again(tokens))
    assert not any(torch.equal(p, q) for p, q in zip(first.parameters(), other.parameters(), strict=True))
    for copied in (copy.deepcopy(first), pickle.loads(pickle.dumps(first))):  # noqa: S301
        assert torch.equal(first(tokens), copied(tokens))


@every_architecture
def test_float32_is_float64_rounded(architecture):
    tokens = tokens_of([*ALL, *NEW])
    double, single = (build(architecture, vocabulary_size=SIZE, width=24, outputs=3, dtype=dtype)
                      for dtype in (torch.float64, torch.float32))
    assert double(tokens).dtype == torch.float64
    assert single(tokens).dtype == torch.float32
    assert single(tokens).shape == (len(tokens), 3)
    assert distance(single(tokens).detach(), double(tokens).detach()) < 2e-5
    expected = single(tokens)
    assert torch.equal(single.double()(tokens), double(tokens))  # parameters are drawn in float32
    assert torch.equal(single.float()(tokens), expected)


@every_architecture
def test_outputs_stand_side_by_side(architecture):
    """Each column of the readout is a network of its own, with everything below in common."""
    tokens = tokens_of([*ALL, *NEW])
    three, one = twin_of(architecture, outputs=3), twin_of(architecture, outputs=1)
    for place in range(3):
        with torch.no_grad():
            for name, parameter in one.named_parameters():
                source = three.get_parameter(name)
                parameter.copy_(source[:, place:place + 1] if name.startswith("readout") else source)
        assert distance(one(tokens).detach(), three(tokens)[:, place:place + 1].detach()) < SUMMED


@pytest.mark.parametrize("name", ["mlp", "attention-positions", "attention-positions-stds-sum", "cnn3-same"])
def test_a_seed_is_the_same_network_on_every_device(name):
    other = "cuda" if torch.cuda.is_available() else "cpu"
    tokens = tokens_of([*ALL, *NEW])
    here, there = (twin_of(ARCHITECTURES[name], device=device) for device in ("cpu", other))
    assert there(tokens).device.type == other
    assert distance(there(tokens).detach().cpu(), here(tokens).detach()) < SUMMED


def test_a_device_is_taken_by_name_or_as_an_object():
    for device in ("cpu", torch.device("cpu"), "meta"):
        network = build(tl.MLP(), vocabulary_size=3, width=4, device=device)
        assert {p.device.type for p in network.parameters()} == {torch.device(device).type}


@pytest.mark.parametrize("width", [3, 10, 16, 50])
def test_position_vectors_do_not_depend_on_the_length_of_the_text(width):
    network = twin_of(tl.SelfAttention(scores="tied", positions=True), width=width)
    longest = network._positions(20)
    for length in (1, 2, 7, 19):
        assert torch.equal(network._positions(length), longest[:length])


def test_position_vectors_have_their_covariance():
    """At width 40,000 an entry of p_i · p_j / m is off by at most √(2 / m) std², here times 5."""
    net = tl.SelfAttention(scores="tied", positions=True, position_std=1.5, position_scale=2.5)
    network = build(tl.SelfAttention(), vocabulary_size=1, width=1)
    network.architecture, network.width = net, 40_000
    p = witness.array(network._positions(9))
    distances = np.abs(np.subtract.outer(range(9), range(9)))
    expected = 1.5**2 * np.exp(-distances / 2.5)
    assert np.abs(p @ p.T / 40_000 - expected).max() < 5 * np.sqrt(2 / 40_000) * 1.5**2


@pytest.mark.parametrize(("options", "message"), [
    ({"width": 0}, "width must be a whole number of at least 1, not 0"),
    ({"width": 2.5}, "width must be a whole number of at least 1, not 2.5"),
    ({"outputs": 0}, "outputs must be a whole number of at least 1, not 0"),
    ({"vocabulary_size": -1}, "vocabulary_size must be a whole number of at least 1, not -1"),
    ({"architecture": "mlp"}, "there is no finite network for 'mlp'; there is one for MLP, CNN, "),
])
def test_impossible_networks_are_refused(options, message):
    options = {"architecture": tl.MLP(), "vocabulary_size": 5, "width": 4} | options
    with pytest.raises(OptionError, match=message):
        build(options.pop("architecture"), **options)


def test_tokens_beyond_the_vocabulary_are_refused():
    network = build(tl.CNN(), vocabulary_size=5, width=4)
    assert network(tokens_of([[4, 0]])).shape == (1, 1)
    for ids in ([[0], [5, 1]], [[7]]):
        with pytest.raises(ShapeError, match=f"token id {max(max(ids))}, but the network was .* vocabulary_size=5"):
            network(tokens_of(ids))
    with pytest.raises(ShapeError, match="token id 5"):
        tl.networks.train(network, tokens_of([[5], [1]]), ["a", "b"], learning_rate=1.0, steps=1)
