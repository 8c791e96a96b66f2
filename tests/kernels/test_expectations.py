"""Q and Q' of every activation against high precision, by ways that share nothing with the library.

Where E[φ(u') | u] is known in closed form, one integral over u with 30 digits (mpmath) is left; for the activations
analytic in a strip (tanh, SiLU, sigmoid, softplus) the trapezoidal rule converges exponentially, and is itself checked
with mpmath.
"""

import itertools
import math

import mpmath as mp
import numpy as np
import pytest
from reference import ANALYTIC, trapezoid

from tangentlens.errors import OptionError
from tangentlens.kernels.activations import ACTIVATIONS, activation

SLOPE = mp.mpf("0.01")


def density(x):
    return mp.exp(-x * x / 2) / mp.sqrt(2 * mp.pi)


def positive_part(m, s):  # E[max(x, 0)] for x ~ N(m, s²)
    return m * mp.ncdf(m / s) + s * density(m / s) if s else max(m, mp.mpf(0))


def above(m, s):  # P(x > 0)
    return mp.ncdf(m / s) if s else mp.mpf(m > 0)


def growth_below(m, s):  # E[eˣ; x < 0]
    return mp.exp(m + s * s / 2) * mp.ncdf(-(m + s * s) / s) if s else mp.exp(m) * (m <= 0)


def gelu_mean(m, s):  # E[x Φ(x)]
    wide = mp.sqrt(1 + s * s)
    return m * mp.ncdf(m / wide) + s * s / wide * density(m / wide)


def gelu_slope_mean(m, s):  # E[Φ(x) + x φ(x)]; x φ(x) by completing the square
    wide = mp.sqrt(1 + s * s)
    return mp.ncdf(m / wide) + m / wide**3 * density(m / wide)


# E[φ(x)] and E[φ'(x)] for x ~ N(m, s²); s = 0 gives φ(m) and φ'(m)
MEANS = {
    "identity": (lambda m, s: m, lambda m, s: mp.mpf(1)),
    "relu": (positive_part, above),
    "leaky_relu": (lambda m, s: SLOPE * m + (1 - SLOPE) * positive_part(m, s),
                   lambda m, s: SLOPE + (1 - SLOPE) * above(m, s)),
    "elu": (lambda m, s: positive_part(m, s) + growth_below(m, s) - (1 - above(m, s)),
            lambda m, s: above(m, s) + growth_below(m, s) - (0 if s else mp.mpf(m == 0))),
    "erf": (lambda m, s: mp.erf(m / mp.sqrt(1 + 2 * s * s)),
            lambda m, s: 2 / mp.sqrt(mp.pi * (1 + 2 * s * s)) * mp.exp(-m * m / (1 + 2 * s * s))),
    "sin": (lambda m, s: mp.exp(-s * s / 2) * mp.sin(m), lambda m, s: mp.exp(-s * s / 2) * mp.cos(m)),
    "cos": (lambda m, s: mp.exp(-s * s / 2) * mp.cos(m), lambda m, s: -mp.exp(-s * s / 2) * mp.sin(m)),
    "gelu": (gelu_mean, gelu_slope_mean),
}
VARIANCES = (0.01, 0.3, 4.0, 25.0)
COSINES = (-1.0, -0.7, 0.0, 0.4, 0.999999, 1.0)
FEW = [(1.0, 1.0, 0.3), (0.3, 4.0, -0.6), (25.0, 25.0, 25.0), (0.01, 1.0, -0.1), (4.0, 0.3, 0.0)]
MANY = [(a, b, rho * math.sqrt(a * b)) for a, b in itertools.product(VARIANCES, repeat=2) if a <= b for rho in COSINES]


def by_conditioning(name, which, a, b, q):
    """E[φ(u) E[φ(u') | u]], one integral over u split at its kink and where the inner mean turns."""
    inner = MEANS[name][which]
    with mp.workdps(30):
        a, b, q = mp.mpf(a), mp.mpf(b), mp.mpf(q)
        rest = b - q * q / a
        s = mp.sqrt(rest) if rest > mp.mpf(10) ** -14 * b else mp.mpf(0)
        root = mp.sqrt(a)
        width = min(mp.mpf(2), 6 * s * root / abs(q), 2 / root) if q and s else min(mp.mpf(2), 2 / root)
        ends = [mp.mpf(0), width]
        while ends[-1] < 12:
            ends.append(min(mp.mpf(12), ends[-1] + min(mp.mpf(3), 2 * ends[-1])))
        points = [-end for end in ends[:0:-1]] + ends
        value = mp.mpf(0)
        nodes = _legendre()
        for low, high in itertools.pairwise(points):
            half, middle = (high - low) / 2, (high + low) / 2
            for node, weight in nodes:
                z = middle + half * node
                value += half * weight * density(z) * inner(root * z, mp.mpf(0)) * inner(q / root * z, s)
        return float(value)


def _legendre():
    if not _legendre.nodes:
        with mp.workdps(30):
            for x, w in zip(*np.polynomial.legendre.leggauss(24), strict=True):
                x = mp.findroot(lambda y: mp.legendre(24, y), mp.mpf(float(x)))  # to 30 digits
                slope = 24 * (x * mp.legendre(24, x) - mp.legendre(23, x)) / (x * x - 1)
                assert abs(2 / ((1 - x * x) * slope**2) - w) < 1e-12
                _legendre.nodes.append((x, 2 / ((1 - x * x) * slope**2)))
    return _legendre.nodes


