"""A prediction held against networks that are really trained, on a sample of the user's texts, as the page shows it."""

from __future__ import annotations

import os
import time as clock
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from tangentlens.data import Texts, Tokens, tokenize
from tangentlens.errors import DataError, OptionError
from tangentlens.features.patterns import names_of
from tangentlens.kernels import Architecture, describe
from tangentlens.kernels.architecture import check_count
from tangentlens.report.content import VerifiedAnswer
from tangentlens.verification.own_kernel import own_kernel
from tangentlens.verification.width_study import Watching, WidthStudy, foretell, width_study

Array = NDArray[np.float64]
Progress = Callable[[str], None]
PER_FAMILY = 2  # features of every family whose scores are followed over the steps
RECORDS = 8  # steps, besides the start, at which label scores are compared
OWN_PATTERNS = 20  # of each family in the study of one network's own kernel: each costs a gradient
OWN_MEMORY = 2**33  # bytes that a network's gradients may take there


@dataclass(frozen=True)
class Size:
    """How much is trained: texts in the sample, widths, seeds, steps, and patterns of each family."""

    texts: int = 100
    widths: tuple[int, ...] = (64, 128, 256, 512)
    seeds: int = 4
    steps: int = 200
    patterns: int = 100

    def __post_init__(self) -> None:
        for name in ("texts", "seeds", "steps", "patterns"):
            check_count(name, getattr(self, name))
        for width in self.widths:
            check_count("width", width)
        if len(set(self.widths)) < 2:
            raise OptionError("verification needs at least two different widths, to see the error fall")

    @property
    def networks(self) -> int:
        """Networks trained for each architecture, the one of the own kernel included."""
        return len(set(self.widths)) * self.seeds + 1


def sample(texts: Texts, size: int, *, seed: int = 0) -> Texts:
    """A seeded sample of labelled texts in which every class occurs. Raises DataError where that cannot be."""
    if len(texts.classes) < 2:
        raise DataError(f"{texts.source} has {len(texts.classes)} class; verification needs at least two")
    if len(texts) <= size:
        return texts
    labels = np.asarray(texts.labels)
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(texts))
    first = [int(order[labels[order] == name][0]) for name in texts.classes]
    rest = [row for row in order.tolist() if row not in first]
    return texts[np.sort([*first, *rest[:max(0, size - len(first))]])]


def verify(texts: Texts, architectures: Sequence[Architecture], *, size: Size | None = None, seed: int = 0,
           device: str = "cpu", loss: str | None = None, folder: str | os.PathLike[str] | None = None,
           progress: Progress | None = None, watching: Watching | None = None, **tokenizing: Any
           ) -> tuple[VerifiedAnswer, ...]:
    """Trains networks on a sample of the texts and says how far each architecture's prediction is from them.

    size: how much is trained; loss: see `learn`; folder: where scores of finished networks are kept, so that an
    interrupted run goes on; progress: called with lines of text; watching: called with (step, steps, training loss) of
    the network in training, see `width_study`; tokenizing: tokenizer, lowercase, min_count, as in `tokenize`.
    Raises DataError or OptionError.

    >>> import tangentlens as tl
    >>> small = Size(texts=30, widths=(16, 64), seeds=2, steps=20, patterns=10)
    >>> (answer,) = verify(tl.small_reviews(), [tl.MLP(activation="tanh")], size=small)
    >>> answer.errors["family"].unique().sort().to_list(), answer.correlation > 0.3
    (['bias', 'token'], True)
    """
    size = size or Size()
    chosen, tokens = material(texts, size, seed=seed, **tokenizing)
    say = progress or (lambda line: None)
    return tuple(_one(architecture, tokens, chosen.labels, size, device=device, loss=loss, folder=folder, say=say,
                      watching=watching) for architecture in architectures)


def material(texts: Texts, size: Size, *, seed: int = 0, **tokenizing: Any) -> tuple[Texts, Tokens]:
    """The sample and its tokens. Raises DataError where the sample has too few classes or no known token."""
    chosen = sample(texts, size.texts, seed=seed)
    tokens = tokenize(chosen, **tokenizing)
    if not np.any(tokens.ids >= 0):
        raise DataError(f"no token of the {len(tokens)} texts to verify on occurs {tokenizing.get('min_count', 1)} "
                        "times or more; give more texts, or lower min_count")
    return chosen, tokens


