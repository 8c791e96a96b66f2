"""The finite networks once more, one text and one position at a time in NumPy, with a twin's parameters."""

from __future__ import annotations

from functools import reduce

import numpy as np
from scipy import special

from tangentlens import CNN, MLP, ElmanRNN, LinearRNN, MatrixVector, SelfAttention

ACTIVATIONS = {
    "identity": lambda x: x,
    "relu": lambda x: np.maximum(x, 0),
    "leaky_relu": lambda x: np.where(x > 0, x, 0.01 * x),
    "erf": special.erf,
    "sin": np.sin,
    "cos": np.cos,
    "gelu": lambda x: x * special.ndtr(x),
    "silu": lambda x: x / (1 + np.exp(-x)),
    "tanh": np.tanh,
    "sigmoid": lambda x: 1 / (1 + np.exp(-x)),
    "softplus": lambda x: np.log1p(np.exp(x)),
    "elu": lambda x: np.where(x > 0, x, np.expm1(x)),
}


def output(network, ids):
    """f (c,) of one text, without unknown tokens."""
    net = network.architecture
    x = [net.embedding_std * array(network.embedding)[token] for token in ids]
    return NETWORKS[type(net)](network, net, x)


def array(parameter):
    return parameter.detach().cpu().numpy().astype(np.float64)


def layer(values, number):
    return values[number] if isinstance(values, tuple) else values


def read(network, net, hidden, readout=None):
    """The readout of every hidden vector, summed, averaged, or of the last one."""
    matrix = array(network.readout if readout is None else readout)
    values = [net.readout_std / np.sqrt(network.width) * h @ matrix for h in hidden]
    if not values:
        return np.zeros(network.outputs)
    return {"sum": sum(values), "mean": sum(values) / len(values), "last": values[-1]}[net.pooling]


def mlp(network, net, x):
    phi, m, hidden = ACTIVATIONS[net.activation], network.width, []
    for h in x:
        for number in range(net.depth):
            inner = layer(net.weight_std, number) / np.sqrt(m) * h @ array(network.weights[number])
            h = phi(inner + layer(net.bias_std, number) * array(network.biases[number]))
        hidden.append(h)
    return read(network, net, hidden)


def cnn(network, net, x):
    k, m, weight = net.kernel_size, network.width, array(network.weight)
    same = net.padding == "same"
    hidden = []
    for position in range(len(x) if same else len(x) - k + 1):
        inner = net.bias_std * array(network.bias)
        for slot in range(k):
            place = position + slot - ((k - 1) // 2 if same else 0)
            if 0 <= place < len(x):
                inner = inner + net.weight_std / np.sqrt(k * m) * x[place] @ weight[slot]
        hidden.append(ACTIVATIONS[net.activation](inner))
    return read(network, net, hidden)


def attention(network, net, x):
    m = network.width
    root = np.sqrt(m)
    positions = [p / net.position_std for p in array(network._positions(len(x)))] if x and net.positions else []
    seen = [h + net.position_std * p for h, p in zip(x, positions, strict=True)] if positions else x
    key = array(network.key)
    query = array(network.query) if net.scores == "uniform" else key
    q, k = ([net.key_std / root * h @ weight for h in seen] for weight in (query, key))
    v = [net.value_std / root * h @ array(network.value) for h in x]
    phi, hidden = ACTIVATIONS[net.activation or "identity"], []
    for mine in q:
        scores = np.exp([mine @ theirs / m for theirs in k])
        attended = sum(share * value for share, value in zip(scores / scores.sum(), v, strict=True))
        hidden.append(phi(net.output_std / root * attended @ array(network.output)))
    return read(network, net, hidden)


def matrix_vector(network, net, x):
    m, total = network.width, np.zeros(network.outputs)
    orders = range(1, net.order + 1) if net.residual else [net.order]
    for number, order in enumerate(orders):
        readout = network.readout if number == 0 else network.readouts[number - 1]
        weights, hidden = [array(weight) for weight in network.matrices[number]], []
        for start in range(len(x) - order + 1):
            gram = x[start:start + order]
            if net.matrices == "full":
                matrices = [net.weight_std / m * sum(weight[:, :, a] * h[a] for a in range(m))
                            for weight, h in zip(weights, gram[:-1], strict=True)]
            else:
                matrices = [np.diag(net.weight_std / np.sqrt(m) * h @ weight)
                            for weight, h in zip(weights, gram[:-1], strict=True)]
            vector = net.vector_std / np.sqrt(m) * gram[-1] @ array(network.vectors[number])
            hidden.append(reduce(np.matmul, [*matrices, vector]))
        total = total + read(network, net, hidden, readout)
    return total


def linear_rnn(network, net, x):
    root, states = np.sqrt(network.width), [np.zeros(network.width)]
    for h in x:
        shifted = np.concatenate([states[-1][-1:], states[-1][:-1]])
        gate = net.gate_std / root * h @ array(network.gate)
        states.append(net.input_std / root * h @ array(network.input) + gate * shifted)
    return read(network, net, states[1:])


def elman_rnn(network, net, x):
    root, states = np.sqrt(network.width), [np.zeros(network.width)]
    for h in x:
        states.append(net.input_std / root * h @ array(network.input)
                      + net.weight_std / root * states[-1] @ array(network.weight))
    return read(network, net, states[1:])


NETWORKS = {MLP: mlp, CNN: cnn, SelfAttention: attention, MatrixVector: matrix_vector, LinearRNN: linear_rnn,
            ElmanRNN: elman_rnn}
