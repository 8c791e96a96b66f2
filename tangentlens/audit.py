"""START HERE: the main job, one stage after another.

texts → tokens → features → learning → label scores → report, for every architecture.
"""

from __future__ import annotations

import os
import platform
import time as clock
import warnings
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, fields
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from tangentlens.data import Texts, Tokens, split, tokenize
from tangentlens.data.messages import plain
from tangentlens.data.suspects import Lists
from tangentlens.data.texts import Described
from tangentlens.errors import DataError, OptionError, nearest
from tangentlens.features.family import Features
from tangentlens.kernels import CNN, MLP, Architecture, SelfAttention, describe
from tangentlens.kernels.comparing import distinct
from tangentlens.learning.memory import give_back
from tangentlens.learning.needs import check_audit
from tangentlens.outcome import Audit, named
from tangentlens.predictions import Trajectory, learn
from tangentlens.predictions.flags import compared_flags, flags, together
from tangentlens.predictions.ground import Ground
from tangentlens.predictions.strongest import Strongest, strongest
from tangentlens.report import ArchitectureAnswer, Report
from tangentlens.report.answers import answer, glance
from tangentlens.report.flagged import against, flags_table
from tangentlens.report.live import Live
from tangentlens.report.notes import notes_on
from tangentlens.side_by_side import side_by_side

Progress = Callable[[str], None]
DEFAULT_ARCHITECTURES: tuple[Architecture, ...] = (MLP(), CNN(), SelfAttention(scores="tied"))
_PATHS = ("tokenizer", "allow", "forbid", "suspects", "previous")
UNVALIDATED = 1e3  # the best time, where no text is held out to choose it
LARGE = 4_000_000  # tokens from which on memory is given back after every stage
SIDE_BY_SIDE = 30_000_000  # tokens up to which two architectures are worked on at the same time: memory


@dataclass(frozen=True)
class Settings:
    """How `audit` tokenises, splits and learns; see there."""

    tokenizer: str = "words"
    lowercase: bool = False
    min_count: int = 1
    validation: float = 0.1
    seed: int = 0
    loss: str | None = None
    time: float | str | None = "best"
    steps: int | None = None
    learning_rate: float | str = "auto"
    tolerance: float = 1e-2
    allow: str | os.PathLike[str] | None = None
    forbid: str | os.PathLike[str] | None = None
    suspects: str | os.PathLike[str] | None = None
    previous: str | os.PathLike[str] | None = None
    memory: float | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.validation < 1:
            raise OptionError(f"validation is a share of the texts, at least 0 and below 1, not {self.validation}")
        if isinstance(self.seed, bool) or not isinstance(self.seed, int | np.integer) or self.seed < 0:
            raise OptionError(f"seed is a whole number of at least 0, not {self.seed!r}")
        if self.steps is not None and self.time not in (None, "best"):
            raise OptionError("time belongs to gradient flow, steps to gradient descent: give only one of them")
        if self.steps is None and self.learning_rate != "auto":
            raise OptionError("a learning rate belongs to gradient descent: give steps too")

    @classmethod
    def named(cls, given: dict[str, Any]) -> Settings:
        """The settings by name; OptionError for a name that there is not."""
        names = [field.name for field in fields(cls)]
        for name in given:
            if name not in names:
                raise OptionError(f'an audit has no setting "{name}": {nearest(name, names)}')
        return cls(**given)


