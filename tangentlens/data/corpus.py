"""A corpus for language modelling: documents as token ids, without labels."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from hashlib import sha256
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tangentlens.data.files import read_plain
from tangentlens.data.messages import counted, plain, shown
from tangentlens.data.storage import Arrays
from tangentlens.data.texts import Texts
from tangentlens.data.tokenizing import tokenize
from tangentlens.data.tokens import UNKNOWN, Tokens, Vocabulary
from tangentlens.errors import DataError, OptionError

DOCUMENTS = ("blocks", "lines", "file", "ptb")
END_OF_LINE = "<eos>"


@dataclass(frozen=True, eq=False)
class Corpus:
    """Documents as token ids: `tokens` holds one text for every document, `source` says where they came from, and
    `reading` how `read_corpus` read them: its options, and the sha256 of the documents.

    Shapes: ids (total,) int32 in −1 … v − 1, −1 being unknown; offsets (documents + 1,) int64, document i is
    ids[offsets[i]:offsets[i + 1]]. Raises DataError where there is nothing to predict: no context with a token before
    its target, or a single token type.

    >>> corpus = read_corpus(["a b a", "b a"])
    >>> len(corpus), corpus.ids.tolist(), corpus.vocabulary.strings
    (2, [0, 1, 0, 1, 0], ('a', 'b'))
    """

    tokens: Tokens
    source: str = "list"
    reading: dict[str, Any] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        if not len(self.ids):
            raise DataError(f"{self.source} holds no token; a corpus needs running text")
        if self.tokens.lengths.max() < 2:
            raise DataError(f"every document of {self.source} has at most one token, so no token follows another; "
                            'give longer documents (documents="file" takes a file as one)')
        if len(self.vocabulary) < 2:
            raise DataError(f"the vocabulary of {self.source} has {counted(len(self.vocabulary), 'token type')}; "
                            "predicting the next token needs at least two: check how documents are cut and how rare a "
                            "type may be")

    def __len__(self) -> int:
        return len(self.tokens)

    def __repr__(self) -> str:
        return (f"Corpus({len(self)} documents, {len(self.ids)} tokens, {len(self.vocabulary)} types, "
                f"source={shown(self.source)})")

    @property
    def ids(self) -> NDArray[np.int32]:
        """Token ids of all documents; shape (total,)."""
        return self.tokens.ids

    @property
    def offsets(self) -> NDArray[np.int64]:
        """Where documents begin and end in `ids`; shape (documents + 1,)."""
        return self.tokens.offsets

    @property
    def vocabulary(self) -> Vocabulary:
        """The v token strings."""
        return self.tokens.vocabulary

    @classmethod
    def from_arrays(cls, about: dict[str, Any], arrays: Arrays) -> Corpus:
        """What `about` and `tokens.arrays` hold."""
        return cls(Tokens.from_arrays(arrays, about["tokenizer"]), about["source"], about["reading"])

    @property
    def about(self) -> dict[str, Any]:
        """What is no array: source, reading and tokenizer, for saving."""
        return {"source": self.source, "reading": self.reading, "tokenizer": self.vocabulary.tokenizer}

    def split(self, share: float = 0.1, *, seed: int = 0) -> tuple[Corpus, Corpus]:
        """Training and held-out documents, the latter with about `share` of the tokens; a single document is cut.

        The vocabulary is that of the training part: a type that does not occur there becomes unknown in the other.

        >>> training, held = read_corpus(["a b a", "c a b", "b a", "a b b"]).split(0.3)
        >>> len(training), len(held), held.vocabulary.strings == training.vocabulary.strings
        (3, 1, True)
        """
        if not 0 < share < 1:
            raise OptionError(f"share must be between 0 and 1, not {share}")
        if len(self) == 1:
            cut = max(2, len(self.ids) - max(2, round(share * len(self.ids))))
            parts = [self.ids[:cut], self.ids[cut:]]
            pair = [Tokens(ids, np.array([0, len(ids)]), self.vocabulary) for ids in parts]
        else:
            order = np.random.default_rng(seed).permutation(len(self))
            ends = np.cumsum(self.tokens.lengths[order])
            held = min(max(1, int(np.searchsorted(ends, share * ends[-1], side="right"))), len(self) - 1)
            pair = [self.tokens[np.sort(order[held:])], self.tokens[np.sort(order[:held])]]
        training, held_out = (replace(self, tokens=tokens) for tokens in _renumbered(*pair))
        return training, held_out


def read_corpus(source: str | os.PathLike[str] | Texts | Sequence[str], *, documents: str = "blocks",
                tokenizer: str | os.PathLike[str] = "words", lowercase: bool = False, min_count: int = 1,
                vocabulary_size: int | None = None, vocabulary: Vocabulary | None = None,
                encoding: str | None = None) -> Corpus:
    """A corpus from a plain text file (or .gz), or from a list of documents or Texts.

    Args:
        source: the path, or the documents themselves.
        documents: how a file is cut: "blocks" at blank lines, "lines" at line ends, "file" not at all, or "ptb" for
            Penn Treebank and WikiText files: one document, tokens at white space, and `<eos>` at the end of every line
            (blank ones too), as in published perplexities; `<unk>` in such a file is a token like any other.
        tokenizer, lowercase, min_count: see `tokenize`.
        vocabulary_size: only so many of the most frequent types are kept; all others are unknown.
        vocabulary: that of another corpus, whose rule and ids are used.
        encoding: of the file; UTF-8, or what its first bytes say.

    Raises:
        DataError: a file that is missing, binary, not readable in its encoding, or without two tokens in a row.
        OptionError: an unknown option, or options that contradict each other.

    >>> read_corpus(["the cat and the dog", "the end"], vocabulary_size=2).ids.tolist()
    [0, -1, 1, 0, -1, 0, -1]
    """
    if documents not in DOCUMENTS:
        raise OptionError(f"documents must be one of {', '.join(DOCUMENTS)}, not {shown(documents)}")
    if vocabulary_size is not None and (not isinstance(vocabulary_size, int) or vocabulary_size < 2):
        raise OptionError(f"vocabulary_size must be a whole number of at least 2, not {shown(vocabulary_size)}")
    if vocabulary is not None and vocabulary_size is not None:
        raise OptionError("the vocabulary says which tokens count; leave vocabulary_size out")
    texts, name = _documents(source, documents, encoding)
    if documents == "ptb" and vocabulary is None:
        if tokenizer != "words" or lowercase:
            raise OptionError('documents="ptb" cuts at white space and keeps capitals; leave tokenizer and lowercase '
                              'out, or use documents="lines"')
        tokenizer = "whitespace"
    tokens = tokenize(texts, tokenizer=tokenizer, lowercase=lowercase, min_count=min_count, vocabulary=vocabulary)
    if vocabulary_size is not None and vocabulary_size < len(tokens.vocabulary):
        kept = replace(tokens.vocabulary, strings=tokens.vocabulary.strings[:vocabulary_size])
        ids = np.where(tokens.ids < vocabulary_size, tokens.ids, np.int32(UNKNOWN))
        tokens = Tokens(ids, tokens.offsets, kept)
    reading = {"documents": documents, "tokenizer": plain(tokenizer), "lowercase": lowercase, "min_count": min_count,
               "vocabulary_size": vocabulary_size, "encoding": encoding, "sha256": _digest(texts)}
    return Corpus(tokens, name, reading)


def _digest(documents: Sequence[str] | Texts) -> str:
    """Digest of the documents; that of a file does not depend on its encoding."""
    encoded = [text.encode("utf-8", "surrogatepass")
               for text in (documents.texts if isinstance(documents, Texts) else documents)]
    digest = sha256(np.array([len(encoded), *map(len, encoded)], "<i8").tobytes())
    for part in encoded:
        digest.update(part)
    return digest.hexdigest()


def _documents(source: Any, documents: str, encoding: str | None) -> tuple[Any, str]:
    """The documents as tokenize takes them, and a name for messages."""
    if not isinstance(source, str | os.PathLike):
        if documents != "blocks" or encoding is not None:
            raise OptionError("documents and encoding say how a file is read; a list holds one document per entry")
        if isinstance(source, bytes | dict) or not hasattr(source, "__iter__"):
            raise DataError(f"a corpus is read from a path or a list of documents, not {shown(source)}")
        return (source, source.source) if isinstance(source, Texts) else (list(source), "the list")
    text = read_plain(source, encoding=encoding).replace("\r\n", "\n").replace("\r", "\n")
    name = plain(source)
    if not text.strip():
        raise DataError(f"{name} is empty; a corpus needs running text")
    if documents == "ptb":
        lines = text.removesuffix("\n").split("\n")
        return ["\n".join(f"{line} {END_OF_LINE}" for line in lines)], name
    cut = {"blocks": r"\n[^\S\n]*(?:\n[^\S\n]*)+", "lines": r"\n", "file": r"(?!)"}[documents]
    return [part for part in re.split(cut, text) if not part.isspace() and part], name


def _renumbered(training: Tokens, held_out: Tokens) -> tuple[Tokens, Tokens]:
    """Both with ids by decreasing count in the training part; what does not occur there is unknown."""
    counts = np.bincount(training.ids[training.ids >= 0], minlength=len(training.vocabulary))
    order = np.argsort(-counts, kind="stable")[:np.count_nonzero(counts)]
    number = np.full(len(counts) + 1, UNKNOWN, np.int32)  # the last entry serves the id −1
    number[order] = np.arange(len(order), dtype=np.int32)
    strings = tuple(map(training.vocabulary.strings.__getitem__, order.tolist()))
    vocabulary = Vocabulary(strings, training.vocabulary.tokenizer)
    return (Tokens(number[training.ids], training.offsets, vocabulary),
            Tokens(number[held_out.ids], held_out.offsets, vocabulary))
