"""Claim: token scores and interactions that ordinary networks learn are foretold by their stand-ins.

For every data set and network: how far two seeds agree, the ceiling, and the shares of it that rivals, one other
trained network and the prediction reach. Train first: python -m reproduce.practice_train

Command: python -m reproduce.practice_scores [--work practice-work] [--output reproduce/results]
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from rich.console import Console

import tangentlens as tl
from reproduce.options import RESULTS
from reproduce.practice_answers import (
    Answers,
    agreement,
    ceiling,
    intervals,
    share,
    share_of_one,
    split_half,
    trained_networks,
)
from reproduce.practice_predictions import RULES, predicted, rival_answers
from reproduce.practice_train import WORK
from reproduce.sheet import Row, Sheet, number, save, text, written

ROUNDING = 1e-4  # of a network in single precision: interactions below this share of the tokens' scores are none
QUESTIONS = {"token": "tokens", "bigram": "bigrams", "trigram": "trigrams"}
SHOWN = {
    "data": ("data", text), "network": ("network", text), "seeds": ("S", number("d")),
    "items": ("N", number(",d")), "r": ("two seeds\nagree", number(".2f")), "ceiling": ("ceiling", number(".2f")),
    "halves": ("by\nhalves", number(".2f")), "one": ("one\nnetwork", number(".3f")),
    "log-odds": ("log-\nodds", number(".3f")), "z": ("z", number(".3f")), "PMI": ("PMI", number(".3f")),
    "regression": ("best re-\ngression", number(".3f")), "prediction": ("pre-\ndiction", number(".3f")),
    "interval": ("95 %\ninterval", written), "lead": ("less best\nrival", number("+.3f")),
    "lead_interval": ("95 %\ninterval", written), "untrained": ("without the\nnetwork's loss", number(".3f")),
}
NOTES = (
    "Spearman correlation with the mean of S standardised networks, as a share of the ceiling sqrt(S r / (1 + (S − 1) "
    "r)), r = two seeds agree; by halves: the same ceiling from split halves. one network: another trained network of "
    "the kind as the guide to the mean of the others. log-odds, z, PMI and regression: the best of their variants on "
    "that very row (tokens, or tokens and bigrams; three scalings), which favours them. Intervals: bootstrap over "
    "seeds and features together. prediction: the stand-in of tl.stand_in, chosen on SST, to the networks' training "
    "loss; without it: to the least development loss.",
    "A dash: the networks do not agree with each other, so there is nothing to foretell.",
)


def rows_of(work: Path, question: str) -> Iterator[Row]:
    """One row for every data set and network that was trained."""
    for name, answers in trained_networks(work):
        yield row_of(name, answers, question)
        print(f"{name} {answers.network} {question}", flush=True)


def row_of(name: str, answers: Answers, question: str) -> Row:
    """Shares of the ceiling on one data set for one network."""
    values, stand_in = answers[question], tl.stand_in(answers.network)
    if np.sqrt(np.mean(values**2)) < ROUNDING * np.sqrt(np.mean(answers["token"] ** 2)):
        return {"data": name, "network": answers.network, "seeds": answers.seeds, "items": values.shape[1]}
    row: Row = {"data": name, "network": answers.network, "seeds": answers.seeds, "items": values.shape[1],
                "r": agreement(values), "ceiling": ceiling(values), "halves": split_half(values)}
    if np.isnan(row["ceiling"]):
        return row
    found = {rival: one[question] for rival, one in rival_answers(name).items()}
    shares = {rival: share(one, values) for rival, one in found.items()}
    for kind in ("log-odds", "z", "PMI", "regression"):
        row[kind] = max(value for rival, value in shares.items() if rival.startswith(kind))
    best = max(shares, key=lambda rival: shares[rival])
    for rule, loss in zip(RULES, (answers.train_loss, None), strict=True):
        found[RULES[rule]] = predicted(stand_in.architecture, name, loss)[question]
    mine = RULES["equal loss"]
    bounds = intervals({key: found[key] for key in (best, mine)}, values, best)
    value = share(found[mine], values)
    return row | {"one": share_of_one(values), "prediction": value, "interval": between(bounds[mine], ".3f"),
                  "lead": value - shares[best], "lead_interval": between(bounds[f"{mine} - {best}"], "+.3f"),
                  "untrained": share(found[RULES["best"]], values), "best_rival": best} | {
                      f"share of {rival}": value for rival, value in shares.items()}


def between(bounds: tuple[float, float], spec: str) -> str:
    """An interval as it is printed."""
    return f"{bounds[0]:{spec}} to {bounds[1]:{spec}}"


def main(arguments: Sequence[str] | None = None) -> None:
    """Parses, asks, prints and saves."""
    parser = argparse.ArgumentParser(prog="python -m reproduce.practice_scores")
    parser.add_argument("--work", type=Path, default=WORK)
    parser.add_argument("--output", type=Path, default=RESULTS)
    options = parser.parse_args(arguments)
    sheets = {}
    for question, plural in QUESTIONS.items():
        title = f"What ordinary networks learn about {plural}: shares of the ceiling"
        sheets[f"practice_{plural}"] = Sheet(title, list(rows_of(options.work, question)), SHOWN, NOTES)
        sheets[f"practice_{plural}"].print(Console(width=200))
    save(sheets, options.output, "practice_scores", command=parser.prog)


if __name__ == "__main__":
    main()
