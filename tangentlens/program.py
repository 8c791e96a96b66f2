"""A command as a program: signals, warnings, broken pipes, and every error as one line with an exit status."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import sys
import threading
import warnings
from collections.abc import Iterator
from typing import Any

import click
from rich.console import Console

from tangentlens.data.reading import UNLABELLED
from tangentlens.errors import OutputError, TangentLensError
from tangentlens.report.wording import visible
from tangentlens.starting import LINE, interrupted

_SPELLING = re.compile(  # in messages for Python users
    r"""\b(on_bad_row|encoding|loss|quote|documents|window|vocabulary_size)=(["']?)([\w-]+)\2""")


def run(command: click.Command, arguments: list[str] | None) -> None:
    """Runs a command as the program `tangentlens`: one line and exit status 2 for any error the user can mend, 130 for
    Ctrl-C.
    """
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")
    try:
        with ended_by_signals():
            command.main(arguments, prog_name="tangentlens", standalone_mode=False)
    except TangentLensError as error:
        message = str(error).replace(UNLABELLED, "").replace("(memory=,", "(--memory,").replace(
            "(encoding=)", "(--encoding)")
        sys.exit(_fail(_SPELLING.sub(_as_option, message) + _notes(error)))
    except click.ClickException as error:
        context = getattr(error, "ctx", None)
        help_line = f"; see {context.command_path} --help" if context is not None else ""
        sys.exit(_fail(error.format_message().rstrip(".") + help_line))
    except (KeyboardInterrupt, click.Abort, Ended) as stop:
        start = "\n" if sys.stderr.isatty() else ""  # after the ^C that a terminal shows
        print(start + visible(LINE + _notes(stop)), file=sys.stderr)
        sys.exit(128 + (stop.args[0] if isinstance(stop, Ended) else signal.SIGINT))
    except MemoryError:
        sys.exit(_fail("not enough memory; try --sample N, --min-count 2 or fewer architectures"))
    except ArithmeticError as error:
        sys.exit(_fail(f"the numbers become too large or too small to compute with ({error}); choose standard "
                       "deviations nearer to 1, and a smaller kernel_size or depth"))


class Terminal(Console):
    def on_broken_pipe(self) -> None:
        """Leaves it to `printing`; Rich itself would end the program."""
        raise BrokenPipeError


@contextlib.contextmanager
def printing(output: str | None = None) -> Iterator[None]:
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
def warnings_as_lines(quiet: bool) -> Iterator[None]:
    """Warnings to the user become one line each on stderr; those of libraries about numbers are dropped."""
    def show(message: Warning | str, category: type[Warning], *_: Any, **__: Any) -> None:
        if not quiet and issubclass(category, UserWarning):
            print(f"tangentlens: warning: {visible(message)}", file=sys.stderr)

    with warnings.catch_warnings():
        warnings.simplefilter("always", UserWarning)
        warnings.showwarning = show
        yield


class Ended(BaseException):
    """A signal asks the program to end; args: its number."""


@contextlib.contextmanager
def ended_by_signals() -> Iterator[None]:
    """Ctrl-C, SIGTERM and SIGHUP raise Ended, so that what is half done is cleaned up; main thread only."""
    def stop(number: int, _: Any) -> None:
        raise Ended(number)

    before = {}
    if threading.current_thread() is threading.main_thread():
        for name in ("SIGINT", "SIGTERM", "SIGHUP"):
            number = getattr(signal, name, None)  # Windows has no SIGHUP
            if number is not None and signal.getsignal(number) in (signal.SIG_DFL, signal.default_int_handler,
                                                                   interrupted):
                before[number] = signal.signal(number, stop)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _notes(error: BaseException) -> str:
    """What was noted on the error while it rose: what stays of unfinished work."""
    return "".join(f"; {note}" for note in getattr(error, "__notes__", ()))


def _as_option(found: re.Match[str]) -> str:
    """An argument of a Python function as the option that does the same here."""
    nothing = "none" if found[1] == "quote" else "all"
    return f"--{found[1].replace('_', '-')} {nothing if found[3] == 'None' else found[3].lower()}"


def _fail(message: str) -> int:
    print(f"tangentlens: error: {visible(message)}", file=sys.stderr)
    return 2
