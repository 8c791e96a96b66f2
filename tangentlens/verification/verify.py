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
from tangentlens.features.patterns import escaped
from tangentlens.kernels import Architecture, describe
from tangentlens.kernels.architecture import check_count
from tangentlens.networks.building import build
from tangentlens.report.content import VerifiedAnswer
from tangentlens.verification.empirical import MEMORY, jacobian_bytes
from tangentlens.verification.own_kernel import own_kernel
from tangentlens.verification.probes import Probe
from tangentlens.verification.width_study import WidthStudy, foretell, trained_scores, width_study

Array = NDArray[np.float64]
Progress = Callable[[str], None]
PER_FAMILY = 2  # features of every family whose scores are followed over the steps
OWN_STEPS = 8  # records of the study of one network's own kernel


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
           device: str = "cpu", folder: str | os.PathLike[str] | None = None, progress: Progress | None = None,
           **tokenizing: Any) -> tuple[VerifiedAnswer, ...]:
    """Trains networks on a sample of the texts and says how far each architecture's prediction is from them.

    size: how much is trained; folder: where scores of finished networks are kept, so that an interrupted run goes on;
    tokenizing: tokenizer, lowercase, min_count, as in `tokenize`. Raises DataError or OptionError.

    >>> import tangentlens as tl
    >>> small = Size(texts=30, widths=(16, 64), seeds=2, steps=20, patterns=10)
    >>> (answer,) = verify(tl.small_reviews(), [tl.MLP(activation="tanh")], size=small)
    >>> answer.errors["family"].unique().sort().to_list(), answer.correlation > 0.3
    (['bias', 'token'], True)
    """
    size = size or Size()
    chosen = sample(texts, size.texts, seed=seed)
    tokens = tokenize(chosen, **tokenizing)
    return tuple(_one(architecture, tokens, chosen.labels, size, device=device, folder=folder,
                      say=progress or (lambda line: None)) for architecture in architectures)


def announce(texts: Texts, architectures: Sequence[Architecture], size: Size, *, seed: int = 0, **tokenizing: Any
             ) -> str:
    """What `verify` is going to do, and about how long it takes: one step of the widest network is timed."""
    chosen = sample(texts, size.texts, seed=seed)
    tokens = tokenize(chosen, **tokenizing)
    seconds, memory = 0.0, 0
    for architecture in architectures:
        material = foretell(architecture, tokens, chosen.labels, steps=2, most=size.patterns)
        started = clock.perf_counter()
        trained_scores(material, max(size.widths), 0)
        work = sum((width / max(size.widths)) ** 2 for width in set(size.widths)) * size.seeds + 1
        seconds += (clock.perf_counter() - started) / 2 * size.steps * work
        c = material.trajectory.duals.shape[2]
        network = build(architecture, vocabulary_size=len(tokens.vocabulary) + material.probes.blanks,
                        width=own_width(size), outputs=c)
        memory = max(memory, jacobian_bytes(network, len(tokens) * c))
    return (f"verification: {len(tokens):,} of {len(texts):,} texts, {len(tokens.vocabulary):,} distinct tokens; "
            f"{size.networks} networks for each of {len(architectures)} architecture"
            f"{'s' if len(architectures) > 1 else ''}, widths {', '.join(map(str, sorted(set(size.widths))))}, "
            f"{size.seeds} seeds, {size.steps} steps; up to {memory / 2**20:,.0f} MiB for a Jacobian; "
            f"about {max(1, round(seconds / 60))} minute{'s' if seconds > 90 else ''}")


def own_width(size: Size) -> int:
    """The width of the network whose own kernel is used."""
    return max(size.widths)


def _one(architecture: Architecture, tokens: Tokens, labels: Any, size: Size, *, device: str,
         folder: str | os.PathLike[str] | None, say: Progress) -> VerifiedAnswer:
    started = clock.perf_counter()
    say(f"{describe(architecture)}: prediction")
    material = foretell(architecture, tokens, labels, steps=size.steps, most=size.patterns, record=_records(size.steps))
    study = width_study(material, widths=size.widths, seeds=size.seeds, device=device, folder=folder, progress=say)
    own = own_kernel(material, own_width(size), device=device, memory=4 * MEMORY,
                     progress=lambda line: say(f"{describe(architecture)}: {line}"))
    scatter = scatter_table(study)
    pair = scatter.select("predicted", "trained").to_numpy()
    return VerifiedAnswer(
        describe(architecture), len(tokens), len(tokens.vocabulary), size.steps, float(material.rate * size.steps),
        tuple(sorted(set(size.widths))), size.seeds, float(np.corrcoef(pair.T)[0, 1]), scatter, path_table(study),
        error_table(study), study.slopes().drop("architecture"), own.errors, own.width, clock.perf_counter() - started)


def _records(steps: int) -> list[int]:
    return [0, *np.unique(np.linspace(1, steps, OWN_STEPS).round()).astype(int).tolist()]


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
    names = names_of(probe, patterns, material.tokens)
    tables = []
    for output, label in enumerate(material.trajectory.outputs):
        for record in records:
            seeds = trained[:, record, :, output]
            tables.append(pl.DataFrame({
                "family": [probe.family] * len(names), "feature": names, "class": [str(label)] * len(names),
                "step": [material.steps[record]] * len(names), "predicted": predicted[record, :, output],
                "trained": seeds.mean(axis=0), "low": seeds.min(axis=0), "high": seeds.max(axis=0)}))
    return pl.concat(tables)


def names_of(probe: Probe, patterns: NDArray[np.int64], tokens: Tokens) -> list[str]:
    """Readable names: tokens joined by one space, `_` for a gap, `<bias>`."""
    if not probe.places:
        return ["<bias>"] * len(patterns)
    strings = escaped(tokens.vocabulary)
    names = np.full((len(patterns), probe.places[-1] + 1), "_", dtype=object)
    for column, place in enumerate(probe.places):
        names[:, place] = strings.gather(patterns[:, column]).to_list()
    return [" ".join(row) for row in names]


def error_table(study: WidthStudy) -> pl.DataFrame:
    """Per family and width the root mean square over seeds, least and largest error."""
    error = pl.col("error")
    return study.errors.group_by("family", "width", maintain_order=True).agg(
        error.pow(2).mean().sqrt().alias("error"), error.min().alias("low"), error.max().alias("high"))
