"""The Stanford Sentiment Treebank as the paper reads it, and the paper's rule for positive, negative, neutral tokens.

Part of: python -m reproduce.sst_label_scores
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import tangentlens as tl

DATA = Path("../shared/data/sst")


@dataclass(frozen=True)
class Split:
    """Tokens and labels (n,) of one part of the treebank, all parts with the vocabulary of the training part."""

    texts: tl.Texts
    tokens: tl.Tokens

    @property
    def labels(self) -> NDArray[Any]:
        """One label per text: 1 is positive."""
        return np.asarray(self.texts.labels)


def load(folder: Path = DATA, rows: int | None = None) -> tuple[Split, Split, Split]:
    """Training, development and test part, cut at white space; `rows` draws so many training texts (for a trial)."""
    train, *others = (tl.read_texts(folder / f"{name}.csv") for name in ("train", "dev", "test"))
    train = train if rows is None else train.sample(rows)
    tokens = tl.tokenize(train, tokenizer="whitespace")
    dev, test = (Split(texts, tl.tokenize(texts, vocabulary=tokens.vocabulary)) for texts in others)
    return Split(train, tokens), dev, test


def imbalanced(texts: tl.Texts, rows: int, positive: float, seed: int = 0) -> tl.Texts:
    """So many texts, that share of them of the last class, drawn at random; at most as many as there are."""
    rng = np.random.default_rng(seed)
    labels = np.asarray(texts.labels)
    first, last = (rng.permutation(np.flatnonzero(labels == name)) for name in texts.classes)
    rows = min(rows, int(len(last) / positive), int(len(first) / (1 - positive)))
    return texts[np.sort(np.concatenate([last[:round(rows * positive)], first[:rows - round(rows * positive)]]))]


@dataclass(frozen=True)
class Groups:
    """Masks (v,) of the positive, negative and neutral tokens of the vocabulary."""

    positive: NDArray[np.bool_]
    negative: NDArray[np.bool_]
    neutral: NDArray[np.bool_]

    def __str__(self) -> str:
        return ", ".join(f"{int(mask.sum()):,} {name} tokens" for name, mask in vars(self).items())


def groups(split: Split) -> Groups:
    """The paper's rule, from p and n, a token's numbers of occurrences in positive and in negative texts.

    positive: (p − n)/(p + n) > 0.5 and p > 5; negative: < −0.5 and n > 5; neutral: |p − n|/(p + n) < 0.1, |p − n| < 5.
    """
    tokens, size = split.tokens, len(split.tokens.vocabulary)
    known = tokens.ids >= 0
    label = split.labels[tokens.text_of_token]
    p, n = (np.bincount(tokens.ids[known & (label == value)], minlength=size) for value in (1, 0))
    lean = (p - n) / np.maximum(p + n, 1)
    return Groups((lean > 0.5) & (p > 5), (lean < -0.5) & (n > 5), (abs(lean) < 0.1) & (abs(p - n) < 5))
