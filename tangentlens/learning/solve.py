"""Learning in the sparse map: gradient descent step by step, or gradient flow to a time."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tangentlens.errors import OptionError
from tangentlens.features.family import Features
from tangentlens.learning.dynamics import Dynamics, Recorder
from tangentlens.learning.flow import GalerkinFlow
from tangentlens.learning.losses import Targets, encode
from tangentlens.learning.product import KernelProduct

Array = NDArray[np.float64]
Progress = Callable[[str], None]
AUTO_SHARE = 0.5  # learning_rate="auto" is this share of the critical rate
SEGMENT = 3.0  # the flow advances by factors of this in time
PER_SEGMENT = 4  # records in a segment
PATIENCE = 1.01  # the search for the best time ends once validation loss is this far above its minimum
LONGEST = 1e9  # … or after this many natural units of time


def start(features: Features, labels: Any, loss: str | None, validation: tuple[Features, Any] | None) -> Recorder:
    """Checks that features and labels belong together and prepares products with Θ."""
    targets = encode(labels, loss, texts=len(features))
    if validation is None:
        return Recorder(KernelProduct(features), targets)
    others, other_labels = validation
    features.check_columns(others)
    held_out = encode(other_labels, targets.loss.name, texts=len(others), classes=targets.classes)
    return Recorder(KernelProduct(features, others), targets, held_out)


def descend(recorder: Recorder, *, steps: int, learning_rate: float | str, record: Iterable[int] | None) -> Dynamics:
    """Full-batch gradient descent: a ← a − (η/n) ∂ℓ/∂f(Θ a), from a = 0 (theory, eq. 53)."""
    if isinstance(steps, bool) or not isinstance(steps, int | np.integer) or steps < 1:
        raise OptionError(f"steps must be a whole number of at least 1, not {steps!r}")
    if learning_rate != "auto" and (not isinstance(learning_rate, int | float | np.number)
                                    or not 0 < learning_rate < math.inf):
        raise OptionError(f'the learning rate must be a positive number or "auto", not {learning_rate!r}')
    product, targets = recorder.product, recorder.targets
    n = len(targets.y)
    critical = critical_learning_rate(product, targets)
    rate = AUTO_SHARE * critical if learning_rate == "auto" else float(learning_rate)
    if rate > critical:
        warnings.warn(f"learning rate {rate:g} is above the critical one, {critical:g}: gradient descent may diverge",
                      stacklevel=3)
    wanted = _moments(steps, record)
    duals, f = np.zeros_like(targets.y), np.zeros((product.rows, targets.y.shape[1]))
    recorder.add(0, duals, f)
    for step in range(1, steps + 1):
        duals = duals - rate / n * targets.loss.slope(f[:n], targets.y)
        f = product @ duals
        if step in wanted:
            recorder.add(step, duals, f)
    return recorder.finish("step", rate=rate, critical=critical)


def critical_learning_rate(product: KernelProduct, targets: Targets) -> float:
    """2 / (ℓ''_max λ_max(Θ) / n): above it, gradient descent on the squared loss diverges (theory, eq. 54)."""
    largest = product.largest_eigenvalue()
    return 2 * len(targets.y) / (targets.loss.steepest * largest) if largest > 0 else math.inf


def flow(recorder: Recorder, *, time: float | str, record: Iterable[float] | None = None, tolerance: float = 1e-3,
         progress: Progress | None = None) -> Dynamics:
    """Gradient flow da/dt = −(1/n) ∂ℓ/∂f(Θ a) to a time, or through the time of least validation loss (time="best")."""
    if time == "best":
        if recorder.validation is None:
            raise OptionError('time="best" needs validation=(features, labels), or give a number')
    elif not isinstance(time, int | float | np.number) or not 0 < time < math.inf:
        raise OptionError(f'time must be a positive number or "best", not {time!r}')
    solver = GalerkinFlow(recorder.product, recorder.targets, tolerance)
    recorder.add(0.0, np.zeros_like(recorder.targets.y), np.zeros((recorder.product.rows, recorder.targets.y.shape[1])))
    if solver.fastest == 0.0:
        return recorder.finish("time")
    for stops in _segments(1 / solver.fastest, time, record):
        for moment, z in zip(stops, solver.advance(stops), strict=True):
            recorder.add(moment, solver.duals(z), solver.f(z))
        if progress is not None:
            products = recorder.product.products
            progress(f"time {solver.t:.3g}, training loss {recorder.rows[-1][0]:.4f}, {products} products")
        if time == "best" and (_past_best(recorder) or solver.t * solver.fastest > LONGEST):
            break
    return recorder.finish("time", error=solver.error)


def _moments(steps: int, record: Iterable[int] | None) -> set[int]:
    if record is None:
        return {*np.unique(np.geomspace(1, steps, 40).round()).astype(int).tolist(), steps}
    wanted = {int(step) for step in record}
    if any(step < 0 or step > steps for step in wanted):
        raise OptionError(f"record names steps outside of 0 … {steps}")
    return wanted | {steps}


def _segments(unit: float, time: float | str, record: Iterable[float] | None) -> Iterable[Array]:
    """Runs of ascending times to stop at: a factor SEGMENT each, or the times to record, cut into such runs."""
    end = math.inf if time == "best" else float(time)
    chosen = None if record is None else np.unique([float(moment) for moment in record if moment > 0])
    if chosen is not None and (len(chosen) and chosen[-1] > end):
        raise OptionError(f"record names times after the end, {end:g}")
    low, high = 0.0, min(unit, end)
    while low < end:
        if chosen is None:
            stops = np.geomspace(max(low, high / SEGMENT), high, PER_SEGMENT + 1)[1:]
        else:
            stops = np.union1d(chosen[(chosen > low) & (chosen <= high)], [high] if high == end else [])
        if len(stops):
            yield stops
        low, high = high, min(high * SEGMENT, end)


def _past_best(recorder: Recorder) -> bool:
    """Whether validation loss has clearly passed its minimum, or hardly falls any more."""
    losses = recorder.validation_losses
    least = losses.min()
    if len(losses) <= 2 * PER_SEGMENT:
        return False
    learned = losses[0] - least > 1e-3 * losses[0]
    flat = abs(losses[-1] - losses[-1 - PER_SEGMENT]) < 1e-4 * losses[0] and (learned or recorder.rows[-1][0] < 0.1)
    return bool(losses[-1] > PATIENCE * least or flat)


