"""START HERE: the main job, one stage after another.

texts → tokens → features → learning → label scores → report, for every architecture.
"""

from __future__ import annotations

import os
import platform
import time as clock
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from tangentlens.data import Texts, Tokens, split, tokenize
from tangentlens.data.messages import plain
from tangentlens.data.storage import read_arrays
from tangentlens.data.suspects import Lists
from tangentlens.errors import DataError, OptionError, nearest
from tangentlens.kernels import CNN, MLP, Architecture, SelfAttention, describe
from tangentlens.kernels.comparing import distinct
from tangentlens.predictions import Explanation, FirstOrder, LanguageModel, Trajectory, learn
from tangentlens.predictions.flags import compared_flags, flags, together
from tangentlens.predictions.ground import Ground
from tangentlens.predictions.strongest import Strongest, strongest
from tangentlens.report import ArchitectureAnswer, Report, VerifiedAnswer, write_page
from tangentlens.report.answers import answer, glance
from tangentlens.report.comparison import compared_result, compared_table
from tangentlens.report.files import explained, staged
from tangentlens.report.flagged import against, flags_json, flags_table
from tangentlens.report.fragments import glimpsed
from tangentlens.report.live import Live
from tangentlens.report.notes import notes_on
from tangentlens.report.page import render
from tangentlens.report.results import as_json, result
from tangentlens.report.state import State, read_compared, read_state, read_verified
from tangentlens.report.verified import errors_table, scores_table, verified_result

Progress = Callable[[str], None]
DEFAULT_ARCHITECTURES: tuple[Architecture, ...] = (MLP(), CNN(), SelfAttention(scores="tied"))
_PATHS = ("tokenizer", "allow", "forbid", "suspects", "previous")
UNVALIDATED = 1e3  # the best time, where no text is held out to choose it


@dataclass(frozen=True)
class Audit:
    """What each architecture will learn from a data set.

    content: everything the report shows; trajectories: one per architecture, in the same order; tokens: of the training
    texts; table: the label scores of every feature that occurs in the training texts, at the best time: architecture,
    family, feature, class, score, count, count_in_class, half_step; rows: which text of the data set (from 0) each
    training text is; shape (n,).
    """

    content: Report
    architectures: tuple[Architecture, ...]
    trajectories: tuple[Trajectory, ...]
    tokens: Tokens
    table: pl.DataFrame
    rows: NDArray[np.int64]

    def explain(self, text: str, architecture: Architecture | None = None, *, step: int | None = None) -> Explanation:
        """Why a text is decided as it is, by one architecture of the audit (the first, unless one is named), down to
        training texts; see `Trajectory.explain`. `rows` says which text of the data set a training row is.

        step: a record, by default the best one. Raises OptionError for an architecture that was not audited.
        """
        if architecture is not None and architecture not in self.architectures:
            raise OptionError(f"{describe(architecture)} was not audited; there are: "
                              f"{', '.join(map(describe, self.architectures))}")
        place = 0 if architecture is None else self.architectures.index(architecture)
        trajectory = self.trajectories[place]
        tokens = tokenize([text], vocabulary=self.tokens.vocabulary)
        features = self.architectures[place].features(tokens, columns=trajectory.features)
        return trajectory.explain(features, trajectory.best if step is None else step)

    @property
    def flags(self) -> pl.DataFrame:
        """Features that look like shortcuts, worst first: architecture, family, feature, class, reason, score (texts
        whose decision rests on it, weighted by what is sure), evidence, rule, cue, decided, texts, in_class,
        label_score, half_step, change (against an earlier run).
        """
        return self.content.flags

    def report(self, path: str | os.PathLike[str]) -> None:
        """Writes the interactive page, one self-contained HTML file. Raises OutputError."""
        write_page(self.content, path)

    def save(self, folder: str | os.PathLike[str]) -> None:
        """Writes audit.html, flags.json, scores.parquet, run.json and state.npz, all or none; of a comparison (see
        `compare`) compared.parquet too, and once networks have been trained (see `verified`) verified.parquet and
        verified-errors.parquet. Raises OutputError.
        """
        with staged(folder) as stage:
            self.write(stage)

    def write(self, stage: Path) -> None:
        """Writes the files into the stage of a folder of results; see `staged`. Raises OutputError."""
        with explained(stage.parent):
            (stage / "audit.html").write_bytes(render(self.content).encode())
            self.table.write_parquet(stage / "scores.parquet")
            (stage / "flags.json").write_bytes(flags_json(self.content).encode("utf-8", "backslashreplace"))
            if self.content.verified:
                scores_table(self.content.verified).write_parquet(stage / "verified.parquet")
                errors_table(self.content.verified).write_parquet(stage / "verified-errors.parquet")
            if self.content.compared:
                compared_table(self.content.compared).write_parquet(stage / "compared.parquet")
            state = State(self.tokens, self.architectures, self.trajectories, self.content, self.rows)
            state.write(stage / "state.npz")
            (stage / "run.json").write_bytes(f"{self.to_json()}\n".encode("utf-8", "backslashreplace"))

    def summary(self) -> dict[str, Any]:
        """What run.json holds: every setting, versions, the data's fingerprint, and the main results."""
        content = self.content
        more = compared_result(content) if content.compared else {}
        if content.verified:
            more["verified"] = [verified_result(answered) for answered in content.verified]
        return content.settings | {"results": [result(answered) for answered in content.architectures],
                                   "notes": list(content.notes)} | more

    def to_json(self) -> str:
        """The summary as JSON text; numbers that are not finite become null."""
        return as_json(self.summary())

    def verified(self, answers: Sequence[VerifiedAnswer]) -> Audit:
        """The same audit with what trained networks say beside it: answers are those of `tl.verification.verify`."""
        return replace(self, content=replace(self.content, verified=tuple(answers)))

    def _repr_html_(self) -> str:
        """For notebooks: possible shortcuts, architectures side by side, and the strongest features of each."""
        return glimpsed(self.content)

    def __repr__(self) -> str:
        return f"Audit({self.content.data.texts} texts, {', '.join(map(describe, self.architectures))})"


