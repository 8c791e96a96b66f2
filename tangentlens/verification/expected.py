"""What a verification is going to cost, said before it starts."""

from __future__ import annotations

import time as clock
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tangentlens.data import Texts
from tangentlens.errors import OptionError
from tangentlens.kernels import Architecture, describe
from tangentlens.networks.building import build
from tangentlens.verification.empirical import empirical_ntk, jacobian_bytes
from tangentlens.verification.verify import OWN_MEMORY, OWN_PATTERNS, Size, material, records
from tangentlens.verification.width_study import Material, foretell, trained_scores

TIMED = 5  # steps of training that are timed


@dataclass(frozen=True)
class Cost:
    """Seconds of all networks of an architecture, and bytes that the gradients of the widest one take."""

    seconds: float
    memory: int


def announce(texts: Texts, architectures: Sequence[Architecture], size: Size, *, seed: int = 0, device: str = "cpu",
             loss: str | None = None, **tokenizing: Any) -> str:
    """What `verify` is going to do, and about how long it takes: a few steps are timed.

    Raises what `verify` would raise in its course: OptionError where a network's gradients take too much memory.
    """
    chosen, tokens = material(texts, size, seed=seed, **tokenizing)
    costs = []
    for architecture in architectures:
        part = foretell(architecture, tokens, chosen.labels, steps=TIMED, record=[0, TIMED], most=size.patterns,
                        loss=loss)
        costs.append(_cost(part, size, device))
    seconds, memory = sum(cost.seconds for cost in costs), max(cost.memory for cost in costs)
    widths = ", ".join(map(str, sorted(set(size.widths))))
    each = f" for each of {len(costs)} architectures" if len(costs) > 1 else ""
    return (f"verification: {len(tokens):,} of {len(texts):,} texts, {len(tokens.vocabulary):,} distinct tokens; "
            f"{_plural(size.networks, 'network')}{each}, widths {widths}, {_plural(size.seeds, 'seed')}, "
            f"{_plural(size.steps, 'step')}; up to {max(1, memory >> 20):,} MiB for gradients; "
            f"about {duration(seconds)}")


def duration(seconds: float) -> str:
    """Roughly, in words.

    >>> duration(3), duration(200), duration(3600 * 2.6)
    ('10 seconds', '3 minutes', '2.6 hours')
    """
    if seconds < 55:
        return f"{10 * max(1, round(seconds / 10))} seconds"
    return _plural(round(seconds / 60), "minute") if seconds < 5400 else f"{seconds / 3600:.1f} hours"


def _plural(count: int, word: str) -> str:
    return f"{count:,} {word}{'' if count == 1 else 's'}"


def _cost(part: Material, size: Size, device: str) -> Cost:
    """Times the narrowest and the widest network; those between are taken to lie on a line in width²."""
    memory = _gradients(part, size)
    narrow, wide = min(size.widths), max(size.widths)
    trained_scores(part, narrow, 0, device=device)  # the first call is slow
    ends = [_seconds(part, width, size.steps, device) for width in (narrow, wide)]
    between = np.interp(np.square(sorted(set(size.widths))), np.square([narrow, wide]), ends)
    return Cost(float(size.seeds * between.sum()) + ends[1] + _own(part, size, device), memory)


def _seconds(part: Material, width: int, steps: int, device: str) -> float:
    """Of one network: `steps` steps, and the probes at every record."""
    moments = [clock.perf_counter()]
    trained_scores(part, width, 0, device=device, progress=lambda *_: moments.append(clock.perf_counter()))
    step = float(np.median(np.diff(moments)[1:-1]))  # without what is done before the first and after the last step
    rest = max(0.0, clock.perf_counter() - moments[0] - TIMED * step)
    return steps * step + rest * len(records(steps)) / 2


def _own(part: Material, size: Size, device: str) -> float:
    """Of the study of one network's own kernel: a gradient of every text at every record, and of every probe once."""
    c = part.trajectory.duals.shape[2]
    network = build(part.architecture, vocabulary_size=len(part.tokens.vocabulary) + part.probes.blanks,
                    width=max(size.widths), outputs=c, device=device)
    some = part.tokens[:3]
    started = clock.perf_counter()
    empirical_ntk(network, some)
    share = min(1.0, OWN_PATTERNS / size.patterns)
    gradients = len(part.tokens) * (len(records(size.steps)) + 2) + share * len(part.probes.texts())
    return (clock.perf_counter() - started) / len(some) * gradients


def _gradients(part: Material, size: Size) -> int:
    """Bytes of the widest network's gradients; raises OptionError where they are too many."""
    c = part.trajectory.duals.shape[2]
    network = build(part.architecture, vocabulary_size=len(part.tokens.vocabulary) + part.probes.blanks,
                    width=max(size.widths), outputs=c)
    needed = jacobian_bytes(network, len(part.tokens) * c)
    if needed > OWN_MEMORY:
        raise OptionError(f"{describe(part.architecture)}: the gradients of a network of width {max(size.widths)} on "
                          f"{len(part.tokens)} texts with {c} outputs take {needed / 2**30:.1f} GiB, more than "
                          f"{OWN_MEMORY / 2**30:.0f} GiB; use fewer texts or smaller widths")
    return needed
