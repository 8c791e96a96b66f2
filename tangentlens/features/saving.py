"""Feature maps as named arrays, for saving without pickle."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import sparse

from tangentlens.data.storage import Arrays, pack, unpack
from tangentlens.data.tokens import Vocabulary
from tangentlens.features.family import Family, Features
from tangentlens.features.patterns import Patterns


def features_to_arrays(features: Features) -> tuple[dict[str, Any], Arrays]:
    """Everything about a feature map as a little JSON and named arrays. What families share is kept once."""
    shapes: dict[int, int] = {}
    about: dict[str, Any] = {"size": features.size, "windowless": features.windowless, "unknown": features.unknown,
                             "families": [], "patterns": [], "tokenizer": ""}
    arrays: Arrays = {}
    owners: dict[int, int] = {}  # the first family with these counts
    for number, family in enumerate(features.families):
        raw = family.stored
        part: dict[str, Any] = {"weight": family.weight, "coefficients": family.coefficients,
                                "scale": family.scale}
        if owners.setdefault(id(raw), number) == number:
            part |= {"data": raw.data.astype(np.int32, copy=False), "indices": raw.indices, "indptr": raw.indptr}
            part |= {"values": family.values, "ends": family.ends}
        arrays |= {f"family{number}_{name}": array for name, array in part.items() if array is not None}
        about["families"].append({
            "name": family.name, "groups": list(family.groups), "style": family.style, "window": family.window,
            "first": family.first, "shape": list(raw.shape), "counts_of": owners[id(raw)],
            "patterns": None if family.patterns is None else _note(family.patterns, shapes, about, arrays)})
    return about, arrays


def features_from_arrays(about: dict[str, Any], arrays: Arrays) -> Features:
    """The inverse of `features_to_arrays`."""
    strings = unpack(arrays["vocabulary_bytes"], arrays["vocabulary_ends"]) if about["patterns"] else ()
    vocabulary = Vocabulary(strings, about["tokenizer"])
    patterns: list[Patterns] = []
    for number, entry in enumerate(about["patterns"]):
        beginning = None if entry["beginning"] is None else patterns[entry["beginning"]]
        patterns.append(Patterns(tuple(entry["shape"]), arrays[f"patterns{number}"], beginning, vocabulary))
    counts: dict[int, sparse.csr_array] = {}
    families = []
    for number, entry in enumerate(about["families"]):
        owner = entry["counts_of"]
        part = {name: arrays.get(f"family{owner}_{name}") for name in ("data", "indices", "indptr", "values", "ends")}
        stored: Any = (part["data"], part["indices"], part["indptr"])
        if owner not in counts:
            counts[owner] = sparse.csr_array(stored, shape=tuple(entry["shape"]))
        own = None if entry["patterns"] is None else patterns[entry["patterns"]]
        families.append(Family(entry["name"], own, counts[owner], arrays[f"family{number}_weight"],
                               arrays[f"family{number}_coefficients"], tuple(entry["groups"]), entry["style"],
                               entry["window"], entry["first"], part["values"], part["ends"],
                               arrays.get(f"family{number}_scale")))
    return Features(tuple(families), about["size"], about["windowless"], about["unknown"])


def _note(patterns: Patterns, shapes: dict[int, int], about: dict[str, Any], arrays: Arrays) -> int:
    """Stores patterns, and what they begin with before them; returns their number."""
    if id(patterns) in shapes:
        return shapes[id(patterns)]
    beginning = None if patterns.beginning is None else _note(patterns.beginning, shapes, about, arrays)
    number = len(about["patterns"])
    shapes[id(patterns)] = number
    about["patterns"].append({"shape": list(patterns.shape), "beginning": beginning})
    arrays[f"patterns{number}"] = patterns.keys
    if number == 0:
        packed = pack(patterns.vocabulary.strings)
        arrays |= {"vocabulary_bytes": packed["bytes"], "vocabulary_ends": packed["ends"]}
        about["tokenizer"] = patterns.vocabulary.tokenizer
    return number
