"""Claim: under max pooling two tokens side by side compete, and taking a share of what they say off the stand-in's
interactions (docs/theory.md, eq. 96) foretells TextCNN's bigrams better, also where the share was not chosen.

Train first: python -m reproduce.practice_train --networks textcnn

Command: python -m reproduce.practice_competition [--work practice-work] [--output reproduce/results]
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from rich.console import Console

import tangentlens as tl
from reproduce.options import RESULTS
from reproduce.practice_answers import Answers, agreement, ceiling, intervals, share, share_of_one, trained_networks
from reproduce.practice_predictions import inquiry, learned, without_rounding
from reproduce.practice_questions import PROBES, Array, asked_once
from reproduce.practice_rivals import rivals
from reproduce.practice_scores import between
from reproduce.practice_train import WORK
from reproduce.sheet import Row, Sheet, number, save, text, written
from tangentlens.verification.probes import Probes

WITH, WITHOUT = "with", "without"
SHOWN = {
    "data": ("data", text), "network": ("network", text), "seeds": ("S", number("d")), "items": ("N", number(",d")),
    "r": ("two seeds\nagree", number(".2f")), "ceiling": ("ceiling", number(".2f")),
    "one": ("one\nnetwork", number(".3f")), "rival": ("best rival", text), "best": ("its\nshare", number(".3f")),
    WITHOUT: ("stand-in's\nkernel", number(".3f")), WITH: ("and com-\npetition", number(".3f")),
    "interval": ("95 %\ninterval", written), "gain": ("gain\nby it", number("+.3f")), "gain_interval": (
        "95 %\ninterval", written), "lead": ("less best\nrival", number("+.3f")), "lead_interval": (
            "95 %\ninterval", written), "alike": ("best rival\nwith it", number(".3f")), "lead_alike": (
                "less\nthat", number("+.3f")), "lead_alike_interval": ("95 %\ninterval", written)}
NOTE = (
    "Interactions of frequent bigrams, shares of the ceiling as in practice_scores. The share λ was chosen on SST, by "
    "practice_ladder. Best rival: the best of all on that very row; with it: the best, if the same share of "
    "what a rival's own tokens say is taken off its interactions. Intervals: bootstrap over seeds and features. "
    "Networks were trained anew, on another machine, so they are not those of practice_scores."
)


def rows_of(work: Path) -> Iterator[Row]:
    """One row for every data set and network whose stand-in has a competition."""
    for name, answers in trained_networks(work):
        if tl.stand_in(answers.network).competition:
            yield row_of(name, answers)
            print(f"{name} {answers.network}", flush=True)


def row_of(name: str, answers: Answers) -> Row:
    """Shares of the ceiling on one data set for one network."""
    values, competition = answers["bigram"], tl.stand_in(answers.network).competition
    plain, alike = rivals_of(name, competition)
    best, best_alike = (max(found, key=lambda rival, found=found: share(found[rival], values))
                        for found in (plain, alike))
    asked = {"best": plain[best], "alike": alike[best_alike], WITHOUT: said(name, answers, 0.0),
             WITH: said(name, answers, competition)}
    found = {kind: share(one, values) for kind, one in asked.items()}
    row: Row = {"data": name, "network": answers.network, "seeds": answers.seeds, "items": values.shape[1],
                "r": agreement(values), "ceiling": ceiling(values), "one": share_of_one(values), "rival": best,
                "rival_alike": best_alike, **found}
    for lead, other in (("gain", WITHOUT), ("lead", "best"), ("lead_alike", "alike")):
        bounds = intervals(asked, values, other)
        row |= {lead: found[WITH] - found[other], f"{lead}_interval": between(bounds[f"{WITH} - {other}"], "+.3f"),
                "interval": between(bounds[WITH], ".3f")}
    return row


def rivals_of(name: str, competition: float) -> tuple[dict[str, Array], dict[str, Array]]:
    """Interactions (N,) of every rival, and the same less a share of what its own tokens say (eq. 96)."""
    asks = inquiry(name)
    words, place = np.unique(asks.seen[1][0], return_inverse=True)
    probes = Probes(PROBES[:1], (words[:, None],), asks.material.train.tokens.vocabulary)
    plain, alike = {}, {}
    for rival, ask in rivals(asks.material):
        joint = without_rounding(asks.answers(ask, blanks=False))["bigram"]
        sums = probes.scores(asked_once(ask, probes.texts(blanks=False)))[0][:, 0][place.reshape(-1, 2)].sum(axis=1)
        plain[rival] = joint
        alike[rival] = joint / joint.std() - competition * sums / sums.std() if joint.any() else joint
    return plain, alike


def said(name: str, answers: Answers, competition: float) -> Array:
    """The stand-in's interactions of the bigrams that networks were asked about; shape (N,)."""
    architecture, asks = tl.stand_in(answers.network).architecture, inquiry(name)
    table = tl.interactions(architecture, learned(architecture, name, answers.train_loss), asks.material.train.tokens,
                            patterns=asks.seen[1][0], most=len(asks.seen[1][0]), competition=competition)
    return table["interaction"].to_numpy()


def main(arguments: Sequence[str] | None = None) -> None:
    """Parses, asks, prints and saves."""
    parser = argparse.ArgumentParser(prog="python -m reproduce.practice_competition")
    parser.add_argument("--work", type=Path, default=WORK)
    parser.add_argument("--output", type=Path, default=RESULTS)
    options = parser.parse_args(arguments)
    rows = list(rows_of(options.work))
    sheet = Sheet("What competition under max pooling adds to the stand-in", rows, SHOWN, (NOTE,))
    sheet.print(Console(width=200))
    save({"practice_competition": sheet}, options.output, "practice_competition", command=parser.prog)


if __name__ == "__main__":
    main()
