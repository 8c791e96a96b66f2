"""Integrals over time: of what is known at the stops of a flow only, such as dual coefficients (theory, eq. 46), and of
exponentials times powers.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from math import factorial

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
POINTS = 6  # stops that the polynomial of a span goes through
NEAR = 1e-3  # difference of logarithms below which two times are too near for one polynomial
NODES, SHARES = np.polynomial.legendre.leggauss(12)  # Gauss and Legendre's rule, by which polynomials are integrated
SERIES = np.array([[1 / factorial(j + k) for j in range(18)] for k in (1, 3, 4)])  # of φ_1, φ_3 and φ_4


def integrals(times: Array, values: Iterable[Array], wanted: Collection[int] | None = None) -> Iterator[Array]:
    """∫₀ᵗ v ds at every time t (ascending, from 0 on), or at those of the wanted places, from the values of v at all
    times, which are asked for one by one and held while spans need them.

    Between two times v is the polynomial in log(t + t₁) through the POINTS times around them: a flow decays by
    exponentials of very different rates, which are smooth there.

    >>> times = np.concatenate([[0.0], np.geomspace(0.1, 30.0, 24)])
    >>> found = np.array(list(integrals(times, np.exp(-times))))
    >>> bool(np.all(np.abs(found - (1 - np.exp(-times))) < 1e-4))
    True
    """
    held, due = dict[int, Array](), dict[int, float]()  # values by place, and their weights that are not added yet
    coming, arrived, total = iter(values), 0, np.zeros(())
    for place, (low, weights) in enumerate([(0, np.zeros(1)), *_spans(times)]):
        for old in [other for other in held if other < low]:
            total = total + due.pop(old) * held.pop(old)
        while arrived < max(low + len(weights), place + 1):
            held[arrived], due[arrived], arrived = next(coming), 0.0, arrived + 1
        for other, weight in enumerate(weights.tolist(), start=low):
            due[other] += weight
        if wanted is None or place in wanted:
            for other, weight in due.items():
                total, due[other] = total + weight * held[other], 0.0
            yield total


def _spans(times: Array) -> Iterator[tuple[int, Array]]:
    """For every span between two times the first of the times that its polynomial goes through, and their weights: 0
    for times that are too near to another.
    """
    u = np.log(times + (times[1] if len(times) > 1 else 1.0))
    apart = [0]
    for place in range(1, len(u)):
        if u[place] - u[apart[-1]] > NEAR:
            apart.append(place)
    count, at = min(POINTS, len(apart)), np.array(apart)
    first = np.clip(np.searchsorted(at, np.arange(1, len(times))) - count // 2, 0, len(at) - count)
    used = at[first[:, None] + np.arange(count)]
    for low, places, share in zip(used[:, 0].tolist(), used - used[:, :1], _shares(u, u[used]), strict=True):
        weights = np.zeros(places[-1] + 1)
        weights[places] = share
        yield low, weights


def _shares(u: Array, knots: Array) -> Array:
    """∫ of the Lagrange polynomials of the knots (spans, count), times exp(u), over every span of u."""
    half = np.diff(u)[:, None] / 2
    within = u[:-1, None] + half * (NODES + 1)
    apart = knots[:, None, :] - knots[:, :, None] + np.eye(knots.shape[1])  # knot less another
    factors = (within[:, :, None, None] - knots[:, None, :, None]) / apart[:, None]
    factors[:, :, np.arange(knots.shape[1]), np.arange(knots.shape[1])] = 1.0
    return np.asarray(((half * SHARES * np.exp(within))[:, None] @ factors.prod(axis=2))[:, 0])


def phi_functions(x: Array) -> Array:
    """φ_1, φ_3 and φ_4 of x ≤ 0, where φ_k(x) = Σ_j x^j / (j + k)! = ∫₀¹ e^((1 − s) x) s^(k − 1) ds / (k − 1)!, k ≥ 1;
    shape (3, len(x)).

    >>> bool(np.allclose(phi_functions(np.array([0.0, -2.0]))[0], [1.0, (1 - np.exp(-2)) / 2]))
    True
    """
    near = x > -1.0
    small, large = np.where(near, x, 0.0), np.where(near, -1.0, x)
    first = np.expm1(large) / large
    third = ((first - 1) / large - 0.5) / large
    powers = np.empty((SERIES.shape[1], len(x)))
    powers[0], powers[1:] = 1.0, small
    np.multiply.accumulate(powers, axis=0, out=powers)
    return np.where(near, SERIES @ powers, np.array([first, third, (third - 1 / 6) / large]))
