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

from tangentlens import __version__
from tangentlens.audit import DEFAULT_ARCHITECTURES, audit
from tangentlens.data import Texts, movie_reviews, read_texts, small_reviews
from tangentlens.data.reading import UNLABELLED
from tangentlens.errors import OutputError, TangentLensError
from tangentlens.kernels import ARCHITECTURES, describe
from tangentlens.kernels.parsing import parse_architecture
from tangentlens.report import print_report
from tangentlens.report.files import staged
from tangentlens.report.wording import visible

Command = Callable[..., None]
_SPELLING = re.compile(r"""\b(on_bad_row|encoding|loss|quote)=(["']?)([\w-]+)\2""")  # in messages for Python users


@click.group(context_settings={"help_option_names": ["-h", "--help"]}, invoke_without_command=True)
@click.version_option(__version__, prog_name="tangentlens")
@click.pass_context
def cli(context: click.Context) -> None:
    """Says, before training, which tokens and n-grams a text network will learn from your data.

    \b
    tangentlens demo                                     the main job on 33,530 movie reviews
    tangentlens audit reviews.csv --text text --label label --output out
    """
    if context.invoked_subcommand is None:
        click.echo(context.get_help())


def audit_options(command: Command) -> Command:
    """The options that `audit` and `demo` share."""
    defaults = ", ".join(map(describe, DEFAULT_ARCHITECTURES))
    options = [
        click.option("--architecture", "-a", "architectures", multiple=True, metavar="NAME[:KEY=VALUE,…]",
                     help=f"An architecture; repeatable. Names: {', '.join(ARCHITECTURES)}. [default: {defaults}]"),
        click.option("--output", "-o", default="audit-output", show_default=True, metavar="DIR",
                     help="Folder for audit.html, scores.parquet, state.npz and run.json."),
        click.option("--tokenizer", default="words", show_default=True, metavar="words|whitespace|characters|FILE",
                     help="How texts are cut; FILE is any tokenizer.json."),
        click.option("--lowercase", is_flag=True, help="Lower-case every text first."),
        click.option("--min-count", default=1, show_default=True, help="Rarer tokens count as unknown."),
        click.option("--validation", default=0.1, show_default=True, metavar="SHARE",
                     help="Share of the texts held out to choose the time."),
        click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, metavar="N",
                     help="Of the split and of --sample."),
        click.option("--sample", type=int, metavar="N", help="Use N texts drawn at random."),
        click.option("--loss", type=click.Choice(["logistic", "softmax", "squared"]),
                     help="[default: logistic for two classes, softmax for more]"),
        click.option("--time", default="best", show_default=True, metavar="T|best", help="Gradient flow to this time."),
        click.option("--steps", type=int, metavar="N", help="Gradient descent for N steps instead of a flow."),
        click.option("--learning-rate", default="auto", show_default=True, metavar="RATE|auto", help="Of the descent."),
        click.option("--quiet", "-q", is_flag=True, help="Print nothing but errors."),
        click.option("--json", "as_json", is_flag=True, help="Print run.json instead of the summary."),
    ]
    for option in reversed(options):
        command = option(command)
    return command


@cli.command("audit")
@click.argument("file", metavar="FILE")
@click.option("--text", default="text", show_default=True, metavar="COLUMN", help="Column of the texts.")
@click.option("--label", default="label", show_default=True, metavar="COLUMN", help="Column of the labels.")
@click.option("--text-b", metavar="COLUMN", help="Column of second texts, joined to the first by a separator token.")
@click.option("--on-bad-row", type=click.Choice(["error", "skip"]), default="error", show_default=True,
              help="What to do with a row that has no usable text or label.")
@click.option("--encoding", metavar="NAME", help="Encoding of FILE.  [default: UTF-8, or as its first bytes say]")
@click.option("--quote", default='"', show_default=True, metavar="MARK|none", help="Quote mark of csv and tsv.")
@audit_options
def audit_command(file: str, text: str, label: str, text_b: str | None, on_bad_row: str, encoding: str | None,
                  quote: str, **options: Any) -> None:
    """Which features will each architecture learn from FILE (csv, tsv, jsonl or parquet), how strongly, and when?"""
    mark = None if quote.lower() == "none" else quote
    _run(lambda: read_texts(file, text=text, label=label, text_b=text_b, on_bad_row=on_bad_row, encoding=encoding,
                            quote=mark), **options)