def load(path: str | os.PathLike[str]) -> Audit | Tokens | Trajectory | FirstOrder | LanguageModel:
    """What `save` wrote: a folder gives an Audit, a file Tokens, a Trajectory, a FirstOrder or a LanguageModel. Raises
    DataError.
    """
    if Path(path).is_dir():
        return _load_audit(Path(path))
    about, arrays = read_arrays(path)
    if about.get("kind") == "Tokens":
        return Tokens.from_arrays(arrays, about["tokenizer"])
    readers: dict[str, Callable[..., Trajectory | FirstOrder | LanguageModel]] = {
        one.__name__: one.from_arrays for one in (Trajectory, FirstOrder, LanguageModel)}
    if about.get("kind") in readers:
        return readers[about["kind"]](about, arrays)
    raise DataError(f"{path} holds {about.get('kind')}, which is read through its folder")


def _load_audit(folder: Path) -> Audit:
    about, data, tokens, architectures, trajectories, rows = read_state(folder / "state.npz")
    answers, tables = [], []
    for architecture, trajectory, seconds in zip(architectures, trajectories, about["seconds"], strict=True):
        found = strongest(trajectory, step=trajectory.best)
        answers.append(answer(architecture, trajectory, found, seconds=seconds, spectrum=architecture.spectrum()))
        tables.append(_named(found.scores, architecture))
    content = Report(about["title"], data, tuple(answers), tuple(about["notes"]), about["settings"],
                     read_verified(about), read_compared(about), flags_table(about.get("flags", [])),
                     flags_table(about.get("gone", [])),
                     live=Live(tokens, tuple(architectures), tuple(trajectories)))
    return Audit(content, tuple(architectures), tuple(trajectories), tokens, pl.concat(tables), rows)


def _named(scores: pl.DataFrame, architecture: Architecture) -> pl.DataFrame:
    return scores.select(pl.lit(describe(architecture)).alias("architecture"), pl.all())


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


def audit(texts: Texts, architectures: Sequence[Architecture] | None = None, *, progress: Progress | None = None,
          **settings: Any) -> Audit:
    """Says which features each architecture will learn from labelled texts, how strongly and when.

    texts: with labels of two or more classes; architectures: by default MLP, CNN and tied SelfAttention.
    Settings: tokenizer, lowercase, min_count (see `tokenize`); validation (share held out to choose the time; with 0
    none is, and "best" means time 1,000), seed; loss (see `learn`); time (a number, or "best"), or steps and
    learning_rate for gradient descent; tolerance (relative, of the label scores of a flow). Of the flags: allow, forbid
    (files of features, one a line), suspects (a file of regular expressions of features that should not decide),
    previous (the folder or flags.json of an earlier run to set the flags against).
    progress: called with a line of text as work goes on.
    Raises DataError or OptionError. A learning rate above the critical one gives a warning, also among the notes.

    >>> import tangentlens as tl
    >>> found = tl.audit(tl.small_reviews(), [tl.MLP()])
    >>> "imax" in found.table.top_k(2, by="score")["feature"]  # the planted shortcut
    True
    """
    return audited(texts, choose(architectures), progress=progress, settings=settings)[0]


