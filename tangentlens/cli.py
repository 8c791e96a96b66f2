"""The command line: parse, call one function, print."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from functools import cache
from typing import Any

import click
from rich.console import Console
from rich.text import Text

from tangentlens import __version__
from tangentlens.audit import audit
from tangentlens.comparing import compare
from tangentlens.data import Texts, movie_reviews, read_corpus, read_texts, small_reviews
from tangentlens.explaining import Question
from tangentlens.kernels import ARCHITECTURES, spectra
from tangentlens.kernels.comparing import varied
from tangentlens.kernels.parsing import parse_architecture
from tangentlens.languages import language
from tangentlens.options import (
    audit_options,
    comparison_options,
    explaining_options,
    language_options,
    reading_options,
    training_options,
)
from tangentlens.outcome import Audit
from tangentlens.program import Terminal, printing, run, warnings_as_lines
from tangentlens.report import print_comparison, print_report, print_spectra, spectrum_page
from tangentlens.report.files import staged
from tangentlens.report.flagged import failing
from tangentlens.report.language_terminal import print_language
from tangentlens.report.results import as_json as as_json_text
from tangentlens.report.wording import visible
from tangentlens.verifying import Verification, kept


@click.group(context_settings={"help_option_names": ["-h", "--help"]}, invoke_without_command=True)
@click.version_option(__version__, prog_name="tangentlens")
@click.pass_context
def cli(context: click.Context) -> None:
    """Says, before training, which tokens and n-grams a text network will learn from your data.

    \b
    tangentlens demo                                     the main job on 33,530 movie reviews
    tangentlens audit reviews.csv --text text --label label --output out
    tangentlens compare reviews.csv                      which architecture for your data, and why
    tangentlens explain reviews.csv --text "so good"     why a text is decided as it is
    tangentlens verify reviews.csv --output out          the audit, beside networks that are really trained
    tangentlens language corpus.txt --output out         which next tokens a language model learns first
    """
    if context.invoked_subcommand is None:
        click.echo(context.get_help())


@cli.command("audit")
@reading_options
@audit_options
def audit_command(**options: Any) -> None:
    """Which features will each architecture learn from FILE (csv, tsv, jsonl or parquet), how strongly, and when?"""
    _run(**_reader(**options))


@cli.command("compare")
@reading_options
@comparison_options
def compare_command(**options: Any) -> None:
    """Which architecture for FILE, and why? Audits several, and sets them side by side.

    A verdict in words: which of them is ahead on held-out texts, and whether by more than chance; the n-grams of FILE
    that say the opposite of their words, and which architectures read them; what the bias does to single tokens; what
    is learned first. Writes compared.parquet too.

    \b
    tangentlens compare reviews.csv
    tangentlens compare reviews.csv -a MLP -a MLP:activation=tanh -a CNN:kernel_size=2
    """
    _run(**_reader(**options), job=compare)


@cli.command("verify")
@reading_options
@training_options
@audit_options
def verify_command(texts: int, widths: str, networks: int, verify_steps: int, patterns: int, device: str,
                   **options: Any) -> None:
    """The audit of FILE, and beside its predictions networks of several widths that are really trained.

    Needs PyTorch: pip install "tangentlens[torch]". Says at the start how long the training will take, and writes
    verified.parquet and verified-errors.parquet too. When it is interrupted, the networks that are finished stay in
    the folder DIR.networks beside the output; the same command goes on from there, and deletes the folder at its end.
    """
    chosen = Verification(texts, _widths(widths), networks, verify_steps, patterns, device)
    _run(**_reader(**options), verification=chosen)


@cli.command("explain")
@explaining_options
def explain_command(file: str, *, text_column: str, label: str, on_bad_row: str, encoding: str | None, tokenizer: str,
                    as_json: bool, **asked: Any) -> None:
    """Why is a text decided as it is? Its features, and the training texts behind them.

    FILE is a data file, which is audited first, or the folder that an audit has written.

    \b
    tangentlens explain reviews.csv --text "not a good film"
    tangentlens explain audit-output --text "not a good film" -a CNN --without 17,205
    """
    question = Question.of(**asked)
    with warnings_as_lines(as_json), Console(stderr=True, quiet=as_json).status("reading") as status:
        audited = question.audit(file, lambda: read_texts(file, text=text_column, label=label, on_bad_row=on_bad_row,
                                                          encoding=encoding),
                                 tokenizer=tokenizer, progress=lambda line: status.update(visible(line)))
        answers = question.answers(audited)
    with printing():
        if as_json:
            click.echo(as_json_text([answer.to_dict() for answer in answers]))
        else:
            for answer in answers:
                answer.print(Terminal())


@cli.command("spectrum")
@click.option("--architecture", "-a", "architectures", multiple=True, metavar="NAME[:KEY=VALUE,…]",
              help=f"An architecture; repeatable.  [default: {', '.join(ARCHITECTURES)}]")
@click.option("--vary", multiple=True, metavar="KEY=VALUE,VALUE,…",
              help="An option and its values, for every architecture; repeatable: all combinations are shown.")
@click.option("--output", "-o", metavar="FILE", help="Write a page too: table, bars, and trends with every option.")
@click.option("--json", "as_json", is_flag=True, help="Print every family's coefficient and share as JSON.")
def spectrum_command(architectures: tuple[str, ...], vary: tuple[str, ...], output: str | None, as_json: bool) -> None:
    """What can each architecture extract at all: shares of bias, tokens and n-grams, before it sees any data.

    \b
    tangentlens spectrum
    tangentlens spectrum --output spectrum.html
    tangentlens spectrum -a MLP -a CNN --vary activation=relu,tanh,gelu,silu --vary weight_std=0.5,1,2
    """
    changes: dict[str, list[str]] = {}
    for text in vary:
        option, equals, values = text.partition("=")
        if not equals or not values.strip(",") or option in changes:
            raise click.UsageError(f'--vary takes an option once: KEY=VALUE,VALUE,…, not "{visible(text)}"')
        changes[option] = list(dict.fromkeys(value.strip() for value in values.split(",")))
    chosen = varied(architectures or tuple(ARCHITECTURES), changes, ARCHITECTURES)
    found = spectra(chosen)
    if output:
        with Console(stderr=True).status("drawing"):
            spectrum_page(chosen, output)
    with printing(output):
        if as_json:
            click.echo(found.write_json())
        else:
            print_spectra(chosen, Terminal())
            if output:
                click.echo(f"\nOpen {visible(output)} in a browser.")


@cli.command("language")
@click.argument("file", metavar="FILE")
@language_options
def language_command(file: str, *, architectures: tuple[str, ...], output: str, time: str, quiet: bool, as_json: bool,
                     window: str, sample: int, memory: float | None, seed: int, **reading: Any) -> None:
    """Which next tokens does each context token and n-gram of FILE (plain text) call for, at the start of learning?"""
    chosen = [parse_architecture(text, ARCHITECTURES) for text in architectures] or None
    moment, places = _number(time, "--time", "best"), _count(window, "--window", "all")
    console = Console(stderr=True, quiet=quiet)
    with warnings_as_lines(quiet), staged(output) as stage, console.status("reading") as status:
        found = language(read_corpus(file, **reading), chosen, window=places, time=moment, sample=sample, memory=memory,
                         seed=seed, announce=lambda line: console.print(Text(visible(line)), soft_wrap=True),
                         progress=lambda line: status.update(visible(line)))
        status.update("writing")
        found.write(stage)
    with printing(output):
        if as_json:
            click.echo(found.to_json())
        elif not quiet:
            print_language(found, Terminal())
            click.echo(f"\nOpen {visible(os.path.join(output, 'language.html'))} in a browser; the pairs are in "
                       "pairs.parquet, every setting in run.json.")


@cli.command("demo")
@click.option("--small", is_flag=True, help="A few hundred generated sentences instead; needs no extra package.")
@audit_options
def demo_command(small: bool, **options: Any) -> None:
    """The audit of 33,530 movie reviews (package movie-reviews, extra "demo")."""
    _run(small_reviews if small else movie_reviews, **options)


def _reader(*, file: str, text: str, label: str, text_b: str | None, on_bad_row: str, encoding: str | None, quote: str,
            source_column: str | None, **options: Any) -> dict[str, Any]:
    """What `_run` takes: a function that reads FILE, and the options that do not say how to read."""
    mark = None if quote.lower() == "none" else quote
    return options | {"read": lambda: read_texts(file, text=text, label=label, text_b=text_b, on_bad_row=on_bad_row,
                                                 encoding=encoding, quote=mark, source_column=source_column)}


def _run(read: Callable[[], Texts], *, architectures: tuple[str, ...], output: str, sample: int | None, quiet: bool,
         as_json: bool, job: Callable[..., Audit] = audit, verification: Verification | None = None,
         fail_on: str | None = None, **settings: Any) -> None:
    """Reads, audits, trains networks where that is wanted, writes, prints."""
    chosen = [parse_architecture(text, ARCHITECTURES) for text in architectures] or None
    fails = failing(fail_on, settings["previous"])
    settings["time"] = _number(settings["time"], "--time", "best")
    settings["learning_rate"] = _number(settings["learning_rate"], "--learning-rate", "auto")
    console = Console(stderr=True, quiet=quiet)
    keeping = kept(output) if verification else contextlib.nullcontext()
    with warnings_as_lines(quiet), keeping as folder, staged(output) as stage:
        texts = _sampled(read, sample, settings["seed"])
        with console.status("reading") as status:
            if verification:
                texts = cache(texts)  # needed again
                status.update("timing a few steps of training")
                line = verification.announced(texts(), chosen, settings)
                console.print(Text(visible(line)), soft_wrap=True)
            found = job(texts, chosen, progress=lambda line: status.update(visible(line)), **settings)
        if verification and folder:
            found = verification.trained(found, texts(), settings, folder=folder, console=console)
        with console.status("writing"):
            found.write(stage)
    with printing(output):
        if as_json:
            click.echo(found.to_json())
        elif not quiet:
            (print_comparison if found.content.compared else print_report)(found.content, Terminal())
            click.echo(f"\nOpen {visible(os.path.join(output, 'audit.html'))} in a browser; "
                       "every label score is in scores.parquet, every setting in run.json."
                       + (" All figures of the comparison are in compared.parquet." if found.content.compared else "")
                       + (" Predicted and trained scores are in verified.parquet." if verification else ""))
    if fails(found.flags):
        raise SystemExit(1)


def _sampled(read: Callable[[], Texts], sample: int | None, seed: int) -> Callable[[], Texts]:
    """A function that reads texts, and draws some of them if so many are wanted."""
    def texts() -> Texts:
        return read() if sample is None else read().sample(sample, seed=seed)

    return texts


def _number(text: str, option: str, word: str) -> float | str:
    if text == word:
        return text
    try:
        return float(text)
    except ValueError:
        raise click.UsageError(f'{option} takes a number or "{word}", not "{visible(text)}"') from None


def _count(text: str, option: str, word: str) -> int | None:
    """A whole number of at least 1; None for the word."""
    if text == word:
        return None
    if not (text.isdecimal() and int(text)):
        raise click.UsageError(f'{option} takes a whole number of at least 1 or "{word}", not "{visible(text)}"')
    return int(text)


def _widths(text: str) -> tuple[int, ...]:
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError:
        raise click.UsageError(f'--widths takes whole numbers joined by commas, such as 64,128,256, not "'
                               f'{visible(text)}"') from None


def main(arguments: list[str] | None = None) -> None:
    """The program `tangentlens`; see `program.run`."""
    run(cli, arguments)


if __name__ == "__main__":
    main()
