"""Label scores of trained networks against the prediction, over widths and seeds; the error falls like width^(−1/2)."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.special import ndtri, stdtrit

from tangentlens.data.storage import read_arrays, write_arrays
from tangentlens.data.tokens import Tokens
from tangentlens.errors import DataError, OptionError
from tangentlens.features import Features
from tangentlens.kernels import Architecture, describe
from tangentlens.networks.building import build
from tangentlens.networks.training import train
from tangentlens.predictions.trajectory import Trajectory, learn
from tangentlens.verification.probes import Probes

Array = NDArray[np.float64]
Progress = Callable[[str], None]
Watching = Callable[[int, int, float], None]
RATE = 0.25  # largest share of the critical learning rate: a narrow network's own kernel may exceed the limit's
FALL = 0.95  # training goes on until the predicted loss has fallen to this share of its start
RESAMPLES = 2000  # of the bootstrap over seeds


@dataclass(frozen=True)
class Material:
    """A prediction that networks are held against: texts, the trajectory of gradient descent, and its label scores.

    predicted: by probe, arrays (T, N, c) at the trajectory's recorded steps.
    """

    architecture: Architecture
    tokens: Tokens
    labels: Any
    trajectory: Trajectory
    probes: Probes
    predicted: list[Array]

    @property
    def steps(self) -> list[int]:
        """The recorded steps."""
        return [int(step) for step in self.trajectory.steps]

    @property
    def rate(self) -> float:
        """The learning rate that network and prediction share."""
        return float(self.trajectory.dynamics.learning_rate or 0.0)


def foretell(architecture: Architecture, tokens: Tokens, labels: Any, *, steps: int = 200, most: int = 100,
             learning_rate: float | None = None, fall: float = FALL, record: Sequence[int] | None = None,
             loss: str | None = None) -> Material:
    """The prediction of gradient descent and its label scores, asked for by the same probes as a network's.

    learning_rate: by default such that the steps reach the time at which the predicted training loss has fallen to
    `fall` of its start, but at most RATE of the critical one; most: patterns of each family.
    """
    features = architecture.features(tokens)
    if learning_rate is None:
        learning_rate = rate_of(features, labels, loss, steps, fall)
    trajectory = learn(features, labels, loss, steps=steps, learning_rate=learning_rate, record=record)
    probes = Probes.frequent(architecture, tokens, most=most)
    asked = architecture.features(probes.texts(blanks=False), columns=features)
    outputs = np.stack([trajectory.decision(asked, step) for step in range(len(trajectory.steps))])
    return Material(architecture, tokens, labels, trajectory, probes, probes.scores(outputs))


def rate_of(features: Features, labels: Any, loss: str | None, steps: int, fall: float) -> float:
    """Learning rate with which the steps reach the time of a fallen loss; at most RATE of the critical one."""
    first = learn(features, labels, loss, steps=1)
    most = RATE * float(first.dynamics.critical_learning_rate or 1.0)
    until = fall * float(first.curves["train_loss"][0])
    try:
        time = float(learn(features, labels, loss, until_loss=until).steps[-1])
    except OptionError:  # the loss never falls so far
        time = np.inf
    if not np.isfinite(min(most, time)):
        raise DataError(f"nothing can be learned from these {len(features)} texts: nothing in them tells the labels "
                        "apart; give more texts")
    return min(most, time / steps)


def trained_scores(material: Material, width: int, seed: int, *, device: str = "cpu", batch_size: int | None = None,
                   progress: Watching | None = None) -> list[Array]:
    """Label scores of one network, trained like the prediction; by probe, arrays (T, N, c)."""
    c = material.trajectory.duals.shape[2]
    network = build(material.architecture, vocabulary_size=len(material.tokens.vocabulary) + material.probes.blanks,
                    width=width, outputs=c, seed=seed, device=device)
    done = train(network, material.tokens, material.labels, learning_rate=material.rate,
                 loss=material.trajectory.dynamics.targets.loss.name, batch_size=batch_size, seed=seed,
                 steps=material.steps[-1], record=material.steps, probes=material.probes.texts(), progress=progress)
    return material.probes.scores(done.probes)


@dataclass(frozen=True, eq=False)
class WidthStudy:
    """Errors of label scores by family, width and seed, and the scores of the widest networks.

    errors: a table architecture, family, width, seed, error: relative L2 distance of the family's label scores at the
    last step; where the prediction is zero, relative to all families' scores. trained: by probe, arrays
    (seeds, T, N, c) of the widest networks.
    """

    material: Material
    errors: pl.DataFrame
    trained: list[Array] = field(repr=False)

    def slopes(self) -> pl.DataFrame:
        """Per family the slope of log error against log width, with a 95 % interval (bootstrap over seeds): family,
        slope, low, high, and the error (root mean square over seeds) at the smallest and the largest width.
        """
        rows = []
        for (family,), part in self.errors.group_by("family", maintain_order=True):
            table = part.pivot(on="seed", index="width", values="error").sort("width")
            widths, errors = table["width"].to_numpy(), table.drop("width").to_numpy()
            slope, low, high = slope_of(widths, errors)
            rms = np.sqrt(np.mean(errors**2, axis=1))
            rows.append((describe(self.material.architecture), family, slope, low, high, rms[0], rms[-1]))
        names = ["architecture", "family", "slope", "low", "high", "error_narrowest", "error_widest"]
        return pl.DataFrame(rows, schema=names, orient="row")


def slope_of(widths: NDArray[Any], errors: Array) -> tuple[float, float, float]:
    """Slope of log rms error against log width and its 95 % interval; errors (widths, seeds).

    Bootstrap over seeds, widened for few of them: by √(S / (S − 1)) and Student's t (NaN for one seed).
    """
    log = np.log(widths)
    centred = (log - log.mean()) / np.sum((log - log.mean()) ** 2)

    def slopes(chosen: Array) -> Array:
        return np.asarray(centred @ np.log(np.sqrt(np.mean(chosen**2, axis=1))))

    rng = np.random.default_rng(0)
    picks = rng.integers(errors.shape[1], size=(len(errors), errors.shape[1], RESAMPLES))
    resampled = slopes(np.take_along_axis(errors[:, :, None], picks, axis=1))
    slope, count = float(slopes(errors[:, :, None])[0]), errors.shape[1]
    if count < 2:
        return slope, np.nan, np.nan
    wider = np.sqrt(count / (count - 1)) * stdtrit(len(errors) * (count - 1), 0.975) / ndtri(0.975)
    low, high = slope + wider * (np.quantile(resampled, [0.025, 0.975]) - slope)
    return slope, float(low), float(high)


def width_study(material: Material, *, widths: Sequence[int] = (64, 128, 256, 512), seeds: int = 4,
                device: str = "cpu", folder: str | os.PathLike[str] | None = None, progress: Progress | None = None,
                watching: Watching | None = None) -> WidthStudy:
    """Trains networks of several widths and seeds and measures how far their label scores are from the prediction.

    folder: where finished networks' scores are kept; a study that is interrupted goes on from there. progress: called
    with a line for every network; watching: called with (step, steps, training loss), and for a network whose scores
    are kept already once, with its last step and NaN.
    Raises OptionError for fewer than two widths.
    """
    if len(set(widths)) < 2 or seeds < 1:
        raise OptionError("a width study needs at least two different widths and one seed")
    say = progress or (lambda line: None)
    rows, widest = [], []
    for width in sorted(set(widths)):
        for seed in range(seeds):
            say(f"{describe(material.architecture)}: width {width}, seed {seed}")
            found = _kept(material, width, seed, device, folder, watching or (lambda step, steps, loss: None))
            rows += [(describe(material.architecture), probe.family, width, seed, error)
                     for probe, error in zip(material.probes.probes, family_errors(material, found), strict=True)]
            if width == max(widths):
                widest.append(found)
    errors = pl.DataFrame(rows, schema=["architecture", "family", "width", "seed", "error"], orient="row")
    return WidthStudy(material, errors, [np.stack(parts) for parts in zip(*widest, strict=True)])


def family_errors(material: Material, found: list[Array]) -> list[float]:
    """Relative L2 distance of every family's label scores at the last step."""
    everything = float(np.sqrt(sum(np.sum(scores[-1] ** 2) for scores in material.predicted)))
    result = []
    for predicted, trained in zip(material.predicted, found, strict=True):
        size = float(np.linalg.norm(predicted[-1]))
        result.append(float(np.linalg.norm(trained[-1] - predicted[-1])) / (size if size > 1e-9 * everything
                                                                            else everything))
    return result


def _kept(material: Material, width: int, seed: int, device: str, folder: str | os.PathLike[str] | None,
          watching: Watching) -> list[Array]:
    """Scores of one network, from the folder if they are there."""
    if folder is None:
        return trained_scores(material, width, seed, device=device, progress=watching)
    targets = material.trajectory.dynamics.targets
    about = repr((material.architecture, width, seed, device, material.rate, material.steps, targets.loss.name,
                  len(material.tokens.vocabulary)))
    digest = hashlib.sha256(about.encode())
    for array in (material.tokens.ids, material.tokens.offsets, targets.index, *material.probes.patterns):
        digest.update(np.ascontiguousarray(array).tobytes())
    path = Path(folder) / f"{type(material.architecture).__name__}-{width}-{seed}-{digest.hexdigest()[:16]}.npz"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        found = trained_scores(material, width, seed, device=device, progress=watching)
        write_arrays(path, {"kind": "scores"}, {str(number): scores for number, scores in enumerate(found)})
    else:
        watching(material.steps[-1], material.steps[-1], np.nan)
    arrays = read_arrays(path)[1]
    return [arrays[str(number)] for number in range(len(material.predicted))]