def audit(texts: Texts | Callable[[], Texts], architectures: Sequence[Architecture] | None = None, *,
          progress: Progress | None = None, **settings: Any) -> Audit:
    """Says which features each architecture will learn from labelled texts, how strongly and when.

    texts: with labels of two or more classes, or a function that gives them, so that they can be let go as soon as they
    are cut into tokens: large ones take much memory; architectures: by default MLP, CNN and tied SelfAttention.
    Settings: tokenizer, lowercase, min_count (see `tokenize`); validation (share held out to choose the time; with 0
    none is, and "best" means time 1,000), seed; loss (see `learn`); time (a number, or "best"), or steps and
    learning_rate for gradient descent; tolerance (relative, of the label scores of a flow). Of the flags: allow, forbid
    (files of features, one a line), suspects (a file of regular expressions of features that should not decide),
    previous (the folder or flags.json of an earlier run to set the flags against); memory (GB that may be used, by
    default what is free: an audit that would need more is refused).
    progress: called with a line of text as work goes on.
    Raises DataError or OptionError. A learning rate above the critical one gives a warning, also among the notes.

    >>> import tangentlens as tl
    >>> found = tl.audit(tl.small_reviews(), [tl.MLP()])
    >>> "imax" in found.table.top_k(2, by="score")["feature"]  # the planted shortcut
    True
    """
    return audited(texts, choose(architectures), progress=progress, settings=settings)[0]


def audited(texts: Texts | Callable[[], Texts], chosen: tuple[Architecture, ...], *, progress: Progress | None,
            settings: dict[str, Any]) -> tuple[Audit, Material]:
    """The audit, and the tokenised texts that it was made from: for jobs that go on from there."""
    options = Settings.named(settings)
    started = clock.perf_counter()
    say = progress or (lambda line: None)
    lists = Lists.read(options.allow, options.forbid, options.suspects)
    earlier = None if options.previous is None else against(options.previous)
    material = Material.of(texts() if callable(texts) else texts, options, say)
    give_back()
    say(check_audit(material.tokens, chosen, options.memory))
    few = len(material.tokens.ids) <= SIDE_BY_SIDE
    with ThreadPoolExecutor(1) as aside:  # nobody needs it before the flags
        ground = aside.submit(Ground.of, material.tokens, material.labels, lists=lists, sources=material.sources,
                              lowercased=options.lowercase)
        if not few:  # one after another: each takes much memory
            say("looking for texts that are nearly the same")
            ground.result()
        found, heard = side_by_side([_Job(architecture, material, ground, options) for architecture in chosen], say,
                                    most=2 if few else 1)
    for line in heard:
        warnings.warn(line, stacklevel=3)
    trajectories, answers, tables, flagged_by = zip(*found, strict=True)
    flagged = together(flagged_by)
    about = material.described
    data = glance(about, material.tokens, material.held_tokens, tokenizer=plain(options.tokenizer),
                  training_rows=material.rows[0], validation_rows=material.rows[1])
    looked = any(trajectory.best for trajectory in trajectories)  # where nothing is learned, nothing is flagged
    notes = (*heard, *(lists.notes() if looked else ()),
             *notes_on(about, material.tokens, len(material.held_labels), zip(chosen, trajectories, strict=True)))
    flagged, gone = (flagged, flags_table([])) if earlier is None else compared_flags(flagged, earlier)
    content = Report(f"What networks learn from {about.source}", data, answers, notes,
                     _about(about, options, chosen, clock.perf_counter() - started), flags=flagged, gone=gone,
                     live=Live(material.tokens, chosen, trajectories))
    return Audit(content, chosen, trajectories, material.tokens, pl.concat(tables), material.rows[0]), material


