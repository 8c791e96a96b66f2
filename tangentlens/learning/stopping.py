"""Where a gradient flow stops: in segments of time, at the least validation loss, or at a training loss."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from tangentlens.data.threads import parallel
from tangentlens.errors import OptionError
from tangentlens.learning.dynamics import Recorder, least
from tangentlens.learning.galerkin import COARSE, GalerkinFlow
from tangentlens.learning.reduced import ReducedFlow

Array = NDArray[np.float64]
SEGMENT = 3.0  # the flow advances by factors of this in time …
EASY = 1e-3, 3  # … or by powers of it, one more after a segment that left out less than this share of the tolerance
LONGER = 2  # powers that the first segment takes where the tolerance is coarse
PER_SEGMENT = 4  # records in a segment, or in each power, where the tolerance is not fine
PATIENCE = 1.003  # the search for the best time ends once validation loss is this far above its minimum …
LONGEST = 1e9  # … or after this many natural units of time
FINE = 64  # straight lines of the path around its end …
EXACT = 1e-6  # … which is found to this share of one
STRAIGHT = 0.25  # share of time, times the root of the tolerance, in which a line errs by a hundredth of the tolerance
MANY = 20_000  # losses of texts from which on two moments are looked at side by side


@dataclass
class Search:
    """Watches losses as time goes on and says when to stop."""

    recorder: Recorder
    solver: GalerkinFlow
    until_loss: float | None
    best: bool
    moments: list[float] = field(default_factory=list)
    training: list[float] = field(default_factory=list)
    held_out: list[float] = field(default_factory=list)
    looked: dict[int, tuple[Array, float, float]] = field(default_factory=dict, repr=False)

    @property
    def wanted(self) -> bool:
        """Whether the end is not a time given beforehand."""
        return self.best or self.until_loss is not None

    def least(self) -> list[float]:
        """The moment of the least validation loss, if that is what is searched for."""
        return [self.moments[least(self.held_out)]] if self.best else []

    def note(self, stops: Array) -> bool:
        """Notes those of the stops that were passed, and losses there if they are searched for. False where the path,
        solved again since the search was found to end on it, has not come down to `until_loss` after all.
        """
        new = self.solver.passed[len(self.moments):]
        self.moments += stops[:len(new)].tolist()
        if not self.wanted:
            return True
        training, held_out = self.losses(new)
        self.training += training
        self.held_out += held_out
        reached = self.until_loss is None or min(training) <= self.until_loss
        return reached or self.moments[-1] * self.solver.fastest > LONGEST

    def losses(self, path: list[Array]) -> tuple[list[float], list[float]]:
        """Training and validation losses at some points; those that were looked at last are not worked out again."""
        n, targets, others = len(self.recorder.targets.y), self.recorder.targets, self.recorder.validation
        new = [z for z in path if id(z) not in self.looked]
        both = parallel(lambda f: (targets.mean_loss(f[:n]), others.mean_loss(f[n:]) if others else math.nan),
                        list(self.solver.outputs(new)), enough=n * len(new) >= MANY)
        known = self.looked | {id(z): (z, *found) for z, found in zip(new, both, strict=True)}
        self.looked = {id(z): known[id(z)] for z in path}  # which keeps them, so that none gets the number of another
        return [self.looked[id(z)][1] for z in path], [self.looked[id(z)][2] for z in path]

    def needed(self, stops: Array, path: list[Array]) -> int | None:
        """How many of some stops are needed if the search ends there, through the one after its end; else None."""
        training, held_out = self.losses(path)
        late, count = stops[-1] * self.solver.fastest > LONGEST, len(stops)
        if self.until_loss is not None:
            reached = np.flatnonzero(np.array(training) <= self.until_loss)
            return min(count, int(reached[0]) + 2) if len(reached) else count if late else None
        if not (late or self._past_best(stops, [*self.held_out, *held_out], training[-1])):
            return None
        return min(count, max(1, least([*self.held_out, *held_out]) + 2 - len(self.held_out)))

    def _past_best(self, stops: Array, held_out: list[float], training: float) -> bool:
        """Whether validation loss has clearly passed its minimum, or hardly falls any more."""
        losses, moments = np.array([self.recorder.rows[0][2], *held_out]), np.array([0.0, *self.moments, *stops])
        least, before = losses.min(), np.searchsorted(moments, moments[-1] / SEGMENT * (1 + 1e-9)) - 1
        if len(losses) <= 2 * PER_SEGMENT:
            return False
        learned = losses[0] - least > 1e-3 * losses[0]
        flat = abs(losses[-1] - losses[before]) < 1e-4 * losses[0] and (learned or training < 0.1)
        return bool(losses[-1] > PATIENCE * least or flat)


def cut(solver: GalerkinFlow, moments: Array, path: list[Array], search: Search) -> tuple[Array, list[Array]]:
    """The path up to the moment at which the training loss is the one to reach: from the record before, in FINE steps
    between which coefficients are straight lines, and again in the step in which it is reached until that is so short
    that the flow is straight in it.
    """
    from scipy.optimize import brentq  # takes a tenth of the time in which the command starts

    flow, until_loss = solver.reduced(narrow=solver.narrow(solver.t)), float(search.until_loss or 0.0)
    reached = np.flatnonzero(np.array(search.training) <= until_loss)
    if not len(reached):
        raise _not_reached(search.training[-1], moments[-1], until_loss)
    last = int(reached[0])
    t, z = (float(moments[last - 1]), path[last - 1]) if last else (0.0, np.zeros_like(path[0]))
    span = float(moments[last]) - t

    def excess(place: float) -> float:
        return solver.targets.mean_loss(flow.f(_between(line, place))) - until_loss

    while True:
        times, line = _followed(solver, flow, (t, z, span), until_loss)
        place = float(brentq(excess, 0, FINE, xtol=EXACT)) if excess(0) > 0 else 0.0
        low = min(int(place), FINE - 1)
        t, z, span = float(times[low]), line[low], float(times[low + 1] - times[low])
        if not place or span <= STRAIGHT * math.sqrt(solver.tolerance) * (t + span):
            break
    if last and t == moments[last - 1] and not place:  # it was reached by the record before, but for rounding
        return moments[:last], path[:last]
    return np.append(moments[:last], _between(times, place)), [*path[:last], _between(line, place)]


def _followed(solver: GalerkinFlow, flow: ReducedFlow, start: tuple[float, Array, float], until_loss: float
              ) -> tuple[Array, Array]:
    """The flow from time t at z on, for a span of time or, if the loss is not reached in it, one twice as long after
    that: FINE + 1 times, and points there.
    """
    t, z, span = start
    while True:
        times = np.linspace(t, t + span, FINE + 1)
        line = np.stack([z, *flow.path(z, t, times[1:], solver.tolerance)])
        loss = solver.targets.mean_loss(flow.f(line[-1]))
        if loss <= until_loss:
            return times, line
        t, z, span = t + span, line[-1], 2 * span  # in the basis as it is now the flow is a little slower
        if t * solver.fastest > LONGEST:
            raise _not_reached(loss, t, until_loss)


def _not_reached(loss: float, time: float, until_loss: float) -> OptionError:
    return OptionError(f"the training loss falls to {loss:.4g} at time {time:.3g}, not to {until_loss:g}; give a "
                       "larger until_loss")


def _between(line: Array, place: float) -> Array:
    """A point on the straight lines between neighbours, for places from 0 to len(line) − 1."""
    low = min(int(place), len(line) - 2)
    return np.asarray(line[low] + (place - low) * (line[low + 1] - line[low]))


def segments(solver: GalerkinFlow, end: float, record: Array | None) -> Iterable[Array]:
    """Runs of ascending times to stop at: PER_SEGMENT moments for a factor SEGMENT in time, and those to record.

    The solver looks at what it leaves out at the stops only, so it gets its own whatever is recorded. Where the
    tolerance is fine they are denser, and begin earlier; where it is coarse, the first run is longer.
    """
    first = LONGER if solver.tolerance >= COARSE else solver.density
    low, high, powers = 0.0, min(SEGMENT**(first - solver.density) / solver.fastest, end), first
    while low < end:
        start, count = low or high / SEGMENT**powers, PER_SEGMENT * solver.density * powers
        stops = np.minimum(start * (high / start) ** (np.arange(1, count + 1) / count), high)
        stops[-1] = high
        if record is not None:
            stops = np.union1d(stops, record[(record > low) & (record <= high)])
        yield np.unique(stops[stops > low])
        share, most = EASY
        powers = min(powers + 1, most) if solver.coming < share * solver.tolerance else 1
        low, high = solver.t, min(solver.t * SEGMENT**powers, end)  # not all stops may have been passed
