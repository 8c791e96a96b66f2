"""Warnings about data and map that change how the answers should be read."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from tangentlens.data.messages import counted
from tangentlens.data.texts import Described
from tangentlens.data.tokens import Tokens
from tangentlens.kernels import Architecture, ElmanRNN, LinearRNN, describe
from tangentlens.predictions.trajectory import Trajectory

WORTH_A_NOTE = 1e-3  # share of the kernel that truncation may leave out unmentioned


def notes_on(texts: Described, tokens: Tokens, held_out: int, learned: Iterable[tuple[Architecture, Trajectory]]
             ) -> tuple[str, ...]:
    """One sentence for everything a reader should know; `tokens` are those of the training texts."""
    notes = texts.notes()
    if not held_out:
        notes.append("No text is held out, so nothing says how well this generalises; the scores are those at the end.")
    if texts.skipped:
        notes.append(f"{counted(texts.skipped, 'row')} had no usable text or label and "
                     f"{'was' if texts.skipped == 1 else 'were'} skipped.")
    if texts.duplicates:
        notes.append(f"{counted(texts.duplicates, 'text')} {'occurs' if texts.duplicates == 1 else 'occur'} earlier "
                     "already; equal texts stay on one side of the split.")
    for architecture, trajectory in learned:
        about = (_windowless(trajectory), _nothing_learned(trajectory) if held_out else None,
                 _truncated(architecture, tokens, trajectory))
        notes += [f"{describe(architecture)}: {note}" for note in about if note]
    if tokens.unknown:
        notes.append(f"{tokens.unknown:,} token positions of the training texts are rarer than min_count and match "
                     "nothing.")
    return tuple(notes)


def _windowless(trajectory: Trajectory) -> str | None:
    count = trajectory.features.windowless
    if not count:
        return None
    return (f"{counted(count, 'training text')} {'holds' if count == 1 else 'hold'} no window (empty, or shorter than "
            "it), where the output is 0.")


def _nothing_learned(trajectory: Trajectory) -> str | None:
    if trajectory.best:
        return None
    return ("held-out loss is least at the start, before anything is learned, so there are no scores: nothing that it "
            "learns here carries over to new texts.")


def _truncated(architecture: Architecture, tokens: Tokens, trajectory: Trajectory) -> str | None:
    """What max_order or max_lag leaves out, as a share of the largest Θ(x, x)."""
    if not isinstance(architecture, LinearRNN | ElmanRNN):
        return None
    _, one_of_each_length = np.unique(tokens.lengths, return_index=True)
    left_out = float(architecture.truncation(tokens[one_of_each_length]).max(initial=0.0))
    own, largest = np.zeros(len(trajectory.features)), 0.0
    for family in trajectory.features.families:
        own += family.coefficient * family.counts.power(2).sum(axis=1)
        largest = float(np.max(own, initial=0.0))
        if left_out <= WORTH_A_NOTE * largest:
            return None
    option = "max_order" if isinstance(architecture, LinearRNN) else "max_lag"
    return (f"{option}={getattr(architecture, option)} leaves out at most {left_out:.3g} of the kernel, whose largest "
            f"value is {largest:.3g}; raise it if that is too much.")
