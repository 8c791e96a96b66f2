"""The command line: parse, call one function, print."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import click
from rich.console import Console
from rich.text import Text

from tangentlens import __version__
from tangentlens.audit import Audit, audit
from tangentlens.comparing import compare
from tangentlens.data import Texts, movie_reviews, read_corpus, read_texts, small_reviews
from tangentlens.data.reading import UNLABELLED
from tangentlens.errors import OutputError, TangentLensError
from tangentlens.kernels import ARCHITECTURES, spectra
from tangentlens.kernels.comparing import varied
from tangentlens.kernels.parsing import parse_architecture
from tangentlens.languages import language
from tangentlens.options import (
    audit_options,
    comparison_options,
    language_options,
    reading_options,
    training_options,
)
from tangentlens.report import print_comparison, print_report, print_spectra, spectrum_page
from tangentlens.report.files import staged
from tangentlens.report.language_terminal import print_language
from tangentlens.report.wording import visible
from tangentlens.verifying import Verification, kept

_SPELLING = re.compile(r"""\b(on_bad_row|encoding|loss|quote)=(["']?)([\w-]+)\2""")  # in messages for Python users


@click.group(context_settings={"help_option_names": ["-h", "--help"]}, invoke_without_command=True)
@click.version_option(__version__, prog_name="tangentlens")
@click.pass_context
def cli(context: click.Context) -> None:
    """Says, before training, which tokens and n-grams a text network will learn from your data.

    \b
    tangentlens demo                                     the main job on 33,530 movie reviews
    tangentlens audit reviews.csv --text text --label label --output out
    tangentlens compare reviews.csv                      which architecture for your data, and why
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
    with _printing(output):
        if as_json:
            click.echo(found.write_json())
        else:
            print_spectra(chosen, _Console())
            if output:
                click.echo(f"\nOpen {visible(output)} in a browser.")


@cli.command("language")
@click.argument("file", metavar="FILE")
@language_options
def language_command(file: str, *, architectures: tuple[str, ...], output: str, time: str, quiet: bool, as_json: bool,
                     window: int, sample: int, memory: float | None, seed: int, **reading: Any) -> None:
    """Which next tokens does each context token and n-gram of FILE (plain text) call for, at the start of learning?"""
    chosen = [parse_architecture(text, ARCHITECTURES) for text in architectures] or None
    moment = _number(time, "--time", "best")
    console = Console(stderr=True, quiet=quiet)
    with _warnings_as_lines(quiet), staged(output) as stage, console.status("reading") as status:
        found = language(read_corpus(file, **reading), chosen, window=window, time=moment, sample=sample, memory=memory,
                         seed=seed, announce=lambda line: console.print(Text(visible(line)), soft_wrap=True),
                         progress=lambda line: status.update(visible(line)))
        status.update("writing")
        found.write(stage)
    with _printing(output):
        if as_json:
            click.echo(found.to_json())
        elif not quiet:
            print_language(found, _Console())
            click.echo(f"\nOpen {visible(os.path.join(output, 'language.html'))} in a browser; the pairs are in "
                       "pairs.parquet, every setting in run.json.")


@cli.command("demo")
@click.option("--small", is_flag=True, help="A few hundred generated sentences instead; needs no extra package.")
@audit_options
def demo_command(small: bool, **options: Any) -> None:
    """The audit of 33,530 movie reviews (package movie-reviews, extra "demo")."""
    _run(small_reviews if small else movie_reviews, **options)


def _reader(*, file: str, text: str, label: str, text_b: str | None, on_bad_row: str, encoding: str | None, quote: str,
            **options: Any) -> dict[str, Any]:
    """What `_run` takes: a function that reads FILE, and the options that do not say how to read."""
    mark = None if quote.lower() == "none" else quote
    return options | {"read": lambda: read_texts(file, text=text, label=label, text_b=text_b, on_bad_row=on_bad_row,
                                                 encoding=encoding, quote=mark)}


def _run(read: Callable[[], Texts], *, architectures: tuple[str, ...], output: str, sample: int | None, quiet: bool,
         as_json: bool, job: Callable[..., Audit] = audit, verification: Verification | None = None, **settings: Any
         ) -> None:
    """Reads, audits, trains networks where that is wanted, writes, prints."""
    chosen = [parse_architecture(text, ARCHITECTURES) for text in architectures] or None
    settings["time"] = _number(settings["time"], "--time", "best")
    settings["learning_rate"] = _number(settings["learning_rate"], "--learning-rate", "auto")
    console = Console(stderr=True, quiet=quiet)
    keeping = kept(output) if verification else contextlib.nullcontext()
    with _warnings_as_lines(quiet), keeping as folder, staged(output) as stage:
        with console.status("reading") as status:
            texts = read()
            if sample is not None:
                texts = texts.sample(sample, seed=settings["seed"])
            if verification:
                status.update("timing a few steps of training")
                line = verification.announced(texts, chosen, settings)
                console.print(Text(visible(line)), soft_wrap=True)
            found = job(texts, chosen, progress=lambda line: status.update(visible(line)), **settings)
        if verification and folder:
            found = verification.trained(found, texts, settings, folder=folder, console=console)
        with console.status("writing"):
            found.write(stage)
    with _printing(output):
        if as_json:
            click.echo(found.to_json())
        elif not quiet:
            (print_comparison if found.content.compared else print_report)(found.content, _Console())
            click.echo(f"\nOpen {visible(os.path.join(output, 'audit.html'))} in a browser; "
                       "every label score is in scores.parquet, every setting in run.json."
                       + (" All figures of the comparison are in compared.parquet." if found.content.compared else "")
                       + (" Predicted and trained scores are in verified.parquet." if verification else ""))


class _Console(Console):
    def on_broken_pipe(self) -> None:
        """Leaves it to `_printing`; Rich itself would end the program."""
        raise BrokenPipeError


@contextlib.contextmanager
def _printing(output: str | None = None) -> Iterator[None]:
    """The results are written by now: a reader that stops reading, such as `head`, is no error; a full disk is."""
    try:
        yield
        if sys.stdout is not None:
            sys.stdout.flush()
    except OSError as error:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # else Python complains once more at its end
        if not isinstance(error, BrokenPipeError):
            place = f'the results are in "{output}", but the summary' if output else "the result"
            raise OutputError(f"{place} cannot be printed: {error.strerror or error}") from error


@contextlib.contextmanager
def _warnings_as_lines(quiet: bool) -> Iterator[None]:
    """Warnings to the user become one line each on stderr; those of libraries about numbers are dropped."""
    def show(message: Warning | str, category: type[Warning], *_: Any, **__: Any) -> None:
        if not quiet and issubclass(category, UserWarning):
            print(f"tangentlens: warning: {visible(message)}", file=sys.stderr)

    with warnings.catch_warnings():
        warnings.simplefilter("always", UserWarning)
        warnings.showwarning = show
        yield


class _Ended(BaseException):
    """A signal asks the program to end; args: its number."""


@contextlib.contextmanager
def _ended_by_signals() -> Iterator[None]:
    """Ctrl-C, SIGTERM and SIGHUP raise _Ended, so that what is half done is cleaned up; main thread only."""
    def stop(number: int, _: Any) -> None:
        raise _Ended(number)

    before = {}
    if threading.current_thread() is threading.main_thread():
        for name in ("SIGINT", "SIGTERM", "SIGHUP"):
            number = getattr(signal, name, None)  # Windows has no SIGHUP
            if number is not None and signal.getsignal(number) in (signal.SIG_DFL, signal.default_int_handler):
                before[number] = signal.signal(number, stop)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _number(text: str, option: str, word: str) -> float | str:
    if text == word:
        return text
    try:
        return float(text)
    except ValueError:
        raise click.UsageError(f'{option} takes a number or "{word}", not "{visible(text)}"') from None


def _widths(text: str) -> tuple[int, ...]:
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError:
        raise click.UsageError(f'--widths takes whole numbers joined by commas, such as 64,128,256, not "'
                               f'{visible(text)}"') from None


def main(arguments: list[str] | None = None) -> None:
    """The program `tangentlens`: one line and exit status 2 for any error the user can mend, 130 for Ctrl-C."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")
    try:
        with _ended_by_signals():
            cli.main(arguments, prog_name="tangentlens", standalone_mode=False)
    except TangentLensError as error:
        sys.exit(_fail(_SPELLING.sub(_as_option, str(error).replace(UNLABELLED, "")) + _notes(error)))
    except click.ClickException as error:
        context = getattr(error, "ctx", None)
        help_line = f"; see {context.command_path} --help" if context is not None else ""
        sys.exit(_fail(error.format_message().rstrip(".") + help_line))
    except (KeyboardInterrupt, click.Abort, _Ended) as stop:
        start = "\n" if sys.stderr.isatty() else ""  # after the ^C that a terminal shows
        line = f"tangentlens: interrupted; no half-written result is left{_notes(stop)}"
        print(start + visible(line), file=sys.stderr)
        sys.exit(128 + (stop.args[0] if isinstance(stop, _Ended) else signal.SIGINT))
    except MemoryError:
        sys.exit(_fail("not enough memory; try --sample N, --min-count 2 or fewer architectures"))
    except ArithmeticError as error:
        sys.exit(_fail(f"the numbers become too large or too small to compute with ({error}); choose standard "
                       "deviations nearer to 1, and a smaller kernel_size or depth"))


def _notes(error: BaseException) -> str:
    """What was noted on the error while it rose: what stays of unfinished work."""
    return "".join(f"; {note}" for note in getattr(error, "__notes__", ()))


def _as_option(found: re.Match[str]) -> str:
    """An argument of a Python function as the option that does the same here."""
    return f"--{found[1].replace('_', '-')} {found[3].lower()}"


def _fail(message: str) -> int:
    print(f"tangentlens: error: {visible(message)}", file=sys.stderr)
    return 2


if __name__ == "__main__":
    main()
