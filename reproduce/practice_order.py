"""Claim: which token an ordinary network learns first is foretold, beyond what its frequency says.

A token's half step: the first, interpolated moment at which its score has the sign and half the size of its last one.

Command: python -m reproduce.practice_order [--work practice-work] [--output reproduce/results]
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray
from rich.console import Console
from scipy.interpolate import interp1d

import tangentlens as tl
from reproduce.options import RESULTS
from reproduce.practice_answers import MOST_SEEDS, RESAMPLES, spearman, trained_networks
from reproduce.practice_predictions import inquiry, learned
from reproduce.practice_questions import Array
from reproduce.practice_rivals import Counts, statistics
from reproduce.practice_scores import between
from reproduce.practice_train import WORK, path_of
from reproduce.sheet import Row, Sheet, number, save, text, written

CLEAR = 3.0  # standard errors that a token's mean score is away from 0
SHOWN = {
    "data": ("data", text), "network": ("network", text), "seeds": ("S", number("d")), "items": ("N", number(",d")),
    "r": ("halves\nagree", number(".2f")), "ceiling": ("ceiling", number(".2f")),
    "one": ("one\nnetwork", number(".2f")),
    "frequency": ("count", number(".2f")), "z": ("|z|", number(".2f")),
    "prediction": ("pre-\ndiction", number(".2f")), "interval": ("95 %\ninterval", written),
    "lead_interval": ("lead on both,\n95 %", written), "share": ("share of\nceiling", number(".2f")),
}
NOTES = (
    "Half steps of the mean network's scores, its time being the share of every network's training, for tokens whose "
    "score is clear (three standard errors from 0), against those of the stand-in to the networks' training loss. "
    "halves agree: ρ between the half steps of the means of half of the networks each; ceiling: sqrt(2ρ / (1 + ρ)). "
    "Spearman and the columns of count and |z| are not divided by it. Intervals: bootstrap over networks and tokens. "
    "count and |z|: tokens that occur often, or lean much, taken to be learned first.",
)
MOMENTS = np.linspace(0, 1, 41)


def half_steps(curves: Array, moments: Array) -> Array:
    """First, linearly interpolated moment at half of the last value, from curves (T, N); shape (N,)."""
    part = curves / np.where(curves[-1] == 0, np.nan, curves[-1])
    after = np.argmax(part >= 0.5, axis=0)
    column = np.arange(part.shape[1])
    low, high = part[np.maximum(after - 1, 0), column], part[after, column]
    before = moments[np.maximum(after - 1, 0)]
    place = np.clip((0.5 - low) / np.where(high > low, high - low, 1), 0, 1)
    return np.asarray(before + (moments[after] - before) * place)


def trained_curves(work: Path, name: str, network: str) -> Array:
    """Scores of the followed tokens at equal shares of every network's training, over their size; (S, T, N)."""
    found = []
    for seed in range(MOST_SEEDS):
        path = path_of(work, name, network, seed, "curves")
        if path_of(work, name, network, seed).exists():
            table = pl.read_parquet(path)
            moments = table["epoch"].unique(maintain_order=True).to_numpy()
            curves = table["value"].to_numpy().astype(np.float64).reshape(len(moments), -1)
            curves = interp1d(moments / moments[-1], curves - curves[0], axis=0)(MOMENTS)
            found.append(curves / curves[-1].std())
    return np.stack(found)


def predicted_half_steps(name: str, network: str, until_loss: float) -> Array:
    """The stand-in's half steps of the followed tokens; shape (N,)."""
    architecture, asks = tl.stand_in(network).architecture, inquiry(name)
    trajectory = learned(architecture, name, until_loss)
    columns = architecture.features(asks.curve.texts(blanks=False), columns=trajectory.features)
    curves = [asks.curve.scores(trajectory.decision(columns, step))[0][:, 0] for step in range(len(trajectory.steps))]
    return half_steps(np.stack(curves), trajectory.steps)


