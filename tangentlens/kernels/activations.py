"""Gaussian expectations of activations: Q(a, b, q) = E[φ(u) φ(u')] and Q'(a, b, q) = E[φ'(u) φ'(u')]."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

from tangentlens.errors import OptionError, nearest
from tangentlens.kernels import quadrature

Array = NDArray[np.float64]
Expectation = Callable[[Array, Array, Array], Array]
LEAKY_SLOPE = 0.01
DEGENERATE = 16 * np.finfo(np.float64).eps  # closer to ±√(ab) is rounding; the angle would turn it into 1e-8


@dataclass(frozen=True)
class Activation:
    """One activation φ: the function, its derivative, and its two Gaussian expectations.

    `covariance` is Q and `slope_covariance` is Q'; both take variances a, b and a covariance q, of any shapes that
    broadcast. |q| is cut at √(ab), which only rounding exceeds.

    >>> relu = activation("relu")
    >>> float(relu.covariance(1.0, 1.0, 1.0)), float(relu.slope_covariance(1.0, 1.0, 0.0))
    (0.5, 0.25)
    """

    name: str
    function: Callable[[Array], Array]
    derivative: Callable[[Array], Array]
    closed: tuple[Expectation, Expectation] | None = None

    def covariance(self, a: ArrayLike, b: ArrayLike, q: ArrayLike) -> Array:
        """Q(a, b, q) = E[φ(u) φ(u')]."""
        return self._expect(0, a, b, q)

    def slope_covariance(self, a: ArrayLike, b: ArrayLike, q: ArrayLike) -> Array:
        """Q'(a, b, q) = E[φ'(u) φ'(u')] = ∂Q/∂q (Price's theorem)."""
        return self._expect(1, a, b, q)

    def _expect(self, which: int, *arguments: ArrayLike) -> Array:
        a, b, q = np.broadcast_arrays(*(np.asarray(x, dtype=np.float64) for x in arguments))
        limit = np.sqrt(a) * np.sqrt(b)
        q = np.clip(q, -limit, limit)
        if self.closed is not None:
            return self.closed[which](a, b, q)
        triples, inverse = np.unique(np.stack([a, b, q], axis=-1).reshape(-1, 3), axis=0, return_inverse=True)
        values = np.array([_by_quadrature(self.name, which, *map(float, triple)) for triple in triples])
        return np.asarray(values[inverse].reshape(a.shape))


def activation(name: str) -> Activation:
    """The activation of that name; raises OptionError naming those that exist."""
    if name not in ACTIVATIONS:
        raise OptionError(f'unknown activation "{name}": {nearest(name, ACTIVATIONS)}')
    return ACTIVATIONS[name]


@cache
def _by_quadrature(name: str, which: int, a: float, b: float, q: float) -> float:
    entry = ACTIVATIONS[name]
    f = entry.derivative if which else entry.function
    return quadrature.bivariate(f, f, a, b, q)


def _angle(a: Array, b: Array, q: Array) -> tuple[Array, Array]:
    """√(ab − q²) and the angle θ between u and u', cos θ = q/√(ab)."""
    limit = np.sqrt(a) * np.sqrt(b)
    room = limit - np.abs(q)
    root = np.sqrt(np.where(room <= DEGENERATE * limit, 0.0, room) * (limit + np.abs(q)))
    return root, np.arctan2(root, q)


def _relu(a: Array, b: Array, q: Array) -> Array:
    root, angle = _angle(a, b, q)
    return (root + q * (np.pi - angle)) / (2 * np.pi)


def _relu_slope(a: Array, b: Array, q: Array) -> Array:
    return (np.pi - _angle(a, b, q)[1]) / (2 * np.pi)


def _leaky(a: Array, b: Array, q: Array) -> Array:
    return (1 + LEAKY_SLOPE**2) * _relu(a, b, q) - 2 * LEAKY_SLOPE * _relu(a, b, -q)


def _leaky_slope(a: Array, b: Array, q: Array) -> Array:
    same = _relu_slope(a, b, q)
    return (1 + LEAKY_SLOPE**2) * same + 2 * LEAKY_SLOPE * (0.5 - same)


def _erf(a: Array, b: Array, q: Array) -> Array:
    return 2 / np.pi * np.arcsin(2 * q / np.sqrt((1 + 2 * a) * (1 + 2 * b)))


def _erf_slope(a: Array, b: Array, q: Array) -> Array:
    return 4 / np.pi / np.sqrt((1 + 2 * a) * (1 + 2 * b) - 4 * q * q)


def _sin(a: Array, b: Array, q: Array) -> Array:
    return (np.exp(q - (a + b) / 2) - np.exp(-q - (a + b) / 2)) / 2


def _cos(a: Array, b: Array, q: Array) -> Array:
    return (np.exp(q - (a + b) / 2) + np.exp(-q - (a + b) / 2)) / 2


def _gelu(a: Array, b: Array, q: Array) -> Array:
    det = (1 + a) * (1 + b) - q * q
    half = 1 / (1 + a) + 1 / (1 + b) - 1
    arc = np.arcsin(q / np.sqrt((1 + a) * (1 + b)))
    return q / 4 + (q * arc + (a * b + q * q * half) / np.sqrt(det)) / (2 * np.pi)


def _gelu_slope(a: Array, b: Array, q: Array) -> Array:
    det = (1 + a) * (1 + b) - q * q
    half = 1 / (1 + a) + 1 / (1 + b) - 1
    arc = np.arcsin(q / np.sqrt((1 + a) * (1 + b)))
    rest = (q + 2 * q * half + q * (a * b + q * q * half) / det) / np.sqrt(det)
    return 0.25 + (arc + rest) / (2 * np.pi)


def _silu_derivative(x: Array) -> Array:
    s = special.expit(x)
    return np.asarray(s * (1 + x * special.expit(-x)))


def _gelu_derivative(x: Array) -> Array:
    return np.asarray(special.ndtr(x) + x * np.exp(-x * x / 2) / np.sqrt(2 * np.pi))


def _one(x: Array) -> Array:
    return np.ones_like(x)


def _elu(x: Array) -> Array:
    return np.where(x > 0, x, np.expm1(np.minimum(x, 0)))


ACTIVATIONS: dict[str, Activation] = {
    entry.name: entry
    for entry in (
        Activation("identity", lambda x: x, _one, (lambda a, b, q: q.copy(), lambda a, b, q: np.ones_like(q))),
        Activation("relu", lambda x: np.maximum(x, 0), lambda x: np.where(x > 0, 1.0, 0.0), (_relu, _relu_slope)),
        Activation("leaky_relu", lambda x: np.where(x > 0, x, LEAKY_SLOPE * x),
                   lambda x: np.where(x > 0, 1.0, LEAKY_SLOPE), (_leaky, _leaky_slope)),
        Activation("erf", special.erf, lambda x: 2 / np.sqrt(np.pi) * np.exp(-x * x), (_erf, _erf_slope)),
        Activation("sin", np.sin, np.cos, (_sin, _cos)),
        Activation("cos", np.cos, lambda x: -np.sin(x), (_cos, _sin)),
        Activation("gelu", lambda x: x * special.ndtr(x), _gelu_derivative, (_gelu, _gelu_slope)),
        Activation("silu", lambda x: x * special.expit(x), _silu_derivative),
        Activation("tanh", np.tanh, lambda x: 1 - np.tanh(x) ** 2),
        Activation("sigmoid", special.expit, lambda x: special.expit(x) * special.expit(-x)),
        Activation("softplus", lambda x: np.logaddexp(x, 0), special.expit),
        Activation("elu", _elu, lambda x: np.exp(np.minimum(x, 0))),
    )
}