_legendre.nodes = []


def check(name, which, triples):
    entry = activation(name)
    for a, b, q in triples:
        if name in MEANS:
            expected = by_conditioning(name, which, a, b, q)
        else:
            expected = trapezoid(ANALYTIC[name][which], ANALYTIC[name][which], a, b, q)
        actual = float((entry.slope_covariance if which else entry.covariance)(a, b, q))
        assert abs(actual - expected) < 1e-10 * max(1.0, abs(expected)), (a, b, q, actual, expected)


every_activation = pytest.mark.parametrize("name", ACTIVATIONS)
both = pytest.mark.parametrize("which", [0, 1], ids=["Q", "Q'"])


def test_every_activation_has_a_second_way():
    assert set(MEANS) | set(ANALYTIC) == set(ACTIVATIONS)


@every_activation
@both
def test_expectations_at_a_few_points(name, which):
    check(name, which, FEW)


@pytest.mark.slow
@every_activation
@both
def test_expectations_on_a_grid(name, which):
    check(name, which, MANY)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["tanh", "silu", "sigmoid", "softplus"])
@both
def test_the_trapezoidal_rule_is_exact_enough(name, which):
    """Against a Gauss–Legendre rule with 20 digits, and against half the step."""
    f = ANALYTIC[name][which]
    with mp.workdps(20):
        logistic = lambda x: 1 / (1 + mp.exp(-x))  # noqa: E731
        exact = {"tanh": (mp.tanh, lambda x: mp.sech(x) ** 2),
                 "silu": (lambda x: x * logistic(x), lambda x: logistic(x) * (1 + x * logistic(-x))),
                 "sigmoid": (logistic, lambda x: logistic(x) * logistic(-x)),
                 "softplus": (lambda x: mp.log1p(mp.exp(x)), logistic)}[name][which]
        nodes = [(3 * panel + 1.5 * (1 + x), 1.5 * w) for panel in range(-3, 3) for x, w in _legendre()]
        nodes = [(z, w * density(z)) for z, w in nodes]
        left, right = mp.mpf("0.6"), mp.mpf("0.8")
        expected = mp.fsum(w * exact(z) * mp.fsum(v * exact(left * z + right * y) for y, v in nodes) for z, w in nodes)
    assert abs(trapezoid(f, f, 1.0, 1.0, 0.6) - float(expected)) < 1e-14
    for a, b, q in MANY:
        coarse, fine = trapezoid(f, f, a, b, q), trapezoid(f, f, a, b, q, step=0.1)
        assert abs(coarse - fine) < 1e-12 * max(1.0, abs(fine))


@pytest.mark.parametrize("name", [name for name in ACTIVATIONS if "relu" not in name])
@pytest.mark.parametrize(("a", "b"), [(1.0, 1.0), (0.2, 3.0), (9.0, 2.0)])
def test_price_theorem(name, a, b):
    """Q' = ∂Q/∂q: central differences of fourth order."""
    entry, h = activation(name), 2e-3
    for q in np.array([-0.6, 0.0, 0.35, 0.8]) * math.sqrt(a * b):
        side = [float(entry.covariance(a, b, q + step * h)) for step in (-2, -1, 1, 2)]
        difference = (side[0] - 8 * side[1] + 8 * side[2] - side[3]) / (12 * h)
        assert abs(float(entry.slope_covariance(a, b, q)) - difference) < 1e-8


@every_activation
def test_expectations_broadcast_and_are_symmetric_in_the_two_variances(name):
    entry = activation(name)
    a, b, q = np.array([[0.5], [2.0]]), np.array([1.0, 3.0, 0.5]), 0.3
    for expectation in (entry.covariance, entry.slope_covariance):
        table = expectation(a, b, q)
        assert table.shape == (2, 3)
        np.testing.assert_allclose(table[1, 1], expectation(2.0, 3.0, q), rtol=1e-15)
        np.testing.assert_allclose(table.T, expectation(b[:, None], a.ravel(), q), rtol=1e-12, atol=1e-13)


@every_activation
def test_covariances_beyond_the_limit_count_as_the_limit(name):
    """Only rounding takes |q| beyond √(ab)."""
    entry = activation(name)
    for sign in (-1.0, 1.0):
        beyond = sign * math.sqrt(0.7 * 1.9) * (1 + 1e-15)
        for expectation in (entry.covariance, entry.slope_covariance):
            assert abs(expectation(0.7, 1.9, beyond) - expectation(0.7, 1.9, sign * math.sqrt(0.7 * 1.9))) < 1e-12


@every_activation
def test_a_zero_variance_is_a_constant(name):
    """u' = 0 for certain: Q = φ(0) E[φ(u)]."""
    entry = activation(name)
    constant = float(entry.function(np.zeros(1))[0])
    expected = constant * float(entry.covariance(1.3, 1.3, 0.0)) ** 0.5 if constant else 0.0
    assert abs(float(entry.covariance(1.3, 0.0, 0.0)) - expected) < 1e-12
    assert abs(float(entry.covariance(0.0, 0.0, 0.0)) - constant**2) < 1e-12


def test_an_unknown_activation_is_named_with_the_nearest():
    with pytest.raises(OptionError, match='unknown activation "rely": did you mean "relu"'):
        activation("rely")
