"""A Report as Rich tables for the terminal: plain text only, so that no token can style, move or execute anything."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl
from rich import box
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

from tangentlens.kernels import Architecture, describe, shares
from tangentlens.report import bars, summary, verified
from tangentlens.report.content import ArchitectureAnswer, Report, VerifiedAnswer
from tangentlens.report.wording import figure, percent, signed, visible

WIDEST = 28  # characters of a text cell; the page shows longer ones in full


def print_report(report: Report, console: Console) -> None:
    """Print the data at a glance, the comparison, the strongest features per class and the notes.

    What trained networks say comes before the notes, if there is any. Works from 80 columns on and into a pipe. Texts
    of the data set are never read as Rich markup, and control characters in them are shown, not sent.

    Example: `print_report(report, rich.console.Console())`.
    """
    _line(console, report.title, "bold")
    _print_data(report, console)
    console.print()
    console.print(_comparison(report))
    for answer in report.architectures:
        console.print()
        console.print(_strongest(report, answer))
    for trained in report.verified:
        console.print()
        _print_verified(report, trained, console)
    console.print()
    for note in report.notes:
        _line(console, f"Note: {note}", "yellow")


def print_spectra(architectures: Sequence[Architecture], console: Console) -> None:
    """Print what architectures can extract: shares of bias, tokens and n-grams, and for one or two every family.

    Beside the shares stands a bar of them, where the console is wide enough for names of 20 characters too.

    Example: `print_spectra([tl.MLP(), tl.CNN()], rich.console.Console())`.
    """
    _print_shares(shares(architectures), console)
    for architecture in architectures if len(architectures) <= 2 else ():
        console.print()
        table = _table(describe(architecture), ["family"], ["tokens in it", "coefficient", "share"])
        for row in architecture.spectrum().to_dicts():
            _add(table, row["family"], figure(row["order"]), figure(row["coefficient"]), percent(row["share"]))
        console.print(table)


def _print_shares(found: pl.DataFrame, console: Console) -> None:
    names = [visible(name) for name in found["architecture"]]
    numbers = [name for name, *_ in bars.PARTS]
    table = _table("Feature spectrum, in shares", ["architecture"], numbers)
    room = console.width - len(numbers) * len(" 100.0 %") - bars.WIDTH - 1
    pictures = room > min(20, max(map(cell_len, names)))
    ascii_only = console.options.ascii_only
    if pictures:
        table.add_column("", no_wrap=True, vertical="bottom")
    for name, (_, *row) in zip(names, found.rows(), strict=True):
        picture = [bars.bar(row, ascii_only=ascii_only)] if pictures else []
        table.add_row(Text(name), *map(percent, row), *picture)
    console.print(table)
    if pictures:
        console.print(bars.key(ascii_only=ascii_only))


def _line(console: Console, text: str, style: str = "") -> None:
    console.print(Text(visible(text), style=style))


def _print_data(report: Report, console: Console) -> None:
    data = report.data
    _line(console, f"{data.source} (tokenizer: {data.tokenizer})")
    _line(
        console,
        f"{figure(data.texts)} texts ({figure(data.training)} training, {figure(data.validation)} validation), "
        f"{figure(data.tokens)} tokens, vocabulary {figure(data.vocabulary)}; {figure(data.unknown)} unknown or rare "
        f"tokens, {figure(data.duplicates)} duplicates, {figure(data.skipped)} skipped rows",
    )
    console.print()
    table = _table("Classes", ["class"], ["texts", "share", "mean length"])
    for row in data.classes.to_dicts():
        _add(table, row["class"], figure(row["texts"]), percent(row["share"]), figure(row["mean_length"]))
    console.print(table)


def _comparison(report: Report) -> Table:
    numbers = ["val. acc.", "val. loss", "best time", "bias", "tokens", "n-grams", "features"]
    table = _table("Architectures at their best time; shares of the feature spectrum", ["architecture"], numbers)
    for row in summary.comparison(report):
        _add(
            table,
            row.name,
            percent(row.accuracy),
            figure(row.loss),
            figure(row.answer.best_time),
            percent(row.bias),
            percent(row.tokens),
            percent(row.ngrams),
            figure(row.answer.features),
        )
    return table


def _strongest(report: Report, answer: ArchitectureAnswer) -> Table:
    labels = summary.class_names(report)
    each = 8 if len(labels) <= 3 else 4 if len(labels) <= 8 else 2
    title = f"{answer.name}: strongest features per class"
    table = _table(title, ["class", "feature", "family"], ["score", "count", "in class", "learned at"])
    for label in labels:
        for place, row in enumerate(summary.strongest(answer, label, each)):
            _add(
                table,
                "" if place else label,
                row["feature"],
                row["family"],
                signed(row["score"]),
                figure(row["count"]),
                percent(summary.in_class(row)),
                figure(row["half_step"]),
            )
        table.add_section()
    return table


def _print_verified(report: Report, answer: VerifiedAnswer, console: Console) -> None:
    _line(console, f"{answer.name}: verified", "bold")
    _line(console, verified.sentence(answer, report))
    ends = [f"width {width}" for width in (answer.widths[0], answer.widths[-1])]
    numbers = ["features", "correlation", *ends, "slope", "95% interval"]
    table = _table("Correlation, relative error by width, and its slope", ["family"], numbers)
    for row in verified.slopes(answer):
        interval = f"{verified.power(row['low'])} to {verified.power(row['high'])}"
        _add(table, row["family"], figure(row["features"]), verified.power(row["correlation"]),
             figure(row["error_narrowest"]), figure(row["error_widest"]), verified.power(row["slope"]), interval)
    console.print(table)


def _table(title: str, texts: list[str], numbers: list[str]) -> Table:
    """A table whose text columns fold when space is short; the numbers always stay whole."""
    heading = Text(visible(title), style="bold")
    table = Table(title=heading, title_justify="left", box=box.SIMPLE_HEAD, show_edge=False, padding=(0, 1, 0, 0))
    for name in texts:
        table.add_column(name, overflow="fold", min_width=4)
    for name in numbers:
        table.add_column(name.replace(" ", "\n"), justify="right", vertical="bottom", no_wrap=True)
    return table


def _add(table: Table, *cells: object) -> None:
    table.add_row(*(_cell(visible(cell)) for cell in cells))


def _cell(text: str) -> Text:
    return Text(text if len(text) <= WIDEST else text[: WIDEST - 1] + "…")
