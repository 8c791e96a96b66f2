"""Cut texts into tokens and number them."""

from __future__ import annotations

import os
from collections.abc import Sequence

import numpy as np

from tangentlens.data.cutting import Rule
from tangentlens.data.messages import shown, with_surrogates
from tangentlens.data.pieces import Pieces, cut
from tangentlens.data.texts import SEPARATOR, Texts
from tangentlens.data.threads import parallel
from tangentlens.data.tokens import UNKNOWN, Tokens, Vocabulary
from tangentlens.errors import DataError, OptionError

BLOCK = 2**22  # tokens that are renumbered at a time
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
            "scikit-learn": as its vectorizers do by default, in lower case, runs of two or more letters, digits and
            underscores; the separator is cut too.
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
    return _numbered(cut(strings, rule), rule, min_count=min_count)


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


def _numbered(pieces: Pieces, rule: Rule, *, min_count: int) -> Tokens:
    """Our own ids: by decreasing count, then by string."""
    size, ids = len(pieces.strings), pieces.ids
    runs = [slice(low, low + BLOCK) for low in range(0, len(ids), BLOCK)]
    counts = np.zeros(size + 1, np.int64)  # the last is that of unknown tokens
    for some in parallel(lambda run: np.bincount(np.where(ids[run] < 0, size, ids[run]), minlength=size + 1), runs):
        counts += some
    counts = counts[:size]
    order = np.argsort(-counts, kind="stable")
    order = order[counts[order] >= min_count]
    renumber = np.full(len(counts) + 1, UNKNOWN, np.int32)
    renumber[order] = np.arange(len(order), dtype=np.int32)
    vocabulary = Vocabulary(tuple(pieces.strings.gather(order).to_list()), rule.to_json())
    parallel(lambda run: np.copyto(ids[run], renumber[ids[run]]), runs)
    return Tokens(ids, pieces.offsets, vocabulary)


def _known(strings: list[str], rule: Rule, vocabulary: Vocabulary) -> Tokens:
    """Ids in a given vocabulary."""
    pieces = cut(strings, rule)
    known = [vocabulary.ids.get(piece, UNKNOWN) for piece in pieces.strings]
    return Tokens(np.array([*known, UNKNOWN], np.int32)[pieces.ids], pieces.offsets, vocabulary)
