"""Contexts of a corpus: for every target token the tokens before it, as places in the corpus and never as copies."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tangentlens.data.corpus import Corpus
from tangentlens.data.tokens import UNKNOWN, Tokens, Vocabulary
from tangentlens.errors import DataError, OptionError

MOST_TOKENS = 2**28  # that `tokens` makes at a time


@dataclass(frozen=True, eq=False)
class Contexts:
    """N contexts: the `window` tokens before each target in its document, or all of them for window=None.

    Every place of the corpus whose token is known is a target, in order; `positions` may name a part of them. The
    first places of a document have fewer tokens before them, the very first has none: an empty context has no
    feature, so it counts in N and for the unigram distribution only.

    Shapes: positions, start, lengths (N,); targets (N,) ids; context i is corpus.ids[start[i]:positions[i]].

    >>> from tangentlens.data.corpus import read_corpus
    >>> contexts = Contexts(read_corpus(["a b c a", "b a"]), window=2)
    >>> contexts.targets.tolist(), contexts.lengths.tolist()
    ([0, 1, 2, 0, 1, 0], [0, 1, 2, 2, 0, 1])
    >>> [contexts[[row]].tokens().ids.tolist() for row in (0, 1, 3)]
    [[], [0], [1, 2]]
    """

    corpus: Corpus
    window: int | None = 32
    positions: NDArray[np.int64] = None  # type: ignore[assignment]

    def __post_init__(self) -> None:
        longest = int(self.corpus.tokens.lengths.max()) - 1
        _check_window(self.window, longest)
        if self.positions is None:
            object.__setattr__(self, "positions", np.flatnonzero(self.corpus.ids != UNKNOWN))
        elif np.any(self.corpus.ids[self.positions] == UNKNOWN):
            raise DataError("the token at one of the positions is unknown, and cannot be a target")

    def __len__(self) -> int:
        return len(self.positions)

    def __getitem__(self, index: int | slice | Sequence[int] | NDArray[Any]) -> Contexts:
        """The chosen contexts as Contexts: an integer, a slice, a list of numbers or a mask."""
        return Contexts(self.corpus, self.window, np.atleast_1d(self.positions[index]))

    def equals(self, other: Contexts) -> bool:
        """Whether both are the same contexts of the same text: so they are once they have been saved and loaded."""
        if self is other:
            return True
        mine, theirs = self.corpus, other.corpus
        return (self.window == other.window and self.vocabulary.strings == other.vocabulary.strings
                and np.array_equal(self.positions, other.positions) and np.array_equal(mine.ids, theirs.ids)
                and np.array_equal(mine.offsets, theirs.offsets))

    def __repr__(self) -> str:
        window = "all before" if self.window is None else f"window {self.window}"
        return f"Contexts({len(self)} targets, {window}, {len(self.vocabulary)} types)"

    @property
    def vocabulary(self) -> Vocabulary:
        """The v types: both context tokens and targets."""
        return self.corpus.vocabulary

    @property
    def targets(self) -> NDArray[np.int32]:
        """The token after every context; shape (N,)."""
        return np.asarray(self.corpus.ids[self.positions])

    @property
    def start(self) -> NDArray[np.int64]:
        """Where every context begins in corpus.ids; shape (N,)."""
        offsets = self.corpus.offsets
        begin = offsets[np.searchsorted(offsets, self.positions, side="right") - 1]
        return begin if self.window is None else np.maximum(begin, self.positions - self.window)

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Number of tokens L of every context, unknown ones included; shape (N,)."""
        return np.asarray(self.positions - self.start)

    @cached_property
    def counts(self) -> NDArray[np.int64]:
        """How often each type is a target; shape (v,)."""
        return np.bincount(self.targets, minlength=len(self.vocabulary))

    @property
    def unigram(self) -> NDArray[np.float64]:
        """The unigram distribution of the targets; shape (v,). A type that is never a target counts as seen once."""
        counts = np.maximum(self.counts, 1)
        return np.asarray(counts / counts.sum())

    @property
    def left_out(self) -> int:
        """How many places of the corpus are no target because their token is unknown."""
        return self.corpus.tokens.unknown

    def tokens(self) -> Tokens:
        """The contexts copied out as n texts, for `architecture.features` and `kernel`.

        Raises OptionError where that would be too much: choose some with contexts[rows].
        """
        lengths = self.lengths
        offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
        if offsets[-1] > MOST_TOKENS:
            raise OptionError(f"{len(self):,} contexts hold {offsets[-1]:,} tokens, too many to copy out; "
                              "choose some with contexts[rows] or contexts.sample(size)")
        places = np.arange(offsets[-1]) + np.repeat(self.start - offsets[:-1], lengths)
        return Tokens(self.corpus.ids[places], offsets, self.vocabulary)

    def sample(self, size: int, seed: int = 0) -> Contexts:
        """`size` contexts drawn without replacement, in their old order; all of them if there are no more."""
        if size < 1:
            raise OptionError(f"a sample needs at least one context, not size={size}")
        if size >= len(self):
            return self
        return self[np.sort(np.random.default_rng(seed).choice(len(self), size, replace=False))]


def _check_window(window: Any, longest: int) -> None:
    if window is None:
        return
    if isinstance(window, bool) or not isinstance(window, int | np.integer) or window < 1:
        raise OptionError(f"window must be a whole number of at least 1, or None for all tokens before, not {window!r}")
    if window > longest:
        raise OptionError(f"window={window} is longer than the longest context of the corpus, {longest} tokens; "
                          f"take window={longest} or less, or window=None for all tokens before the target")
