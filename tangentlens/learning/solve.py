"""Learning in the sparse map: gradient descent step by step, or gradient flow to a time."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tangentlens.data.threads import single_threaded_blas
from tangentlens.errors import DataError, OptionError
from tangentlens.features.family import Features
from tangentlens.learning.duals import settle
from tangentlens.learning.dynamics import Dynamics, Recorder
from tangentlens.learning.galerkin import GalerkinFlow
from tangentlens.learning.losses import Targets, encode
from tangentlens.learning.on_device import DeviceProduct
from tangentlens.learning.partitioned import PartitionedProduct
from tangentlens.learning.parts import PartitionedFeatures
from tangentlens.learning.product import KernelProduct
from tangentlens.learning.stopping import Search, cut, segments

Array = NDArray[np.float64]
Progress = Callable[[str], None]
AUTO_SHARE = 0.5  # learning_rate="auto" is this share of the critical rate
FINEST = 1e-12  # tolerance
OVER = 1.05  # times the tolerance that an error may be said to be without a warning
SETTLED = 1e6  # natural units of time after which time = inf is taken


def start(features: Features | PartitionedFeatures, labels: Any, loss: str | None,
          validation: tuple[Any, Any] | None, device: str | None = None) -> Recorder:
    """Checks that features and labels belong together and prepares products with Θ."""
    targets = encode(labels, loss, texts=len(features))
    if validation is None:
        return Recorder(_product(features, None, device), targets)
    others, other_labels = validation
    features.check_columns(others)
    held_out = encode(other_labels, targets.loss.name, texts=len(others), classes=targets.classes)
    return Recorder(_product(features, others, device), targets, held_out)


def _product(features: Any, others: Any, device: str | None) -> KernelProduct:
    if not isinstance(others, type(features) | None):
        raise OptionError("held-out texts are in parts where the training texts are: make both with tl.partition")
    if isinstance(features, PartitionedFeatures):
        if device is not None:
            raise OptionError("texts in parts are multiplied where the parts are: leave device= out")
        return PartitionedProduct(features, others)
    return KernelProduct(features, others) if device is None else DeviceProduct(features, others, device=device)


def descend(recorder: Recorder, *, steps: int, learning_rate: float | str, momentum: float = 0.0,
            record: Iterable[float] | None = None) -> Dynamics:
    """Full-batch gradient descent, a ← a + v with v ← momentum · v − (η/n) ∂ℓ/∂f(Θ a), from a = 0 (theory, eq. 53)."""
    _check_descent(steps, learning_rate, momentum)
    product, targets = recorder.product, recorder.targets
    n = len(targets.y)
    critical = critical_learning_rate(product, targets) * (1 + momentum)
    automatic = AUTO_SHARE * critical if np.isfinite(critical) else 1.0
    rate = automatic if learning_rate == "auto" else float(learning_rate)
    if rate > critical:
        warnings.warn(f"learning rate {rate:g} is above the critical one, {critical:g}: gradient descent may diverge",
                      stacklevel=3)
    wanted = _moments(steps, record)
    duals, speed = np.zeros_like(targets.y), np.zeros_like(targets.y)
    f = np.zeros((product.rows, targets.y.shape[1]))
    recorder.add(0, duals, f)
    for step in range(1, steps + 1):
        speed = momentum * speed - rate / n * targets.loss.slope(f[:n], targets.y)
        duals = duals + speed
        f = product @ duals
        if step in wanted:
            recorder.add(step, duals, f)
    return recorder.finish("step", rate=rate, critical=critical)


def _check_descent(steps: int, learning_rate: float | str, momentum: float) -> None:
    if isinstance(steps, bool) or not isinstance(steps, int | np.integer) or steps < 1:
        raise OptionError(f"steps must be a whole number of at least 1, not {steps!r}")
    number = isinstance(learning_rate, int | float | np.number) and not isinstance(learning_rate, bool)
    if learning_rate != "auto" and (not number or not 0 < float(learning_rate) < math.inf):
        raise OptionError(f'the learning rate must be a positive number or "auto", not {learning_rate!r}')
    if not isinstance(momentum, int | float | np.number) or not 0 <= momentum < 1:
        raise OptionError(f"momentum must be at least 0 and below 1, not {momentum!r}")


def critical_learning_rate(product: KernelProduct, targets: Targets) -> float:
    """2 / (ℓ''_max λ_max(Θ) / n): above it, gradient descent on the squared loss diverges (theory, eq. 54)."""
    largest = product.largest_eigenvalue()
    return 2 * len(targets.y) / (targets.loss.steepest * largest) if largest > 0 else math.inf


def flow(recorder: Recorder, *, time: float | str | None = None, until_loss: float | None = None,
         record: Iterable[float] | None = None, tolerance: float = 1e-3, progress: Progress | None = None) -> Dynamics:
    """Gradient flow da/dt = −(1/n) ∂ℓ/∂f(Θ a) (theory, eq. 46) to a time, through the time of least validation loss
    (time="best"), or until the training loss has fallen to `until_loss`.
    """
    _check_flow(recorder, time, until_loss, tolerance)
    with single_threaded_blas():
        return _flow(recorder, time, until_loss, record, tolerance, progress)


def _flow(recorder: Recorder, time: float | str | None, until_loss: float | None, record: Iterable[float] | None,
          tolerance: float, progress: Progress | None) -> Dynamics:
    product, targets = recorder.product, recorder.targets
    recorder.add(0.0, np.zeros_like(targets.y), np.zeros((product.rows, targets.y.shape[1])))
    end = math.inf if isinstance(time, str) or time is None else float(time)
    chosen = _chosen(record, end)
    resting = np.isinf(end) and time != "best" and until_loss is None
    solver = GalerkinFlow(product, targets, tolerance, resting)
    if until_loss is not None and recorder.rows[0][0] <= until_loss:
        raise OptionError(f"the training loss starts at {recorder.rows[0][0]:.4g}; give an until_loss below that")
    if solver.fastest == 0.0:
        return _still(recorder, chosen, end, until_loss)
    search = Search(recorder, solver, until_loss, best=time == "best")
    last = 0.0 if chosen is None else max(chosen[np.isfinite(chosen)], default=0.0)
    for stops in segments(solver, end, chosen):
        done = solver.advance(stops, search.needed if search.wanted else None)
        done = search.note(stops) and done
        if progress is not None:
            loss = search.losses(solver.passed[-1:])[0][0]
            progress(f"time {solver.t:.3g}, training loss {loss:.4f}, {product.products} products")
        if done or (resting and solver.t * solver.fastest > SETTLED and solver.t >= last):
            break
    if resting:
        solver.rest()
        search.moments.append(math.inf)
    moments, path = np.array(search.moments), [solver.padded(z) for z in solver.passed]
    _warn_of(solver.error, tolerance)
    if until_loss is not None:
        moments, path = cut(solver, moments, path, search)
    kept = None if chosen is None else {*chosen.tolist(), float(moments[-1]), *search.least()}
    _record(recorder, solver, moments=moments, path=path, kept=kept, say=progress or (lambda line: None))
    return recorder.finish("time", error=solver.error)


def _warn_of(error: float, tolerance: float, *, inside: int = 0) -> None:
    """Warns the caller of `learn`; inside: calls between `_flow` and this one."""
    if error > OVER * tolerance:
        warnings.warn(f"label scores are known to a relative {error:.2g} only, not {tolerance:g}; "
                      "choose a smaller time or a larger tolerance", stacklevel=5 + inside)


def _record(recorder: Recorder, solver: GalerkinFlow, *, moments: Array, path: list[Array], kept: set[float] | None,
            say: Progress) -> None:
    """Records the moments that are kept, None for all."""
    wanted = [place for place, moment in enumerate(moments.tolist()) if kept is None or moment in kept]
    say(f"outputs at {len(wanted)} moments")
    solver.basis.let_go()
    for place, (duals, f) in zip(wanted, solver.records(moments, path, set(wanted)), strict=True):
        recorder.add(moments[place], duals, f)
    say(f"dual coefficients at {len(wanted)} moments")
    finite = [path[place] for place in wanted if np.isfinite(moments[place])]
    apart = settle(solver.basis, finite, recorder.duals[1:len(finite) + 1], solver.tolerance)
    if apart > solver.error:
        solver.error = apart
        _warn_of(apart, solver.tolerance, inside=1)


def _still(recorder: Recorder, chosen: Array | None, end: float, until_loss: float | None) -> Dynamics:
    """The records of a flow in which no output ever moves, since no text holds a feature, or labels cancel in all."""
    if until_loss is not None:
        raise DataError(f"nothing can be learned from these {len(recorder.targets.y)} texts: nothing in them tells the "
                        f"labels apart, and the training loss stays at {recorder.rows[0][0]:.4g}; give more texts")
    moments = np.union1d([] if chosen is None else chosen, [end] if np.isfinite(end) else [])
    targets, still = recorder.targets, np.zeros((recorder.product.rows, recorder.targets.y.shape[1]))
    slope = targets.loss.slope(still[:len(targets.y)], targets.y) / len(targets.y)
    for moment in moments[moments > 0]:
        recorder.add(moment, -moment * slope, still)
    return recorder.finish("time")


def _chosen(record: Iterable[float] | None, end: float) -> Array | None:
    """The times to record, checked; None for all."""
    if record is None:
        return None
    chosen = np.unique([float(moment) for moment in record])
    if len(chosen) and not (chosen[0] >= 0 and chosen[-1] <= end):
        raise OptionError(f"record names times outside of 0 … {end:g}")
    return chosen


def _check_flow(recorder: Recorder, time: float | str | None, until_loss: float | None, tolerance: float) -> None:
    if time == "best":
        if recorder.validation is None or not len(recorder.validation.y):
            raise OptionError('time="best" needs validation=(features, labels), or give a number')
    elif time is not None:
        number = isinstance(time, int | float | np.number) and not isinstance(time, bool)
        if not number or not float(time) > 0:
            raise OptionError(f'time must be a positive number or "best", not {time!r}')
        if np.isinf(float(time)) and recorder.targets.loss.name != "squared":
            raise OptionError("only the squared loss comes to rest at time = inf; the "
                              f"{recorder.targets.loss.name} loss needs a finite time")
    if until_loss is not None and not (isinstance(until_loss, int | float | np.number) and 0 < until_loss < math.inf):
        raise OptionError(f"until_loss must be a positive number, not {until_loss!r}")
    if not isinstance(tolerance, int | float | np.number) or not FINEST <= tolerance < 1:
        raise OptionError(f"tolerance must be at least {FINEST:g}, above rounding, and below 1, not {tolerance!r}")


def _moments(steps: int, record: Iterable[float] | None) -> set[int]:
    if record is None:
        return {*np.unique(np.geomspace(1, steps, 40).round()).astype(int).tolist(), steps}
    wanted = {float(step) for step in record}
    if any(not step.is_integer() for step in wanted):
        raise OptionError(f"record must name whole steps of the descent, not {sorted(wanted)[:5]}")
    if any(step < 0 or step > steps for step in wanted):
        raise OptionError(f"record names steps outside of 0 … {steps}")
    return {int(step) for step in wanted} | {steps}
