"""What the random initial output adds to the output of trained networks (theory, eq. 57)."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import linalg

from tangentlens.data.tokens import UNKNOWN, Tokens, Vocabulary
from tangentlens.errors import DataError, OptionError
from tangentlens.kernels.architecture import Architecture

Array = NDArray[np.float64]
MOST = 10_000  # texts on either side
ROUNDING = 1e-12  # an eigenvalue of Θ below this share of the largest one is rounding, and counts as zero


def prior_variance(architecture: Architecture, tokens: Tokens, others: Tokens, *, time: float) -> Array:
    """Variance of the outputs on n' other texts, over networks that learn n texts from their random initial outputs.

    With Θ the NTK and K the NNGP kernel, and B = (t/n) Θ(x, X) φ_1(−t Θ(X, X) / n), a network of the squared loss has
    the output f(x, t) = f_0(x) + B (y − f_0(X)) (theory, eq. 57): Gaussian, with the mean B y, which is the decision
    that `learn` predicts, and the variance

        Var f(x, t) = K(x, x) − 2 B K(X, x) + B K(X, X) Bᵀ.

    architecture: any, with or without a sparse form; tokens: the n training texts; others: n' texts of the same
    vocabulary; time: of gradient flow on the squared loss, 0 … inf (for gradient descent, learning rate × steps).
    Returns the variances, shape (n',); labels do not matter, and with c outputs each has this variance. In K an unknown
    token is a word of its own, so that the variance counts it; Θ leaves it out as everywhere.

    Dense: about 8 (2 n² + 3 n n') bytes, and a time that grows like n³; 4 GB at the most texts that it takes, 10,000
    on either side. Raises OptionError for more texts or an impossible time, DataError for no training texts, ShapeError
    for another vocabulary.

    Source: Lee et al., Wide neural networks of any depth evolve as linear models under gradient descent, NeurIPS 2019.

    >>> import tangentlens as tl
    >>> tokens = tl.Tokens.from_ids([[0, 1], [2, 1], [0, 0]], vocabulary_size=4)
    >>> others = tl.Tokens.from_ids([[0, 1], [0, 3]], vocabulary_size=4)
    >>> for time in (0, 3.0, float("inf")):
    ...     print(tl.prior_variance(tl.MLP(), tokens, others, time=time).round(3))
    [0.33 0.33]
    [0.019 0.118]
    [0.    0.109]
    """
    _check(tokens, others, time)
    push = _push(architecture, tokens, others, time)
    tokens, others = _named(tokens, others)
    variance = np.array([architecture.kernel(others[[i]], kind="nngp")[0, 0] for i in range(len(others))])
    variance -= 2 * np.sum(push * architecture.kernel(others, tokens, kind="nngp"), axis=1)
    variance += np.sum(push @ architecture.kernel(tokens, kind="nngp") * push, axis=1)
    return np.asarray(np.maximum(variance, 0.0))


def _push(architecture: Architecture, tokens: Tokens, others: Tokens, time: float) -> Array:
    """B = (t/n) Θ(x, X) φ_1(−t Θ(X, X) / n), at t = inf Θ(x, X) Θ⁺ (theory, eq. 56); shape (n', n)."""
    across = architecture.kernel(others, tokens)
    values, vectors = linalg.eigh(architecture.kernel(tokens), overwrite_a=True)
    kept = values > ROUNDING * values.max(initial=0.0)  # Θ(x, ·) lies in the range of Θ
    values, vectors = values[kept], vectors[:, kept]
    return np.asarray((across @ vectors * (-np.expm1(-time / len(tokens) * values) / values)) @ vectors.T)


def _named(tokens: Tokens, others: Tokens) -> tuple[Tokens, Tokens]:
    """Both with every unknown token as a word that occurs once."""
    known = tokens.vocabulary
    strings = known.strings + tuple(f"<unknown {i}>" for i in range(tokens.unknown + others.unknown))
    vocabulary, first, named = Vocabulary(strings), len(known), []
    for side in (tokens, others):
        ids = side.ids.copy()
        ids[ids == UNKNOWN] = np.arange(first, first + side.unknown)
        named.append(Tokens(ids, side.offsets, vocabulary))
        first += side.unknown
    return named[0], named[1]


def _check(tokens: Tokens, others: Tokens, time: Any) -> None:
    number = isinstance(time, int | float | np.number) and not isinstance(time, bool)
    if not number or math.isnan(time) or time < 0:
        raise OptionError(f"time must be a number of at least 0, or inf, not {time!r}")
    if not len(tokens):
        raise DataError("there are no training texts; at the start the variance is architecture.kernel(…, kind='nngp')")
    for name, side in (("training", tokens), ("other", others)):
        if len(side) > MOST:
            raise OptionError(f"{len(side):,} {name} texts: the prior variance needs dense kernels between all texts, "
                              f"and takes at most {MOST:,} on either side; choose some, such as tokens[:{MOST}]")