@cli.command("demo")
@click.option("--small", is_flag=True, help="A few hundred generated sentences instead; needs no extra package.")
@audit_options
def demo_command(small: bool, **options: Any) -> None:
    """The audit of 33,530 movie reviews (package movie-reviews, extra "demo")."""
    _run(small_reviews if small else movie_reviews, **options)


def _run(read: Callable[[], Texts], *, architectures: tuple[str, ...], output: str, sample: int | None, quiet: bool,
         as_json: bool, **settings: Any) -> None:
    """Reads, audits, writes, prints."""
    chosen = [parse_architecture(text, ARCHITECTURES) for text in architectures] or None
    settings["time"] = _number(settings["time"], "--time", "best")
    settings["learning_rate"] = _number(settings["learning_rate"], "--learning-rate", "auto")
    console = Console(stderr=True, quiet=quiet)
    with _warnings_as_lines(quiet), staged(output) as stage, console.status("reading") as status:
        texts = read()
        if sample is not None:
            texts = texts.sample(sample, seed=settings["seed"])
        found = audit(texts, chosen, progress=lambda line: status.update(visible(line)), **settings)
        status.update("writing")
        found.write(stage)
    with _printing(output):
        if as_json:
            click.echo(found.to_json())
        elif not quiet:
            print_report(found.content, _Console())
            click.echo(f"\nOpen {visible(os.path.join(output, 'audit.html'))} in a browser; "
                       "every label score is in scores.parquet, every setting in run.json.")


class _Console(Console):
    def on_broken_pipe(self) -> None:
        """Leaves it to `_printing`; Rich itself would end the program."""
        raise BrokenPipeError


@contextlib.contextmanager
def _printing(output: str) -> Iterator[None]:
    """The results are written by now: a reader that stops reading, such as `head`, is no error; a full disk is."""
    try:
        yield
        if sys.stdout is not None:
            sys.stdout.flush()
    except OSError as error:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # else Python complains once more at its end
        if not isinstance(error, BrokenPipeError):
            raise OutputError(f'the results are in "{output}", but the summary cannot be printed: '
                              f"{error.strerror or error}") from error


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


def main(arguments: list[str] | None = None) -> None:
    """The program `tangentlens`: one line and exit status 2 for any error the user can mend, 130 for Ctrl-C."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")
    try:
        with _ended_by_signals():
            cli.main(arguments, prog_name="tangentlens", standalone_mode=False)
    except TangentLensError as error:
        sys.exit(_fail(_SPELLING.sub(_as_option, str(error).replace(UNLABELLED, ""))))
    except click.ClickException as error:
        context = getattr(error, "ctx", None)
        help_line = f"; see {context.command_path} --help" if context is not None else ""
        sys.exit(_fail(error.format_message().rstrip(".") + help_line))
    except (KeyboardInterrupt, click.Abort, _Ended) as stop:
        start = "\n" if sys.stderr.isatty() else ""  # after the ^C that a terminal shows
        print(f"{start}tangentlens: interrupted; no half-written result is left", file=sys.stderr)
        sys.exit(128 + (stop.args[0] if isinstance(stop, _Ended) else signal.SIGINT))
    except MemoryError:
        sys.exit(_fail("not enough memory; try --sample N, --min-count 2 or fewer architectures"))
    except ArithmeticError as error:
        sys.exit(_fail(f"the numbers become too large or too small to compute with ({error}); choose standard "
                       "deviations nearer to 1, and a smaller kernel_size or depth"))


def _as_option(found: re.Match[str]) -> str:
    """An argument of a Python function as the option that does the same here."""
    return f"--{found[1].replace('_', '-')} {found[3].lower()}"


def _fail(message: str) -> int:
    print(f"tangentlens: error: {visible(message)}", file=sys.stderr)
    return 2


if __name__ == "__main__":
    main()
