"""The measurements behind the tables: planted cues found, lengths, ratings. Part of: python -m benchmarks.shortcuts"""

from __future__ import annotations

import re
import warnings
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

import tangentlens as tl
from benchmarks.planting import CUES, Planted, plant_length
from benchmarks.rivals import RIVALS, counted, rankings
from tangentlens.data import split
from tangentlens.kernels import Architecture, describe
from tangentlens.predictions.flags import flags
from tangentlens.predictions.ground import Ground

READS = {  # which cues an architecture can read
    tl.MLP(): ("token", "mark"), tl.CNN(): ("token", "mark", "bigram", "position"),
    tl.LinearRNN(): ("token", "mark", "bigram"),
}
RATING = re.compile(r"^(\d+(?:\.\d+)?) (?:/|out of)(?: 10)?$")
LEAST_RATED = 10
Cell = dict[str, Any]


def average_precision(ranked: Sequence[str], wanted: set[str]) -> float:
    """Mean over the wanted of the precision at their rank; 0 for those that are not ranked.

    >>> average_precision(["a", "x", "b"], {"a", "b"})
    0.8333333333333333
    """
    places = [place for place, one in enumerate(ranked, 1) if one in wanted]
    return sum(hit / place for hit, place in enumerate(places, 1)) / len(wanted)


def precision(ranked: Sequence[str], wanted: set[str]) -> float:
    """Precision at k, k being the number of wanted."""
    return len(set(ranked[:len(wanted)]) & wanted) / len(wanted)


def audited(texts: tl.Texts, architecture: Architecture) -> tl.Audit:
    """The audit with its defaults, its warnings kept quiet."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return tl.audit(texts, [architecture])


def found(planted: Planted) -> list[Cell]:
    """Of one planted data set: average precision and precision at k, by method and by the architecture that reads."""
    told = planted.told(len(counted(planted.texts)[2]))
    rows: list[Cell] = []
    for architecture, kinds in READS.items():
        audit = audited(planted.texts, architecture)
        ranked = planted.only(list(dict.fromkeys(audit.flags["cue"].to_list())))
        every = ranked + [cue for cue in planted.only(without_thresholds(audit, planted.texts)) if cue not in ranked]
        unread = {planted.names[kind] for kind in CUES if kind not in kinds}
        rows += [_scored("audit", every, planted, architecture),
                 _scored("flags alone", ranked, planted, architecture) | {
                     "flagged_though_unread": len(unread & set(ranked)), "flags": len(ranked),
                     "missed": [kind for kind in kinds if planted.names[kind] not in ranked]}]
    for method in RIVALS:
        for name, order in rankings(method, planted.texts).items():
            rows += [_scored(name, planted.only(order), planted, architecture) for architecture in READS]
    return [row | {"told": all(told.values())} for row in rows]


def _scored(method: str, ranked: list[str], planted: Planted, architecture: Architecture) -> Cell:
    wanted = {planted.names[kind] for kind in READS[architecture]}
    return {"method": method, "architecture": describe(architecture), "average": average_precision(ranked, wanted),
            "precision": precision(ranked, wanted)}


def without_thresholds(audit: tl.Audit, texts: tl.Texts) -> list[str]:
    """All suspects in the order of the flags' score, however unsure."""
    rows = split(texts, 0.1, seed=0)[0]
    labels = np.asarray(texts.labels)[rows]
    ground = replace(Ground.of(audit.tokens, labels), pure=0.5, level=1.0, rests=0.0)
    listed = flags(audit.architectures[0], audit.trajectories[0], ground, step=audit.trajectories[0].best)
    return list(dict.fromkeys(listed["cue"].to_list()))


def lengths(texts: tl.Texts) -> list[Cell]:
    """Whether a planted length cue is flagged by an architecture that reads it, one that does not, and without it."""
    rows = []
    for share in (0.0, 0.02, 0.1, 0.3, 0.5):
        made = plant_length(texts, share)
        for architecture in (tl.MLP(pooling="sum"), tl.MLP()):
            table = audited(made, architecture).flags
            place = next((number for number, rule in enumerate(table["rule"].to_list(), 1) if rule == "length"), None)
            rows.append({"share": share, "architecture": describe(architecture), "place": place, "flags": len(table)})
    return rows


def ratings(texts: tl.Texts) -> list[Cell]:
    """Natural shortcuts: how early ratings out of ten stand in a ranking. A rating is `7 / 10`, or its part `7 /` where
    only bigrams are ranked; those are looked for that LEAST_RATED texts hold.
    """
    _, counts, names = counted(texts)
    often = np.asarray(counts.sum(axis=0)).ravel() >= LEAST_RATED
    wanted = {rated[1] for name in names[often].tolist() if (rated := RATING.match(name))}
    orders = {f"audit, {describe(one)}": list(dict.fromkeys(audited(texts, one).flags["cue"].to_list()))
              for one in (tl.MLP(), tl.CNN())}
    for method in RIVALS[:3]:
        orders |= rankings(method, texts)
    rows = []
    for name, order in orders.items():
        rated = [RATING.match(one) for one in order]
        rows.append({"method": name, "wanted": len(wanted), "ten": sum(map(bool, rated[:10])), "first": next(
            (place for place, one in enumerate(rated, 1) if one), None),
            "found": len(wanted & {one[1] for one in rated[:100] if one}), "top": "  ".join(order[:8])})
    return rows