@dataclass(frozen=True)
class Material:
    """Training and held-out texts, tokenised with the training vocabulary, and their labels; sources: of the training
    texts, or None; rows: where both stand among all texts, which are no longer needed.
    """

    described: Described
    tokens: Tokens
    held_tokens: Tokens
    labels: NDArray[Any]
    held_labels: NDArray[Any]
    sources: tuple[str, ...] | None
    rows: tuple[NDArray[np.int64], NDArray[np.int64]]

    @classmethod
    def of(cls, texts: Texts, options: Settings, say: Progress) -> Material:
        """Checks, splits and tokenises."""
        if not isinstance(texts, Texts):
            raise DataError(f"audit needs Texts, not a {type(texts).__name__}; make them with tl.read_texts(texts, "
                            "labels)")
        if len(texts.classes) < 2:
            raise DataError(f"an audit needs labels of at least two classes; {texts.source} has {len(texts.classes)}")
        say("tokenising")
        everything, share = np.arange(len(texts)), options.validation
        rows = split(texts, share, seed=options.seed) if share else (everything, everything[:0])
        train, held, described = texts[rows[0]], texts[rows[1]], texts.described()
        tokens = tokenize(train, tokenizer=options.tokenizer, lowercase=options.lowercase,
                          min_count=options.min_count)
        if not np.any(tokens.ids >= 0):
            raise DataError(f"no token of {texts.source} occurs {options.min_count} times or more; lower min_count")
        labels = described.labels
        return cls(described, tokens, tokenize(held, vocabulary=tokens.vocabulary), labels[rows[0]], labels[rows[1]],
                   train.sources, rows)


def choose(architectures: Sequence[Architecture] | None) -> tuple[Architecture, ...]:
    """These architectures, or the default ones for none. Raises OptionError for what is none, or is given twice."""
    return distinct(architectures or ()) or DEFAULT_ARCHITECTURES


@dataclass(frozen=True, eq=False)
class _Job:
    """All the work on one architecture."""

    architecture: Architecture
    material: Material
    ground: Future[Ground]
    options: Settings

    @property
    def name(self) -> str:
        """As it is shown."""
        return describe(self.architecture)

    def run(self, say: Progress) -> tuple[Trajectory, ArchitectureAnswer, pl.DataFrame, pl.DataFrame]:
        """Features, learning, label scores, flags: the trajectory, the answer, label scores and flags."""
        started = clock.perf_counter()
        spectrum = self.architecture.spectrum()
        say = self._clearing(say)
        say("counting patterns")
        features = self.architecture.features(self.material.tokens)
        validation = None
        if len(self.material.held_labels):
            held = self.architecture.features(self.material.held_tokens, columns=features)
            validation = (held, self.material.held_labels)
        say("learning")
        trajectory = self._learned(features, validation, say)
        say("label scores")
        found: Strongest = strongest(trajectory, step=trajectory.best)
        scores = named(found.scores, self.architecture)
        say("looking for shortcuts")
        flagged = flags(self.architecture, trajectory, self.ground.result(), step=trajectory.best)
        answered = answer(self.architecture, trajectory, found, seconds=clock.perf_counter() - started,
                          spectrum=spectrum)
        say("done")
        return trajectory, answered, scores, flagged

    def _clearing(self, say: Progress) -> Progress:
        """Says a line, and before it gives back the memory that the stage before has left, if there is much."""
        def said(line: str) -> None:
            if len(self.material.tokens.ids) > LARGE:
                give_back()
            say(line)

        return said

    def _learned(self, features: Features, validation: tuple[Features, Any] | None, say: Progress) -> Trajectory:
        options, labels = self.options, self.material.labels
        if options.steps is not None:
            return learn(features, labels, options.loss, steps=options.steps, learning_rate=options.learning_rate,
                         validation=validation)
        moment = UNVALIDATED if validation is None and options.time == "best" else options.time
        return learn(features, labels, options.loss, time=moment, validation=validation, tolerance=options.tolerance,
                     progress=say)


def _about(texts: Described, options: Settings, architectures: Sequence[Architecture], seconds: float
           ) -> dict[str, Any]:
    """Every setting, the versions and the data's fingerprint."""
    packages = ("tangentlens", "numpy", "scipy", "polars", "tokenizers")
    return {
        "data": {"source": texts.source, "texts": len(texts), "skipped": texts.skipped, "sha256": texts.fingerprint},
        "architectures": [repr(architecture) for architecture in architectures],
        "settings": vars(options) | {name: plain(value) for name in _PATHS if (value := getattr(options, name))},
        "versions": {"python": platform.python_version()} | {name: _version(name) for name in packages},
        "seconds": round(seconds, 3),
    }


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"
