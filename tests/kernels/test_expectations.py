"""Q and Q' of every activation against high precision, by ways that share nothing with the library.

Where E[φ(u') | u] is known in closed form, one integral over u is left, with 30 digits (mpmath) at a few points and in
float64 at many; for the activations analytic in a strip (tanh, SiLU, sigmoid, softplus) the trapezoidal rule converges
exponentially, in NumPy's longest floats (18 digits where the processor has them).
"""

import itertools
import math
from functools import partial

import mpmath as mp
import numpy as np
import pytest
from reference import ANALYTIC, trapezoid
from scipy import special

from tangentlens.errors import OptionError
from tangentlens.kernels.activations import ACTIVATIONS, activation


class Double:
    """The functions of mpmath that are used here, of whole arrays in float64."""

    exp, sqrt, sin, cos, pi, erf, ncdf = np.exp, np.sqrt, np.sin, np.cos, np.pi, special.erf, special.ndtr
    mpf = partial(np.asarray, dtype=float)


def density(x, lib):
    return lib.exp(-x * x / 2) / lib.sqrt(2 * lib.pi)


def positive_part(m, s, lib):  # E[max(x, 0)] for x ~ N(m, s²)
    return m * lib.ncdf(m / s) + s * density(m / s, lib) if s else m * lib.mpf(m > 0)


def above(m, s, lib):  # P(x > 0)
    return lib.ncdf(m / s) if s else lib.mpf(m > 0)


def growth_below(m, s, lib):  # E[eˣ; x < 0]
    return lib.exp(m + s * s / 2) * lib.ncdf(-(m + s * s) / s) if s else lib.exp(m) * lib.mpf(m <= 0)


def gelu_mean(m, s, lib):  # E[x Φ(x)]
    wide = lib.sqrt(1 + s * s)
    return m * lib.ncdf(m / wide) + s * s / wide * density(m / wide, lib)


def gelu_slope_mean(m, s, lib):  # E[Φ(x) + x φ(x)]; x φ(x) by completing the square
    wide = lib.sqrt(1 + s * s)
    return lib.ncdf(m / wide) + m / wide**3 * density(m / wide, lib)


# E[φ(x)] and E[φ'(x)] for x ~ N(m, s²); s = 0 gives φ(m) and φ'(m)
MEANS = {
    "identity": (lambda m, s, lib: m, lambda m, s, lib: lib.mpf(1)),
    "relu": (positive_part, above),
    "leaky_relu": (lambda m, s, lib: 0.01 * m + 0.99 * positive_part(m, s, lib),
                   lambda m, s, lib: 0.01 + 0.99 * above(m, s, lib)),
    "elu": (lambda m, s, lib: positive_part(m, s, lib) + growth_below(m, s, lib) - (1 - above(m, s, lib)),
            lambda m, s, lib: above(m, s, lib) + growth_below(m, s, lib) - (0 if s else lib.mpf(m == 0))),
    "erf": (lambda m, s, lib: lib.erf(m / lib.sqrt(1 + 2 * s * s)),
            lambda m, s, lib: 2 / lib.sqrt(lib.pi * (1 + 2 * s * s)) * lib.exp(-m * m / (1 + 2 * s * s))),
    "sin": (lambda m, s, lib: lib.exp(-s * s / 2) * lib.sin(m), lambda m, s, lib: lib.exp(-s * s / 2) * lib.cos(m)),
    "cos": (lambda m, s, lib: lib.exp(-s * s / 2) * lib.cos(m), lambda m, s, lib: -lib.exp(-s * s / 2) * lib.sin(m)),
    "gelu": (gelu_mean, gelu_slope_mean),
}
VARIANCES = (0.01, 1.0, 25.0)
COSINES = (-1.0, -0.999999, -0.7, 0.0, 0.4, 0.999999, 1.0)
FEW = [(1.0, 1.0, 0.3), (0.3, 4.0, -0.6), (25.0, 25.0, 25.0), (0.01, 1.0, -0.1), (4.0, 0.3, 0.0)]
MANY = [(a, b, rho * math.sqrt(a * b)) for a, b in itertools.product(VARIANCES, repeat=2) if a <= b for rho in COSINES]
TOLERANCE = 1e-12  # of √(E[φ(u)²] E[φ(u')²]), which bounds |Q|


def logistic(x, lib):
    return 1 / (1 + lib.exp(-x))


# φ, φ' by the functions of NumPy or mpmath, and how far from the real axis they are analytic
STRIPS = {
    "tanh": (lambda x, lib: lib.tanh(x), lambda x, lib: 1 - lib.tanh(x) ** 2, math.pi / 2),
    "silu": (lambda x, lib: x * logistic(x, lib),
             lambda x, lib: logistic(x, lib) * (1 + x * logistic(-x, lib)), math.pi),
    "sigmoid": (logistic, lambda x, lib: logistic(x, lib) * logistic(-x, lib), math.pi),
    "softplus": (lambda x, lib: lib.log1p(lib.exp(x)), logistic, math.pi),
}
LONG = np.longdouble


