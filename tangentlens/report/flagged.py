"""Flags in words, as flags.json, against an earlier run, and as a reason for an exit status."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import polars as pl

from tangentlens.data.messages import plain, shown
from tangentlens.errors import DataError, OptionError, nearest
from tangentlens.predictions.flags import SCHEMA
from tangentlens.report.content import Report
from tangentlens.report.results import as_json
from tangentlens.report.wording import figure

RULES = ("one class", "pattern", "forbidden", "decides alone", "few sources", "position", "length")
SHOWN = 8  # flags that the terminal shows
UNJUDGED = ("Ordinary words of one class are not flagged unless they decide texts alone: whether they are a reason is "
            "for you to say, with --suspects or --forbid.")


def flags_table(rows: Sequence[dict[str, Any]]) -> pl.DataFrame:
    """The table of flags from its rows."""
    return pl.DataFrame(rows, schema=SCHEMA)


def flags_json(report: Report) -> str:
    """What flags.json holds: a list of the flags, worst first, and last those of an earlier run that are gone."""
    return as_json([*report.flags.to_dicts(), *report.gone.to_dicts()]) + "\n"


def against(path: str | os.PathLike[str]) -> pl.DataFrame:
    """The flags of an earlier run, from its folder or its flags.json. Raises DataError."""
    file = Path(path) / "flags.json" if Path(path).is_dir() else Path(path)
    try:
        rows = json.loads(file.read_bytes())
        kept = [{name: row[name] for name in SCHEMA} for row in rows if row["change"] != "gone"]
        return flags_table(kept)
    except OSError as error:
        raise DataError(f"{plain(file)}: {error.strerror or error}; give the output folder of an earlier audit, or its "
                        "flags.json") from error
    except (ValueError, TypeError, KeyError, pl.exceptions.PolarsError) as error:
        raise DataError(f"{plain(file)} is no flags.json of an audit ({plain(error)}); run the earlier audit again"
                        ) from error


def failing(wanted: str | None, previous: Any = None) -> Callable[[pl.DataFrame], bool]:
    """Whether flags should end a run with status 1, as `--fail-on` says: any, new, a rule, or a number of flags.

    >>> failing("1")(flags_table([])), failing(None)(flags_table([]))
    (False, False)
    """
    if wanted is None:
        return lambda flags: False
    if wanted == "any":
        return lambda flags: flags.height > 0
    if wanted == "new":
        if previous is None:
            raise OptionError("--fail-on new needs --previous, the folder of the run to compare with")
        return lambda flags: "new" in flags["change"]
    if wanted in RULES:
        return lambda flags: wanted in flags["rule"]
    if wanted.isascii() and wanted.isdigit() and int(wanted):
        return lambda flags: flags.height >= int(wanted)
    raise OptionError(f"--fail-on takes any, new, a number of at least 1 or a rule, not {shown(wanted)}; "
                      f"{nearest(wanted, ('any', 'new', *RULES))}")


def headline(report: Report) -> str:
    """One line: how many shortcuts there are."""
    cues = report.flags.select("cue", "class").unique().height
    return f"Shortcuts: {figure(cues)}" if cues else "Shortcuts: none found"


def cues(report: Report) -> list[dict[str, Any]]:
    """The cues of every class, worst first: the row of its worst flag, that row's number, and all its architectures."""
    numbered = report.flags.with_row_index("number")
    grouped = numbered.group_by("cue", "class", maintain_order=True).agg(
        pl.exclude("architecture").first(), pl.col("architecture").unique(maintain_order=True).alias("architectures"))
    return grouped.to_dicts()


def sentences(report: Report) -> list[str]:
    """The worst cues, one line each, and what changed since an earlier run."""
    worst = report.flags.unique(["cue", "class"], keep="first", maintain_order=True)
    lines = [] if worst.height else [UNJUDGED]
    lines += [f"{number}. {row['cue']} → {row['class']}{' (new)' if row['change'] == 'new' else ''}: {row['reason']}. "
             f"{row['evidence']}." for number, row in enumerate(worst.head(SHOWN).to_dicts(), 1)]
    if worst.height > SHOWN:
        lines.append(f"… and {worst.height - SHOWN} more in flags.json.")
    if report.gone.height:
        cues = report.gone.select("cue", "class").unique(maintain_order=True)
        names = [f"{cue} → {name}" for cue, name in cues.head(SHOWN).rows()]
        lines.append(f"Gone since the earlier run: {', '.join(names)}{' …' if cues.height > SHOWN else ''}.")
    return lines
