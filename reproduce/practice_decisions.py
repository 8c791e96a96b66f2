"""Claim: the stand-in decides held-out texts as the network does, beyond the agreement that accuracy alone gives.

Command: python -m reproduce.practice_decisions [--work practice-work] [--output reproduce/results]
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.console import Console

import tangentlens as tl
from reproduce.options import RESULTS
from reproduce.practice_answers import RESAMPLES, Answers, trained_networks
from reproduce.practice_data import material
from reproduce.practice_predictions import predicted, rival_answers
from reproduce.practice_questions import Array
from reproduce.practice_scores import between
from reproduce.practice_train import WORK
from reproduce.sheet import Row, Sheet, number, save, text, written

Mask = NDArray[np.bool_]
SHOWN = {
    "data": ("data", text), "network": ("network", text), "seeds": ("S", number("d")),
    "accuracy": ("its\naccuracy", number(".1%")), "own": ("predic-\ntion's", number(".1%")),
    "agree": ("same\ndecision", number(".1%")), "beyond": ("beyond\naccuracy", number(".3f")),
    "interval": ("95 %\ninterval", written), "rival": ("best\nrival", number(".3f")),
    "lead_interval": ("lead, 95 %\ninterval", written), "one": ("other\nnetwork", number(".3f")),
    "best_rival": ("which rival", text),
}
NOTES = (
    "same decision: share of test texts on which a network and the prediction decide alike, averaged over networks. "
    "beyond accuracy: (agreement − e) / (m − e): e is what two deciders of these accuracies reach if their errors are "
    "independent within each class, m the most that the accuracies allow; 0 is chance, 1 all that can be. The best "
    "rival is the best on that row; other network: two networks of the kind.",
)


def beyond(first: Mask, second: Mask, labels: Mask) -> float:
    """Agreement of two deciders beyond what their accuracies in each class give by chance; masks (n,)."""
    found = expected = most = 0.0
    for positive in (False, True):
        one, other = first[labels == positive], second[labels == positive]
        part, p, q = len(one) / len(labels), one.mean(), other.mean()
        found += part * np.mean(one == other)
        expected += part * (p * q + (1 - p) * (1 - q))
        most += part * (1 - abs(p - q))
    return float((found - expected) / (most - expected))


def row_of(name: str, answers: Answers) -> Row:
    """Agreement on the test texts of one data set."""
    labels = material(name).test.labels == 1
    done = answers["decision"] > 0
    loss = answers.train_loss
    mine = predicted(tl.stand_in(answers.network).architecture, name, loss)["decision"] > 0
    rivals = {rival: one["decision"] > 0 for rival, one in rival_answers(name).items()}
    levels = {rival: mean_beyond(one, done, labels) for rival, one in rivals.items()}
    best = max(levels, key=lambda rival: levels[rival])
    draws = [drawn(mine, rivals[best], done, labels, np.random.default_rng(seed)) for seed in range(RESAMPLES)]
    low, high = np.quantile(draws, [0.025, 0.975], axis=0)
    pairs = [beyond(done[i], done[j], labels) for i in range(len(done)) for j in range(i)]
    return {"data": name, "network": answers.network, "seeds": answers.seeds,
            "accuracy": float(np.mean(done == labels)), "own": float(np.mean(mine == labels)),
            "agree": float(np.mean(done == mine)), "beyond": mean_beyond(mine, done, labels),
            "interval": between((low[0], high[0]), ".3f"), "rival": levels[best],
            "lead_interval": between((low[1], high[1]), "+.3f"), "one": float(np.mean(pairs)), "best_rival": best}


def mean_beyond(one: Mask, done: Mask, labels: Mask) -> float:
    """Averaged over networks (S, n)."""
    return float(np.mean([beyond(one, network, labels) for network in done]))


def drawn(mine: Mask, rival: Mask, done: Mask, labels: Mask, rng: np.random.Generator) -> Array:
    """The prediction's figure and its lead on networks and texts drawn with replacement."""
    seeds, texts = rng.integers(len(done), size=len(done)), rng.integers(len(labels), size=len(labels))
    own, other = (mean_beyond(one[texts], done[seeds][:, texts], labels[texts]) for one in (mine, rival))
    return np.array([own, own - other])


def rows_of(work: Path) -> Iterator[Row]:
    """One row for every data set and network."""
    for name, answers in trained_networks(work):
        yield row_of(name, answers)


def main(arguments: Sequence[str] | None = None) -> None:
    """Parses, asks, prints and saves."""
    parser = argparse.ArgumentParser(prog="python -m reproduce.practice_decisions")
    parser.add_argument("--work", type=Path, default=WORK)
    parser.add_argument("--output", type=Path, default=RESULTS)
    options = parser.parse_args(arguments)
    rows = list(rows_of(options.work))
    sheet = Sheet("Decisions of ordinary networks on held-out texts, foretold", rows, SHOWN, NOTES)
    sheet.print(Console(width=160))
    save({"practice_decisions": sheet}, options.output, "practice_decisions", command=parser.prog)


if __name__ == "__main__":
    main()
