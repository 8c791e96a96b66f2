"""What an audit found: the page, the files in a folder of results, and how they are read again."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from tangentlens.data import Tokens, tokenize
from tangentlens.data.storage import read_arrays
from tangentlens.data.threads import parallel
from tangentlens.errors import DataError, OptionError
from tangentlens.kernels import Architecture, describe
from tangentlens.predictions import Explanation, FirstOrder, LanguageModel, Trajectory
from tangentlens.predictions.strongest import strongest
from tangentlens.report import Report, VerifiedAnswer, write_page
from tangentlens.report.answers import answer
from tangentlens.report.comparison import compared_result, compared_table
from tangentlens.report.files import explained, staged
from tangentlens.report.flagged import flags_json, flags_table
from tangentlens.report.fragments import glimpsed
from tangentlens.report.live import Live
from tangentlens.report.page import render
from tangentlens.report.results import as_json, result
from tangentlens.report.state import State, read_compared, read_state, read_verified
from tangentlens.report.verified import errors_table, scores_table, verified_result

FAST = 1  # level of compression of scores.parquet: a quarter larger than by default, in three quarters of the time


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
            parallel(lambda write: write(stage), (self._write_scores, self._write_others))

    def _write_scores(self, stage: Path) -> None:
        self.table.write_parquet(stage / "scores.parquet", compression_level=FAST)

    def _write_others(self, stage: Path) -> None:
        (stage / "audit.html").write_bytes(render(self.content).encode())
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
        tables.append(named(found.scores, architecture))
    content = Report(about["title"], data, tuple(answers), tuple(about["notes"]), about["settings"],
                     read_verified(about), read_compared(about), flags_table(about.get("flags", [])),
                     flags_table(about.get("gone", [])),
                     live=Live(tokens, tuple(architectures), tuple(trajectories)))
    return Audit(content, tuple(architectures), tuple(trajectories), tokens, pl.concat(tables), rows)


def named(scores: pl.DataFrame, architecture: Architecture) -> pl.DataFrame:
    """Label scores with the name of their architecture."""
    return scores.select(pl.lit(describe(architecture)).alias("architecture"), pl.all())
