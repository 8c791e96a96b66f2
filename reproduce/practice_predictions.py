"""Predictions and rivals of the practice study, and what they answer, made once for every data set.

Part of: python -m reproduce.practice_scores
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

import tangentlens as tl
from reproduce.practice_data import material
from reproduce.practice_questions import Array, Ask, Inquiry
from reproduce.practice_rivals import rivals

ROUNDING = 1e-6
RULES = {"equal loss": "prediction", "best": "prediction, time of least development loss"}


@lru_cache(maxsize=4)
def inquiry(name: str) -> Inquiry:
    """The questions about one data set."""
    return Inquiry(material(name))


@lru_cache(maxsize=64)
def learned(architecture: tl.Architecture, name: str, until_loss: float | None) -> tl.Trajectory:
    """The flow to a training loss, or through the least development loss."""
    train, dev = material(name).train, material(name).dev
    features = architecture.features(train.tokens)
    if until_loss is not None:
        return tl.learn(features, train.labels, until_loss=until_loss)
    held_out = architecture.features(dev.tokens, columns=features), dev.labels
    return tl.learn(features, train.labels, time="best", validation=held_out)


def asking(architecture: tl.Architecture, name: str, until_loss: float | None) -> Ask:
    """The decision function of a prediction: texts → (n, 1)."""
    trajectory = learned(architecture, name, until_loss)
    step = -1 if until_loss is not None else trajectory.best
    scores = trajectory.scores(step)
    return lambda tokens: architecture.features(tokens, columns=trajectory.features).pull(scores)


@lru_cache(maxsize=64)
def predicted(architecture: tl.Architecture, name: str, until_loss: float | None) -> dict[str, Array]:
    """What a prediction answers, by question."""
    return without_rounding(inquiry(name).answers(asking(architecture, name, until_loss), blanks=False))


@lru_cache(maxsize=4)
def rival_answers(name: str) -> dict[str, dict[str, Array]]:
    """What every rival answers, by rival and question."""
    return {rival: without_rounding(inquiry(name).answers(ask, blanks=False)) for rival, ask in rivals(material(name))}


def without_rounding(answers: dict[str, Array]) -> dict[str, Array]:
    """Interactions below a millionth of the tokens' scores are rounding of differences: none."""
    size = float(np.abs(answers["token"]).max())
    return {question: np.where(np.abs(values) < ROUNDING * size, 0.0, values) if question in ("bigram", "trigram")
            else values for question, values in answers.items()}


def same_scale(values: Array) -> Array:
    """Values over their root mean square."""
    return values / max(float(np.sqrt(np.mean(values**2))), np.finfo(float).tiny)
