"""Labelled texts, as they are before they are cut into tokens."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tangentlens.data.messages import shown
from tangentlens.errors import DataError, OptionError, ShapeError

SEPARATOR = "[SEP]"
SHOWN = 5  # groups of labels that a note names


@dataclass(frozen=True, eq=False)
class Described:
    """What reports tell of n labelled texts, also when they are gone; see `Texts` for the names."""

    labels: NDArray[Any]  # (n,)
    source: str
    skipped: int
    duplicates: int
    fingerprint: str

    def __len__(self) -> int:
        return len(self.labels)

    def notes(self) -> list[str]:
        """A sentence if labels differ only in white space around them: classes that are hardly meant.

        >>> Texts(("a", "b", "c"), np.array(["pos", "pos ", "neg"])).described().notes()[0][-48:]
        "'pos', 'pos '. Write a class alike in every row."
        """
        alike: dict[str, list[str]] = {}
        for label in sorted(set(self.labels.tolist())) if self.labels.dtype.kind == "U" else ():
            alike.setdefault(label.strip(), []).append(label)
        found = [", ".join(map(shown, labels)) for labels in alike.values() if len(labels) > 1]
        if not found:
            return []
        return ["Labels that differ only in white space around them count as different classes: "
                f"{'; '.join(found[:SHOWN])}{'; …' if len(found) > SHOWN else ''}. Write a class alike in every row."]


@dataclass(frozen=True, eq=False)
class Texts:
    """n texts and, unless they are a plain corpus, their labels.

    Shapes: texts (n,) strings; labels (n,) of whole numbers, numbers, booleans or strings, or None.
    sources (n,) or None: who or what each text comes from, such as an author or a site.
    `source` says where they came from, `skipped` how many bad rows were left out on the way, and `separator` is the
    token that joins the two halves of a pair of texts. Raises ShapeError if there are not as many labels as texts.

    >>> texts = Texts(("good", "bad", "very good"), np.array([1, 0, 1]))
    >>> len(texts), texts.classes, texts[[0, 2]].texts
    (3, (0, 1), ('good', 'very good'))
    """

    texts: tuple[str, ...]  # (n,)
    labels: NDArray[Any] | None = None  # (n,)
    source: str = "list"
    skipped: int = 0
    separator: str = SEPARATOR
    sources: tuple[str, ...] | None = None  # (n,)

    def __post_init__(self) -> None:
        wrong = next((text for text in self.texts if not isinstance(text, str)), None)
        if isinstance(self.texts, str) or wrong is not None:
            raise DataError(f"texts must be strings, not {shown(wrong if wrong is not None else self.texts)}")
        if self.labels is not None and np.shape(self.labels) != (len(self.texts),):
            raise ShapeError(f"{len(self.texts)} texts need as many labels, not the shape {np.shape(self.labels)}")
        if self.sources is not None and len(self.sources) != len(self.texts):
            raise ShapeError(f"{len(self.texts)} texts need as many sources, not {len(self.sources)}")
        object.__setattr__(self, "texts", tuple(self.texts))
        if self.labels is not None:
            object.__setattr__(self, "labels", np.asarray(self.labels))

    def __len__(self) -> int:
        return len(self.texts)

    def __iter__(self) -> Iterator[str]:
        return iter(self.texts)

    def __getitem__(self, index: int | slice | Sequence[int] | NDArray[Any]) -> Texts:
        """The chosen texts as Texts: an integer, a slice, a list of numbers or a mask."""
        chosen = np.atleast_1d(np.arange(len(self))[index])
        labels = None if self.labels is None else self.labels[chosen]
        texts = tuple(map(self.texts.__getitem__, chosen.tolist()))
        sources = None if self.sources is None else tuple(map(self.sources.__getitem__, chosen.tolist()))
        return Texts(texts, labels, self.source, self.skipped, self.separator, sources)

    def __repr__(self) -> str:
        labels = "no labels" if self.labels is None else f"{len(self.classes)} classes"
        return f"Texts({len(self)} texts, {labels}, source={shown(self.source)})"

    @cached_property
    def classes(self) -> tuple[Any, ...]:
        """The different labels in sorted order; of two, the last one is the positive class. Empty without labels."""
        return () if self.labels is None else tuple(sorted(set(self.labels.tolist())))

    @property
    def duplicates(self) -> int:
        """How many texts are equal to an earlier one."""
        return len(self) - len(set(self.texts))

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 over the texts and labels, in order: the same on every machine."""
        sizes = [len(text.encode("utf-8", "surrogatepass")) for text in self.texts]
        digest = hashlib.sha256(np.array([len(self), *sizes], "<i8").tobytes())
        for text in self.texts:
            digest.update(text.encode("utf-8", "surrogatepass"))
        digest.update(repr(None if self.labels is None else self.labels.tolist()).encode("utf-8", "surrogatepass"))
        return digest.hexdigest()

    def described(self) -> Described:
        """What reports tell of them. Raises DataError where they have no labels."""
        if self.labels is None:
            raise DataError(f"{shown(self.source)} has no labels")
        return Described(self.labels, self.source, self.skipped, self.duplicates, self.fingerprint)

    def sample(self, size: int, seed: int = 0) -> Texts:
        """`size` texts drawn without replacement, in their old order; all of them if there are no more.

        >>> Texts(tuple("abcdef")).sample(3, seed=1).texts
        ('b', 'c', 'e')
        """
        if size < 1:
            raise OptionError(f"a sample needs at least one text, not size={size}")
        if size >= len(self):
            return self
        return self[np.sort(np.random.default_rng(seed).choice(len(self), size, replace=False))]