def _one(architecture: Architecture, tokens: Tokens, labels: Any, size: Size, *, device: str, loss: str | None,
         folder: str | os.PathLike[str] | None, say: Progress, watching: Watching | None) -> VerifiedAnswer:
    started = clock.perf_counter()
    name = describe(architecture)
    say(f"{name}: prediction")
    wanted: dict[str, Any] = {"steps": size.steps, "record": records(size.steps), "loss": loss}
    whole = foretell(architecture, tokens, labels, most=size.patterns, **wanted)
    study = width_study(whole, widths=size.widths, seeds=size.seeds, device=device, folder=folder, progress=say,
                        watching=watching)
    part = foretell(architecture, tokens, labels, most=min(size.patterns, OWN_PATTERNS), learning_rate=whole.rate,
                    **wanted)
    own = own_kernel(part, max(size.widths), device=device, memory=OWN_MEMORY, watching=watching,
                     progress=lambda line: say(f"{name}: {line}"))
    scatter = scatter_table(study)
    order = pl.Series("order", [probe.order for probe in whole.probes.probes])
    return VerifiedAnswer(
        name, len(tokens), len(tokens.vocabulary), size.steps, float(whole.rate * size.steps),
        tuple(sorted(set(size.widths))), size.seeds, _correlation(scatter), scatter, path_table(study),
        error_table(study), study.slopes().drop("architecture").with_columns(order), own.errors, own.width,
        clock.perf_counter() - started)


def records(steps: int) -> list[int]:
    """The steps at which label scores are compared."""
    return [0, *np.unique(np.linspace(1, steps, RECORDS).round()).astype(int).tolist()]


def _correlation(scatter: pl.DataFrame) -> float:
    """Pearson's, of predicted and trained scores; NaN where either is constant."""
    with np.errstate(invalid="ignore", divide="ignore"):
        return float(np.corrcoef(scatter["predicted"], scatter["trained"])[0, 1]) if scatter.height > 1 else np.nan


def scatter_table(study: WidthStudy) -> pl.DataFrame:
    """Predicted and trained label scores at the last step; see VerifiedAnswer."""
    parts = [_scores(study, number, slice(None), [-1]).drop("step") for number in range(len(study.trained))]
    return pl.concat(parts)


def path_table(study: WidthStudy) -> pl.DataFrame:
    """Label scores over all steps of the features of every family with the largest predicted ones."""
    parts = []
    for number, predicted in enumerate(study.material.predicted):
        size = np.abs(predicted[-1]).max(axis=1)
        parts.append(_scores(study, number, np.sort(np.argsort(-size, kind="stable")[:PER_FAMILY]),
                             range(len(study.material.steps))))
    return pl.concat(parts)


def _scores(study: WidthStudy, number: int, chosen: Any, records: Sequence[int]) -> pl.DataFrame:
    """Rows of one family: family, feature, class, step, predicted, trained, low, high."""
    material = study.material
    probe, patterns = material.probes.probes[number], material.probes.patterns[number][chosen]
    predicted, trained = material.predicted[number][:, chosen], study.trained[number][:, :, chosen]
    names = names_of(material.tokens.vocabulary, patterns, probe.places)
    tables = []
    for output, label in enumerate(material.trajectory.outputs):
        for record in records:
            seeds = trained[:, record, :, output]
            tables.append(pl.DataFrame({
                "family": [probe.family] * len(names), "feature": names, "class": [str(label)] * len(names),
                "step": [material.steps[record]] * len(names), "predicted": predicted[record, :, output],
                "trained": seeds.mean(axis=0), "low": seeds.min(axis=0), "high": seeds.max(axis=0)}))
    return pl.concat(tables)


def error_table(study: WidthStudy) -> pl.DataFrame:
    """Per family and width the root mean square over seeds, least and largest error."""
    error = pl.col("error")
    return study.errors.group_by("family", "width", maintain_order=True).agg(
        error.pow(2).mean().sqrt().alias("error"), error.min().alias("low"), error.max().alias("high"))
