"""Attribution to training texts against the field: linear datamodeling score and mislabelled texts.

Command: python -m benchmarks --only attribution
Truth: ordinary networks trained on random halves of the training texts. Score (Park et al. 2023): over the halves, the
Spearman correlation between the sum of a half's attributions and the networks' mean margin, averaged over test texts.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from time import process_time

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.linalg import cho_factor, cho_solve
from scipy.special import expit
from scipy.stats import rankdata
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.metrics import average_precision_score

import tangentlens as tl
from benchmarks import attribution_rivals as rivals
from benchmarks.attribution_truth import (
    CHECKPOINTS,
    MANY,
    SEEDS,
    SUBSETS,
    Problem,
    checkpoints,
    flipped,
    halved,
    problem,
)
from benchmarks.forked import forked
from reproduce.sheet import Sheet, number, text, written

Array = NDArray[np.float64]
ARCHITECTURES = {"bag": tl.MLP(), "CNN": tl.CNN()}
CACHE = Path("benchmarks/.cache/attribution")
MOMENTS = 80
INTERVALS = 4  # of the adjoint; chosen on SST, where 1 to 80 differ by 0.01 in the score


@dataclass(frozen=True)
class Attribution:
    """How each training text moves the margin of each test text, (n', n), or predicted margins on the halves,
    (SUBSETS, n'); how suspicious each training label is, (n,) or None; and what was spent, in CPU seconds and MiB.
    """

    method: str
    scores: Array | None
    suspicion: Array | None
    seconds: float
    training: float = 0.0
    predicted: Array | None = None
    memory: float | None = None


def kernel_of(asked: Problem, kind: str) -> tuple[tl.Features, tl.Features]:
    """The limit's features of the training and test texts."""
    features = ARCHITECTURES[kind].features(asked.train)
    return features, ARCHITECTURES[kind].features(asked.test, columns=features)


def ours(asked: Problem, kind: str, y: NDArray[np.int64], loss: float) -> list[Attribution]:
    """The limit, learned to the training loss that the networks reached: shares of the sum, influences. Own influences
    only where labels are flipped, as for TRAK, so that the attribution to test texts is not charged for them.
    """
    began = process_time()
    features, test = kernel_of(asked, kind)
    trajectory = tl.learn(features, y, until_loss=loss, tolerance=0.1)
    theta, across = features.kernel(), test.kernel(features)
    duals = trajectory.duals[-1][:, 0]
    learned = process_time() - began
    sign, own = 2 * asked.test_y - 1, 2 * y - 1
    share = Attribution("share of the sum (eq. 50)", sign[:, None] * across * duals, np.abs(duals), learned)
    began = process_time()
    moved = influences(trajectory, theta, across)
    spent = learned + process_time() - began
    noisy = bool(np.any(y != asked.y))
    suspicion = np.diag(influences(trajectory, theta, theta)) * own if noisy else None
    return [share, Attribution("first order (eq. 94)", sign[:, None] * moved, suspicion, spent)]


def influences(trajectory: tl.Trajectory, theta: Array, across: Array, intervals: int = INTERVALS) -> Array:
    """df(x)/dw_i for all x and i by the adjoint (theory, eq. 94), dense; (n', n) of two classes.

    Backwards over intervals whose length grows in time, one implicit step each: λ ← (I + (h/n) Θ H)⁻¹ λ, by Cholesky's
    factors of the symmetric I + (h/n) √H Θ √H.
    """
    end, n = float(trajectory.steps[-1]), len(theta)
    moments = np.concatenate([[0.0], np.geomspace(min(n / np.trace(theta) / 10, end / 2), end, intervals)])
    path = trajectory.duals[:, :, 0]
    duals = np.stack([np.interp(moments, trajectory.steps, one) for one in path.T], axis=1)
    y = trajectory.dynamics.targets.index
    adjoint, total = across.T.copy(), np.zeros_like(across)
    for late in range(intervals, 0, -1):
        h = (moments[late] - moments[late - 1]) / n
        f = theta @ (duals[late] + duals[late - 1]) / 2
        root = np.sqrt(h * expit(f) * expit(-f))[:, None]
        matrix = root * theta * root.T
        matrix[np.diag_indices(n)] += 1
        factor = cho_factor(matrix, lower=True, overwrite_a=True, check_finite=False)
        adjoint -= theta @ (root * cho_solve(factor, root * adjoint, check_finite=False))
        total -= h * adjoint.T * (expit(f) - y)
    return total


def relearned(asked: Problem, kind: str, loss: float) -> Attribution:
    """The limit learned on every half itself, to the same training loss: predicted margins, no sum of attributions."""
    began = process_time()
    features, test = kernel_of(asked, kind)
    time = float(tl.learn(features, asked.y, until_loss=loss).steps[-1])
    predicted = np.zeros((SUBSETS, len(asked.test)))
    theta, across = features.kernel(), test.kernel(features)
    for number_, half in enumerate(asked.halves):
        rows = np.flatnonzero(half)
        predicted[number_] = across[:, rows] @ flow_of(theta[np.ix_(rows, rows)], asked.y[rows], time)
    margins = predicted * (2 * asked.test_y - 1)
    return Attribution("the limit, learned on each half", None, None, process_time() - began, predicted=margins)


def flow_of(theta: Array, y: NDArray[np.int64], time: float) -> Array:
    """Dual coefficients of the logistic flow at a time by linearly implicit steps of growing length; (n,)."""
    n, duals = len(y), np.zeros(len(y))
    moments = np.concatenate([[0.0], np.geomspace(n / np.trace(theta) / 10, time, MOMENTS)])
    for h in np.diff(moments) / n:
        f = theta @ duals
        bend = expit(f) * expit(-f)
        duals -= h * np.linalg.solve(np.eye(n) + h * bend[:, None] * theta, expit(f) - y)
    return duals


def nearest(asked: Problem, y: NDArray[np.int64]) -> Attribution:
    """Cosine of tf–idf vectors, signed by whether the labels agree."""
    began = process_time()
    vectors = TfidfVectorizer(token_pattern=r"\S+").fit(asked.train_texts)
    train, test = vectors.transform(asked.train_texts), vectors.transform(asked.test_texts)
    own, sign = 2 * y - 1, 2 * asked.test_y - 1
    alike = (train @ train.T).toarray()
    np.fill_diagonal(alike, 0)
    return Attribution("nearest in tf–idf", sign[:, None] * (test @ train.T).toarray() * own, -own * (alike @ own),
                       process_time() - began)


def chance(asked: Problem) -> Attribution:
    """Nothing but noise."""
    random = np.random.default_rng(5)
    return Attribution("random", random.normal(size=(len(asked.test), len(asked.y))), random.normal(size=len(asked.y)),
                       0.0)


def datamodeling_score(sums: Array, margins: Array) -> float:
    """Spearman correlation over the halves, (SUBSETS, n') each, averaged over test texts."""
    mine, theirs = (rankdata(one, axis=0) for one in (sums, margins))
    mine, theirs = mine - mine.mean(axis=0), theirs - theirs.mean(axis=0)
    norm = np.sqrt((mine**2).sum(axis=0) * (theirs**2).sum(axis=0))
    return float(np.mean((mine * theirs).sum(axis=0) / np.where(norm > 0, norm, 1)))


def methods(asked: Problem, kind: str, y: NDArray[np.int64]) -> tuple[list[Attribution], float]:
    """Everything that attributes, on the same checkpoints; and the networks' mean training loss. TRAK with MANY of
    them too, unless labels are flipped.
    """
    noisy = bool(np.any(y != asked.y))
    networks, training = checkpoints(asked, kind, y, CHECKPOINTS if noisy else MANY)
    few, each = networks[:CHECKPOINTS], training / len(networks)
    loss = rivals.training_loss(few, asked, y)
    found = [*remembered(lambda: ours(asked, kind, y, loss)), *remembered(lambda: [nearest(asked, y)])]
    runs = {name: (attribute, few) for name, attribute in rivals.RIVALS.items()}
    if not noisy:
        runs[f"TRAK (traker), {MANY} checkpoints"] = rivals.trak, networks
    for name, (attribute, seen) in runs.items():
        with tempfile.TemporaryDirectory() as folder:
            (scores, suspicion), seconds, memory = forked(partial(attribute, seen, asked, y, Path(folder)))
        found.append(Attribution(name, scores, suspicion, seconds, each * len(seen), memory=memory))
    return [*found, chance(asked)], loss


def remembered(work: Callable[[], list[Attribution]]) -> list[Attribution]:
    """What `work` gives, with the memory that all of it took."""
    found, _, memory = forked(work)
    return [replace(one, memory=memory) for one in found]


def rows_of(name: str, kind: str, data: Path, folder: Path, say: Callable[[str], None]) -> list[dict[str, object]]:
    """One data set and network: a row for every method."""
    asked = problem(name, data)
    outputs, seconds = halved(asked, kind, folder, say)
    margins = outputs * (2 * asked.test_y - 1)
    half = datamodeling_score(margins[:, ::2].mean(axis=1), margins[:, 1::2].mean(axis=1))
    wrong_y, wrong = flipped(asked)
    noisy = {one.method: one.suspicion for one in methods(asked, kind, wrong_y)[0]}
    found, loss = methods(asked, kind, asked.y)
    shared = {"data": name, "network": kind}
    rows: list[dict[str, object]] = []
    for one in [*found, *remembered(lambda: [relearned(asked, kind, loss)])]:
        sums = one.predicted if one.scores is None else asked.halves @ one.scores.T
        assert sums is not None
        suspicion = noisy.get(one.method)
        rows.append({**shared, "method": one.method, "score": datamodeling_score(sums, margins.mean(axis=1)),
                     "precision": None if suspicion is None else float(average_precision_score(wrong, suspicion)),
                     "seconds": one.seconds, "training": one.training, "memory": one.memory})
    rows.append({**shared, "method": f"half of the {SEEDS} networks (ceiling)", "score": half, "precision": None,
                 "seconds": None, "training": seconds, "memory": None})
    say(f"{name}, {kind}: done")
    return rows


def kept(name: str, kind: str, data: Path, folder: Path, say: Callable[[str], None]) -> list[dict[str, object]]:
    """The rows of `rows_of`, from a file if they were made before: an interrupted run goes on."""
    file = folder / f"{name}-{kind}.json"
    if not file.exists():
        rows = rows_of(name, kind, data, folder, say)
        file.write_text(json.dumps(rows))
    return list(json.loads(file.read_text()))


def sheets(data: Path, repeats: int, say: Callable[[str], None]) -> dict[str, Sheet]:
    """Both data sets and both networks."""
    torch.set_num_threads(1)
    rows = [row for name in ("SST", "IMDB") for kind in ARCHITECTURES
            for row in kept(name, kind, data, CACHE, say)]
    for row in rows:
        for column in ("score", "precision"):
            value = row[column]
            row[column + "_written"] = "–" if value is None else f"{value:.3f}"
    shown = {"data": ("data", text), "network": ("network", text), "method": ("attribution", text),
             "score_written": ("linear data-\nmodeling score", written),
             "precision_written": ("mislabelled:\nav. precision", written),
             "seconds": ("CPU s,\nattributing", number(".2f")), "training": ("CPU s,\ntraining", number(".1f")),
             "memory": ("MiB", number(",.0f"))}
    notes = [f"Truth: {SUBSETS} random halves × {SEEDS} seeds of ordinary networks (Adam, width 16). TRAK, TracIn and "
             f"representer points see {CHECKPOINTS} checkpoints trained on all texts, and TRAK {MANY} once more. TRAK: "
             f"traker, BasicProjector to {rivals.PROJECTED} dimensions. A tenth of the labels is flipped for the "
             "average precision.",
             "Training: of the networks that the method needs. MiB: peak beyond what was loaded before. The first "
             f"order takes {INTERVALS} steps back in time, a number chosen on SST."]
    return {"attribution": Sheet("Attribution to training texts", rows, shown, notes)}
