"""Tables of what networks were foretold and what they learned.

Part of: python -m reproduce.deeper_networks
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from reproduce.deeper_texts import Material
from reproduce.sheet import Row
from tangentlens.predictions.questions import Answers
from tangentlens.verification import Measured, correlation

Array = NDArray[np.float64]
Part = Callable[[Answers, int], Array]
ROUNDING = 1e-6  # an interaction below this share of the tokens' effects is none
SHOWN = 5e-4  # half of the last digit of a share
CLEAR = 0.5  # least reliability of interactions that are worth a question about order


@dataclass(frozen=True)
class Told:
    """What networks, or one closed form, answer at the T steps of a course, and their training losses (networks, T)."""

    route: str
    answers: tuple[Answers, ...]
    losses: Array

    @property
    def mean(self) -> Answers:
        """The answers of the mean."""
        return Answers.mean(self.answers)

    @property
    def measured(self) -> Measured:
        """The measures of what networks have in common; these need no architecture, trajectory or questions."""
        return Measured(None, None, None, (), self.mean, self.answers)

    def share(self, record: int) -> float:
        """Interaction share (theory, eq. 65 and 74)."""
        alone = len(self.answers) == 1
        return float((self.answers[0].interaction_share if alone else self.measured.common_share)[record])

    def interval(self, measure: Callable[[Answers], Array]) -> tuple[Array, Array]:
        """95 % interval of a measure of the mean: jackknife over networks with Student's t, NaN for a closed form.

        Not the bootstrap: its means have more scatter than the mean itself, which costs signs and decisions.
        """
        count, centre = len(self.answers), np.asarray(measure(self.mean))
        if count < 3:
            return np.full(centre.shape, np.nan), np.full(centre.shape, np.nan)
        left = np.stack([measure(Answers.mean(self.answers[:i] + self.answers[i + 1:])) for i in range(count)])
        wide = stats.t.ppf(0.975, count - 1) * np.sqrt((count - 1) * np.mean((left - left.mean(axis=0)) ** 2, axis=0))
        return centre - wide, centre + wide

    def turned(self) -> Told:
        """In place of M and J, I(a, b) ± I(b, a) of the bigrams: their share is that of what depends on the order."""
        pairs = [answers.interactions for answers in self.answers]
        return replace(self, answers=tuple(replace(answers, mains=first + second, joints=first - second)
                                           for answers, (first, second) in zip(self.answers, pairs, strict=True)))


@dataclass(frozen=True)
class Study:
    """One network on one data set: predictions (the best first), trained networks, and the steps of the records."""

    network: str
    material: Material
    predictions: tuple[Told, ...]
    trained: Told
    steps: tuple[int, ...]

    @property
    def names(self) -> dict[str, Any]:
        """The first columns."""
        return {"data": self.material.name, "network": self.network}


def agreement(study: Study, prediction: Told, record: int = 0) -> Row:
    """Correlations of token effects and of interactions, and how often an interaction has the predicted sign."""
    row = study.names | {"route": prediction.route, "step": study.steps[record]}
    row |= correlated("effects", effects_of, prediction, study.trained, record)
    if not interacts(prediction, record):
        return row
    signs = np.sign(interactions_of(prediction.mean, record))

    def same(answers: Answers) -> Array:
        return np.mean(np.sign(interactions_of(answers, record)) == signs)

    row |= correlated("interactions", interactions_of, prediction, study.trained, record)
    low, high = np.clip(study.trained.interval(same), 0, 1)
    return row | {"signs": float(same(study.trained.mean)), "signs_interval": ranged(low, high)}


def correlated(name: str, part: Part, prediction: Told, trained: Told, record: int) -> Row:
    """Correlation of a part of the answers with its interval, and the ceiling that the scatter of both sides sets."""
    mine, theirs = ([part(answers, record) for answers in side.answers] for side in (prediction, trained))
    found, low, high = correlation(np.mean(mine, axis=0), theirs)
    return {name: found, f"{name}_interval": ranged(low, high),
            f"{name}_ceiling": reliability(mine) * reliability(theirs)}


def shares(study: Study, record: int = 0) -> Row:
    """Interaction share on the texts to decide, and the share of interactions that depends on the order."""
    row = study.names
    sides = ([interactions_of(answers, record) for answers in told.answers]
             for told in (study.predictions[0], study.trained))
    clear = interacts(study.predictions[0], record) and np.prod([reliability(side) for side in sides]) > CLEAR
    for name, view in (("share", lambda told: told), ("order", Told.turned)):
        if name == "order" and not clear:
            continue
        for place, prediction in zip(("closed", "mean")[-len(study.predictions):], study.predictions, strict=True):
            row[f"{name}_{place}"] = view(prediction).share(record)
        networks = view(study.trained)
        low, high = networks.measured.common_interval(record)
        row |= {f"{name}_trained": networks.share(record), f"{name}_interval": ranged(low, high)}
        if not np.isnan(low):
            found = view(study.predictions[0]).share(record)
            row[f"{name}_inside"] = low - SHOWN <= found <= high + SHOWN
    return row


def decisions(study: Study, record: int = 0) -> Row:
    """The bias, and the accuracy on new texts and on new combinations: of the first prediction and the mean network."""
    def figures(answers: Answers) -> Array:
        right = (answers.decisions[record, :, 0] > 0) == study.material.positive
        new = study.material.combination
        return np.array([float(answers.nothing[record, 0]) / rms(effects_of(answers, record)), right[~new].mean(),
                         right[new].mean() if new.any() else np.nan])

    first, row = study.predictions[0], study.names
    columns = (figures(first.mean), *first.interval(figures), figures(study.trained.mean),
               *study.trained.interval(figures))
    for name, predicted, *own, found, low, high in zip(("bias", "new", "combinations"), *columns, strict=True):
        if not np.isnan(predicted):
            row |= {name: float(predicted), f"{name}_own": ranged(*own), f"{name}_trained": float(found),
                    f"{name}_interval": ranged(low, high)}
    return row


def later(study: Study) -> Row:
    """The first prediction at the first record and at the last one: what has become of the agreement."""
    first, trained = study.predictions[0], study.trained
    row = study.names | {"step": study.steps[0], "last": study.steps[-1]}
    for ending, record in (("", 0), ("_last", -1)):
        parts = {"effects": effects_of} | ({"interactions": interactions_of} if interacts(first, record) else {})
        row |= {f"{name}{ending}": float(np.corrcoef(part(first.mean, record), part(trained.mean, record))[0, 1])
                for name, part in parts.items()}
    return row | {"loss": float(first.losses[0, -1]), "loss_trained": float(trained.losses[:, -1].mean()),
                  "share": first.share(-1), "share_trained": trained.share(-1)}


def ranged(low: float, high: float) -> str | None:
    """An interval, if there is one."""
    return None if np.isnan(low) else f"{low:.2f} to {high:.2f}"


def effects_of(answers: Answers, record: int) -> Array:
    """f(a) − f(□) of the tokens."""
    return np.asarray(answers.effects[record, :, 0])


def interactions_of(answers: Answers, record: int) -> Array:
    """I(a, b) of the bigrams."""
    return np.asarray(answers.interactions[0][record, :, 0])


def rms(values: Array) -> float:
    """Root mean square."""
    return float(np.sqrt(np.mean(np.square(values))))


def reliability(values: Sequence[Array]) -> float:
    """What the mean over networks can correlate with, given their scatter (theory, eq. 67); 1 for a closed form."""
    count = len(values)
    mean = (np.corrcoef(values).sum() - count) / (count * (count - 1)) if count > 1 else 1.0
    return float(np.sqrt(max(0.0, count * mean / (1 + (count - 1) * mean))))


def interacts(prediction: Told, record: int) -> bool:
    """Whether any interaction is foretold, beyond rounding."""
    answers = prediction.mean
    return rms(interactions_of(answers, record)) > ROUNDING * rms(effects_of(answers, record))

