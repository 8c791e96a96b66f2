"""Sentences in pieces, so that what is quoted from the data can be told from the program's own words."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from tangentlens.report.content import ComparedAnswer


@dataclass(frozen=True)
class Quoted:
    """A text from outside within a sentence. kind: "feature", "class", or "name" (of an architecture)."""

    text: str
    kind: str


Piece = str | Quoted
Sentence = tuple[Piece, ...]


def plain(sentence: Sentence) -> str:
    """The sentence as text, with quotation marks around what is quoted from the data.

    >>> plain(("ask ", Quoted("CNN", "name"), " about ", Quoted("not bad", "feature")))
    'ask CNN about "not bad"'
    """
    return "".join(piece if isinstance(piece, str) else piece.text if piece.kind == "name" else f'"{piece.text}"'
                   for piece in sentence)


def name_of(answer: ComparedAnswer) -> Piece:
    """The name of its architecture."""
    return Quoted(answer.name, "name")


def listed(items: Iterable[Sequence[Piece]], between: str = ", ", last: str = " and ") -> list[Piece]:
    """The items with something between them.

    >>> plain(tuple(listed([["a"], ["b"], ["c"]])))
    'a, b and c'
    """
    found: list[Piece] = []
    parts = list(items)
    for place, item in enumerate(parts):
        found += [] if not place else [last] if place == len(parts) - 1 else [between]
        found += item
    return found


def either(words: Sequence[str], last: str = "or") -> str:
    """The words with something between them."""
    return plain(tuple(listed([[word] for word in words], ", ", f" {last} ")))
