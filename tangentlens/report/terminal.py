"""A Report as Rich tables for the terminal: plain text only, so that no token can style, move or execute anything."""

from __future__ import annotations

import re
from collections.abc import Sequence

import polars as pl
from rich import box
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

from tangentlens.data.messages import counted
from tangentlens.kernels import Architecture, describe, shares
from tangentlens.predictions.evidence import FREQUENT
from tangentlens.report import bars, comparison, flagged, summary, verified
from tangentlens.report.content import ArchitectureAnswer, Report, VerifiedAnswer
from tangentlens.report.sentences import plain
from tangentlens.report.verdict import corrected, right, verdict
from tangentlens.report.wording import figure, percent, signed, visible

WIDEST = 28  # characters of a text cell; the page shows longer ones in full
LINE = 100  # characters of a line of prose


def print_report(report: Report, console: Console) -> None:
    """Print the data at a glance, the comparison, the strongest features per class and the notes.

    What trained networks say comes before the notes, if there is any. Works from 80 columns on and into a pipe. Texts
    of the data set are never read as Rich markup, and control characters in them are shown, not sent.

    Example: `print_report(report, rich.console.Console())`.
    """
    _line(console, report.title, "bold")
    _print_flags(report, console)
    _print_data(report, console)
    console.print()
    console.print(_comparison(report))
    for words in filter(None, (summary.baseline(report), summary.doubt(report))):
        console.print(Text(visible(words)), width=min(LINE, console.width))
    for answer in report.architectures:
        console.print()
        console.print(_strongest(report, answer))
    for trained in report.verified:
        console.print()
        _print_verified(report, trained, console)
    console.print()
    for note in report.notes:
        _line(console, f"Note: {note}", "yellow")


def print_comparison(report: Report, console: Console) -> None:
    """Print which architecture suits the data, and why: the verdict in words, then accuracy and n-grams, the bias, and
    the order of learning as tables, and the notes. Works and is safe like `print_report`.

    Example: `print_comparison(report, rich.console.Console())`.
    """
    _line(console, report.title, "bold")
    _line(console, f"{figure(report.data.training)} texts to learn from, {figure(report.data.validation)} held out")
    for subject, sentence in verdict(report):
        console.print()
        words = visible(plain(sentence))
        console.print(Text.assemble((f"{subject}: ", "bold"), words), width=min(LINE, console.width))
    for title, table in (_accuracies(report), _biases(report), _half_times(report)):
        if table.row_count:
            console.print()
            _line(console, title, "bold")
            console.print(table)
    for answer in report.compared:
        if some := comparison.share_texts(answer, report):
            kind = "held-out" if answer.share_held else "training"
            texts = f"{figure(some[0])} of {figure(some[1])} {kind} texts"
            _line(console, f"Interaction share of {answer.name}: on {texts}")
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


def _accuracies(report: Report) -> tuple[str, Table]:
    """On held-out texts and on contrary n-grams; empty where there are neither."""
    first = report.compared[0]
    count, held = first.contrary.height, not first.accuracy.is_empty()
    title = "; ".join([*(["Held-out accuracy"] if held else []),
                       *([f"{figure(count)} n-grams that say the opposite of their words"] if count else [])])
    table = _table("", ["architecture"], [
        *(["held-out accuracy"] if held else []), *(["n-grams right", "n-grams corrected"] if count else []),
        *(["texts with one", "texts without"] if count and held else [])])
    for answer in report.compared if held or count else ():
        rates = [comparison.rated(row) for row in comparison.accuracies(answer).values()] if held else []
        numbers = [figure(right(answer)), figure(corrected(answer))] if count else []
        _add(table, answer.name, *rates[:1], *numbers, *(rates[1:] if count else []))
    return title, table


def _biases(report: Report) -> tuple[str, Table]:
    """Only of architectures that have one."""
    first = report.compared[0]
    classes = first.bias.height
    title = f"Bias, and {figure(first.frequent)} frequent tokens (in {FREQUENT} training texts or more)" + (
        f"; of the class where it is largest, tokens summed over {classes} classes" if classes > 1 else "")
    numbers = ["bias", "net push", "text lengths", "median share", "signs turned", "strongest dropped"]
    table = _table("", ["architecture", *(["class"] if classes > 1 else [])], numbers)
    for answer in report.compared:
        row = comparison.summed(answer)
        if row["bias"]:
            _add(table, _stacked(answer.name), *([row["class"]] if classes > 1 else []), signed(row["bias"]),
                 signed(row["net"]), signed(row["lengths"]), percent(row["share"]), figure(row["flipped"]),
                 f"{figure(row['dropped'])} of {figure(row['strongest'])}")
    return title, table


def _half_times(report: Report) -> tuple[str, Table]:
    numbers = ["longest pattern", comparison.share_name(report), "best time", "bias", "tokens", "pairs", "longer"]
    table = _table("", ["architecture"], numbers)
    for answer, plan in zip(report.compared, report.architectures, strict=True):
        times = [None if time is None else time / plan.best_time for time in comparison.half_times(answer)]
        _add(table, _stacked(answer.name), figure(answer.longest), percent(answer.interaction_share),
             figure(plan.best_time), *map(percent, times))
    return "What is read, and when it is half learned, in parts of the best time", table


def _line(console: Console, text: str, style: str = "") -> None:
    console.print(Text(visible(text), style=style))


def _print_flags(report: Report, console: Console) -> None:
    console.print()
    _line(console, flagged.headline(report), "bold red" if report.flags.height else "bold")
    for words in flagged.sentences(report):
        console.print(Text(visible(words)), width=min(LINE, console.width))
    console.print()


def _print_data(report: Report, console: Console) -> None:
    data = report.data
    _line(console, f"{data.source} (tokenizer: {data.tokenizer})")
    _line(
        console,
        f"{figure(data.texts)} texts ({figure(data.training)} training, {figure(data.validation)} validation), "
        f"{figure(data.tokens)} tokens, vocabulary {figure(data.vocabulary)}; {figure(data.unknown)} unknown or rare "
        f"tokens, {counted(data.duplicates, 'duplicate')}, {counted(data.skipped, 'skipped row')}",
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
    heading = Text(visible(title), style="bold") if title else None
    table = Table(title=heading, title_justify="left", box=box.SIMPLE_HEAD, show_edge=False, padding=(0, 1, 0, 0))
    for name in texts:
        table.add_column(name, overflow="fold", min_width=4)
    for name in numbers:
        table.add_column(name.replace(" ", "\n"), justify="right", vertical="bottom", no_wrap=True)
    return table


def _add(table: Table, *cells: object) -> None:
    table.add_row(*(cell if isinstance(cell, Text) else _cell(visible(cell)) for cell in cells))


def _stacked(name: str) -> Text:
    """The name of an architecture; a long one has its options on lines of their own, so that none is broken."""
    parts = re.sub("[:,]", "\\g<0>\n", name).split("\n") if len(name) > 15 else [name]
    return Text("\n").join(_cell(visible(part)) for part in parts)


def _cell(text: str) -> Text:
    return Text(text if len(text) <= WIDEST else text[: WIDEST - 1] + "…")
