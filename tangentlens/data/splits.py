"""Hold out a part of the texts."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tangentlens.data.texts import Texts
from tangentlens.errors import OptionError


def split(texts: Texts, share: float = 0.1, *, seed: int = 0) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Numbers of the training texts and of the validation texts, both in increasing order.

    Of every class about `share` of the texts, at least one if possible, is held out, and at least one is kept. Equal
    texts fall on the same side; if their labels differ, they stay in training.

    >>> training, validation = split(Texts(tuple("aabcdefgh")), 0.25)
    >>> len(training), len(validation)
    (7, 2)
    """
    if not 0 < share < 1:
        raise OptionError(f"share must be between 0 and 1, not {share}")
    groups = {text: group for group, text in enumerate(dict.fromkeys(texts.texts))}
    group_of = np.fromiter(map(groups.__getitem__, texts.texts), np.int64, len(texts))  # (n,)
    class_of = _class_numbers(texts)
    low = np.full(len(groups), len(texts))
    high = np.zeros(len(groups), np.int64)
    np.minimum.at(low, group_of, class_of)
    np.maximum.at(high, group_of, class_of)
    sizes = np.bincount(group_of, minlength=len(groups))
    held_out = np.zeros(len(groups), bool)
    rng = np.random.default_rng(seed)
    for number, total in enumerate(np.bincount(class_of).tolist()):
        mine = rng.permutation(np.flatnonzero((low == number) & (high == number)))
        target = min(max(1, round(share * total)), total - 1)
        mine = mine[np.argsort(sizes[mine] > target, kind="stable")]
        held_out[mine[np.cumsum(sizes[mine]) <= target]] = True
    side = held_out[group_of]
    return np.flatnonzero(~side), np.flatnonzero(side)


def _class_numbers(texts: Texts) -> NDArray[Any]:
    if texts.labels is None:
        return np.zeros(len(texts), np.int64)
    return np.searchsorted(np.array(texts.classes), texts.labels)
