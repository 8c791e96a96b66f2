"""E[f(u) g(u')] for a Gaussian pair by composite Gauss–Legendre quadrature (theory, eq. 14)."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Function = Callable[[Array], Array]

REACH = 10.0  # standard deviations: the Gaussian tail beyond is 1.5e-23
NODES, WEIGHTS = np.polynomial.legendre.leggauss(20)
GROWTH = 1.5  # each panel is half as wide as its far end is away from the centre


def bivariate(f: Function, g: Function, a: float, b: float, q: float) -> float:
    """E[f(u) g(u')] for (u, u') ~ N(0, [[a, q], [q, b]]), to about 1e-12 for functions analytic on each side of 0.

    With u = √a z and u' = c z + s w, c = q/√a, s = √(b − c²), both integrals run over panels that shrink
    geometrically towards the point where the function bends (u = 0, u' = 0), so kinks and the poles next to
    the real axis at large variance are resolved alike.
    """
    if a < b:  # the outer variable is the one with the larger variance
        f, g, a, b = g, f, b, a
    if a == 0.0:
        zero = np.zeros(1)
        return float((f(zero) * g(zero))[0])
    root = np.sqrt(a)
    c = q / root
    s = np.sqrt(max(b - c * c, 0.0))
    if s * s <= 1e-15 * b or b == 0.0:
        z, weight = _gauss_panels(min(1.0, 1.0 / root))
        return float(np.sum(weight * f(root * z) * g(c * z)))
    if q == 0.0:
        return float(mean(f, a) * mean(g, b))
    bend = min(1.0, 1.0 / root, max(s / abs(c), 1e-6), 1.0 / max(abs(c), 1e-3))
    z, weight = _gauss_panels(bend)
    w, inner_weight = _centred_panels(-c * z / s, min(1.0, 1.0 / s))
    inner = np.sum(inner_weight * g(c * z[:, None] + s * w), axis=1)
    return float(np.sum(weight * f(root * z) * inner))


def mean(f: Function, a: float) -> float:
    """E[f(u)] for u ~ N(0, a)."""
    z, weight = _gauss_panels(min(1.0, 1.0 / np.sqrt(a)) if a else 1.0)
    return float(np.sum(weight * f(np.sqrt(a) * z)))


def _half_edges(first: float, end: float) -> Array:
    """Panel ends 0 < first < … < end, growing geometrically up to width 1."""
    edges = [0.0, first]
    while edges[-1] < end:
        edges.append(edges[-1] + min(1.0, (GROWTH - 1.0) * edges[-1]))
    edges[-1] = end
    return np.array(edges)


def _gauss_panels(bend: float) -> tuple[Array, Array]:
    """Nodes z (N,) and weights (N,) of the standard normal measure, panels refined towards 0."""
    nodes, weights = _centred_panels(np.zeros(1), bend)
    return nodes[0], weights[0]


def _centred_panels(centre: Array, bend: float) -> tuple[Array, Array]:
    """Nodes and weights (len(centre), N) of the standard normal measure, panels refined towards each centre."""
    half = _half_edges(bend, 2 * REACH + 1)
    edges = np.concatenate([-half[:0:-1], half])
    edges = np.clip(np.clip(centre, -REACH, REACH)[:, None] + edges, -REACH, REACH)
    keep = np.any(np.diff(edges, axis=1) > 0, axis=0)
    low, high = edges[:, :-1][:, keep], edges[:, 1:][:, keep]
    width = (high - low)[:, :, None] / 2
    nodes = (low + high)[:, :, None] / 2 + width * NODES
    weights = width * WEIGHTS * np.exp(-nodes * nodes / 2) / np.sqrt(2 * np.pi)
    return nodes.reshape(len(centre), -1), weights.reshape(len(centre), -1)
