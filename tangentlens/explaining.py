"""The job behind `tangentlens explain`: why an audit's architectures decide texts so, and what would change that."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from rich.console import Console

from tangentlens.audit import DEFAULT_ARCHITECTURES, audit
from tangentlens.data import Texts, tokenize
from tangentlens.data.files import check_kind
from tangentlens.data.messages import plain
from tangentlens.errors import DataError, OptionError
from tangentlens.kernels import ARCHITECTURES, Architecture, describe
from tangentlens.kernels.parsing import parse_architecture
from tangentlens.outcome import Audit, load
from tangentlens.predictions import Explanation, what_if
from tangentlens.report.explained import print_explanation, print_what_if

Rows = dict[int, str | None]  # text of the data set, from 1: its other label, None to leave it out


@dataclass(frozen=True, eq=False)
class Answer:
    """One explained text, by one architecture of an audit; changed: a table of `what_if`, or None."""

    text: str
    architecture: int
    audited: Audit
    found: Explanation
    change: str
    changed: pl.DataFrame | None

    def print(self, console: Console) -> None:
        """To the terminal."""
        audited = self.audited
        print_explanation(self.found, self.text, describe(audited.architectures[self.architecture]), console,
                          classes=audited.trajectories[self.architecture].classes, training=audited.tokens,
                          rows=audited.rows)
        if self.changed is not None:
            print_what_if(self.changed, self.change, console)
        console.print()

    def to_dict(self) -> dict[str, Any]:
        """Everything as plain values; texts by their row in the data, from 1."""
        row = pl.Series(self.audited.rows + 1)

        def numbered(table: pl.DataFrame) -> list[dict[str, Any]]:
            return table.with_columns(pl.Series("row", row.gather(table["row"]))).to_dicts()

        return {"text": self.text, "architecture": describe(self.audited.architectures[self.architecture]),
                "decision": dict(zip(map(str, self.found.classes), self.found.decision.tolist(), strict=True)),
                "residual": self.found.residual, "features": self.found.features.to_dicts(),
                "texts": numbered(self.found.texts), "parts": numbered(self.found.parts()),
                "what_if": None if self.changed is None else self.changed.drop("text").to_dicts()}


@dataclass(frozen=True)
class Question:
    """Texts to explain, by which architectures, at which record, and which texts of the data to change."""

    texts: tuple[str, ...]
    architectures: tuple[Architecture, ...]
    step: int | None
    changes: Rows

    @classmethod
    def of(cls, *, questions: tuple[str, ...], question_file: str | None, architectures: tuple[str, ...],
           step: int | None, without: str | None, relabel: tuple[str, ...]) -> Question:
        """From the options of the command. Raises OptionError or DataError."""
        texts = (*questions, *(_lines(question_file) if question_file else ()))
        if not texts:
            raise OptionError('say what to explain: --text "…", or --texts FILE with one text on each line')
        if without and relabel:
            raise OptionError("give either --without or --relabel, not both")
        changes: Rows = {_row(part): None for part in without.split(",")} if without else {}
        for part in relabel:
            row, equals, label = part.partition("=")
            if not equals:
                raise OptionError(f'--relabel takes ROW=LABEL, not "{part}"')
            changes[_row(row)] = label
        return cls(texts, tuple(parse_architecture(text, ARCHITECTURES) for text in architectures), step, changes)

    def audit(self, file: str, read: Callable[[], Texts], *, tokenizer: str, progress: Callable[[str], None]) -> Audit:
        """The audit that a folder holds, or one of the data in FILE."""
        if not Path(file).is_dir():
            return audit(read(), self.architectures or DEFAULT_ARCHITECTURES[:1], tokenizer=tokenizer,
                         progress=progress)
        found = load(file)
        assert isinstance(found, Audit)
        return found

    def answers(self, audited: Audit) -> list[Answer]:
        """Every text by every architecture."""
        chosen = self.architectures or audited.architectures
        found = []
        for architecture in chosen:
            explained = [audited.explain(text, architecture, step=self.step) for text in self.texts]
            place = audited.architectures.index(architecture)
            changed = self._changed(audited, place) if self.changes else [None] * len(self.texts)
            found += [Answer(text, place, audited, one, self._words(), table)
                      for text, one, table in zip(self.texts, explained, changed, strict=True)]
        return found

    def _changed(self, audited: Audit, place: int) -> list[pl.DataFrame]:
        """The table of `what_if` for every text."""
        trajectory = audited.trajectories[place]
        here = {int(row) + 1: number for number, row in enumerate(audited.rows)}
        for row in self.changes:
            if row not in here:
                raise OptionError(f"row {row} is no training text: it was held out, or the data have fewer rows")
        names = {str(name): name for name in trajectory.classes}
        labels = [names.get(label, label) for label in self.changes.values() if label is not None]
        tokens = tokenize(list(self.texts), vocabulary=audited.tokens.vocabulary)
        at = audited.architectures[place].features(tokens, columns=trajectory.features)
        table = what_if(trajectory, [here[row] for row in self.changes], labels or None, at=at,
                        step=trajectory.best if self.step is None else self.step)
        return [table.filter(pl.col("text") == number) for number in np.arange(len(self.texts))]

    def _words(self) -> str:
        rows = [f"row {row}" + ("" if label is None else f" had the label {label}")
                for row, label in self.changes.items()]
        left_out = any(label is None for label in self.changes.values())
        return ", ".join(rows) + (" were left out" if left_out else "")


def _row(text: str) -> int:
    if not text.strip().isdecimal() or int(text) < 1:
        raise OptionError(f'a row is a whole number from 1, as explanations show them, not "{text.strip()}"')
    return int(text)


def _lines(path: str) -> list[str]:
    check_kind(Path(path), plain(path))
    try:
        lines = Path(path).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f'the texts in "{path}" cannot be read: {error}') from error
    return [line for line in lines if line.strip()]
