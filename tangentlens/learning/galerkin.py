"""Gradient flow to any time by projection onto a growing basis of dual vectors (theory, eq. 58 to 60).

A basis vector costs one product with Θ, and little else is done on all counts: with V orthonormal in the inner product
of Θ and F = Θ V, the flow in the basis is the flow of the same loss with m features F. Time advances in segments;
within a segment the basis grows by what the projected flow leaves out until that would change little.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from tangentlens.data.threads import parallel
from tangentlens.learning.basis import TOGETHER, GrowingBasis
from tangentlens.learning.feature_basis import COARSER, FeatureBasis
from tangentlens.learning.integrals import integrals
from tangentlens.learning.losses import Targets
from tangentlens.learning.product import TINY, KernelProduct
from tangentlens.learning.reduced import FIRST, Met, ReducedFlow
from tangentlens.learning.rounds import Push, mean_rates, remaining, remaining_at_rest, shrinking
from tangentlens.learning.tall import directions_of, runs_of, times

Array = NDArray[np.float64]
Needed = Callable[[Array, list[Array]], int | None]
START = 6  # Krylov vectors before the first step
GROWTH = 2, 4  # vectors added at a time, at least and at most: one for every output, or …
SHARE = 20  # … for so many that there are
ALLOWED = 0.5, 0.2  # share of what is not spent of the tolerance that a segment may leave out; the second where …
COARSE = 1e-2  # … it is so large that changes to first order are too small …
LEAST = 0.05  # … of which it counts as not spent at least this share
DRIFT = 0.1, 10  # by how much changes to first order may move a path before it is solved again: relative, and in …
# … tolerances; a path that has moved asks for some vectors more than the flow needs
ROUGH = 0.1  # what a segment may leave out, relative, when it is asked whether the search ends in it
STEPPING = 0.7  # one in this of the tolerance is what a step in time is given; what it errs by is a fifteenth of that
UNRESOLVED = 0.1  # share of the tolerance below which the time steps decide
FEW = 8  # moments of a segment at which what is left out is looked at, at most, where the tolerance is not fine
FINE = 1e-4, 2  # tolerance from which on moments are denser, by once more for so many orders of magnitude
RESTING = 10  # at rest, a vector is added for so many that there are
SPARED = 1e-6  # what is left out is zero where it is less than this share of the tolerance, of the slopes …
ROUNDING = 1e-13  # … or less than this
NARROW = 5e-3  # tolerance from which on the projected flow is worked out in 32 bits …
LARGE = 2**20  # … from outputs of 32 bits, too, if it has so many …
LATE = 1e5  # … up to the square of this times the tolerance, in natural units: slow modes move by what slopes round …
EVEN = 128  # … or as much later as there are times so many texts, where maps are stored by text
MOST = 600  # basis vectors
COMPLETE = 128  # all are taken if they are so few: it takes about as long, …
SHORT = 3, 384  # … or if they are so many times as there are in the basis, which then grows slowly, and not more


@dataclass
class GalerkinFlow:
    """The state of a gradient flow: time t, a basis of m vectors, coefficients z (m,).

    `error` estimates the relative error at the end, in the norm of Θ (that of the label scores); see `advance`.
    Where the map is stored by texts, the basis is one of features, unless the flow goes on to rest.
    """

    product: KernelProduct
    targets: Targets
    tolerance: float
    resting: bool = False
    t: float = 0.0
    basis: GrowingBasis = field(init=False, repr=False)
    z: Array = field(init=False, repr=False)
    passed: list[Array] = field(default_factory=list, repr=False)  # z at all stops so far
    coming: float = 0.0  # by how much rounds of growth are still to change the end, relative: at least as the last did
    shrinking: float = 0.0  # by how much changes of the last segment of several rounds shrank from one to the next
    missing: float = 0.0  # the sum of what all segments left out, in the norm of Θ
    error: float = 0.0
    first: float = FIRST  # share of a segment that its first step takes
    steepest: float = field(init=False)  # norm of the slope at the start, in the space of the basis

    def __post_init__(self) -> None:
        shape, balanced = self.targets.y.shape, self.targets.loss.balanced
        dtype = np.float32 if self.tolerance >= NARROW else np.float64
        by_columns = self.resting or not self.product.runs
        self.basis = GrowingBasis(self.product, shape, balanced) if by_columns else FeatureBasis(
            self.product, shape, balanced, dtype)
        slope = self.reduced().slope(np.zeros(shape))[:, None]
        self.steepest = self.basis.left_out(slope.copy())[1]
        added = self.basis.grow(slope)
        if not (added and self.basis.complete(COMPLETE)):
            self._follow(added, START)
        self.z = np.zeros(len(self.basis))

    def reduced(self, *, narrow: bool = False) -> ReducedFlow:
        """The projected flow on the training texts, in 32 bits if that is enough, and from a copy if it is large."""
        outputs = self.basis.fitted
        if narrow and outputs.size >= LARGE:
            outputs = self.basis.fitted_in_32_bits()
        return ReducedFlow(outputs, self.targets, narrow=narrow)

    def narrow(self, time: float) -> bool:
        """Whether 32 bits are enough for the flow up to a time. What they round evens out over many texts. A linear
        flow takes no steps, and its slopes are differences: where outputs are of 64 bits, those take no longer.
        """
        if self.targets.loss.linear and not self.product.runs:
            return False
        texts = len(self.targets.y) if self.product.runs else EVEN
        latest = (LATE * self.tolerance) ** 2 * max(1.0, texts / EVEN)
        return self.tolerance >= NARROW and time * self.fastest <= latest

    @cached_property
    def fastest(self) -> float:
        """The largest rate at which anything decays at the start; its inverse is the natural unit of time."""
        if not len(self.basis):
            return 0.0
        return -float(self.reduced().modes(np.zeros_like(self.targets.y))[0][0])

    def advance(self, stops: Array, needed: Needed | None = None) -> bool:
        """Moves through the stops (ascending times); whether a search ends with them.

        Rounds of growth go on until what they are still to change at the end (`remaining`) is small. What one changes
        is made to first order (`Start.response`), and the path solved again once that has moved it (DRIFT), or at the
        end; in every round where outputs are many. What remained of every segment, in parts of where the flow is, adds
        to the `error`: the flow contracts, so none of it grows. The error of the time steps is not seen, so that
        `error` is never less than 0.1 of the tolerance.

        needed: says of stops and coefficients there how many of them a search needs if it ends there, else None; the
        flow then goes no further than those.
        """
        narrow = self.narrow(float(stops[-1]))
        if not narrow:
            self.basis.widen()
        self.basis.complete(min(SHORT[1], SHORT[0] * len(self.basis)))
        ended, flow, share = False, self.reduced(narrow=narrow), ALLOWED[int(self.tolerance >= COARSE)]
        met = Met(self.first)  # segments are alike: each is as long, beside the time before it
        start, changes, since = flow.begin(self.padded(self.z)), list[float](), list[float]()

        def solved() -> list[Array]:
            since.clear()
            return list(flow.path(self.padded(self.z), self.t, stops, self.tolerance / STEPPING, start, met))

        path, drift = solved(), min(DRIFT[0], DRIFT[1] * self.tolerance)
        while True:
            push = self._enrich(path, np.concatenate([[self.t], stops]))
            if push is not None:
                flow = self.reduced(narrow=narrow)
                start = flow.begin(self.padded(self.z), start)
                change = push.change(start, stops)
                since.append(push.size(change) / _size(path[-1]))
                path = [self.padded(z) + one for z, one in zip(path, change.T, strict=True)]
                changes.append(since[-1])
                self.coming = remaining(changes, self.shrinking)
            allowed = share * max(self.tolerance - self.missing / _size(path[-1]), LEAST * self.tolerance)
            if needed and not ended and (push is None or self.coming < max(ROUGH, allowed)):
                count = needed(stops, path)
                ended, stops, path = count is not None, stops[:count], path[:count]
            if push is None or self.coming <= allowed:
                break
            if sum(since) > drift or flow.outputs.size >= LARGE:
                path = solved()
        if len(since) > (push is not None):
            path = solved()
        self.z, self.t, self.first = path[-1], float(stops[-1]), met.first
        self.shrinking = shrinking(changes, self.shrinking)
        self.missing += self.coming * _size(self.z)
        self.error = max(self.missing / _size(self.z), UNRESOLVED * self.tolerance)
        self.passed += path
        return ended

    def rest(self) -> None:
        """Moves on to where the flow of the squared loss comes to rest, the basis growing from the slope there. What
        rounds are still to change of that is the `error`, infinite if it is not known.
        """
        end, changes, self.error = self.reduced().rest(), [], np.inf
        while len(self.basis) < MOST:
            known, flow = self.basis.null.shape[1], self.reduced()
            slope = self.basis.without_null(flow.slope(flow.f(end))[:, None])
            if float(np.linalg.norm(slope)) <= max(SPARED * self.tolerance, ROUNDING) * self.steepest:
                self.error = 0.0
                break
            if not self._follow(self.basis.grow(slope), max(GROWTH[0], len(self.basis) // RESTING)):
                if self.basis.null.shape[1] > known:
                    continue
                self.error = 0.0
                break
            end, before = self.reduced().rest(), self.padded(end)
            changes.append(float(np.linalg.norm(end - before)) / _size(end))
            self.error = remaining_at_rest(changes, 1 / RESTING)
            if self.error <= self.tolerance:
                break
        self.z, self.t, self.error = end, float("inf"), max(self.error, UNRESOLVED * self.tolerance)
        self.passed.append(end)

    @cached_property
    def density(self) -> int:
        """How many times as many moments as usual a segment must have: what is left out between them is not seen."""
        least, orders = FINE
        return 1 + max(0, math.ceil(math.log10(least / self.tolerance) / orders))

    @property
    def _growth(self) -> int:
        least, most = GROWTH
        wanted = max(int(self.targets.y.shape[1]), len(self.basis) // SHARE)
        return min(max(wanted, least), most)

    def records(self, moments: Array, path: Sequence[Array], wanted: Collection[int]
                ) -> Iterator[tuple[Array, Array]]:
        """At the wanted ones of all moments that were passed, dual coefficients (n, c) and outputs on all rows: where
        the duals are finite −∫ ∂ℓ/∂f / n dt, to be settled (`settle`), at rest V z.
        """
        n, shape, known = len(self.targets.y), self.targets.y.shape, int(np.count_nonzero(np.isfinite(moments)))
        flow, outputs = self._slope_of(moments[known - 1] if known else 0.0), dict[int, Array]()

        def slopes() -> Iterator[Array]:
            yield -flow.slope(np.zeros(shape))
            for place, f in enumerate(self.outputs(path[:known])):
                if place in wanted:
                    outputs[place] = f
                yield -flow.slope(f[:n])

        finite, passed = [place for place in range(known) if place in wanted], np.concatenate([[0.0], moments[:known]])
        for place, duals in zip(finite, integrals(passed, slopes(), {place + 1 for place in finite}), strict=True):
            yield duals.reshape(shape), outputs.pop(place)
        for z, f in zip(path[known:], self.outputs(path[known:]), strict=True):
            yield times(self.basis.vectors, self.padded(z)[:, None]).reshape(shape), f

    def outputs(self, path: Sequence[Array]) -> Iterator[Array]:
        """Outputs F z on all rows of the product, (rows, c), training texts first, at some points."""
        for low in range(0, len(path), TOGETHER):
            points = np.stack([self.padded(z) for z in path[low:low + TOGETHER]], axis=1)
            found = self.basis.outputs_at(points)
            yield from (column.reshape(-1, self.targets.y.shape[1]) for column in found.T)

    def padded(self, z: Array) -> Array:
        """Coefficients of the basis as it is now, from those of an earlier one; shape (m,)."""
        missing = len(self.basis) - len(z)
        return np.concatenate([z, np.zeros(missing)]) if missing else z

    def _enrich(self, path: list[Array], moments: Array) -> Push | None:
        """Adds the main directions of the residual −g/n − V ż (eq. 59) along the path. None if there are none, or no
        room for them; `coming` is then what they would change at its end, at most.
        """
        if len(path) > FEW * self.density:
            chosen = np.unique(np.linspace(0, len(path) - 1, FEW * self.density).astype(int))
            path, moments = [path[place] for place in chosen], moments[[0, *(chosen + 1)]]
        weight, growth, self.coming = np.sqrt(np.diff(moments)), self._growth, 0.0
        residual, largest, noise = self.basis.left_out(self._slopes(path, weight, moments[-1]))
        noise *= COARSER if self.narrow(moments[-1]) else 1.0
        least = max(SPARED * self.tolerance * largest, noise,  # below it, directions are those of rounding
                    ROUNDING * self.steepest * float(np.linalg.norm(weight)))
        before = len(self.basis)
        while True:
            known, residual = self.basis.null.shape[1], self.basis.without_null(residual)
            directions, size = directions_of(residual, growth)
            if size[0] <= least:
                return None
            kept = size[:growth] > max(1e-2 * size[0], least)
            directions, room = directions[:, kept], before < MOST
            if room and not self._follow(self.basis.add(directions * size[:growth][kept]), GROWTH[0]):
                if self.basis.null.shape[1] == known:
                    return None
                continue
            share = float(np.linalg.norm(size) / np.linalg.norm(size[:growth]))
            if room:
                driven = self.basis.driven(before, residual)
                bend = self.targets.loss.steepest / len(self.targets.y)
                rates = None if self.product.runs else bend * mean_rates(driven, residual)
                return Push(-driven * weight, moments, share, rates)
            left = self.basis.norm(directions @ (directions.T @ (residual @ weight)))
            self.coming = share * left / _size(path[-1])
            return None

    def _follow(self, added: int, least: int) -> bool:
        """Where too few vectors were added, goes on from them as Lanczos does. False if none were."""
        before = len(self.basis) - added
        while added and len(self.basis) < before + least:
            added = self.basis.grow(np.asarray(self.basis.fitted[:, -added:], np.float64))
        return len(self.basis) > before

    def _slope_of(self, time: float) -> ReducedFlow:
        """The projected flow up to a time, for its slopes. Of the basis as it is: what it leaves out is smaller than
        what a copy in 32 bits rounds.
        """
        return ReducedFlow(self.basis.fitted, self.targets, narrow=self.narrow(time))

    def _slopes(self, path: list[Array], weight: Array, time: float) -> Array:
        """The slopes at some points times their weights, (n c, points), on a path up to a time."""
        flow, points = self._slope_of(time), np.stack(path, axis=1)
        n, c = self.targets.y.shape
        slopes = times(flow.outputs, points)

        def slope(rows: slice) -> None:
            part = slice(rows.start * c, rows.stop * c)
            for column, f in enumerate(slopes[part].T):
                slopes[part, column] = flow.slope(f.reshape(-1, c), rows) * weight[column]

        parallel(slope, runs_of(n, c * len(self.basis)))
        return slopes


def _size(z: Array) -> float:
    """A norm to divide by."""
    return max(float(np.linalg.norm(z)), TINY)
