"""What the page needs to decide a typed text as the architectures do: training tokens, dual coefficients, families.

The page counts patterns and adds up s = γ Φᵀ a and f = Σ Φ s itself (theory, eq. 48, 49), in float64. Every number that
an architecture decides, such as a coefficient γ, is handed over; none is computed there.
"""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tangentlens.data.tokens import Tokens
from tangentlens.features.family import Family
from tangentlens.kernels import CNN, MLP, Architecture, ElmanRNN, LinearRNN, MatrixVector, SelfAttention, describe
from tangentlens.predictions.trajectory import Trajectory
from tangentlens.report.wording import visible

LARGEST = 6_000_000  # bytes of JSON that the live part of a page may take
KNOWN = (MLP, CNN, SelfAttention, MatrixVector, LinearRNN, ElmanRNN)  # the page counts their patterns


@dataclass(frozen=True, eq=False)
class Live:
    """Training tokens (n texts), and for every architecture its trajectory, taken at the best record."""

    tokens: Tokens
    architectures: tuple[Architecture, ...]
    trajectories: tuple[Trajectory, ...]

    def payload(self, largest: int = LARGEST) -> dict[str, Any]:
        """What the page reads, in at most `largest` bytes of JSON: `left_out` names the architectures that have no
        room or that the page cannot count; if none is left there are no tokens either.
        """
        if 2 * len(self.tokens.ids) > largest:  # two bytes each at least: not written only to be thrown away
            return {"architectures": [], "left_out": [describe(one) for one in self.architectures],
                    "total": len(self.tokens.ids)}
        texts = _texts(self.tokens, self.trajectories[0])
        room = largest - len(json.dumps(texts))
        chosen, left_out = [], []
        for architecture, trajectory in zip(self.architectures, self.trajectories, strict=True):
            part = _architecture(architecture, trajectory) if type(architecture) in KNOWN else None
            size = 0 if part is None else len(json.dumps(part))
            if part is None or size > room:
                left_out.append(describe(architecture))
            else:
                chosen.append(part)
                room -= size
        return {"architectures": chosen, "left_out": left_out, "total": len(self.tokens.ids),
                **(texts if chosen else {})}


def _texts(tokens: Tokens, trajectory: Trajectory) -> dict[str, Any]:
    """Token ids, −1 as the size of the vocabulary; lengths; the class of every text; and the rule that cuts texts."""
    size = len(tokens.vocabulary)
    kind = "<u2" if size < 2**16 else "<u4"
    targets = trajectory.dynamics.targets
    rule = json.loads(tokens.vocabulary.tokenizer) if tokens.vocabulary.tokenizer else None
    if rule is not None and rule["tokenizer"] == "file":
        rule = {"tokenizer": "file"}
    return {
        "ids": _packed(np.where(tokens.ids < 0, size, tokens.ids).astype(kind)), "wide": kind == "<u4",
        "lengths": _packed(tokens.lengths.astype("<u4")), "labels": _packed(targets.index.astype("<u4")),
        "classes": [visible(name) for name in targets.classes], "vocabulary": list(tokens.vocabulary.strings),
        "rule": rule,
    }


def _architecture(architecture: Architecture, trajectory: Trajectory) -> dict[str, Any]:
    """Families, and the dual coefficients a (n, c) at the best record, which are 0 at the start."""
    duals = trajectory.duals[trajectory.best]
    attention = None
    if isinstance(architecture, SelfAttention) and architecture.scores != "uniform":
        made = architecture.attention(Tokens.from_ids([], vocabulary_size=0))
        attention = {"token": made.token, "position": made.position, "scale": made.scale}
    return {
        "name": visible(describe(architecture)), "outputs": duals.shape[1], "duals": _packed(duals.astype("<f8")),
        "attention": attention, "families": [_family(architecture, each) for each in trajectory.features.families],
    }


def _family(architecture: Architecture, family: Family) -> dict[str, Any]:
    """One family: which patterns (steps), where they count (rule, size, padding), what a text's count is divided by.

    rule: "window", at the windows that hold it; "ends", only as the end of the text; "lag", with at least `first`
    tokens after it; "at lag", with exactly as many.
    """
    pooling = getattr(architecture, "pooling", "mean")
    lag, last = family.style == "lag", pooling == "last"
    by_tokens = isinstance(architecture, LinearRNN | ElmanRNN)  # a mean over states, also over those without an n-gram
    return {
        "name": family.name, "groups": list(family.groups), "style": family.style, "first": family.first,
        "steps": [] if family.patterns is None else list(family.patterns.shape),
        "rule": ("at lag" if last else "lag") if lag else ("ends" if last else "window"),
        "size": getattr(architecture, "kernel_size", family.window), "named": family.window,
        "padding": getattr(architecture, "padding", "valid"),
        "pool": "none" if pooling != "mean" else "tokens" if by_tokens else "windows",
        "coefficients": family.coefficients.tolist(),
    }


def _packed(values: NDArray[Any]) -> str:
    """The bytes of an array, little end first, as base64."""
    return base64.b64encode(np.ascontiguousarray(values).tobytes()).decode("ascii")
