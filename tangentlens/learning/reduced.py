"""Gradient flow of m coefficients: the small dense problem that the flow becomes in a basis (theory, eq. 58)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tangentlens.data.threads import parallel, workers
from tangentlens.learning.integrals import phi_functions
from tangentlens.learning.losses import Targets
from tangentlens.learning.tall import BLOCK, columnwise, times

Array = NDArray[np.float64]
FIRST = 0.15  # first step of the first path, as a share of the whole way
KEPT = 3  # steps for which a Jacobian serves while the error stays far below what is allowed
NEAR = 0.1  # share of the time since a path began by which another may be off for its Jacobian to serve
SHARED = 2**20  # entries of F above which work on it is shared between processors


@dataclass
class ReducedFlow:
    """dz/dt = −(1/n) Fᵀ g(F z), g = ∂ℓ/∂f, solved by the exponential Rosenbrock method exprb43.

    The Jacobian −(1/n) Fᵀ H F is symmetric, so φ-functions are exact in its eigenbasis, and stiffness costs nothing.
    Source: Hochbruck, Ostermann, Schweitzer, SIAM J. Numer. Anal. 47 (2009), method exprb43.

    Shapes: F (n c, m) outputs of the m basis vectors on the training texts. F may be of 32 bits: its columns differ by
    orders of magnitude, and each is rounded by itself, so that slow modes are as exact as fast ones. Sums over texts
    are of 64 bits from block to block. narrow: slopes and curvatures of the loss are worked out in 32 bits, too.
    """

    outputs: Array
    targets: Targets
    narrow: bool = False

    def f(self, z: Array) -> Array:
        """Outputs F z; shape (n, c)."""
        return times(self.outputs, z[:, None]).reshape(self.targets.y.shape)

    def slope(self, f: Array, rows: slice = slice(None)) -> Array:
        """∂ℓ/∂f / n at the outputs f of some texts; shape (their number times c,)."""
        f = f.astype(np.float32, copy=False) if self.narrow else f
        y = self._y if f.dtype == np.float32 else self.targets.y
        return self.targets.loss.slope(f, y[rows]).ravel() / len(y)

    def at(self, z: Array) -> tuple[Array, Array]:
        """Outputs F z (n, c) and dz/dt (m,) there; a block of F serves for both while it is in the cache."""
        n, c = self.targets.y.shape
        y, loss, dtype = self._y, self.targets.loss, self.outputs.dtype
        if self._whole:
            f = np.asarray(self.outputs @ z).reshape(n, c)
            return f, -(self.slope(f) @ self.outputs)
        f, narrow = np.empty((n, c)), z.astype(dtype)

        def work(blocks: list[slice]) -> Array:
            total = np.zeros(len(z))
            for rows in blocks:
                block = self.outputs[rows.start * c:rows.stop * c]
                here = (block @ narrow).reshape(-1, c)
                f[rows] = here
                slope = loss.slope(here.astype(self._kind, copy=False), y[rows])
                total -= slope.ravel().astype(dtype, copy=False) @ block
            return total

        return f, np.add.reduce(parallel(work, self._shares())) / n

    @property
    def _kind(self) -> Any:
        """Of the outputs that slopes and curvatures are worked out from."""
        return np.float32 if self.narrow else self.outputs.dtype

    @property
    def _y(self) -> NDArray[Any]:
        """The targets in as many bits."""
        return self.targets.y_in_32_bits if self._kind == np.float32 else self.targets.y

    @property
    def _whole(self) -> bool:
        """Whether F is one block, of 64 bits."""
        return self.outputs.nbytes <= BLOCK and self.outputs.dtype == np.float64

    def _shares(self) -> list[list[slice]]:
        """For every processor its runs of texts; one processor where there is too little work to share."""
        n = len(self.targets.y)
        size = max(1, BLOCK * n // max(1, self.outputs.nbytes))
        blocks = [slice(low, min(low + size, n)) for low in range(0, n, size)]
        each = -(-len(blocks) // workers()) if self.outputs.size >= SHARED else max(1, len(blocks))
        return [blocks[low:low + each] for low in range(0, len(blocks), each)]

    def gram(self, f: Array) -> Array:
        """Fᵀ H F / n at outputs f, (m, m): minus the Jacobian."""
        n, c = self.targets.y.shape
        outputs, bend = self.outputs.reshape(n, c, -1), self.targets.loss.bend
        m = outputs.shape[2]

        def work(blocks: list[slice]) -> Array:
            total = np.zeros((m, m))
            most = max(rows.stop - rows.start for rows in blocks)
            room = np.empty((m, most, c), outputs.dtype).transpose(1, 2, 0)  # columns one after another, as in F
            for rows in blocks:
                x = outputs[rows]
                bent = bend(f[rows].astype(self._kind), x, room[:len(x)]).reshape(-1, m)
                total += bent.T @ bent
            return total

        return np.asarray(np.add.reduce(parallel(work, self._shares())) / n)

    def modes(self, f: Array) -> tuple[Array, Array]:
        """Eigenvalues (m,) ≤ 0 and eigenvectors (m, m) of the Jacobian at outputs f."""
        return _modes(self.gram(f))

    def begin(self, z: Array, before: Start | None = None) -> Start:
        """The start of a path from z; from that of a path in fewer vectors, if z has no part in the others."""
        if before is None:
            f, rate = self.at(z)
            return Start(f, rate, self.gram(f))
        if len(before.rate) == len(z):
            return before
        n, c = self.targets.y.shape
        known, f, loss = len(before.rate), before.f, self.targets.loss
        outputs, y = self.outputs.reshape(n, c, -1), self._y

        def work(blocks: list[slice]) -> Array:
            total = np.zeros((len(z), len(z) - known + 1))
            for rows in blocks:
                x, there = outputs[rows], f[rows].astype(self._kind)
                both = np.concatenate([loss.curve(there, x[:, :, known:]), loss.slope(there, y[rows])[:, :, None]],
                                      axis=2, dtype=x.dtype).reshape(-1, total.shape[1])
                total += columnwise(x.reshape(-1, len(z)).T, both)
            return total

        both = np.add.reduce(parallel(work, self._shares())) / n
        rate, gram = np.concatenate([before.rate, -both[known:, -1]]), np.empty((len(z), len(z)))
        gram[:known, :known], gram[:, known:], gram[known:, :known] = before.gram, both[:, :-1], both[:known, :-1].T
        return Start(f, rate, gram)

    def path(self, z: Array, t: float, stops: Array, tolerance: float, start: Start | None = None,
             met: Met | None = None) -> Iterator[Array]:
        """The flow from z at time t: yields z at every stop (ascending, from t on), the last of them reached exactly.

        tolerance: of every step, relative, for the difference to the embedded method of order three. What is yielded
        errs by a small part of that. The squared loss has a linear flow, exact without steps; its last stop may be
        infinite, since it comes to rest.
        start: `begin(z)`, where that is known; met: Jacobians of an earlier path, to which those of this one are added.
        """
        ends = stops[np.isfinite(stops)]
        waiting = int(np.searchsorted(ends, t, side="right"))
        yield from (z for _ in ends[:waiting])
        if waiting < len(ends):
            start = start or self.begin(z)
            yield from (start.linear(z, ends[waiting:] - t) if self.targets.loss.linear else
                        self._steps(z, t, ends[waiting:], tolerance, start, met or Met()))
        if len(ends) < len(stops):
            yield self.rest()

    def _steps(self, z: Array, t: float, stops: Array, tolerance: float, start: Start, met: Met) -> Iterator[Array]:
        """The flow through finite stops; steps are as long as the tolerance allows, whatever stops lie within."""
        begun, end, f, rate = t, float(stops[-1]), start.f, start.rate
        modes, age, step, place = start.modes, 0, met.first * (end - t), 0
        while t < end:
            new = z
            while True:
                last = step >= end - t
                taken = min(step, end - t)
                tried = self._step(z, taken, rate, modes)
                new = tried.end
                excess = tried.error / (tolerance * max(float(np.linalg.norm(new)), 1e-300))
                if excess <= 1:
                    break
                if age:  # an old Jacobian may be to blame
                    modes, age = met.noted(t - begun, Start(f, rate, self.gram(f))).modes, 0
                    continue
                step = taken * max(0.2, 0.9 * excess**-0.25)
            within = stops[place:-1][stops[place:-1] <= t + taken]
            if len(within):
                yield from tried.at(within - t)
            place += len(within)
            age += 1 if excess < 0.1 else KEPT
            step = taken * 0.9 * max(excess, 1e-12) ** -0.25
            if t == begun:
                met.first = step / (end - begun)
            step = min(step, 4.0 * taken)
            t, z = (end if last else t + taken), new
            if t < end:
                f, rate = self.at(z)
                if age >= KEPT:
                    before = met.near(t - begun)
                    now = Start(f, rate, self.gram(f)) if before is None else self.begin(z, before)
                    modes, age = met.noted(t - begun, now).modes, int(before is not None)
        yield z

    def rest(self) -> Array:
        """Where the flow of the squared loss ends: the least-squares solution of smallest norm."""
        return np.asarray(np.linalg.lstsq(self.outputs, self.targets.y.ravel(), rcond=1e-12)[0], dtype=np.float64)

    def _step(self, z: Array, h: float, rate: Array, modes: tuple[Array, Array]) -> _Step:
        """One step of exprb43, whose stages are at h / 2 and h."""
        values, vectors = modes
        both = phi_functions(np.concatenate([values * (h / 2), values * h]))
        half, (one, three, four) = both[0, :len(values)], both[:, len(values):]
        r = vectors.T @ rate

        def remainder(move: Array) -> Array:  # D = N(z + move) − N(z), in the eigenbasis
            return np.asarray(vectors.T @ self.at(z + vectors @ move)[1] - r - values * move)

        second = remainder(h / 2 * half * r)
        third = remainder(h * one * (r + second))
        square, cubic = 16 * second - 2 * third, 12 * third - 48 * second
        end = z + vectors @ (h * (one * r + three * square + four * cubic))
        return _Step(z, h, modes, (r, square, cubic), end, float(np.linalg.norm(h * four * cubic)))


@dataclass(frozen=True, eq=False)
class Start:
    """Where a path begins: outputs f (n, c), dz/dt (m,), and Fᵀ H F / n (m, m)."""

    f: Array
    rate: Array
    gram: Array

    @cached_property
    def modes(self) -> tuple[Array, Array]:
        """Eigenvalues ≤ 0 and eigenvectors of the Jacobian."""
        return _modes(self.gram)

    def linear(self, z: Array, times: Array) -> Array:
        """The flow from z after some times, (len(times), m), where its Jacobian never changes."""
        values, vectors = self.modes
        one = phi_functions((values * times[:, None]).ravel())[0].reshape(len(times), -1)
        return np.asarray(z + times[:, None] * one * (vectors.T @ self.rate) @ vectors.T)

    def response(self, pushes: Array, times: Array) -> Array:
        """What forces whose integrals over k spans of `times` (k,) are `pushes` (m, k) have changed at the end of each,
        (m, k), in the linear flow of the Jacobian J: Σ ∫ exp((t − s) J) ds pushes / time.
        """
        values, vectors = self.modes
        x = values[:, None] * times
        kept = np.expm1(x)
        changed = np.divide(kept, x, out=np.ones_like(x), where=x < 0) * (vectors.T @ pushes)
        kept += 1
        for span in range(1, len(times)):
            changed[:, span] += kept[:, span] * changed[:, span - 1]
        return np.asarray(vectors @ changed)


class Met:
    """Where Jacobians were worked out on a path from some point, by the time since: they serve again on the next path
    from there, which goes through nearly the same points in more vectors. And the share of the way that its first step
    takes, as found best on this one.
    """

    def __init__(self, first: float = FIRST) -> None:
        self.starts: dict[float, Start] = {}
        self.first = first

    def near(self, since: float) -> Start | None:
        """The one that was worked out nearest to a time, if any was near enough."""
        place = min(self.starts, key=lambda other: abs(other - since), default=np.inf)
        return self.starts[place] if abs(place - since) <= NEAR * since else None

    def noted(self, since: float, start: Start) -> Start:
        """Takes the place of those that are near."""
        self.starts = {place: one for place, one in self.starts.items() if abs(place - since) > NEAR * since}
        self.starts[since] = start
        return start


def _modes(gram: Array) -> tuple[Array, Array]:
    """Eigenvalues ≤ 0 and eigenvectors of minus a Gram matrix."""
    values, vectors = np.linalg.eigh(-gram)
    return np.minimum(values, 0.0), vectors


@dataclass(frozen=True)
class _Step:
    """A step of length h from z. N grows by (s/h)² a / 2 + (s/h)³ b / 6 within it, with parts = (rate, a, b)."""

    z: Array
    h: float
    modes: tuple[Array, Array]
    parts: tuple[Array, Array, Array]
    end: Array  # z after the time h
    error: float  # norm of the difference to the embedded method of order three

    def at(self, times: Array) -> Array:
        """z after some times s ≤ h, (len(s), m): the solution of the linear equation with that N."""
        values, vectors = self.modes
        s = times[:, None]
        one, three, four = phi_functions((values * s).ravel()).reshape(3, len(times), len(values))
        rate, square, cubic = self.parts
        share = s / self.h
        return np.asarray(self.z + s * (one * rate + share**2 * three * square + share**3 * four * cubic) @ vectors.T)
