"""Accuracy that networks lose when a cue is flipped, and the prediction. Part of: python -m benchmarks.shortcuts"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

import tangentlens as tl
from benchmarks.planting import CUES, flipped, plant
from tangentlens.kernels import Architecture, describe

TRAINED: tuple[Architecture, ...] = (tl.MLP(), tl.CNN(), tl.LinearRNN(), tl.MatrixVector())
TRAINING, HELD, WIDTH, STEPS, SEEDS, PART = 800, 400, 128, 120, 1, 6
SHARES = (0.05, 0.3)
Array = NDArray[np.float64]
Cell = dict[str, Any]


def drops(texts: tl.Texts, share: float) -> list[Cell]:
    """Of every architecture and cue: what the prediction and every trained network lose in accuracy, on held-out texts
    of the class that the cue does not stand for, when it is put into all of them.
    """
    torch.set_num_threads(1)
    planted = plant(texts[:TRAINING], share, 1.0, seed=5)
    held = texts[TRAINING:TRAINING + HELD]
    tokens = tl.tokenize(planted.texts)
    probes = [tl.tokenize(one, vocabulary=tokens.vocabulary)
              for one in (held, *(flipped(held, kind) for kind in CUES))]
    rows = []
    for architecture in TRAINED:
        predicted, schedule = foretold(architecture, tokens, planted.texts.labels, probes)
        networks = [trained(architecture, tokens, planted.texts.labels, probes, schedule, seed)
                    for seed in range(SEEDS)]
        for place, kind in enumerate(CUES, 1):
            seeds = [lost(one[0], one[place], held, kind) for one in networks]
            rows.append({"cue": kind, "share": share, "architecture": describe(architecture),
                         "predicted": lost(predicted[0], predicted[place], held, kind),
                         "trained": float(np.mean(seeds)), "seeds": seeds})
    return rows


def foretold(architecture: Architecture, tokens: tl.Tokens, labels: Any, probes: list[tl.Tokens]
             ) -> tuple[Array, dict[str, Any]]:
    """Predicted decisions on the probes (len(probes), n'), and the schedule for networks."""
    features = architecture.features(tokens)
    critical = tl.learn(features, labels, steps=1).dynamics.learning_rate
    schedule: dict[str, Any] = {"steps": STEPS, "momentum": 0.9, "learning_rate": critical / PART}
    trajectory = tl.learn(features, labels, **schedule)
    decisions = [trajectory.decision(architecture.features(one, columns=features))[:, 0] for one in probes]
    return np.stack(decisions), schedule


def trained(architecture: Architecture, tokens: tl.Tokens, labels: Any, probes: list[tl.Tokens],
            schedule: dict[str, Any], seed: int) -> Array:
    """Outputs of a network of width WIDTH on the probes, (len(probes), n')."""
    network = tl.networks.build(architecture, vocabulary_size=len(tokens.vocabulary), width=WIDTH, seed=seed)
    together = tl.Tokens.from_ids([one[row].ids.tolist() for one in probes for row in range(len(one))],
                                  vocabulary=tokens.vocabulary)
    done = tl.networks.train(network, tokens, labels, probes=together, record=[STEPS], **schedule)
    return np.asarray(done.probes[-1][:, 0].reshape(len(probes), -1))


def lost(before: Array, after: Array, held: tl.Texts, kind: str) -> float:
    """Accuracy before minus after, on the texts that the cue was put into; NaN if the training diverged."""
    if not (np.isfinite(before).all() and np.isfinite(after).all()):
        return float("nan")
    assert held.labels is not None
    changed = held.labels != held.classes[CUES.index(kind) % 2]
    right = (before > 0) == (held.labels == held.classes[-1]), (after > 0) == (held.labels == held.classes[-1])
    return float(np.mean(right[0][changed]) - np.mean(right[1][changed]))
