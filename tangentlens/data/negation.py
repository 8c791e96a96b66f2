"""A grammar of negation: which negator and adjective stand together in training is controlled, so is what is held out.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from tangentlens.data.grammar import BAD, GOOD, INTENSIFIERS, LINKS, NOUNS
from tangentlens.data.texts import Texts
from tangentlens.errors import OptionError

NEGATORS = np.array(["not", "never", "hardly", "scarcely", "barely"])
ADJECTIVES = np.concatenate([GOOD, ["brilliant", "gripping", "lovely", "witty"],
                             BAD, ["weak", "hollow", "messy", "lifeless"]])  # one half positive, the other negative
STRONG = 0.4  # share of clauses with an intensifier
HELD_TEXTS = 1 / 4  # as a share of the number of training texts
_HALF = len(ADJECTIVES) // 2
_CUBE = (len(NEGATORS) + 1, len(INTENSIFIERS) + 1, len(ADJECTIVES))  # in the first two axes 0 stands for none
_OPENINGS = np.array(["", "", "overall , ", "honestly , ", "i thought ", "to me "])
_VERBS = np.array([" is ", " was ", " seemed "])
_ENDINGS = np.array(["", " .", " !"])


@dataclass(frozen=True, eq=False)
class Negations:
    """Training texts, texts of held-out combinations, and what was combined.

    train: Texts of n sentences, labels "negative" and "positive"; flipped: which of these labels are noise, (n,).
    held: Texts in which every clause is a held-out combination; their labels are never noise.
    combinations: a table with one row for every n-gram of a negator, an intensifier or none, and an adjective: pattern
    (`not very good`), words (the same as a list), polarity (the label that it stands for, opposite to its adjective's),
    held_out (whether it never occurs in `train`), new_pair (whether its negator and adjective never stand together
    there, with any intensifier or none), count (its clauses: of `held` if it is held out, of `train` if not; 0 where
    there were fewer clauses than combinations).
    """

    train: Texts
    held: Texts
    combinations: pl.DataFrame
    flipped: NDArray[np.bool_]  # (n,)


def negations(size: int = 2000, *, seed: int = 0, positive: float = 0.5, negated: float = 0.3, noise: float = 0.0,
              held_out: float = 0.2, clauses: int = 1) -> Negations:
    """Sentences such as `overall , the plot was not really clever .`: negators flip an adjective, intensifiers do not.

    A clause is positive if its adjective is positive and stands alone or with an intensifier, or if its adjective is
    negative and negated. All clauses of a text agree. There are 12 adjectives of each polarity, 5 negators and 4
    intensifiers; nouns, verbs, openings and endings say nothing. Everything is dealt evenly, so in expectation

        log-odds of "positive" − their base rate = ± log((1 − negated) / negated)   for a clause with one adjective

    (with noise and classes of one size ± log(q / (1 − q)), q = (1 − noise) (1 − negated) + noise · negated), and 0 for
    a negator or an intensifier by itself: what a combination means is no sum of what its words mean.

    Held out are, for either polarity, a share h of the pairs of a negator and an adjective (alone and with every
    intensifier), and the same share of the triples negator, intensifier, adjective of the other pairs. So the pair of
    a held-out triple is either new, too, or trained with other words between: `new_pair` tells which. In training,
    every adjective occurs un-negated, every negator and intensifier occurs, every negator keeps adjectives that it may
    stand with, and every adjective negators.

    Args:
        size: number n of training texts; there are n / 4 held-out texts, half of them positive.
        seed: the same texts on every machine.
        positive: share of positive training texts before the noise, reached to within one text; between 0 and 1.
        negated: share of the training clauses that are negated; above 0, at most 0.5, where words alone say nothing.
        noise: share of the training labels that are flipped, the same in both classes; 0 to 0.5.
        held_out: h, 0 to 0.8; 0 leaves `held` empty.
        clauses: number of clauses in every text.

    Raises:
        OptionError: an option outside of its range, or too few texts for all words to occur.

    >>> made = negations(seed=1)
    >>> len(made.train), len(made.held), made.train.texts[2], str(made.train.labels[2])
    (2000, 500, 'overall , the acting seemed never dull', 'positive')
    >>> made.combinations.select("pattern", "polarity", "held_out", "new_pair", "count").row(0)
    ('not good', 'negative', False, False, 3)
    """
    _check(size, clauses, positive=positive, negated=negated, noise=noise, held_out=held_out)
    rng = np.random.default_rng(seed)
    held, new_pair = _held_out(held_out, rng)
    labels = rng.permutation(np.arange(size) < round(positive * size))  # (n,)
    clause_labels = np.repeat(labels, clauses)
    chosen = _dealt(clause_labels, _drawn(clause_labels, negated, rng), ~held, rng)
    _check_words(chosen, size)
    rest = int(size * HELD_TEXTS) if held_out else 0
    held_labels = rng.permutation(np.arange(rest) % 2 == 0)
    held_chosen = _dealt(np.repeat(held_labels, clauses), np.ones(rest * clauses, np.bool_), held, rng)
    flipped = _drawn(labels, noise, rng)
    return Negations(_texts(chosen.reshape(size, clauses), labels ^ flipped, rng),
                     _texts(held_chosen.reshape(rest, clauses), held_labels, rng),
                     _table(held, new_pair, np.concatenate([chosen, held_chosen])), flipped)


def _check(size: int, clauses: int, **shares: float) -> None:
    if size < 2 or clauses < 1:
        raise OptionError(f"size must be at least 2 texts and clauses at least 1, not {size} and {clauses}")
    if not 0 < shares["positive"] < 1:
        raise OptionError(f"positive is a share between 0 and 1 of the texts, not {shares['positive']}")
    if not 0 < shares["negated"] <= 0.5:
        raise OptionError(f"negated must be above 0 and at most 0.5, not {shares['negated']}: where most adjectives "
                          "are negated, they stand for their opposites")
    if not 0 <= shares["noise"] <= 0.5:
        raise OptionError(f"noise must be between 0 and 0.5, not {shares['noise']}; more would rename the classes")
    pairs = len(NEGATORS) * _HALF
    if shares["held_out"] and not 1 / pairs <= shares["held_out"] <= 0.8:
        raise OptionError(f"held_out must be 0, or between {1 / pairs:.3f} (one of {pairs} pairs) and 0.8 (every "
                          f"adjective keeps a negator to learn from), not {shares['held_out']}")


def _held_out(share: float, rng: np.random.Generator) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Which cells of the cube are held out, and which of them are new pairs; both flat."""
    held, new_pair = np.zeros(_CUBE, np.bool_), np.zeros(_CUBE, np.bool_)
    for first in (0, _HALF):
        # 5 and 12 have no common divisor: pairs p are all different, and any run of them is even in both words
        pairs = np.arange(len(NEGATORS) * _HALF)
        negator = 1 + rng.permutation(len(NEGATORS))[pairs % len(NEGATORS)]
        adjective = first + rng.permutation(_HALF)[pairs % _HALF]
        cut = round(share * len(pairs))
        new_pair[negator[:cut], :, adjective[:cut]] = True
        rest = len(pairs) - cut
        round_of, place = np.divmod(np.arange(rest * len(INTENSIFIERS)), rest)
        intensifier = 1 + rng.permutation(len(INTENSIFIERS))[(place + round_of) % len(INTENSIFIERS)]
        place, intensifier = place[:round(share * len(place))], intensifier[:round(share * len(place))]
        held[negator[cut + place], intensifier, adjective[cut + place]] = True
    return (held | new_pair).ravel(), new_pair.ravel()


def _drawn(groups: NDArray[np.bool_], share: float, rng: np.random.Generator) -> NDArray[np.bool_]:
    """A mask of the given share of either group, to within one; shape (size,)."""
    mask = np.zeros(len(groups), np.bool_)
    for group in (False, True):
        places = rng.permutation(np.flatnonzero(groups == group))
        mask[places[:round(share * len(places))]] = True
    return mask


def _dealt(labels: NDArray[np.bool_], negated: NDArray[np.bool_], allowed: NDArray[np.bool_], rng: np.random.Generator
           ) -> NDArray[np.int64]:
    """A cell of the cube for every clause, each allowed cell of its kind as often as the others to within one."""
    strong = _drawn(labels, STRONG, rng)
    negator, intensifier, adjective = np.unravel_index(np.arange(np.prod(_CUBE)), _CUBE)
    kinds = 4 * ((adjective < _HALF) ^ (negator > 0)) + 2 * (negator > 0) + (intensifier > 0)
    wanted = 4 * labels + 2 * negated + strong
    chosen = np.empty(len(labels), np.int64)
    for kind in range(8):
        cells, places = np.flatnonzero((kinds == kind) & allowed), np.flatnonzero(wanted == kind)
        chosen[places] = rng.permutation(np.resize(rng.permutation(cells), len(places)))
    return chosen


def _check_words(chosen: NDArray[np.int64], size: int) -> None:
    """Every adjective occurs un-negated, every negator and every intensifier occurs."""
    negator, intensifier, adjective = np.unravel_index(chosen, _CUBE)
    words = len(np.unique(adjective[negator == 0])), len(np.unique(negator)), len(np.unique(intensifier))
    if words != (_CUBE[2], _CUBE[0], _CUBE[1]):
        raise OptionError(f"size={size} texts are too few for every word to occur in training; give more texts or "
                          "clauses, or move positive or negated nearer to 0.5")


def _texts(chosen: NDArray[np.int64], labels: NDArray[np.bool_], rng: np.random.Generator) -> Texts:
    """Sentences of the chosen cells (n, clauses)."""
    size, clauses = chosen.shape
    sentences: NDArray[np.str_] = rng.choice(_OPENINGS, size)
    for clause in range(clauses):
        negator, intensifier, adjective = np.unravel_index(chosen[:, clause], _CUBE)
        parts = [rng.choice(LINKS, size) if clause else "", "the ", rng.choice(NOUNS, size), rng.choice(_VERBS, size),
                 _spaced(NEGATORS)[negator], _spaced(INTENSIFIERS)[intensifier], ADJECTIVES[adjective]]
        for part in parts:
            sentences = np.strings.add(sentences, part)
    sentences = np.strings.add(sentences, rng.choice(_ENDINGS, size))
    return Texts(tuple(sentences.tolist()), np.where(labels, "positive", "negative"), source="the negation grammar")


def _spaced(words: NDArray[np.str_]) -> NDArray[np.str_]:
    """Nothing, and every word with a space behind it."""
    return np.concatenate([[""], np.strings.add(words, " ")])


def _table(held: NDArray[np.bool_], new_pair: NDArray[np.bool_], chosen: NDArray[np.int64]) -> pl.DataFrame:
    """The table `combinations`: negated cells of the cube, the pairs first."""
    cells = np.arange(len(held))
    negator, intensifier, adjective = np.unravel_index(cells, _CUBE)
    cells = cells[negator > 0][np.argsort(intensifier[negator > 0] > 0, kind="stable")]
    parts = (_spaced(NEGATORS)[negator], _spaced(INTENSIFIERS)[intensifier], ADJECTIVES[adjective])
    pattern = np.strings.add(np.strings.add(parts[0], parts[1]), parts[2])
    return pl.DataFrame({
        "pattern": pattern[cells],
        "words": pl.Series(pattern[cells]).str.split(" "),
        "polarity": np.where(adjective < _HALF, "negative", "positive")[cells],
        "held_out": held[cells],
        "new_pair": new_pair[cells],
        "count": np.bincount(chosen, minlength=len(held))[cells],
    })
