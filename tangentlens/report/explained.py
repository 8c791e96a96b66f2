"""An explanation in the terminal: the decision, its features and the training texts behind them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from tangentlens.data.tokens import Tokens
from tangentlens.predictions.explaining import Explanation
from tangentlens.report.wording import figure, percent, signed, visible

FEATURES, TEXTS = 10, 5
BAR, LONGEST = 16, 90  # characters of a bar, and of a training text


def print_explanation(found: Explanation, text: str, architecture: str, console: Console, *, classes: Sequence[Any],
                      training: Tokens, rows: NDArray[np.int64]) -> None:
    """Print what is decided and why: the sum of features, and the training texts that pull hardest. Nothing of the
    texts is read as markup, and control characters in them are shown, not sent. rows: which text of the data each
    training text is.
    """
    console.print(Text.assemble(("“", "dim"), visible(text), ("”", "dim")))
    place = int(np.argmax(found.decision)) if len(found.decision) > 1 else 0
    positive = len(found.decision) > 1 or found.decision[0] > 0
    decided = (found.classes[place] if positive else classes[0]) if np.any(found.decision) else "undecided"
    own = found.classes[place]
    console.print(Text.assemble((f"{visible(architecture)}: {visible(decided)}", "bold"),
                                f"   f = {signed(found.decision[place])}"
                                f" (+ is for {visible(own)}), residual {figure(found.residual)}"))
    features = found.features.filter(pl.col("class") == own)
    if not features.height:
        console.print("No feature of this text occurs in the training texts: the network has learned nothing about it.")
        return
    console.print(_features(features))
    _print_texts(found, own, console, training, rows)


def _features(features: pl.DataFrame) -> Table:
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, padding=(0, 1))
    for heading, justify in (("feature", "left"), ("family", "left"), ("count", "right"), ("score", "right"),
                             ("contribution", "right"), ("", "left")):
        table.add_column(heading, justify=justify, no_wrap=heading != "feature")  # type: ignore[arg-type]
    largest = float(features["contribution"].abs().to_numpy().max()) or 1.0
    for row in features.head(FEATURES).iter_rows(named=True):
        value = row["contribution"]
        colour = "green" if value > 0 else "red"
        table.add_row(Text(visible(row["feature"]), colour), Text(visible(row["family"])), figure(row["count"]),
                      signed(row["score"]), signed(value), Text("█" * round(BAR * abs(value) / largest), colour))
    rest = features["contribution"].to_numpy()[FEATURES:]
    if len(rest):
        table.add_row(Text(f"{len(rest)} more", "dim"), "", "", "", signed(float(rest.sum())), "")
    table.add_row(Text("sum", "bold"), "", "", "", signed(float(features["contribution"].to_numpy().sum())), "")
    return table


def _print_texts(found: Explanation, own: Any, console: Console, training: Tokens, rows: NDArray[np.int64]) -> None:
    texts = found.texts.filter(pl.col("class") == own)
    pull = found.pull.filter(pl.col("class") == own)
    shares = ", ".join(f"{visible(label)} {percent(share)}" for label, share in
                       pull.select("label", "share").iter_rows())
    console.print(Text(f"\nTraining texts that pull hardest, of {figure(texts.height)} "
                       f"(share of all pull by label: {shares})"))
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, padding=(0, 1))
    for heading, justify in (("row", "right"), ("label", "left"), ("contribution", "right"), ("text", "left")):
        table.add_column(heading, justify=justify)  # type: ignore[arg-type]
    for row, label, value in texts.head(TEXTS).select("row", "label", "contribution").iter_rows():
        table.add_row(str(rows[row] + 1), Text(visible(label)), signed(value), Text(cut(training, row)))
    console.print(table)
    console.print(Text("Rows count the texts read, from 1. A contribution is a share of the sum; "
                       "--without ROW says what leaving a text out would change.", "dim"))


def print_what_if(table: pl.DataFrame, change: str, console: Console) -> None:
    """Print decisions before and after a change of the training texts: to first order, and learned again."""
    console.print(Text.assemble(("\nWhat if ", "bold"), (visible(change), "bold"), "?"))
    shown = Table(box=box.SIMPLE_HEAD, show_edge=False, padding=(0, 1))
    for heading in ("output", "before", "to first order", "learned again"):
        shown.add_column(heading, justify="right")
    for name, *values in table.select("class", "before", "first_order", "exact").iter_rows():
        shown.add_row(Text(visible(name)), *map(signed, values))
    console.print(shown)


def cut(training: Tokens, row: int) -> str:
    """The tokens of a training text, joined by spaces, as far as they fit; visible.

    >>> import tangentlens as tl
    >>> cut(tl.tokenize(["so good", "bad"]), 0)
    'so good'
    """
    strings = training.vocabulary.strings
    words = visible(" ".join("…" if token < 0 else strings[token] for token in training[row].ids[:LONGEST]))
    return words if len(words) <= LONGEST else words[:LONGEST - 1] + "…"