def by_conditioning(name, which, a, b, q, lib=mp):
    """E[φ(u) E[φ(u') | u]], one integral over u split at its kink and where the inner mean turns."""
    inner = MEANS[name][which]
    with mp.workdps(30):
        a, b, q = lib.mpf(a), lib.mpf(b), lib.mpf(q)
        rest = b - q * q / a
        s = lib.sqrt(rest) if rest > 1e-14 * b else 0
        root = lib.sqrt(a)
        width = min(2, 2 / root, (6 * s if s else 1) * root / abs(q) if q else 2)
        ends = [0 * root, width]
        while ends[-1] < 12:
            ends.append(min(12, ends[-1] + min(3, 2 * ends[-1])))
        points = [-end for end in ends[:0:-1]] + ends
        panels = [((high - low) / 2, (high + low) / 2) for low, high in itertools.pairwise(points)]
        nodes = [(middle + half * node, half * weight) for half, middle in panels for node, weight in _legendre()]
        if lib is Double:
            nodes = [tuple(np.array(nodes, dtype=float).T)]
        return float(sum(np.sum(weight * density(z, lib) * inner(root * z, 0, lib) * inner(q / root * z, s, lib))
                         for z, weight in nodes))


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


def by_lattice(name, which, a, b, q, digits=21):
    """The trapezoidal rule in u = √a z and u' = c z + s w, with steps such that u' stays on one lattice."""
    f, pole = STRIPS[name][which], STRIPS[name][2]

    def step(strip):  # the rule errs by exp(y²/2 − 2π y/h) for every y up to the strip and 2π/h
        away = digits * math.log(10)
        return 2 * math.pi * strip / (away + strip**2 / 2) if strip**2 < 2 * away else math.pi * math.sqrt(2 / away)

    def rule(h):  # nodes in units of h, and weights
        places = np.arange(-math.ceil(reach / h), math.ceil(reach / h) + 1).astype(LONG)
        return places, h * np.exp(-((h * places) ** 2) / 2) / np.sqrt(8 * np.arctan(LONG(1)))

    reach = math.ceil(math.sqrt(2 * digits * math.log(10)))
    a, b, q = LONG(a), LONG(b), LONG(q)
    root = np.sqrt(a)
    c, rest = q / root, b - q * q / a
    h = LONG(step(pole / max(root, abs(c))))
    places, outer = rule(h)
    outer = outer * f(root * h * places, np)
    if rest < 1e-14 * b:
        return float(outer @ f(c * h * places, np))
    s = np.sqrt(rest)
    fine, along, across = s * step(pole / s), 0, 1  # a step in z moves u' by `along` units, one in w by `across`
    if q:
        along = math.ceil(abs(c) * h / fine)
        across = max(1, math.floor(fine * along / (abs(c) * h)))
    unit = c * h / along if q else fine
    steps, weights = rule(abs(unit) * across / s)
    return float(outer @ (f(unit * (along * places[:, None] + across * steps), np) @ weights))


def errors(name, which, triples, lib=mp):
    """|Q − expected| / √(Q(a, a, a) Q(b, b, b)) for every (a, b, q), the variances in either order."""
    entry = activation(name)
    expectation = entry.slope_covariance if which else entry.covariance
    for a, b, q in triples:
        expected = by_conditioning(name, which, a, b, q, lib) if name in MEANS else by_lattice(name, which, a, b, q)
        scale = math.sqrt(float(expectation(a, a, a)) * float(expectation(b, b, b)))
        for first, second in ((a, b), (b, a)):
            yield abs(float(expectation(first, second, q)) - expected) / scale, (first, second, q)


every_activation = pytest.mark.parametrize("name", ACTIVATIONS)
both = pytest.mark.parametrize("which", [0, 1], ids=["Q", "Q'"])


def test_every_activation_has_a_second_way():
    assert sorted([*MEANS, *STRIPS]) == sorted(ACTIVATIONS)


@every_activation
@both
def test_expectations_at_a_few_points(name, which):
    assert max(errors(name, which, FEW))[0] < TOLERANCE


@pytest.mark.slow
@every_activation
@both
def test_expectations_on_a_grid(name, which):
    """In float64, which a few points show to be exact enough."""
    assert max(errors(name, which, MANY, Double))[0] < TOLERANCE


@pytest.mark.parametrize("name", MEANS)
@both
def test_the_second_way_is_the_same_in_float64(name, which):
    for triple in FEW:
        exact, found = (by_conditioning(name, which, *triple, lib) for lib in (mp, Double))
        assert abs(found - exact) < 1e-14 * max(1, abs(exact))


@pytest.mark.skipif(np.finfo(LONG).eps > 1e-18, reason="the longest floats of this processor have 64 bits")
@pytest.mark.parametrize("name", STRIPS)
@both
def test_the_second_way_agrees_with_a_third(name, which):
    """The lattice with twice as many digits, a Gauss–Legendre rule, and the one in float64 of reference.py."""
    for a, b, q in FEW[:3]:
        assert abs(by_lattice(name, which, a, b, q) / by_lattice(name, which, a, b, q, digits=30) - 1) < 1e-15
    nodes = [(3 * panel + 1.5 * (1 + x), 1.5 * w) for panel in range(-3, 3) for x, w in _legendre()]
    f, left, right = partial(STRIPS[name][which], lib=mp), mp.mpf("0.6"), mp.mpf("0.8")
    with mp.workdps(20):
        nodes = [(z, w * density(z, mp)) for z, w in nodes]
        expected = mp.fsum(w * f(z) * mp.fsum(v * f(left * z + right * y) for y, v in nodes) for z, w in nodes)
    assert abs(by_lattice(name, which, 1.0, 1.0, 0.6) - float(expected)) < 1e-15
    for a, b, q in FEW:
        expected = by_lattice(name, which, a, b, q)
        assert abs(trapezoid(ANALYTIC[name][which], ANALYTIC[name][which], a, b, q) - expected) < 1e-12


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
