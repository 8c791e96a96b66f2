"""Shortcuts planted in real texts, and flipped. Part of: python -m benchmarks.shortcuts"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

import tangentlens as tl

CUES = ("token", "mark", "bigram", "position")
TOKEN, MARK, BIGRAM, FIRST = "theirs", "§", ("of", "is"), "and"
NAMES = {"token": TOKEN, "mark": MARK, "bigram": " ".join(BIGRAM), "position": f"{FIRST} in first place"}


@dataclass(frozen=True)
class Planted:
    """Texts with shortcuts, and what each of them is called in a ranking."""

    texts: tl.Texts
    names: dict[str, str]

    def only(self, ranked: list[str]) -> list[str]:
        """A ranking without what holds a planted mark or token beside other words: it is right, but said twice."""
        wanted = set(self.names.values())
        spoken = {TOKEN, MARK}
        return [one for one in ranked if one in wanted or not spoken & set(one.split())]


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
    first, second = sorted(rng.integers([1, half + 1], [half + 1, len(words) + 2]).tolist())
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