def rows_of(work: Path) -> Iterator[Row]:
    """One row for every data set and network."""
    for name, answers in trained_networks(work):
        asks = inquiry(name)
        z = np.abs(z_of(name))
        curves = trained_curves(work, name, answers.network)
        clear = clear_ones(answers["token"][:, asks.followed])
        said = {"prediction": predicted_half_steps(name, answers.network, answers.train_loss)[clear],
                "frequency": -asks.seen[0][1][asks.followed].astype(np.float64)[clear], "z": -z[clear]}
        yield {"data": name, "network": answers.network, "seeds": len(curves)} | figures(curves[:, :, clear], said)


def z_of(name: str) -> Array:
    """z of the followed tokens; shape (N,)."""
    asks = inquiry(name)
    counts = Counts.of(asks.material.train.tokens, 1)
    place = np.searchsorted(counts.patterns[0].keys, asks.seen[0][0][asks.followed, 0])
    return statistics(counts, asks.material, "z")[place]


def figures(curves: Array, said: dict[str, Array]) -> Row:
    """Rank correlations with the half steps of the mean network, from curves (S, T, N)."""
    rng, found, halves = np.random.default_rng(0), [], []
    for _ in range(RESAMPLES):
        seeds, items = rng.integers(len(curves), size=len(curves)), rng.integers(curves.shape[2], size=curves.shape[2])
        steps = half_steps(curves[seeds].mean(axis=0)[:, items], MOMENTS)
        found.append({name: rank_correlation(one[items], steps) for name, one in said.items()})
    for _ in range(50):
        parts = np.array_split(rng.permutation(len(curves)), 2)
        halves.append(rank_correlation(*(half_steps(curves[part].mean(axis=0), MOMENTS) for part in parts)))
    rho, steps = float(np.mean(halves)), half_steps(curves.mean(axis=0), MOMENTS)
    top = np.sqrt(2 * rho / (1 + rho)) if rho > 0 else np.nan
    plain = {name: rank_correlation(one, steps) for name, one in said.items()}
    own = np.array([row["prediction"] for row in found])
    lead = own - [max(row["frequency"], row["z"]) for row in found]
    best = plain["prediction"] - max(plain["frequency"], plain["z"])
    ones = [rank_correlation(half_steps(curves[one], MOMENTS), half_steps(np.delete(curves, one, axis=0).mean(axis=0),
                                                                          MOMENTS)) for one in range(len(curves))]
    return plain | {"items": curves.shape[2], "r": rho, "ceiling": top, "share": plain["prediction"] / top,
                    "interval": between(around(own, plain["prediction"]), ".2f"), "one": float(np.mean(ones)),
                    "lead_interval": between(around(lead, best), "+.2f")}


def around(draws: Array, value: float) -> tuple[float, float]:
    """The 95 % interval of draws, moved to the value: a mean with networks drawn twice is a noisier one."""
    low, high = np.quantile(draws, [0.025, 0.975]) - np.mean(draws) + value
    return float(low), float(high)


def rank_correlation(first: Array, second: Array) -> float:
    """Spearman where both are there."""
    there = np.isfinite(first) & np.isfinite(second)
    return spearman(first[there], second[there])


def clear_ones(scores: Array) -> NDArray[np.bool_]:
    """Tokens whose mean score is CLEAR standard errors away from 0; scores (S, N) → (N,)."""
    error = scores.std(axis=0, ddof=1) / np.sqrt(len(scores))
    return np.asarray(np.abs(scores.mean(axis=0)) > CLEAR * error)


def main(arguments: Sequence[str] | None = None) -> None:
    """Parses, asks, prints and saves."""
    parser = argparse.ArgumentParser(prog="python -m reproduce.practice_order")
    parser.add_argument("--work", type=Path, default=WORK)
    parser.add_argument("--output", type=Path, default=RESULTS)
    options = parser.parse_args(arguments)
    sheet = Sheet("Which token is learned first in ordinary networks", list(rows_of(options.work)), SHOWN, NOTES)
    sheet.print(Console(width=160))
    save({"practice_order": sheet}, options.output, "practice_order", command=parser.prog)


if __name__ == "__main__":
    main()
