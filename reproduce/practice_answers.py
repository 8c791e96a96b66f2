"""What ordinary networks answered, and how near a prediction of it comes to what can be foretold at all.

Part of: python -m reproduce.practice_scores
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.stats import rankdata

from reproduce.practice_data import DATA_SETS
from reproduce.practice_train import NETWORKS, path_of

Array = NDArray[np.float64]
RESAMPLES = 300
MOST_SEEDS = 64


@dataclass(frozen=True)
class Answers:
    """Answers of S trained networks by question, arrays (S, N)."""

    network: str
    found: dict[str, Array]

    def __getitem__(self, question: str) -> Array:
        return self.found[question]

    @property
    def seeds(self) -> int:
        """Number of networks S."""
        return len(self.found["train_loss"])

    @property
    def train_loss(self) -> float:
        """Mean training loss at the end, dropout off."""
        return float(self.found["train_loss"].mean())


def answers_of(work: Path, name: str, network: str) -> Answers:
    """The answers of all seeds that are there; raises FileNotFoundError where there are fewer than two."""
    paths = [path for seed in range(MOST_SEEDS) if (path := path_of(work, name, network, seed)).exists()]
    if len(paths) < 2:
        raise FileNotFoundError(f"{work} holds {len(paths)} trained {network} on {name}; run "
                                f"python -m reproduce.practice_train --work {work}")
    parts = [pl.read_parquet(path).partition_by("question", as_dict=True, maintain_order=True) for path in paths]
    return Answers(network, {str(key[0]): np.stack([part[key]["value"].to_numpy().astype(np.float64) for part in parts])
                             for key in parts[0]})


def trained_networks(work: Path) -> Iterator[tuple[str, Answers]]:
    """Every data set and network with at least two seeds there; raises FileNotFoundError where there is none."""
    there = [(name, network) for name, network in product(DATA_SETS, NETWORKS)
             if sum(path_of(work, name, network, seed).exists() for seed in range(MOST_SEEDS)) > 1]
    if not there:
        raise FileNotFoundError(f"{work} holds no trained networks; run python -m reproduce.practice_train")
    for name, network in there:
        yield name, answers_of(work, name, network)


def standardised(values: Array) -> Array:
    """Every row less its mean, over its standard deviation."""
    centred = values - values.mean(axis=-1, keepdims=True)
    return np.asarray(centred / np.maximum(values.std(axis=-1, keepdims=True), np.finfo(float).tiny))


def spearman(first: Array, second: Array) -> float:
    """Rank correlation; 0 where one side is constant."""
    if np.ptp(first) <= 1e-9 * np.abs(first).max(initial=0.0) or np.ptp(second) == 0:
        return 0.0
    return float(np.corrcoef(rankdata(first), rankdata(second))[0, 1])


def agreement(values: Array) -> float:
    """Mean rank correlation r between two networks; values (S, N)."""
    between = np.corrcoef(rankdata(values, axis=1))
    size = len(values)
    return float((between.sum() - size) / (size * (size - 1)))


def ceiling(values: Array) -> float:
    """What an exact prediction would reach, sqrt(S r / (1 + (S − 1) r)); NaN where networks do not agree."""
    r, size = agreement(values), len(values)
    return float(np.sqrt(size * r / (1 + (size - 1) * r))) if r > 0 else float("nan")


def split_half(values: Array, splits: int = 50) -> float:
    """The same from halves: ρ between the means of two halves, sqrt(2ρ / (1 + ρ)); NaN where ρ is not positive."""
    rng, found = np.random.default_rng(0), []
    for _ in range(splits):
        order = rng.permutation(len(values))
        halves = [standardised(values[part]).mean(axis=0) for part in np.array_split(order, 2)]
        found.append(spearman(*halves))
    rho = float(np.mean(found))
    return float(np.sqrt(2 * rho / (1 + rho))) if rho > 0 else float("nan")


def share(predicted: Array, values: Array) -> float:
    """Rank correlation with the mean of the standardised networks (S, N), as a share of its ceiling."""
    return spearman(predicted, standardised(values).mean(axis=0)) / ceiling(values)


def share_of_one(values: Array) -> float:
    """The same of one trained network as the guide to the mean of the others, averaged over who is the guide."""
    rest = [np.delete(values, one, axis=0) for one in range(len(values))]
    if len(values) < 3:
        return float("nan")
    return float(np.mean([share(values[one], others) for one, others in enumerate(rest)]))


def intervals(predicted: dict[str, Array], values: Array, best: str = "") -> dict[str, tuple[float, float]]:
    """95 % interval of every prediction's share, and of its lead on the one named `best`, by name and "name - best":
    bootstrap over networks and features together, ranks taken once. A network drawn twice is no pair with itself,
    and counts twice in the mean, whose ceiling is lower for it.
    """
    rng, ranks = np.random.default_rng(0), {name: rankdata(one) for name, one in predicted.items()}
    rows, found = rankdata(values, axis=1), []
    for _ in range(RESAMPLES):
        seeds, items = rng.integers(len(rows), size=len(rows)), rng.integers(rows.shape[1], size=rows.shape[1])
        drawn = rows[seeds][:, items]
        between = np.corrcoef(drawn)[seeds[:, None] != seeds[None, :]]
        r = float(between.mean()) if len(between) else np.nan
        if not r > 0:
            continue
        worth = len(seeds) ** 2 / np.sum(np.bincount(seeds) ** 2)  # different networks that the mean is worth
        top = np.sqrt(worth * r / (1 + (worth - 1) * r))
        mean = drawn.mean(axis=0)
        found.append({name: float(np.corrcoef(one[items], mean)[0, 1]) / top if np.ptp(one) > 0 else 0.0
                      for name, one in ranks.items()})
    bounds = {}
    for name in predicted:
        one = np.array([row[name] for row in found])
        bounds[name] = _bounds(one)
        if best:
            bounds[f"{name} - {best}"] = _bounds(one - [row[best] for row in found])
    return bounds


def _bounds(values: Array) -> tuple[float, float]:
    if not len(values):
        return float("nan"), float("nan")
    low, high = np.quantile(values, [0.025, 0.975])
    return float(low), float(high)
