"""A table to print, and to keep as CSV (every digit) and Markdown (as printed), with the command that made it.

Part of every script here and in benchmarks. Command: python -m reproduce.sst_label_scores
"""

from __future__ import annotations

import csv
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

Format = Callable[[Any], str]
Row = Mapping[str, Any]
NOTHING = "–"


def text(value: Any) -> str:
    """The value itself."""
    return NOTHING if value is None else str(value)


def written(value: Any) -> str:
    """A figure that is written already, such as a range; set to the right and never broken."""
    return text(value)


def number(spec: str) -> Format:
    """Numbers in a format such as ".3f"; a dash where there is none.

    >>> number(".2f")(1.006), number(",d")(12345), number(".2f")(None), number(".2f")(float("nan"))
    ('1.01', '12,345', '–', '–')
    """
    return lambda value: NOTHING if value is None or math.isnan(value) else format(value, spec)


@dataclass(frozen=True)
class Sheet:
    """One table: rows by column name, and how every shown column is headed and written.

    `shown` maps a column of the rows to (heading, format), line breaks allowed; `notes` are the sentences that a reader
    needs to read it.
    """

    title: str
    rows: Sequence[Row]
    shown: Mapping[str, tuple[str, Format]]
    notes: Sequence[str] = ()

    def cells(self) -> list[list[str]]:
        """The table as printed, without its headings."""
        return [[write(row.get(column)) for column, (_, write) in self.shown.items()] for row in self.rows]

    def print(self, console: Console) -> None:
        """Prints title, table and notes."""
        table = Table(title=Text(self.title, style="bold"), title_justify="left", box=box.SIMPLE_HEAD, padding=0,
                      show_edge=False)
        for heading, write in self.shown.values():
            table.add_column(heading, justify="left" if write is text else "right", no_wrap=write is not text,
                             overflow="fold")
        for row in self.cells():
            table.add_row(*map(Text, row))
        console.print(table)
        for note in self.notes:
            console.print(Text(note))

    def markdown(self) -> str:
        """Title, table and notes as Markdown."""
        headings = [heading.replace("-\n", "").replace("\n", " ") for heading, _ in self.shown.values()]
        align = ["---" if write is text else "---:" for _, write in self.shown.values()]
        lines = [headings, align, *self.cells()]
        table = "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)
        return f"## {self.title}\n\n{table}\n\n" + "".join(f"{note}\n\n" for note in self.notes)

    def save_csv(self, path: Path) -> None:
        """All columns of the rows, every digit."""
        columns = list(dict.fromkeys(column for row in self.rows for column in row))
        with path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, columns, lineterminator="\n")
            writer.writeheader()
            writer.writerows(self.rows)


def save(sheets: Mapping[str, Sheet], folder: Path, name: str, *, command: str, preface: Sequence[str] = ()) -> None:
    """Writes name.md with all sheets and one CSV file per sheet, named by its key."""
    folder.mkdir(parents=True, exist_ok=True)
    head = [f"Made by `{command}`", *preface]
    body = "".join(sheet.markdown() for sheet in sheets.values())
    (folder / f"{name}.md").write_text("\n\n".join([*head, body]).rstrip() + "\n", encoding="utf-8")
    for key, sheet in sheets.items():
        sheet.save_csv(folder / f"{key}.csv")
