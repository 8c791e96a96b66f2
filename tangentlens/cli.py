"""The command line: parse, call one function, print."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from typing import Any

import click
from rich.console import Console

from tangentlens import __version__
from tangentlens.audit import DEFAULT_ARCHITECTURES, audit
from tangentlens.data import Texts, movie_reviews, read_texts, small_reviews
from tangentlens.errors import TangentLensError
from tangentlens.kernels import ARCHITECTURES, describe
from tangentlens.kernels.parsing import parse_architecture
from tangentlens.report import print_report
from tangentlens.report.files import staged
from tangentlens.report.wording import visible

Command = Callable[..., None]


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="tangentlens")
def cli() -> None:
    """Says, before training, which tokens and n-grams a text network will learn from your data.

    \b
    tangentlens demo                                     the main job on 33,530 movie reviews
    tangentlens audit reviews.csv --text text --label label --output out
    """


def audit_options(command: Command) -> Command:
    """The options that `audit` and `demo` share."""
    defaults = ", ".join(map(describe, DEFAULT_ARCHITECTURES))
    options = [
        click.option("--architecture", "-a", "architectures", multiple=True, metavar="NAME[:KEY=VALUE,…]",
                     help=f"An architecture; repeatable. Names: {', '.join(ARCHITECTURES)}. [default: {defaults}]"),
        click.option("--output", "-o", default="audit-output", show_default=True, metavar="DIR",
                     help="Folder for audit.html, scores.parquet and run.json."),
        click.option("--tokenizer", default="words", show_default=True, metavar="words|whitespace|characters|FILE",
                     help="How texts are cut; FILE is any tokenizer.json."),
        click.option("--lowercase", is_flag=True, help="Lower-case every text first."),
        click.option("--min-count", default=1, show_default=True, help="Rarer tokens count as unknown."),
        click.option("--validation", default=0.1, show_default=True, metavar="SHARE",
                     help="Share of the texts held out to choose the time."),
        click.option("--seed", default=0, show_default=True, help="Of the split and of --sample."),
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
@audit_options
def audit_command(file: str, text: str, label: str, text_b: str | None, on_bad_row: str, **options: Any) -> None:
    """Which features will each architecture learn from FILE (csv, tsv, jsonl or parquet), how strongly, and when?"""
    _run(lambda: read_texts(file, text=text, label=label, text_b=text_b, on_bad_row=on_bad_row), **options)


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
    if settings["learning_rate"] != "auto" and settings["steps"] is None:
        raise click.UsageError("--learning-rate belongs to gradient descent: give --steps too")
    console = Console(stderr=True, quiet=quiet)
    with staged(output) as stage, console.status("reading") as status:
        texts = read()
        if sample is not None:
            texts = texts.sample(sample, seed=settings["seed"])
        found = audit(texts, chosen, progress=lambda line: status.update(visible(line)), **settings)
        status.update("writing")
        found.write(stage)
    if as_json:
        click.echo(json.dumps(found.summary(), indent=2, ensure_ascii=False, default=str))
    elif not quiet:
        print_report(found.content, Console())
        click.echo(f"\nOpen {visible(os.path.join(output, 'audit.html'))} in a browser; "
                   "every label score is in scores.parquet, every setting in run.json.")


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
        cli.main(arguments, prog_name="tangentlens", standalone_mode=False)
    except (TangentLensError, click.ClickException) as error:
        message = error.format_message() if isinstance(error, click.ClickException) else str(error)
        sys.exit(_fail(message))
    except (KeyboardInterrupt, click.Abort):
        print("tangentlens: interrupted; nothing was written", file=sys.stderr)
        sys.exit(130)
    except MemoryError:
        sys.exit(_fail("not enough memory; try --sample N, --min-count 2 or fewer architectures"))
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)


def _fail(message: str) -> int:
    print(f"tangentlens: error: {visible(message)}", file=sys.stderr)
    return 2


if __name__ == "__main__":
    main()
