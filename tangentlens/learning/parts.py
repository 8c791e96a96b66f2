"""The feature map of texts in parts: what is done with every part, and the columns that all parts share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from tangentlens.data.scanning import FilePart, TextsPart
from tangentlens.data.storage import Arrays
from tangentlens.data.tokens import Tokens, Vocabulary
from tangentlens.data.vocabularies import merged_vocabulary, renumbered, tokenised, vocabulary_from_arrays
from tangentlens.errors import DataError, OptionError, ShapeError
from tangentlens.features.family import Features
from tangentlens.features.merging import (
    joined,
    key_of,
    merged_patterns,
    numbers_of,
    pattern_arrays,
    patterns_of,
    without_rows,
)
from tangentlens.learning.engines import Engine
from tangentlens.learning.splitting import blocks_of, splits_of

Shape = tuple[int, ...]


class Maps(Protocol):
    """What is needed of an architecture."""

    def features(self, tokens: Tokens, columns: Features | None = None) -> Features:
        """Its feature map on some texts."""


@dataclass(frozen=True)
class Cut:
    """How texts are cut into tokens; see `tokenize`."""

    tokenizer: str = "words"
    lowercase: bool = False
    min_count: int = 1


def template_of(architecture: Maps, vocabulary: Vocabulary) -> Features:
    """The map on no text: its families without patterns."""
    return architecture.features(Tokens.from_ids([], vocabulary=vocabulary))


def counted(part: Arrays, vocabulary: Arrays, architecture: Maps) -> Arrays:
    """The blocks of a part side by side, over the columns that occur in it: the sparse matrix Z_i as data, indices and
    indptr; which column of all blocks each is (`present`), how many entries it has (`entries`, 2 for more), and the
    part's patterns, each shape counted by itself.
    """
    features = architecture.features(renumbered(part, vocabulary_from_arrays(vocabulary)))
    if any(family.scale is not None for family in features.families):
        raise OptionError("coefficients that depend on how often a token occurs (TokenRates) cannot be made part by "
                          "part; give the architecture itself")
    matrix = beside([block for split in splits_of(features) for block in blocks_of(features, split)], len(features))
    entries = np.bincount(matrix.indices, minlength=matrix.shape[1])
    present = np.flatnonzero(entries)
    number = np.zeros(matrix.shape[1], np.int32)
    number[present] = np.arange(len(present), dtype=np.int32)
    return {"data": matrix.data, "indices": number[matrix.indices], "indptr": matrix.indptr, "present": present,
            "entries": np.minimum(entries[present], 2).astype(np.uint8),
            "about": np.array([len(features), features.windowless, features.unknown]), **pattern_arrays(features)}


def beside(blocks: list[sparse.csr_array], rows: int) -> sparse.csr_array:
    """The blocks side by side, built in place."""
    lengths = [np.diff(block.indptr) for block in blocks]
    indptr = np.concatenate([[0], np.cumsum(sum(lengths, start=np.zeros(rows, np.int64)))])
    data, indices = np.empty(indptr[-1]), np.empty(indptr[-1], np.int64)
    start, column = indptr[:-1].copy(), 0
    for block, length in zip(blocks, lengths, strict=True):
        place = np.arange(block.nnz) + np.repeat(start - block.indptr[:-1], length)
        data[place] = block.data
        indices[place] = block.indices + np.int64(column)
        start += length
        column += block.shape[1]
    return sparse.csr_array((data, indices, indptr), shape=(rows, column))


def matrix_of(part: Arrays, columns: int) -> sparse.csr_array:
    """Stored data, indices and indptr as a matrix."""
    shape = (len(part["indptr"]) - 1, columns)
    return sparse.csr_array((part["data"], part["indices"], part["indptr"]), shape=shape)


@dataclass(frozen=True)
class Layout:
    """Which shape each block has, and how many tokens the vocabulary holds: where a column of all blocks stands."""

    blocks: tuple[Shape, ...]
    shapes: tuple[Shape, ...]
    size: int

    @classmethod
    def of(cls, template: Features, size: int) -> Layout:
        """That of an architecture."""
        blocks = tuple(split.shape for split in splits_of(template) for _ in split.weights)
        return cls(blocks, tuple(patterns_of(template)), size)

    def ends(self, patterns: Arrays) -> NDArray[np.int64]:
        """The number of columns up to and with each block."""
        sizes = [len(patterns[key_of(shape)]) if shape else 1 for shape in self.blocks]
        return np.cumsum(sizes, dtype=np.int64)


def merged(parts: Sequence[Arrays], layout: Layout) -> Arrays:
    """The patterns of all parts."""
    return merged_patterns(parts, layout.shapes, layout.size)


def placed(part: Arrays, patterns: Arrays, layout: Layout) -> Arrays:
    """Where the columns of a part stand among those of all texts, −1 for those that are not there."""
    ends, starts = layout.ends(part), np.concatenate([[0], layout.ends(patterns)])
    present = np.asarray(part["present"])
    cuts = np.searchsorted(present, ends)
    numbers = {shape: numbers_of(part, patterns, shape, layout.size) for shape in dict.fromkeys(layout.blocks) if shape}
    columns = np.empty(len(present), np.int64)
    low = 0
    for block, (shape, high) in enumerate(zip(layout.blocks, cuts.tolist(), strict=True)):
        mine = present[low:high] - (ends[block - 1] if block else 0)
        found = numbers[shape][mine] if shape else mine
        columns[low:high] = np.where(found >= 0, found + starts[block], -1)
        low = high
    return {"columns": columns, "entries": part["entries"]}


@dataclass(frozen=True, eq=False)
class PartitionedFeatures:
    """The feature map of n texts in parts, which need not fit into memory; made by `tl.partition`.

    labels (n,), in the order of the source; `columns`: the same map without rows, for the features of new texts:
    architecture.features(tokens, columns=features.columns).
    """

    architecture: Maps
    vocabulary: Vocabulary
    labels: NDArray[Any]
    engine: Engine = field(repr=False)
    cut: Cut
    layout: Layout = field(repr=False)
    tokens: list[Any] = field(repr=False)  # handles, one for every part, here and below
    counted: list[Any] = field(repr=False)
    placed: list[Any] = field(repr=False)
    words: Any = field(repr=False)  # a handle, as is `patterns`
    patterns: Any = field(repr=False)
    abouts: NDArray[np.int64] = field(repr=False)  # (parts, 3): texts, texts without a window, unknown tokens

    def __len__(self) -> int:
        return int(self.abouts[:, 0].sum())

    @property
    def windowless(self) -> int:
        """Texts without any window, whose rows are zero."""
        return int(self.abouts[:, 1].sum())

    @property
    def unknown(self) -> int:
        """Token positions that match nothing."""
        return int(self.abouts[:, 2].sum())

    @cached_property
    def columns(self) -> Features:
        """The columns of all parts, as the feature map of no text."""
        found = joined(self.engine.value(self.patterns), self.layout.shapes, self.vocabulary)
        return without_rows(template_of(self.architecture, self.vocabulary), found)

    def cut_at_parts(self, values: NDArray[Any]) -> list[NDArray[Any]]:
        """Values of all texts (n, …), by part."""
        return np.split(values, np.cumsum(self.abouts[:-1, 0]))

    def check_columns(self, other: Any) -> None:
        """Raises ShapeError unless both have the same families and columns."""
        if isinstance(other, PartitionedFeatures):
            if other.patterns is not self.patterns or other.architecture != self.architecture:
                raise ShapeError("the two feature maps have different columns; make that of the held-out texts with "
                                 "tl.partition(held, architecture, columns=features)")
            return
        self.columns.check_columns(other)

    def __repr__(self) -> str:
        return f"PartitionedFeatures({len(self)} texts in {len(self.tokens)} parts, {self.architecture})"


def partitioned(parts: Sequence[FilePart | TextsPart], architecture: Maps, engine: Engine, *, cut: Cut,
                columns: PartitionedFeatures | None = None) -> PartitionedFeatures:
    """Tokens, patterns and blocks of all parts; with `columns`, in the vocabulary and columns of those."""
    rows = [(part,) for part in parts]
    tokens = engine.each("tokens", tokenised, rows, cut.tokenizer, cut.lowercase)
    words = columns.words if columns else engine.one("vocabulary", merged_vocabulary, tokens, cut.min_count)
    vocabulary = columns.vocabulary if columns else vocabulary_from_arrays(engine.value(words))
    if not len(vocabulary):
        raise DataError(f"no token occurs {cut.min_count} times or more; lower min_count")
    layout = columns.layout if columns else Layout.of(template_of(architecture, vocabulary), len(vocabulary))
    made = engine.each("patterns", counted, [(part,) for part in tokens], words, architecture)
    patterns = columns.patterns if columns else engine.one("all patterns", merged, made, layout)
    places = engine.each("columns", placed, [(part,) for part in made], patterns, layout)
    heads = list(engine.get(engine.stream(head, tokens, made)))
    return PartitionedFeatures(architecture, vocabulary, _labels([one["labels"] for one in heads]), engine, cut, layout,
                               tokens, made, places, words, patterns, np.stack([one["about"] for one in heads]))


def head(tokens: Arrays, part: Arrays) -> Arrays:
    """What is known of every text, and of the part as a whole."""
    return {"labels": np.array(tokens["labels"]), "about": np.array(part["about"])}


def _labels(parts: list[NDArray[Any]]) -> NDArray[Any]:
    """The labels of all parts, which must be of one kind; parts without texts do not count."""
    filled = [labels for labels in parts if len(labels)]
    kinds = {"number" if labels.dtype.kind in "iuf" else labels.dtype.kind for labels in filled}
    if len(kinds) > 1:
        raise DataError("the labels are numbers in some parts and strings in others; make them all strings")
    return np.concatenate(filled) if filled else np.empty(0)
