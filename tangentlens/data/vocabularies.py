"""Texts in parts, each cut into tokens alone; and the one vocabulary that all parts share."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from tangentlens.data.scanning import FilePart, TextsPart
from tangentlens.data.storage import Arrays, pack, unpack
from tangentlens.data.texts import Texts
from tangentlens.data.tokenizing import tokenize
from tangentlens.data.tokens import UNKNOWN, Tokens, Vocabulary


def tokenised(part: FilePart | TextsPart | Texts, tokenizer: str, lowercase: bool) -> Arrays:
    """A part by itself: ids, offsets, its own vocabulary and how often each token occurs, and the labels."""
    texts = part if isinstance(part, Texts) else part.read()
    tokens = tokenize(texts, tokenizer=tokenizer, lowercase=lowercase)
    counts = np.bincount(tokens.ids[tokens.ids >= 0], minlength=len(tokens.vocabulary))
    labels = np.zeros(len(texts)) if texts.labels is None else texts.labels
    return {"ids": tokens.ids, "offsets": tokens.offsets, "counts": counts, "labels": labels,
            **vocabulary_to_arrays(tokens.vocabulary)}


def merged_vocabulary(parts: Iterable[Arrays], min_count: int) -> Arrays:
    """The vocabulary of all parts, in the order that `tokenize` gives: by decreasing count, then by string."""
    total: dict[str, int] = {}
    rule = ""
    for part in parts:
        own = vocabulary_from_arrays(part)
        rule = own.tokenizer
        for token, count in zip(own.strings, part["counts"].tolist(), strict=True):
            total[token] = total.get(token, 0) + count
    kept = sorted((-count, token) for token, count in total.items() if count >= min_count)
    return vocabulary_to_arrays(Vocabulary(tuple(token for _, token in kept), rule))


def renumbered(part: Arrays, vocabulary: Vocabulary) -> Tokens:
    """The texts of a part in the vocabulary of all."""
    own = unpack(part["bytes"], part["ends"])
    number = np.fromiter((vocabulary.ids.get(token, UNKNOWN) for token in own), np.int32, len(own))
    ids: NDArray[np.int32] = np.append(number, np.int32(UNKNOWN))[part["ids"]]  # −1 takes the last entry
    return Tokens(ids, np.array(part["offsets"]), vocabulary)


def vocabulary_to_arrays(vocabulary: Vocabulary) -> Arrays:
    """Token strings and the rule that made them."""
    rule = np.frombuffer(vocabulary.tokenizer.encode("utf-8", "surrogatepass"), np.uint8)
    return {**pack(vocabulary.strings), "rule": rule}


def vocabulary_from_arrays(arrays: Arrays) -> Vocabulary:
    """The inverse of `vocabulary_to_arrays`."""
    rule = arrays["rule"].tobytes().decode("utf-8", "surrogatepass")
    return Vocabulary(unpack(np.asarray(arrays["bytes"]), np.asarray(arrays["ends"])), rule)
