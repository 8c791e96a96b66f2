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
    """Everything about a feature map as a little JSON and named arrays. Patterns that families share are kept once."""
    shapes: dict[int, int] = {}
    about: dict[str, Any] = {"size": features.size, "windowless": features.windowless, "unknown": features.unknown,
                             "families": [], "patterns": [], "tokenizer": ""}
    arrays: Arrays = {}
    for number, family in enumerate(features.families):
        raw = family.occurrences
        part = {"data": raw.data, "indices": raw.indices, "indptr": raw.indptr, "weight": family.weight,
                "coefficients": family.coefficients}
        if family.values is not None:
            part["values"] = family.values
        arrays |= {f"family{number}_{name}": array for name, array in part.items()}
        about["families"].append({
            "name": family.name, "groups": list(family.groups), "style": family.style, "window": family.window,
            "first": family.first, "shape": list(raw.shape),
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
    families = []
    for number, entry in enumerate(about["families"]):
        part = {name: arrays.get(f"family{number}_{name}")
                for name in ("data", "indices", "indptr", "weight", "coefficients", "values")}
        stored: Any = (part["data"], part["indices"], part["indptr"])
        raw: sparse.csr_array = sparse.csr_array(stored, shape=tuple(entry["shape"]))
        own = None if entry["patterns"] is None else patterns[entry["patterns"]]
        families.append(Family(entry["name"], own, raw, np.asarray(part["weight"]), np.asarray(part["coefficients"]),
                               tuple(entry["groups"]), entry["style"], entry["window"], entry["first"], part["values"]))
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
