"""Made-up film reviews, as many as wanted, in a Parquet file: real ones with sentences of others of their class.

Command: python -m benchmarks.resampling FILE.parquet --rows 1000000 [--seed 0]
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

import tangentlens as tl

GROUP = 10_000  # rows of a row group, all that is held at a time
REVIEWS = 25_000  # the first so many of the film reviews are whole ones, from IMDB
MIXED = 0.3  # share of sentences that are drawn from all reviews: an MLP then decides them as well as the real ones
SCHEMA = pa.schema([("text", pa.string()), ("label", pa.int64())])
END = re.compile(r"(?<=[.!?])\s+")


class Reviews:
    """Sentences of every class, and of how many each review consists.

    A text is made from a random review: its label, and as many sentences as it has, each drawn from all of that class,
    or, for a share of them, from all reviews: without these the texts would be far easier to tell apart than real ones.
    """

    def __init__(self, texts: Sequence[str], labels: Sequence[int]) -> None:
        sentences = [END.split(text.strip()) for text in texts]
        self.labels = np.asarray(labels, dtype=np.int64)
        self.lengths = np.array([len(row) for row in sentences])
        self.every = [one for row in sentences for one in row]
        self.pools = {int(label): [one for row, own in zip(sentences, self.labels, strict=True) if own == label
                                   for one in row] for label in np.unique(self.labels)}

    def group(self, rows: int, seed: int, number: int) -> tuple[list[str], NDArray[np.int64]]:
        """The texts and labels of one row group; the same for the same seed and number, whatever the file's size."""
        random = np.random.default_rng([seed, number])
        chosen = random.integers(len(self.labels), size=GROUP)[:rows]
        draws, mixed = random.random((int(self.lengths[chosen].sum()), 2)).T
        edges = np.concatenate([[0], np.cumsum(self.lengths[chosen])])
        texts = []
        for row, review in enumerate(chosen):
            pool, here = self.pools[int(self.labels[review])], slice(edges[row], edges[row + 1])
            texts.append(" ".join(one[int(draw * len(one))] for draw, one in zip(
                draws[here], (self.every if part < MIXED else pool for part in mixed[here]), strict=True)))
        return texts, self.labels[chosen]


def groups(reviews: Reviews, rows: int, seed: int) -> Iterator[pa.Table]:
    """The file's row groups, one after another."""
    for number, low in enumerate(range(0, rows, GROUP)):
        texts, labels = reviews.group(min(GROUP, rows - low), seed, number)
        yield pa.table({"text": texts, "label": labels}, schema=SCHEMA)


def write(path: Path, rows: int, seed: int = 0, reviews: Reviews | None = None) -> None:
    """Writes the file, a row group at a time."""
    if reviews is None:
        real = tl.movie_reviews()[:REVIEWS]
        assert real.labels is not None
        reviews = Reviews(real.texts, [int(label) for label in real.labels])
    unfinished = path.with_suffix(".unfinished")
    with pq.ParquetWriter(unfinished, SCHEMA, compression="zstd") as writer:
        for table in groups(reviews, rows, seed):
            writer.write_table(table)
    unfinished.replace(path)


def main(arguments: Sequence[str] | None = None) -> None:
    """Parses and writes."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.resampling")
    parser.add_argument("file", type=Path)
    parser.add_argument("--rows", type=int, required=True)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    write(options.file, options.rows, options.seed)


if __name__ == "__main__":
    main()
