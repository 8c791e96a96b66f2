"""N-grams that say the opposite of their words, found in the user's own data: negations, and idioms that reverse."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy import sparse
from scipy.special import expit, ndtr

from tangentlens.data.tokens import UNKNOWN, Tokens
from tangentlens.errors import OptionError
from tangentlens.features.counting import count_matrix
from tangentlens.features.patterns import Patterns, occurrences
from tangentlens.learning.losses import encode
from tangentlens.predictions.chances import at_least, at_most, discovery_rates

Array = NDArray[np.float64]
Counts = NDArray[np.int64]
ROUNDING = 1e-12  # nats


def contrary(tokens: Tokens, labels: Any, *, order: int = 2, least: int = 8, level: float = 0.05) -> pl.DataFrame:
    """The n-grams of `order` consecutive tokens whose polarity is opposite to that of their words.

    Of N texts, K belong to the class, a share π; m contain the n-gram, k of them in the class; n_w contain its word w,
    k_w of them in the class. What the words say is estimated on the N − m texts without the n-gram, so the two sides
    of the comparison share no text. With ℓ(k, m) = log (k + π) / (m − k + 1 − π), log-odds shrunk by one text,

        b = ℓ(K − k, N − m)                           the texts without the n-gram
        polarity = ℓ(k, m) − b                        what the n-gram says
        words = Σ_w (ℓ(k_w − k, n_w − m) − b)         what its words say, each different word once
        s² = Σ_w (1 / (k_w − k + π) + 1 / (n_w − m − k_w + k + 1 − π))      the variance of `words`
        z = (k − m p) / sqrt(V + V² s²)               with p = σ(b + words) and V = m p (1 − p)

    so z measures how far k lies from a sum of the words, counting how uncertain that sum is. An n-gram is contrary if
    polarity and words differ in sign and both signs are certain: the p-value is the larger one of P(Binomial(m, π) is
    at least as far from m π as k, on its side) and Φ(−|words| / s), the test of a qualitative interaction of Gail and
    Simon (1985). That is strict: an n-gram that merely silences its words, or weakens them, has a large |z| and a large
    p. q corrects p for the number of n-grams looked at (Benjamini and Hochberg): of the rows with q ≤ level, at most a
    share `level` is expected to be chance. What is found need not hold a negator: idioms and titles reverse words too.

    Args:
        tokens: n texts. Several occurrences in one text count once, and so do equal texts with equal labels, unless
            they hold an unknown token.
        labels: (n,), one per text. With two classes the class is the last in sorted order; with more, every class is
            set against the rest.
        order: 2 for bigrams, 3 for trigrams, or more. A longer n-gram may be contrary because a shorter one in it is.
        least: an n-gram needs to occur in at least as many texts.
        level: of q; 1 returns every n-gram whose polarity is opposite to that of its words, certain or not.

    Returns:
        A table, least p first: feature (the name, as in `label_scores`), patterns (the token ids), class, texts (m),
        in_class (k), polarity and words (log-odds, in nats), z, p and q.

    Raises:
        OptionError, DataError or ShapeError: an option outside its range, or labels that do not fit.

    Source: Gail and Simon, "Testing for qualitative interactions between treatment effects and patient subsets",
    Biometrics 41 (1985). 33,530 film reviews of 7 million tokens take seconds and about 1 GB.

    >>> import tangentlens as tl
    >>> texts = tl.negations(size=8000).train
    >>> found = tl.contrary(tl.tokenize(texts), texts.labels)
    >>> found.select("feature", "texts", "in_class", pl.col("polarity", "words").round(1)).row(0)
    ('not stale', 16, 16, 3.5, -1.1)
    """
    _check(order, least, level)
    targets = encode(labels, None, texts=len(tokens))
    rows = _distinct(tokens, targets.index)
    tokens, index = tokens[rows], targets.index[rows]
    outputs = np.arange(len(targets.classes))[1 if len(targets.classes) == 2 else 0:]
    counts = _counted(tokens, (index[:, None] == outputs).astype(np.int64), order, least)
    evidence = _weighed(counts)
    chosen = np.nonzero((evidence["q"] <= level) & (evidence["polarity"] * evidence["words"] < 0))
    pattern, output = chosen
    table = pl.DataFrame({
        "feature": _chosen(counts.patterns, pattern).names(order, 0),
        "patterns": pl.Series(counts.tokens[pattern], dtype=pl.Array(pl.Int64, order)).arr.to_list(),
        "class": pl.Series(targets.classes).gather(outputs[output]),
        "texts": counts.texts[pattern],
        "in_class": counts.members[chosen],
        **{name: values[chosen] for name, values in evidence.items()},
    })
    return table.sort("p", pl.col("z").abs(), descending=[False, True], maintain_order=True)


def _check(order: int, least: int, level: float) -> None:
    if not isinstance(order, int) or order < 2:
        raise OptionError(f"order is the number of tokens in an n-gram, at least 2, not {order!r}; a single token has "
                          "no words to oppose")
    if not isinstance(least, int) or least < 1:
        raise OptionError(f"least is a number of texts, at least 1, not {least!r}")
    if not 0 < level <= 1:
        raise OptionError(f"level is above 0 and at most 1, not {level}; 0.05 lets about one in twenty be chance")


def _distinct(tokens: Tokens, index: Counts) -> Counts:
    """The first of all texts that are equal, with their labels; in order."""
    unsure = np.bincount(tokens.text_of_token[tokens.ids == UNKNOWN], minlength=len(tokens)).tolist()
    offsets, labels = tokens.offsets.tolist(), index.tolist()
    first: dict[object, int] = {}
    for row, label in enumerate(labels):
        text = tokens.ids[offsets[row]:offsets[row + 1]].tobytes()
        first.setdefault(row if unsure[row] else (text, label), row)
    return np.fromiter(first.values(), np.int64, len(first))


@dataclass(frozen=True)
class _Counts:
    """Numbers of texts, for d n-grams of r tokens and c classes.

    Shapes: tokens (d, r); texts (d,) and members (d, c), with the n-gram; word_texts (d, r) and word_members (d, r, c),
    with its word but without it; every () and every_members (c,), all of them.
    """

    patterns: Patterns
    tokens: Counts
    texts: Counts
    members: Counts
    word_texts: Counts
    word_members: Counts
    every: int
    every_members: Counts


def _counted(tokens: Tokens, members: Counts, order: int, least: int) -> _Counts:
    """Counts texts; members (n, c) says which are in which class."""
    words = _presence(tokens, tokens.ids.astype(np.int64), len(tokens.vocabulary))
    ids, patterns = occurrences(tokens, tuple(range(order)))
    frequent = np.bincount(ids[ids >= 0], minlength=len(patterns)) >= least  # occurrences bound texts
    column = np.append(np.where(frequent, np.cumsum(frequent) - 1, -1), -1)  # the last entry is that of id −1
    present = _presence(tokens, column[ids], int(np.count_nonzero(frequent)))
    patterns = _chosen(patterns, np.flatnonzero(frequent))
    texts = np.bincount(present.indices, minlength=len(patterns))
    enough = np.flatnonzero(texts >= least)
    texts, within = texts[enough], (present.T @ members)[enough]
    patterns = _chosen(patterns, enough)
    found = patterns.tokens()
    word_texts = np.bincount(words.indices, minlength=len(tokens.vocabulary))
    return _Counts(patterns, found, texts, within, word_texts[found] - texts[:, None],
                   (words.T @ members)[found] - within[:, None], len(tokens), members.sum(axis=0))


def _chosen(patterns: Patterns, rows: Counts) -> Patterns:
    return replace(patterns, keys=patterns.keys[rows])


def _presence(tokens: Tokens, column: Counts, columns: int) -> sparse.csr_array:
    """Whether each column occurs in each text; sparse (n, columns)."""
    matrix = count_matrix(tokens.text_of_token, column, (len(tokens), columns))
    matrix.data[:] = 1
    return matrix


def _weighed(counts: _Counts) -> dict[str, Array]:
    """polarity, words, z, p and q; each of shape (d, c)."""
    share = counts.every_members / counts.every
    m, k = counts.texts[:, None], counts.members
    base = _log_odds(counts.every_members - k, counts.every - m, share)[0]
    single, variance = _log_odds(counts.word_members, counts.word_texts[:, :, None], share)  # (d, r, c)
    new = _first_of_its_kind(counts.tokens)[:, :, None]
    words = _signed(np.sum((single - base[:, None]) * new, axis=1))
    spread = np.sum(variance * new, axis=1)
    p, rest = expit(base + words), expit(-base - words)
    apart = k * rest - (m - k) * p  # k − m p, without the rounding of 1 − p
    varied = np.sqrt(m * p * rest * (1 + m * p * rest * spread))
    z = np.divide(apart, varied, out=np.zeros_like(apart), where=varied > 0)
    own = np.where(words < 0, at_least(k, m, share), at_most(k, m, share))
    chance = np.maximum(own, ndtr(-np.abs(words) / np.sqrt(spread)))
    chance = np.where(words == 0, 1.0, np.clip(chance, 0, 1))
    return {"polarity": _signed(_log_odds(k, m, share)[0] - base), "words": words, "z": z, "p": chance,
            "q": discovery_rates(chance.ravel()).reshape(chance.shape)}


def _log_odds(members: Counts, texts: Counts, share: Array) -> tuple[Array, Array]:
    """Log-odds of the class with one more text, of the base rate `share`, and their variance."""
    inside, outside = members + share, texts - members + 1 - share
    return np.log(inside / outside), 1 / inside + 1 / outside


def _signed(differences: Array) -> Array:
    """Differences of log-odds; what rounding alone may have made has no sign."""
    return np.where(np.abs(differences) < ROUNDING, 0.0, differences)


def _first_of_its_kind(tokens: Counts) -> NDArray[np.bool_]:
    """Which tokens of each n-gram did not occur before in it; shape (d, r)."""
    order = tokens.shape[1]
    earlier = np.tri(order, k=-1, dtype=np.bool_)
    return np.asarray(~np.any((tokens[:, :, None] == tokens[:, None, :]) & earlier, axis=2))