def audited(texts: Texts, chosen: tuple[Architecture, ...], *, progress: Progress | None, settings: dict[str, Any]
            ) -> tuple[Audit, Material]:
    """The audit, and the tokenised texts that it was made from: for jobs that go on from there."""
    options = Settings.named(settings)
    names = [describe(architecture) for architecture in chosen]
    if not isinstance(texts, Texts):
        raise DataError(f"audit needs Texts, not a {type(texts).__name__}; make them with tl.read_texts(texts, labels)")
    if len(texts.classes) < 2:
        raise DataError(f"an audit needs labels of at least two classes; {texts.source} has {len(texts.classes)}")
    started = clock.perf_counter()
    say = progress or (lambda line: None)
    lists = Lists.read(options.allow, options.forbid, options.suspects)
    earlier = None if options.previous is None else against(options.previous)
    say("tokenising")
    material = _material(texts, options)
    trajectories, answers, tables, heard = [], [], [], []
    for architecture, name in zip(chosen, names, strict=True):
        with warnings.catch_warnings(record=True) as caught:
            trajectory, answered, table = _one(architecture, material, options, _prefixed(say, name))
        heard += [f"{name}: {warning.message}" for warning in caught if issubclass(warning.category, UserWarning)]
        trajectories.append(trajectory)
        answers.append(answered)
        tables.append(_named(table, architecture))
    for line in heard:
        warnings.warn(line, stacklevel=3)
    say("looking for shortcuts")
    ground = Ground.of(material.tokens, material.train.labels, lists=lists, sources=material.train.sources,
                       lowercased=options.lowercase)
    flagged = together([flags(architecture, trajectory, ground, step=trajectory.best)
                        for architecture, trajectory in zip(chosen, trajectories, strict=True)])
    data = glance(texts, material.tokens, material.held_tokens, tokenizer=plain(options.tokenizer),
                  training_rows=material.rows[0], validation_rows=material.rows[1])
    about = _about(texts, options, chosen, clock.perf_counter() - started)
    notes = (*heard, *notes_on(texts, material.tokens, len(material.held), zip(chosen, trajectories, strict=True)))
    flagged, gone = (flagged, flags_table([])) if earlier is None else compared_flags(flagged, earlier)
    content = Report(f"What networks learn from {texts.source}", data, tuple(answers), notes, about, flags=flagged,
                     gone=gone, live=Live(material.tokens, chosen, tuple(trajectories)))
    return Audit(content, chosen, tuple(trajectories), material.tokens, pl.concat(tables), material.rows[0]), material


@dataclass(frozen=True)
class Material:
    """Training and held-out texts, tokenised with the training vocabulary; rows: where both stand among the texts."""

    train: Texts
    held: Texts
    tokens: Tokens
    held_tokens: Tokens
    rows: tuple[NDArray[np.int64], NDArray[np.int64]]


def _material(texts: Texts, options: Settings) -> Material:
    """Splits and tokenises."""
    everything = np.arange(len(texts))
    rows = split(texts, options.validation, seed=options.seed) if options.validation else (everything, everything[:0])
    train, held = texts[rows[0]], texts[rows[1]]
    tokens = tokenize(train, tokenizer=options.tokenizer, lowercase=options.lowercase,
                      min_count=options.min_count)
    if not np.any(tokens.ids >= 0):
        raise DataError(f"no token of {texts.source} occurs {options.min_count} times or more; lower min_count")
    return Material(train, held, tokens, tokenize(held, vocabulary=tokens.vocabulary), rows)


def choose(architectures: Sequence[Architecture] | None) -> tuple[Architecture, ...]:
    """These architectures, or the default ones for none. Raises OptionError for what is none, or is given twice."""
    return distinct(architectures or ()) or DEFAULT_ARCHITECTURES


def _prefixed(say: Progress, name: str) -> Progress:
    return lambda line: say(f"{name}: {line}")


def _one(architecture: Architecture, material: Material, options: Settings, say: Progress
         ) -> tuple[Trajectory, ArchitectureAnswer, pl.DataFrame]:
    """One architecture: features, learning, label scores."""
    started = clock.perf_counter()
    spectrum = architecture.spectrum()
    say("counting patterns")
    features = architecture.features(material.tokens)
    validation = None
    if len(material.held):
        validation = (architecture.features(material.held_tokens, columns=features), material.held.labels)
    labels = material.train.labels
    if options.steps is not None:
        trajectory = learn(features, labels, options.loss, steps=options.steps, learning_rate=options.learning_rate,
                           validation=validation)
    else:
        moment = UNVALIDATED if validation is None and options.time == "best" else options.time
        trajectory = learn(features, labels, options.loss, time=moment, validation=validation,
                           tolerance=options.tolerance, progress=say)
    say("label scores")
    found: Strongest = strongest(trajectory, step=trajectory.best)
    seconds = clock.perf_counter() - started
    return trajectory, answer(architecture, trajectory, found, seconds=seconds, spectrum=spectrum), found.scores


def _about(texts: Texts, options: Settings, architectures: Sequence[Architecture], seconds: float) -> dict[str, Any]:
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
