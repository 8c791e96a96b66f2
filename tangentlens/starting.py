"""Ctrl-C while the program is still being loaded: one line and exit status 130, as later."""

from __future__ import annotations

import os
import signal
import sys
from typing import Any

LINE = "tangentlens: interrupted; no half-written result is left"


def interrupted(*_: Any) -> None:
    """Ends the process at once: nothing is begun yet, and an exception would end in a library that is being loaded."""
    start = "\n" if os.isatty(2) else ""  # after the ^C that a terminal shows
    os.write(2, f"{start}{LINE}\n".encode())
    os._exit(128 + signal.SIGINT)


def is_program() -> bool:
    """Whether this process is the command `tangentlens`, and not one that uses the library."""
    name = [*getattr(sys, "argv", []), ""][0]
    return os.path.splitext(os.path.basename(name))[0] == "tangentlens" or (
        name == "-m" and "tangentlens.cli" in sys.orig_argv)


if is_program() and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
    signal.signal(signal.SIGINT, interrupted)
