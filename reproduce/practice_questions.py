"""What every network of the practice study is asked: probes of tokens, bigrams and trigrams, and held-out texts.

Part of: python -m reproduce.practice_train
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

import tangentlens as tl
from reproduce.practice_data import Material
from tangentlens.features.patterns import occurrences
from tangentlens.predictions.questions import Questions
from tangentlens.verification.probes import Probe, Probes

Array = NDArray[np.float64]
Ask = Callable[[tl.Tokens], Array]
LENGTH = 9  # tokens of a probe text: a window of 5 around its middle is full
SEEN = 5, 8, 8  # occurrences that a token, a bigram, a trigram needs
MOST = 3000, 1500, 400  # of each are asked about, drawn at random where there are more
CURVES = 10, 800  # occurrences, and most tokens, whose score is followed while a network is trained
TEXTS = 100  # of dev, for the interaction share
PROBES = (Probe("token", (0,), LENGTH, (3, 4, 5), (1 / 3,) * 3), Probe("bigram", (0, 1), LENGTH, (3, 4), (1 / 2,) * 2),
          Probe("trigram", (0, 1, 2), LENGTH, (3,), (1.0,)))


def seen_patterns(tokens: tl.Tokens, order: int, least: int, most: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """n-grams (N, order) that occur at least so often, in sorted order, and their counts (N,); at most so many."""
    ids, patterns = occurrences(tokens, tuple(range(order)))
    count = np.bincount(ids[ids >= 0], minlength=len(patterns))
    chosen = np.flatnonzero(count >= least)
    if len(chosen) > most:
        chosen = np.sort(np.random.default_rng(order).choice(chosen, most, replace=False))
    return patterns.tokens()[chosen], count[chosen]


@dataclass(frozen=True, eq=False)
class Inquiry:
    """Everything that networks and predictions are asked about one data set; patterns and counts by order."""

    material: Material

    @cached_property
    def seen(self) -> list[tuple[NDArray[np.int64], NDArray[np.int64]]]:
        """Patterns (N, r) and their counts (N,) for r = 1, 2, 3."""
        return [seen_patterns(self.material.train.tokens, r, SEEN[r - 1], MOST[r - 1]) for r in (1, 2, 3)]

    @cached_property
    def followed(self) -> NDArray[np.int64]:
        """Places, among the tokens asked about, of those that are followed through training."""
        often = np.flatnonzero(self.seen[0][1] >= CURVES[0])
        return np.sort(np.random.default_rng(0).permutation(often)[:CURVES[1]])

    @cached_property
    def probes(self) -> Probes:
        """Tokens, bigrams and trigrams among tokens that were never trained."""
        return Probes(PROBES, tuple(ids for ids, _ in self.seen), self.material.train.tokens.vocabulary)

    @cached_property
    def curve(self) -> Probes:
        """The followed tokens, in the middle of a probe text."""
        probe = Probe("token", (0,), LENGTH, (LENGTH // 2,), (1.0,))
        return Probes((probe,), (self.seen[0][0][self.followed],), self.material.train.tokens.vocabulary)

    @cached_property
    def shares(self) -> Questions:
        """Texts of dev for the interaction share."""
        return Questions(self.material.train.tokens.vocabulary, texts=self.material.dev.tokens[:TEXTS])

    @property
    def blanks(self) -> int:
        """Never-trained tokens that a network needs."""
        return max(self.probes.blanks, self.shares.blanks)

    def answers(self, ask: Ask, *, blanks: bool) -> dict[str, Array]:
        """Scores and interactions of every pattern, main and joint parts of the texts of dev, decisions on test."""
        scores = self.probes.scores(asked_once(ask, self.probes.texts(blanks=blanks)))
        found = {probe.family: score[:, 0] for probe, score in zip(PROBES, scores, strict=True)}
        share = self.shares.answers(ask(self.shares.asked(blanks=blanks)))
        return found | {"main": share.mains[:, 0], "joint": share.joints[:, 0],
                        "decision": ask(self.material.test.tokens)[:, 0]}

    def followed_scores(self, ask: Ask, *, blanks: bool) -> Array:
        """Scores of the followed tokens; shape (N,)."""
        return np.asarray(self.curve.scores(asked_once(ask, self.curve.texts(blanks=blanks)))[0][:, 0])


def asked_once(ask: Ask, tokens: tl.Tokens) -> Array:
    """Outputs on texts of one length of which many are equal: each is asked once."""
    _, first, number = np.unique(tokens.ids.reshape(len(tokens), -1), axis=0, return_index=True, return_inverse=True)
    return ask(tokens[first])[number]
