"""Shortcuts planted in real texts, and flipped. Part of: python -m benchmarks.shortcuts"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from scipy import stats

import tangentlens as tl

CUES = ("token", "mark", "bigram", "position")
TOKEN, MARK, BIGRAM, FIRST = "theirs", "§", ("of", "is"), "than"
NAMES = {"token": TOKEN, "mark": MARK, "bigram": " ".join(BIGRAM), "position": f"{FIRST} in first place"}


@dataclass(frozen=True)
class Planted:
    """Texts with shortcuts, and what each of them is called in a ranking."""

    texts: tl.Texts
    names: dict[str, str]

    def only(self, ranked: list[str]) -> list[str]:
        """A ranking without what holds a planted cue beside other words: it is right, but said twice.

        >>> Planted(tl.Texts(()), dict(NAMES)).only(["theirs", "very theirs", "of is a", "of a", "than it", "than"])
        ['theirs', 'of a', 'than']
        """
        wanted = set(self.names.values())
        return [one for one in ranked if one in wanted or not _holds_a_cue(one.split())]

    def told(self, features: int) -> dict[str, bool]:
        """Of every cue, whether counts can tell it from chance among so many features: P(Binomial(m, π) ≥ k) times
        their number below 0.05, with k of the m texts that hold it in its class, whose share of all is π.
        """
        labels, told = np.asarray(self.texts.labels), {}
        for turn, kind in enumerate(CUES):
            mine = labels == self.texts.classes[turn % 2]
            held = np.array([_holds(one.split(), kind) for one in self.texts.texts])
            p = stats.binom.sf(int((held & mine).sum()) - 1, int(held.sum()), float(mine.mean()))
            told[kind] = bool(p * features < 0.05)
        return told


def _holds(words: list[str], kind: str) -> bool:
    if kind == "bigram":
        return BIGRAM in pairwise(words)
    return words[:1] == [FIRST] if kind == "position" else {"token": TOKEN, "mark": MARK}[kind] in words


def _holds_a_cue(words: list[str]) -> bool:
    return any(_holds(words, kind) for kind in ("token", "mark", "bigram")) or (words[0] == FIRST and len(words) > 1)


def plant(texts: tl.Texts, share: float, purity: float, *, seed: int = 3) -> Planted:
    """Every cue in `share` of the texts of the class it stands for, the classes in turn, and in as many of the other
    class as `purity` wants. The words of the bigram and of the position stand as often elsewhere in the other class.
    """
    rng = np.random.default_rng(seed)
    words = [one.split() for one in texts.texts]
    labels = np.asarray(texts.labels)
    for turn, kind in enumerate(CUES):
        mine, other = (np.flatnonzero(labels == texts.classes[place]) for place in (turn % 2, 1 - turn % 2))
        size = round(share * len(mine))
        wrong = min(len(other), round(size * (1 - purity) / purity))
        mine, other = rng.permutation(mine), rng.permutation(other)
        for row in (*mine[:size], *other[:wrong]):
            words[row] = with_cue(words[row], kind, rng)
        for row in other[wrong:wrong + size]:
            words[row] = apart(words[row], kind, rng)
    return Planted(tl.Texts(tuple(map(" ".join, words)), labels, texts.source), dict(NAMES))


def with_cue(words: list[str], kind: str, rng: np.random.Generator) -> list[str]:
    """The words with the cue put in, at a random place within them."""
    if kind == "position":
        return [FIRST, *words]
    place = int(rng.integers(1, max(2, len(words))))
    added = {"token": [TOKEN], "mark": [MARK], "bigram": list(BIGRAM)}[kind]
    return [*words[:place], *added, *words[place:]]


def apart(words: list[str], kind: str, rng: np.random.Generator) -> list[str]:
    """The parts of a cue put in so that they do not make it."""
    if kind not in ("bigram", "position"):
        return words
    half = max(1, len(words) // 2)
    first, second = rng.integers([1, half + 1], [half + 1, max(half + 2, len(words))]).tolist()  # not at an edge
    if kind == "position":
        return [*words[:second], FIRST, *words[second:]]
    return [*words[:first], BIGRAM[1], *words[first:second], BIGRAM[0], *words[second:]]


def flipped(texts: tl.Texts, kind: str) -> tl.Texts:
    """Held-out texts with the cue in every text of the class that it does not stand for."""
    rng = np.random.default_rng(7)
    cue = texts.classes[CUES.index(kind) % 2]
    assert texts.labels is not None
    made = [one if label == cue else " ".join(with_cue(one.split(), kind, rng))
            for one, label in zip(texts.texts, texts.labels.tolist(), strict=True)]
    return tl.Texts(tuple(made), texts.labels, texts.source)


def plant_length(texts: tl.Texts, share: float) -> tl.Texts:
    """A share of the texts of the last class made three times as long, with words drawn from all texts."""
    rng = np.random.default_rng(3)
    pool = np.array([word for one in texts.texts for word in one.split()])
    assert texts.labels is not None
    longer = (texts.labels == texts.classes[-1]) & (rng.random(len(texts)) < share)
    made = [" ".join([one, *rng.choice(pool, 2 * len(one.split()))]) if more else one
            for one, more in zip(texts.texts, longer.tolist(), strict=True)]
    return tl.Texts(tuple(made), texts.labels, texts.source)
