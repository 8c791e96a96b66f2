"""Cut texts into tokens and number them."""

from __future__ import annotations

import itertools
import os
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer, trainers

from tangentlens.data.cutting import Rule
from tangentlens.data.messages import plain, shown, with_surrogates
from tangentlens.data.texts import SEPARATOR, Texts
from tangentlens.data.tokens import UNKNOWN, Tokens, Vocabulary
from tangentlens.errors import DataError, OptionError

_CHUNK = 1000  # texts; bounds the memory that Hugging Face's encodings take
_NO_LIMIT = 2**31 - 1

# Unset, the library warns at every later fork; set, a forked child would wait for ever for threads it does not have.
os.environ.setdefault("TOKENIZERS_PARALLELISM", "true")
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=lambda: os.environ.update(TOKENIZERS_PARALLELISM="false"))


def tokenize(texts: Texts | Sequence[str], *, tokenizer: str | os.PathLike[str] = "words", lowercase: bool = False,
             min_count: int = 1, vocabulary: Vocabulary | None = None) -> Tokens:
    """Texts as token ids.

    Args:
        texts: n texts. The separator of a pair of texts stays one token.
        tokenizer: "words": runs of letters, marks and digits are tokens (`mp3`, `1980s`), with apostrophes between
            letters and points or commas between digits (`don't`, `l'homme`, `3.5`, `1,000`). An HTML tag (`<br />`),
            an emoji, and any other visible or invisible character that is no white space is a token of its own, and so
            is every character of Chinese, Japanese, Thai, Lao, Khmer and Burmese.
            "whitespace": the same as `str.split()`. "characters": every code point, spaces too.
            Or the path of a tokenizer.json file; its special tokens are not added, and its unknown token has the id −1.
        lowercase: make everything lower case first, the separator too.
        min_count: tokens seen less often get the id −1.
        vocabulary: that of other tokens, whose rule and ids are used; tokens that it lacks get the id −1.

    Returns:
        Tokens of n texts. A new vocabulary holds the tokens seen at least `min_count` times, the most frequent first,
        equally frequent ones in the order of their code points.

    Raises:
        DataError: a text is not a string or not valid Unicode; a tokenizer.json is missing or broken.
        OptionError: an unknown tokenizer, or options that contradict the vocabulary.

    >>> tokens = tokenize(["Not good.<br />", "good, good"])
    >>> tokens.vocabulary.strings
    ('good', ',', '.', '<br />', 'Not')
    >>> tokenize(["bad, not good"], vocabulary=tokens.vocabulary).ids.tolist()
    [-1, 1, -1, 0]
    """
    separator = texts.separator if isinstance(texts, Texts) else SEPARATOR
    strings = _checked(texts)
    if not isinstance(min_count, int) or min_count < 1:
        raise OptionError(f"min_count is a whole number of at least 1, not {shown(min_count)}")
    if vocabulary is not None and vocabulary.tokenizer:
        if (tokenizer, lowercase, min_count) != ("words", False, 1):
            raise OptionError("the vocabulary says how texts are cut and which tokens count; "
                              "leave tokenizer, lowercase and min_count out")
        return _known(strings, Rule.from_json(vocabulary.tokenizer), vocabulary)
    rule = Rule.choose(tokenizer, lowercase=lowercase, separator=separator)
    if vocabulary is not None:
        return _known(strings, rule, Vocabulary(vocabulary.strings, rule.to_json()))
    if rule.tokenizer == "file":
        encoder = rule.loaded()
    else:
        encoder = rule.words({})
        encoder.train_from_iterator(strings, _trainer(), length=len(strings))
    ids, offsets = _encode(encoder, strings)
    return _numbered(ids, offsets, encoder, rule, min_count=min_count)


def _trainer() -> Any:
    return trainers.WordLevelTrainer(vocab_size=_NO_LIMIT, min_frequency=1, show_progress=False, special_tokens=[])


def _checked(texts: Texts | Sequence[str]) -> list[str]:
    if isinstance(texts, str | bytes):
        raise DataError('tokenize takes a list of texts, not one string; write ["…"]')
    strings = list(texts.texts if isinstance(texts, Texts) else texts)
    odd = next((row for row, text in enumerate(strings) if not isinstance(text, str)), None)
    if odd is not None:
        raise DataError(f"text {odd} (counted from 0) is no string but {shown(strings[odd])}; convert it")
    bad = np.flatnonzero(with_surrogates(strings))
    if len(bad):
        raise DataError(f"text {bad[0]} (counted from 0), {shown(strings[bad[0]])}, holds a lone surrogate "
                        '(no valid Unicode); repair it with text.encode("utf-8", "replace").decode()')
    return strings


def _encode(encoder: Tokenizer, strings: list[str]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The encoder's own ids of all texts (total,), and the offsets (n + 1,)."""
    parts: list[NDArray[np.int64]] = [np.empty(0, np.int64)]
    lengths: list[int] = [0]
    for start in range(0, len(strings), _CHUNK):
        try:
            encodings = encoder.encode_batch_fast(strings[start : start + _CHUNK], add_special_tokens=False)
        except Exception as error:  # the library raises bare Exceptions
            raise DataError(f"the tokenizer fails on the texts from {start} (counted from 0) on: {plain(error)}; "
                            "use another tokenizer.json") from error
        rows = [encoding.ids for encoding in encodings]
        lengths += map(len, rows)
        parts.append(np.fromiter(itertools.chain.from_iterable(rows), np.int64))
    return np.concatenate(parts), np.cumsum(lengths, dtype=np.int64)


def _numbered(ids: NDArray[np.int64], offsets: NDArray[np.int64], encoder: Tokenizer, rule: Rule, *,
              min_count: int) -> Tokens:
    """Our own ids: by decreasing count, then by string."""
    counts = np.bincount(ids)
    kept = np.flatnonzero(counts >= min_count)
    kept = kept[kept != rule.unknown_id(encoder)].tolist()
    named = sorted((-int(counts[index]), encoder.id_to_token(index) or "", index) for index in kept)
    renumber = np.full(len(counts), UNKNOWN, np.int32)
    renumber[[index for _, _, index in named]] = np.arange(len(named), dtype=np.int32)
    vocabulary = Vocabulary(tuple(token for _, token, _ in named), rule.to_json())
    return Tokens(renumber[ids], offsets, vocabulary)


def _known(strings: list[str], rule: Rule, vocabulary: Vocabulary) -> Tokens:
    """Ids in a given vocabulary."""
    if rule.tokenizer != "file":
        unknown = len(vocabulary)
        ids, offsets = _encode(rule.words({**vocabulary.ids, "": unknown}), strings)
        return Tokens(np.where(ids == unknown, UNKNOWN, ids).astype(np.int32), offsets, vocabulary)
    encoder = rule.loaded()
    ids, offsets = _encode(encoder, strings)
    theirs = range(int(ids.max(initial=-1)) + 1)
    known = (vocabulary.ids.get(encoder.id_to_token(index) or "", UNKNOWN) for index in theirs)
    renumber = np.fromiter(known, np.int32)
    unknown = rule.unknown_id(encoder)
    return Tokens(np.where(ids == unknown, UNKNOWN, renumber[ids]).astype(np.int32), offsets, vocabulary)
