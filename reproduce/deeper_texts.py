"""Small training sets with what networks are asked about them: sentences of negations, and short texts of SST.

Part of: python -m reproduce.deeper_networks
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import tangentlens as tl
from reproduce.sst import load
from tangentlens.data.negation import ADJECTIVES, NEGATORS
from tangentlens.features.patterns import frequent_patterns
from tangentlens.learning.losses import Targets, encode
from tangentlens.predictions.questions import Questions

TOKENS, BIGRAMS = 40, 40  # the most frequent ones, asked about
TEXTS = 100  # to decide, of either kind
LENGTHS = (3, 10)  # tokens of the texts of SST
RARE = {*NEGATORS[3:].tolist(), *ADJECTIVES[4:12].tolist(), *ADJECTIVES[16:].tolist()}  # left out of the grammar


@dataclass(frozen=True, eq=False)
class Material:
    """n training texts with their labels, and the questions, among them texts to decide: new ones and new combinations.

    questions: frequent tokens, bigrams (a, b) and the same bigrams turned round (b, a), and the texts to decide.
    Shapes, for m texts to decide: positive (m,); combination (m,): whether it is one that never occurs in training.
    """

    name: str
    tokens: tl.Tokens
    labels: NDArray[Any]
    questions: Questions
    positive: NDArray[np.bool_]
    combination: NDArray[np.bool_]

    @property
    def targets(self) -> Targets:
        """The labels as targets of the loss."""
        return encode(self.labels, None, texts=len(self.tokens))


def grammar(rows: int) -> Material:
    """Sentences with 3 negators and 8 adjectives, and with pairs or triples of them that never occur in training."""
    made = tl.negations(4000, seed=0, negated=0.5)
    train, combinations = (texts[[not RARE & set(line.split()) for line in texts]] for texts in (made.train, made.held))
    chosen = train.sample(rows)
    fresh = train[[line not in set(chosen.texts) for line in train]].sample(TEXTS)
    tokens = tl.tokenize(chosen, tokenizer="whitespace")
    pairs, strings = frequent_patterns(tokens, (0, 1), len(tokens.ids)), np.array(tokens.vocabulary.strings)
    negated = np.isin(strings[pairs[:, 0]], NEGATORS) & np.isin(strings[pairs[:, 1]], ADJECTIVES)
    bigrams = pairs[negated | (np.arange(len(pairs)) < BIGRAMS)]
    return _material("negations", chosen, tokens, bigrams, fresh, combinations.sample(TEXTS))


def sst(folder: Path, rows: int) -> Material:
    """Short texts of the training part; to decide, short texts of the development part."""
    chosen, fresh = (part.texts[(part.tokens.lengths >= LENGTHS[0]) & (part.tokens.lengths <= LENGTHS[1])].sample(size)
                     for part, size in zip(load(folder)[:2], (rows, TEXTS), strict=True))
    tokens = tl.tokenize(chosen, tokenizer="whitespace")
    return _material("SST", chosen, tokens, frequent_patterns(tokens, (0, 1), BIGRAMS), fresh, fresh[:0])


def _material(name: str, texts: tl.Texts, tokens: tl.Tokens, bigrams: NDArray[np.int64], fresh: tl.Texts,
              combinations: tl.Texts) -> Material:
    decided = tl.tokenize([*fresh.texts, *combinations.texts], vocabulary=tokens.vocabulary)
    words = frequent_patterns(tokens, (0,), TOKENS)[:, 0]
    positive = np.concatenate([np.asarray(part.labels) for part in (fresh, combinations)]) == texts.classes[-1]
    return Material(name, tokens, np.asarray(texts.labels),
                    Questions(tokens.vocabulary, words, (bigrams, bigrams[:, ::-1]), decided), positive,
                    np.arange(len(decided)) >= len(fresh))
