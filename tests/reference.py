"""Slow, obvious second implementations of every kernel, straight from the definitions (theory, parts 1 and 3).

Python loops over pairs of texts and positions; nothing is shared with `tangentlens.kernels`, not even Q and Q'.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache

import numpy as np
from scipy import integrate, special

# ---- Gaussian expectations -----------------------------------------------------------------------------------------
# Closed forms typed from the literature for kinks; the trapezoidal rule, which converges exponentially for functions
# analytic in a strip, for the rest.


def _relu(a, b, q):  # Cho and Saul (2009), arc-cosine kernels of degree 1 and 0
    norm = math.sqrt(a * b)
    cosine = q / norm if norm else 0.0
    if 1 - abs(cosine) < 1e-14:  # texts that are equal up to rounding; acos would turn 1e-16 into 1e-8
        cosine = math.copysign(1.0, cosine)
    angle = math.acos(cosine)
    return norm * (math.sin(angle) + (math.pi - angle) * math.cos(angle)) / (2 * math.pi), 0.5 - angle / (2 * math.pi)


def _leaky(a, b, q, slope=0.01):  # slope · u + (1 − slope) · relu(u), and E[u relu(u')] = q / 2
    value, derivative = _relu(a, b, q)
    rest = (1 - slope) ** 2
    return slope**2 * q + slope * (1 - slope) * q + rest * value, slope + rest * derivative


def _erf(a, b, q):  # Williams (1997)
    angle = math.asin(2 * q / math.sqrt((1 + 2 * a) * (1 + 2 * b)))
    return 2 * angle / math.pi, 4 / math.pi / math.sqrt((1 + 2 * a) * (1 + 2 * b) - 4 * q * q)


def _silu(x):
    return x / (1 + np.exp(-x))


def _silu_slope(x):
    return (1 + np.exp(-x) + x * np.exp(-x)) / (1 + np.exp(-x)) ** 2


def _normal(x):
    return special.erfc(-x / math.sqrt(2)) / 2


def _sigmoid(x):
    return 1 / (1 + np.exp(-x))


CLOSED: dict[str, Callable[[float, float, float], tuple[float, float]]] = {
    "identity": lambda a, b, q: (q, 1.0), "relu": _relu, "leaky_relu": _leaky, "erf": _erf,
}
ANALYTIC = {
    "tanh": (np.tanh, lambda x: 1 / np.cosh(x) ** 2),
    "silu": (_silu, _silu_slope),
    "sigmoid": (_sigmoid, lambda x: np.exp(-x) / (1 + np.exp(-x)) ** 2),
    "softplus": (lambda x: np.log(1 + np.exp(x)), _sigmoid),
    "gelu": (lambda x: x * _normal(x), lambda x: _normal(x) + x * np.exp(-x * x / 2) / math.sqrt(2 * math.pi)),
}


def trapezoid(f: Callable, g: Callable, a: float, b: float, q: float, step: float = 0.2) -> float:
    """E[f(u) g(u')]: the trapezoidal rule on the square |z|, |w| ≤ 9.5, u = √a z, u' = (q z + √(ab − q²) w) / √a.

    Error about exp(−2π d / h) for functions analytic in a strip of half-width d around the real axis.
    """
    h = step / max(1.0, math.sqrt(max(a, b)))
    grid = np.arange(-round(9.5 / h), round(9.5 / h) + 1) * h
    weight = h * np.exp(-(grid**2) / 2) / math.sqrt(2 * math.pi)
    root = math.sqrt(a)
    u, rest = root * grid, math.sqrt(max(a * b - q * q, 0.0)) / root
    if rest < 1e-7 * math.sqrt(b):
        return float(np.sum(weight * f(u) * g(q / root * grid)))
    inner = g(q / root * grid[:, None] + rest * grid) @ weight
    return float(np.sum(weight * f(u) * inner))


@cache
def expectations(name: str, a: float, b: float, q: float) -> tuple[float, float]:
    """Q(a, b, q) and Q'(a, b, q)."""
    if name in CLOSED:
        return CLOSED[name](a, b, q)
    function, slope = ANALYTIC[name]
    return trapezoid(function, function, a, b, q), trapezoid(slope, slope, a, b, q)


# ---- layers --------------------------------------------------------------------------------------------------------


def layered(a: float, b: float, covariance: float, tangent: float, stds: list[tuple[float, float]], activation: str,
            readout: float) -> tuple[float, float]:
    """(Θ, Σ) of a readout over (dense, activation) layers, from one pair's variances, covariance and tangent kernel."""
    for weight, bias in stds:
        a, b = weight * weight * a + bias * bias, weight * weight * b + bias * bias
        covariance = weight * weight * covariance + bias * bias
        tangent = weight * weight * tangent + covariance
        q, slope = expectations(activation, a, b, covariance)
        a, b = expectations(activation, a, a, a)[0], expectations(activation, b, b, b)[0]
        covariance, tangent = q, slope * tangent
    return readout**2 * (tangent + covariance), readout**2 * covariance


def _stds(architecture, depth: int) -> list[tuple[float, float]]:
    def listed(value):
        return list(value) if isinstance(value, tuple) else [value] * depth

    return list(zip(listed(architecture.weight_std), listed(architecture.bias_std), strict=True))


def _same(t: int, u: int) -> bool:
    return t == u and t >= 0  # unknown tokens match nothing


# ---- architectures: (Θ, Σ) between two texts, given as lists of ids --------------------------------------------------


def mlp(net, x: list[int], y: list[int]) -> tuple[float, float]:
    total = np.zeros(2)
    variance = net.embedding_std**2
    for t in x:
        for u in y:
            covariance = variance if _same(t, u) else 0.0
            total += layered(variance, variance, covariance, covariance if net.train_embedding else 0.0,
                             _stds(net, net.depth), net.activation, net.readout_std)
    return tuple(total / (len(x) * len(y)) if net.pooling == "mean" and x and y else total)


OUTSIDE = -2


def cnn_windows(net, x: list[int]) -> list[list[int]]:
    """Windows as lists of ids, OUTSIDE where a window sticks out of the text."""
    k = net.kernel_size
    if net.padding == "valid":
        return [x[p:p + k] for p in range(len(x) - k + 1)]
    left = (k - 1) // 2
    padded = [OUTSIDE] * left + x + [OUTSIDE] * k
    return [padded[p:p + k] for p in range(len(x))]


def cnn(net, x: list[int], y: list[int]) -> tuple[float, float]:
    total = np.zeros(2)
    unit = net.embedding_std**2 / net.kernel_size  # fan-in k m
    mine, theirs = cnn_windows(net, x), cnn_windows(net, y)
    for window in mine:
        for other in theirs:
            a, b, covariance = 0.0, 0.0, 0.0
            for t, u in zip(window, other, strict=True):
                a += unit * (t != OUTSIDE)
                b += unit * (u != OUTSIDE)
                covariance += unit * _same(t, u)
            total += layered(a, b, covariance, covariance if net.train_embedding else 0.0, _stds(net, 1),
                             net.activation, net.readout_std)
    return tuple(total / (len(mine) * len(theirs)) if net.pooling == "mean" and mine and theirs else total)


def attention(net, x: list[int]) -> np.ndarray:
    """The softmax of the limiting scores; an unknown token equals only itself. Shape (L, L), query first."""
    length = len(x)
    scores = np.zeros((length, length))
    for i in range(length):
        for j in range(length):
            if net.scores == "tied":
                scores[i, j] = net.key_std**2 * net.embedding_std**2 * (i == j or _same(x[i], x[j]))
                if net.positions:
                    scores[i, j] += net.key_std**2 * net.position_std**2 * math.exp(-abs(i - j) / net.position_scale)
    return np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)


def self_attention(net, x: list[int], y: list[int]) -> tuple[float, float]:
    scale = (net.embedding_std * net.value_std * net.output_std) ** 2
    mine, theirs = attention(net, x), attention(net, y)

    def covariances(left, right, ids, others, unknown_matches_itself):
        match = np.array([[_same(t, u) or (unknown_matches_itself and i == j) for j, u in enumerate(others)]
                          for i, t in enumerate(ids)], float).reshape(len(ids), len(others))
        return scale * left @ match @ right.T

    total = np.zeros(2)
    between = covariances(mine, theirs, x, y, False)
    a, b = np.diag(covariances(mine, mine, x, x, True)), np.diag(covariances(theirs, theirs, y, y, True))
    for i in range(len(x)):
        for j in range(len(y)):
            covariance = between[i, j]
            tangent = (2 + net.train_embedding) * covariance  # output, value and embedding weights
            if net.activation is not None:
                q, slope = expectations(net.activation, a[i], b[j], covariance)
                covariance, tangent = q, slope * tangent
            total += np.array([tangent + covariance, covariance]) * net.readout_std**2
    return tuple(total / (len(x) * len(y)) if net.pooling == "mean" and x and y else total)


def _windowed(net, x: list[int], y: list[int], order: int) -> np.ndarray:
    total, unit = np.zeros(2), net.embedding_std**2
    pairs = [(x[p:p + order], y[q:q + order]) for p in range(len(x) - order + 1) for q in range(len(y) - order + 1)]
    for window, other in pairs:
        vector, *matrices = [unit * _same(t, u) for t, u in zip(reversed(window), reversed(other), strict=True)]
        covariance = net.vector_std**2 * vector
        tangent = (1 + net.train_embedding) * covariance  # vector weights, embedding
        for match in matrices:  # matrix weights, embedding
            tangent = net.weight_std**2 * match * (tangent + (1 + net.train_embedding) * covariance)
            covariance = net.weight_std**2 * match * covariance
        total += np.array([tangent + covariance, covariance]) * net.readout_std**2
    return total / len(pairs) if net.pooling == "mean" and pairs else total


def matrix_vector(net, x: list[int], y: list[int]) -> tuple[float, float]:
    orders = range(1, net.order + 1) if net.residual else [net.order]
    return tuple(sum(_windowed(net, x, y, order) for order in orders))


def recurrent(net, x: list[int], y: list[int]) -> tuple[float, float]:
    """Both recurrences, state by state: what the input adds, and what comes from the states before."""
    covariance, tangent = np.zeros((len(x) + 1, len(y) + 1)), np.zeros((len(x) + 1, len(y) + 1))
    both = 1 + net.train_embedding
    for p, t in enumerate(x, start=1):
        for q, u in enumerate(y, start=1):
            match = net.embedding_std**2 * _same(t, u)
            before, tangent_before = covariance[p - 1, q - 1], tangent[p - 1, q - 1]
            covariance[p, q], tangent[p, q] = net.input_std**2 * match, both * net.input_std**2 * match
            if hasattr(net, "gate_std"):  # gate weights and embedding
                covariance[p, q] += net.gate_std**2 * match * before
                tangent[p, q] += net.gate_std**2 * match * (tangent_before + both * before)
            else:  # one weight matrix
                covariance[p, q] += net.weight_std**2 * before
                tangent[p, q] += net.weight_std**2 * (tangent_before + before)
    if not x or not y:
        return 0.0, 0.0
    pooled = {"sum": np.sum, "mean": lambda values: np.sum(values) / (len(x) * len(y)),
              "last": lambda values: values[-1, -1]}[net.pooling]
    return net.readout_std**2 * pooled(tangent + covariance), net.readout_std**2 * pooled(covariance)


REFERENCES = {"MLP": mlp, "CNN": cnn, "SelfAttention": self_attention, "MatrixVector": matrix_vector,
              "LinearRNN": recurrent, "ElmanRNN": recurrent}


def kernels(net, tokens, other=None) -> tuple[np.ndarray, np.ndarray]:
    """(NTK, NNGP) between two sets of texts, each (n, n')."""
    pair = REFERENCES[type(net).__name__]
    left = [tokens[i].ids.tolist() for i in range(len(tokens))]
    right = left if other is None else [other[i].ids.tolist() for i in range(len(other))]
    both = np.array([[pair(net, x, y) for y in right] for x in left]).reshape(len(left), len(right), 2)
    return both[:, :, 0], both[:, :, 1]


# ---- learning with the explicit n × n kernel (theory, part 4) --------------------------------------------------------


def targets(labels: list, loss: str) -> np.ndarray:
    """y (n, c): the last of two sorted classes is positive; one-hot for more, and for the softmax loss."""
    classes = sorted(set(labels))
    if len(classes) == 2 and loss != "softmax":
        low = 0.0 if loss == "logistic" else -1.0
        return np.array([[1.0 if label == classes[1] else low] for label in labels])
    return np.array([[float(label == name) for name in classes] for label in labels])


def slope(loss: str, f: np.ndarray, y: np.ndarray) -> np.ndarray:
    """∂ℓ/∂f (n, c)."""
    if loss == "squared":
        return f - y
    if loss == "logistic":
        return 1 / (1 + np.exp(-f)) - y
    power = np.exp(f - f.max(axis=1, keepdims=True))
    return power / power.sum(axis=1, keepdims=True) - y


def descend(kernel: np.ndarray, y: np.ndarray, loss: str, rate: float, steps: int) -> list[np.ndarray]:
    """Dual coefficients a (n, c) after 0, 1, …, steps steps of gradient descent."""
    duals = [np.zeros_like(y)]
    for _ in range(steps):
        duals.append(duals[-1] - rate / len(y) * slope(loss, kernel @ duals[-1], y))
    return duals


def flow(kernel: np.ndarray, y: np.ndarray, loss: str, times: np.ndarray) -> np.ndarray:
    """Dual coefficients (T, n, c) of gradient flow: by eigenvectors for the squared loss, else by a stiff solver."""
    n, c = y.shape
    times = np.asarray(times, float)
    if loss == "squared":
        values, vectors = np.linalg.eigh(kernel)
        values = np.maximum(values, 0.0) / n
        growth = [np.where(values > 1e-300, -np.expm1(-values * t) / np.where(values > 1e-300, values, 1), t) / n
                  for t in times]
        return np.stack([vectors @ (g[:, None] * (vectors.T @ y)) for g in growth])

    def rate(_, a):
        return -slope(loss, kernel @ a.reshape(n, c), y).ravel() / n

    def jacobian(_, a):
        f = kernel @ a.reshape(n, c)
        full = np.zeros((n, c, n, c))
        for i in range(n):
            if loss == "logistic":
                p = 1 / (1 + np.exp(-f[i, 0]))
                full[i, 0, :, 0] = -p * (1 - p) * kernel[i] / n
            else:
                p = slope("softmax", f[i:i + 1], 0 * f[i:i + 1])[0]
                full[i] = -np.einsum("kl,j->kjl", np.diag(p) - np.outer(p, p), kernel[i]) / n
        return full.reshape(n * c, n * c)

    done = integrate.solve_ivp(rate, (0.0, float(times[-1])), np.zeros(n * c), method="Radau", t_eval=times,
                               jac=jacobian, rtol=1e-8, atol=1e-10)
    assert done.success
    return done.y.T.reshape(len(times), n, c)
