"""The two simplest families: counts of single tokens, and the number of windows."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from tangentlens.data.tokens import Tokens
from tangentlens.features.counting import MANY, count_texts
from tangentlens.features.family import Array, Family, Features
from tangentlens.features.patterns import Patterns, occurrences
from tangentlens.features.windows import Windows, pooling_weight


def known_patterns(columns: Features | None, shape: tuple[int, ...]) -> Patterns | None:
    """The patterns of that shape in `columns`; families of one shape share theirs."""
    for family in () if columns is None else columns.families:
        if family.patterns is not None and family.patterns.shape == shape:
            return family.patterns
    return None


def token_family(tokens: Tokens, columns: Features | None, *, coefficient: float, pooling: str,
                 attention: Array | None = None) -> Family:
    """Family `token`: how often each token stands in each text, positions weighted by `attention` (total,) if given."""
    ids, patterns = occurrences(tokens, (0,), known_patterns(columns, (0,)))
    shape = (len(tokens), len(patterns))
    raw = count_texts(tokens.offsets, ids, len(patterns),
                      np.float64 if attention is None and len(tokens) >= MANY else np.int32)
    weight = pooling_weight(tokens.lengths, pooling)
    values = None
    if attention is not None:
        values = _weighted(tokens.text_of_token, ids, attention, shape).data
        values = values * np.repeat(weight, np.diff(raw.indptr))
    return Family("token", patterns, raw, weight, np.array([[coefficient]]), values=values)


def bias_family(windows: Windows, pooling: str, coefficients: Array, present: NDArray[np.int32] | None = None,
                groups: tuple[str, ...] = ("",)) -> Family:
    """Family `bias`: the number of windows of each text, by group where `present` (w,) gives each window's group."""
    raw = _lengths(windows.per_text) if present is None else count_texts(windows.offsets, present, len(groups))
    return Family("bias", None, raw, pooling_weight(windows.per_text, pooling), coefficients, groups)


def _lengths(per_text: NDArray[np.int64]) -> sparse.csr_array:
    """One column of how many windows each text has; no entry for none."""
    indptr = np.append(0, np.cumsum(per_text > 0)).astype(np.int32)
    data = per_text[per_text > 0].astype(np.int32)
    return sparse.csr_array((data, np.zeros(len(data), np.int32), indptr), shape=(len(per_text), 1))


def _weighted(text: NDArray[np.int64], column: NDArray[np.int32], value: Array, shape: tuple[int, int]
              ) -> sparse.csr_array:
    keep = column >= 0
    indptr = np.searchsorted(text[keep], np.arange(shape[0] + 1))
    matrix = sparse.csr_array((value[keep], column[keep], indptr), shape=shape)
    matrix.sum_duplicates()
    return matrix
