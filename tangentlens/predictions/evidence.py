"""What to ask every architecture about, found in the texts alone: frequent tokens and n-grams, and contrary n-grams."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from tangentlens.data.tokens import UNKNOWN, Tokens
from tangentlens.features.counting import count_matrix
from tangentlens.features.patterns import frequent_patterns, occurrences
from tangentlens.predictions.contrary import contrary
from tangentlens.predictions.questions import Questions

FREQUENT = 5  # training texts that a frequent token occurs in, at least
LEAST = 8  # the same for a contrary n-gram
LEVEL = 0.05  # share of the contrary n-grams that may be chance
ORDERS = (2, 3)
MOST = 200  # frequent n-grams of each order

Ids = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Evidence:
    """Training and held-out texts, and what of them every architecture is asked about.

    Shapes: frequent (k,) ids of the tokens that occur in FREQUENT training texts or more, texts (k,) in how many;
    ngrams: for every order r the ids (N, r) of the most frequent ones; contrary: the table of `contrary_ngrams`, N'
    rows; holding (n',): which held-out texts hold one of these.
    """

    train: Tokens
    held: Tokens
    frequent: Ids
    texts: Ids
    ngrams: tuple[Ids, ...]
    contrary: pl.DataFrame
    holding: NDArray[np.bool_]

    @classmethod
    def of(cls, train: Tokens, labels: Any, held: Tokens) -> Evidence:
        """Looks for it in n training texts with labels (n,), and n' held-out texts over the same vocabulary."""
        size = len(train.vocabulary)
        present = count_matrix(train.text_of_token, train.ids.astype(np.int64), (len(train), size))
        texts = np.bincount(present.indices, minlength=size)
        frequent = np.flatnonzero(texts >= FREQUENT)
        ngrams = tuple(frequent_patterns(train, tuple(range(order)), MOST) for order in ORDERS)
        found = contrary_ngrams(train, labels)
        return cls(train, held, frequent, texts[frequent], ngrams, found, texts_with(found["patterns"].to_list(), held))

    def questions(self, least: int) -> Questions:
        """Short texts of at least `least` tokens: frequent tokens, frequent n-grams, and as texts contrary n-grams."""
        rows = self.contrary["patterns"].to_list()
        short = Tokens.from_ids([[UNKNOWN] * (least - len(row)) + row for row in rows],
                                vocabulary=self.train.vocabulary)
        return Questions(self.train.vocabulary, self.frequent, self.ngrams, short, least)


def contrary_ngrams(tokens: Tokens, labels: Any) -> pl.DataFrame:
    """The contrary n-grams (see `contrary`) of n labelled texts, of all ORDERS, surest first, with a column order.

    A longer one that holds a shorter one of the same class and polarity is left out: it is contrary because of that.
    """
    tables: list[pl.DataFrame] = []
    for order in ORDERS:
        table = contrary(tokens, labels, order=order, least=LEAST, level=LEVEL)
        shorter = [row for before in tables for row in before.to_dicts()]
        own = [not _within(row, shorter) for row in table.to_dicts()]
        tables.append(table.filter(pl.Series(own, dtype=pl.Boolean)).with_columns(order=pl.lit(order)))
    return pl.concat(tables).sort("p", maintain_order=True)


def texts_with(patterns: Sequence[Sequence[int]], tokens: Tokens) -> NDArray[np.bool_]:
    """Which of n texts hold at least one of these n-grams (token ids); shape (n,)."""
    found = np.zeros(len(tokens), np.bool_)
    for order in {len(pattern) for pattern in patterns}:
        places = tuple(range(order))
        made = Tokens.from_ids([row for row in patterns if len(row) == order], vocabulary=tokens.vocabulary)
        ids, _ = occurrences(tokens, places, occurrences(made, places)[1])
        found[tokens.text_of_token[ids >= 0]] = True
    return found


def _within(row: dict[str, Any], shorter: Sequence[dict[str, Any]]) -> bool:
    ids = row["patterns"]
    parts = [ids[start:start + size] for size in range(2, len(ids)) for start in range(len(ids) - size + 1)]
    return any(other["patterns"] in parts and other["class"] == row["class"]
               and (other["polarity"] > 0) == (row["polarity"] > 0) for other in shorter)
