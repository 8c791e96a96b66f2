"""Trajectories to ask, a function with planted effects, and the measures of section 5 by plain loops."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator, Sequence
from functools import cache

import numpy as np
import polars as pl
from cases import ALL, SIZE, SPARSE, labels_of, tokens_of
from hypothesis import strategies as st

import tangentlens as tl
from tangentlens.kernels import Architecture
from tangentlens.predictions.questions import DRAWS, Answers, Questions

Text = list[int]
Function = Callable[[Text], np.ndarray]
TOKENS = tokens_of(ALL)
SOME = ["mlp", "cnn3-same", "cnn3-valid-sum", "attention-tied", "matrix-vector3-residual", "linear-rnn", "elman-rnn"]


@cache
def learned(name: str, classes: int = 3) -> tuple[Architecture, tl.Trajectory]:
    """A line of the case table, and what it learns from all texts."""
    architecture = SPARSE[name]
    return architecture, tl.learn(architecture.features(TOKENS), labels_of(TOKENS, classes), steps=7)


def lists_of(tokens: tl.Tokens) -> list[Text]:
    """The ids of every text."""
    return [ids.tolist() for ids in np.split(tokens.ids, tokens.offsets[1:-1])][:len(tokens)]


def outputs_of(f: Function, tokens: tl.Tokens) -> np.ndarray:
    """f on every text; shape (n, c)."""
    return np.stack([f(text) for text in lists_of(tokens)])


def by_kernel(architecture: Architecture, trajectory: tl.Trajectory, step: int = -1) -> Function:
    """The predicted f, from the dense kernel and the dual coefficients."""
    known: dict[tuple[int, ...], np.ndarray] = {}

    def f(text: Text) -> np.ndarray:
        if tuple(text) not in known:
            known[tuple(text)] = (architecture.kernel(tokens_of([text]), TOKENS) @ trajectory.duals[step])[0]
        return known[tuple(text)]

    return f


def chaotic(outputs: int) -> Function:
    """Another random number for every text."""
    return lambda text: np.random.default_rng([token + 1 for token in text] + [len(text)]).normal(size=outputs)


class Planted:
    """f(x) = bias + Σ w(token) + Σ pair(token, next) + Σ triple(token, next, next but one); only w knows □."""

    def __init__(self, outputs: int, blanks: int) -> None:
        rng = np.random.default_rng(outputs)
        self.bias = rng.normal(size=outputs)
        self.words = rng.normal(size=(SIZE + blanks, outputs))
        self.grams = {order: rng.normal(size=(*(SIZE,) * order, outputs)) for order in (2, 3)}

    def __call__(self, text: Text) -> np.ndarray:
        return self.bias + sum((self.words[token] for token in text), np.zeros_like(self.bias)) + self.joint(text)

    def joint(self, text: Text) -> np.ndarray:
        """What combinations of tokens add."""
        total = np.zeros_like(self.bias)
        for order, table in self.grams.items():
            for start in range(len(text) - order + 1):
                gram = text[start:start + order]
                if all(0 <= token < SIZE for token in gram):
                    total = total + table[tuple(gram)]
        return total


@st.composite
def questions_of(draw: st.DrawFn) -> Questions:
    """Tokens, pairs, triples and texts, each of them perhaps none."""
    token, least = st.integers(0, SIZE - 1), draw(st.integers(1, 4))
    tokens = draw(st.lists(token, max_size=3))
    patterns = [np.array(rows, dtype=int).reshape(-1, order) for order in draw(st.sampled_from([(), (2,), (3, 2)]))
                for rows in [draw(st.lists(st.lists(token, min_size=order, max_size=order), max_size=3))]]
    texts = draw(st.lists(st.lists(st.integers(-1, SIZE - 1), max_size=5), max_size=4))
    return Questions(tokens_of([]).vocabulary, np.array(tokens, dtype=int), tuple(patterns), tokens_of(texts), least)


class Loops:
    """Answers to questions by plain loops, for f of texts in which □ are the ids from v on, or all −1."""

    def __init__(self, f: Function, questions: Questions, *, blanks: bool = True) -> None:
        self.f, self.questions, self.blanks = f, questions, blanks

    def blank(self, number: int) -> int:
        return SIZE + number if self.blanks else -1

    def ending(self, tokens: Sequence[int | None], length: int) -> np.ndarray:
        """f of □ … □ and these tokens, None being □ as well; the mean over draws."""
        found = []
        for draw in range(DRAWS):
            text = [self.blank(draw * (self.questions.blanks // DRAWS) + place) for place in range(length)]
            for place, token in enumerate(tokens, start=length - len(tokens)):
                text[place] = text[place] if token is None else token
            found.append(self.f(text))
        return np.mean(found, axis=0)

    def interaction(self, pattern: Sequence[int]) -> np.ndarray:
        """Σ over subsets of (−1)^(tokens left out) f."""
        total = np.zeros(1)
        for kept in subsets(len(pattern)):
            chosen = [token if place in kept else None for place, token in enumerate(pattern)]
            sign = (-1) ** (len(pattern) - len(kept))
            total = total + sign * self.ending(chosen, max(self.questions.least, len(pattern)))
        return total

    def whole(self, pattern: Sequence[int]) -> np.ndarray:
        """f of a pattern minus f of □."""
        length = max(self.questions.least, len(pattern))
        return self.ending(pattern, length) - self.ending([], length)

    def text(self, text: Text) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """M, J and f of one text."""
        empty = [self.blank(place) for place in range(len(text))]
        whole = [token if token >= 0 else other for token, other in zip(text, empty, strict=True)]
        nothing = self.f(empty)
        main = np.zeros_like(nothing)
        for place, token in enumerate(whole):
            main = main + self.f([*empty[:place], token, *empty[place + 1:]]) - nothing
        return main, self.f(whole) - nothing - main, self.f(whole)

    def answers(self, outputs: int) -> Answers:
        """All of it; outputs: c."""
        q = self.questions
        rows = [self.text(text) for text in lists_of(q.texts)] if q.texts is not None else []
        mains, joints, decisions = (np.reshape([row[part] for row in rows], (-1, outputs)) for part in range(3))
        return Answers(
            self.ending([], q.least), np.reshape([self.ending([a], q.least) for a in q.tokens], (-1, outputs)),
            tuple(np.reshape([self.interaction(row) for row in ids.tolist()], (-1, outputs)) for ids in q.patterns),
            mains, joints, decisions,
            tuple(np.reshape([self.whole(row) for row in ids.tolist()], (-1, outputs)) for ids in q.patterns))


def subsets(size: int) -> Iterator[set[int]]:
    """Of the places 0, 1, …."""
    for number in range(2**size):
        yield {place for place in range(size) if number // 2**place % 2}


def slow_share(mains: np.ndarray, joints: np.ndarray) -> float:
    """Var J / (Var M + Var J), output by output; NaN for 0/0."""
    main, joint = (sum(statistics.pvariance(column) for column in part.T.tolist()) for part in (mains, joints))
    return joint / (main + joint) if main + joint else float("nan")


def parts_of(answers: Answers) -> list[np.ndarray]:
    """All arrays of answers, to be compared one by one."""
    return [answers.nothing, answers.responses, *answers.interactions, answers.mains, answers.joints, answers.decisions,
            *answers.wholes]


def scale_of(trajectory: tl.Trajectory) -> float:
    """Size of decisions, to compare errors with."""
    scale = float(np.abs(trajectory.decision(trajectory.features)).max())
    assert scale > 1e-4
    return scale


def blocks_of(table: pl.DataFrame, column: str) -> np.ndarray:
    """A column of a table with one block of rows for every output; shape (rows, c)."""
    blocks = [table.filter(pl.col("class") == name)[column].to_numpy() for name in table["class"].unique(
        maintain_order=True)]
    return np.stack(blocks, axis=1)
