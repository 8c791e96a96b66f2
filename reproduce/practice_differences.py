"""Claim: what differs between ordinary networks is foretold: how large interactions are, and whose token scores differ.

Command: python -m reproduce.practice_differences [--work practice-work] [--output reproduce/results]
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from itertools import combinations
from pathlib import Path

import numpy as np
from rich.console import Console
from scipy.stats import spearmanr

import tangentlens as tl
from reproduce.options import RESULTS
from reproduce.practice_answers import Answers, standardised, trained_networks
from reproduce.practice_data import DATA_SETS
from reproduce.practice_predictions import predicted, same_scale
from reproduce.practice_questions import Array
from reproduce.practice_scores import between
from reproduce.practice_train import WORK
from reproduce.sheet import Row, Sheet, number, save, text, written
from tangentlens.verification import correlation

FIVE = ("bag", "textcnn", "lstm", "gru", "transformer")
SIZES = {
    "data": ("data", text), "network": ("network", text), "seeds": ("S", number("d")),
    "share": ("interaction\nshare, pred.", number(".1%")), "common": ("trained,\ncommon", number(".1%")),
    "common_interval": ("95 %\ninterval", written), "single": ("one\nnetwork", number(".1%")),
    "size": ("I ÷ effects,\npred.", number(".3f")), "size_common": ("trained,\ncommon", number(".3f")),
}
ORDERS = {"data": ("data", text), "networks": ("networks", number("d")),
          "common": ("rank correlation,\ncommon part", number(".2f")), "single": ("one\nnetwork", number(".2f")),
          "size": ("I ÷ effects", number(".2f"))}
PAIRS = {
    "data": ("data", text), "pair": ("difference between", text), "effects": ("of token\nscores", number("+.3f")),
    "effects_interval": ("95 %\ninterval", written), "interactions": ("of bigram\ninteractions", number("+.3f")),
    "interactions_interval": ("95 %\ninterval", written),
}
NOTES = (
    "interaction share: Var J / (Var M + Var J) on texts of dev; trained, common: of what all networks have in common "
    "(mean covariance between two networks), jackknife over networks; one network: of single ones, their scatter "
    "included. I ÷ effects: root mean square of the bigrams' interactions over that of the tokens' scores.",
)
PAIR_NOTES = (
    "Pearson correlation of mean differences; bootstrap over items and networks. Every network is scaled to the size "
    "of what its seeds share, so that a noisier one is not taken for a weaker one.",
)


def common(values: Array) -> float:
    """Variance over items of what networks share: the mean covariance between two; values (S, N)."""
    between_all = np.cov(values)
    size = len(values)
    return float((between_all.sum() - np.trace(between_all)) / (size * (size - 1)))


def common_share(answers: dict[str, Array]) -> float:
    """Interaction share of the common part."""
    main, joint = common(answers["main"]), common(answers["joint"])
    return joint / (main + joint)


def jackknife(answers: dict[str, Array]) -> tuple[float, float]:
    """95 % interval of the common share."""
    count = len(answers["main"])
    left = np.array([common_share({key: np.delete(answers[key], one, axis=0) for key in ("main", "joint")})
                     for one in range(count)])
    error = 2 * np.sqrt((count - 1) / count * np.sum((left - left.mean()) ** 2))
    return common_share(answers) - error, common_share(answers) + error


def size_row(name: str, answers: Answers) -> Row:
    """Sizes of interactions, predicted and trained."""
    asked = predicted(tl.stand_in(answers.network).architecture, name, answers.train_loss)
    main, joint = answers["main"].var(axis=1), answers["joint"].var(axis=1)
    low, high = jackknife(answers.found)
    return {"data": name, "network": answers.network, "seeds": answers.seeds,
            "share": float(asked["joint"].var() / (asked["joint"].var() + asked["main"].var())),
            "common": common_share(answers.found), "common_interval": f"{low:.1%} to {high:.1%}",
            "single": float(np.mean(joint / (main + joint))),
            "size": rms(asked["bigram"]) / rms(asked["token"]),
            "size_common": common_size(answers["bigram"]) / (common_size(answers["token"]) or np.nan)}


def order_rows(rows: Sequence[Row]) -> Iterator[Row]:
    """Whether the prediction orders the five networks by their interactions."""
    for name in DATA_SETS:
        five = [row for row in rows if row["data"] == name and row["network"] in FIVE]
        if len(five) > 2:
            said = [row["share"] for row in five]
            yield {"data": name, "networks": len(five)} | {
                key: float(spearmanr(said, [row[key] for row in five]).statistic) for key in ("common", "single")} | {
                "size": float(spearmanr([row["size"] for row in five], [row["size_common"] for row in five]).statistic)}


def pair_row(name: str, first: Answers, second: Answers) -> Row:
    """Differences between two networks, each scaled to one size, against the prediction's."""
    row: Row = {"data": name, "pair": f"{first.network} − {second.network}"}
    seeds = min(first.seeds, second.seeds)
    for column, question in (("effects", "token"), ("interactions", "bigram")):
        said = [predicted(tl.stand_in(one.network).architecture, name, one.train_loss)[question]
                for one in (first, second)]
        if min(map(rms, said)) < 1e-9 * max(map(rms, said)):
            continue
        done = [standardised(one[question][:seeds]) for one in (first, second)]
        sizes = [common_size(one) for one in done]
        if min(sizes) == 0:
            continue  # one kind shares nothing
        found = correlation(same_scale(said[0]) - same_scale(said[1]), list(done[0] / sizes[0] - done[1] / sizes[1]))
        row |= {column: found[0], f"{column}_interval": between(found[1:], "+.2f")}
    return row


def common_size(values: Array) -> float:
    """Standard deviation over items of what networks (S, N) share: scatter makes the mean of noisy ones smaller."""
    return float(np.sqrt(max(0.0, common(values))))


def rms(values: Array) -> float:
    """Root mean square."""
    return float(np.sqrt(np.mean(np.square(values))))


def main(arguments: Sequence[str] | None = None) -> None:
    """Parses, asks, prints and saves."""
    parser = argparse.ArgumentParser(prog="python -m reproduce.practice_differences")
    parser.add_argument("--work", type=Path, default=WORK)
    parser.add_argument("--output", type=Path, default=RESULTS)
    options = parser.parse_args(arguments)
    sizes: list[Row] = []
    pairs: list[Row] = []
    for name in DATA_SETS:
        there = [answers for its, answers in trained_networks(options.work) if its == name]
        sizes += [size_row(name, answers) for answers in there if answers.seeds > 2]
        pairs += [pair_row(name, *pair) for pair in combinations(there, 2)]
    sheets = {
        "practice_interaction_sizes": Sheet("How large interactions are in ordinary networks", sizes, SIZES, NOTES),
        "practice_interaction_order": Sheet("Order of the five networks, foretold and found",
                                            list(order_rows(sizes)), ORDERS),
        "practice_pairs": Sheet("Differences between two ordinary networks: correlation with the predicted ones",
                                pairs, PAIRS, PAIR_NOTES)}
    for sheet in sheets.values():
        sheet.print(Console(width=180))
    save(sheets, options.output, "practice_differences", command=parser.prog)


if __name__ == "__main__":
    main()
