"""Label scores of any network, by asking it about probe texts (theory, section 5).

□ is a token that is never trained. The effect of a pattern is the inclusion–exclusion over its tokens, each set or □:
f(□ … □) itself for the bias, f(… a …) − f(□ … □) for a token, f(ab) − f(a□) − f(□b) + f(□□) for a pair.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tangentlens.data.tokens import UNKNOWN, Tokens, Vocabulary
from tangentlens.errors import DataError, OptionError
from tangentlens.features.patterns import frequent_patterns
from tangentlens.kernels import CNN, MLP, Architecture, ElmanRNN, LinearRNN, MatrixVector, SelfAttention, describe

Array = NDArray[np.float64]
Call = Callable[[Tokens], Any]
DRAWS = 4  # times that every probe is asked, each with other never-trained tokens
LONGEST = 3  # most tokens in an n-gram that is probed


@dataclass(frozen=True)
class Probe:
    """How to ask for the label scores of one family.

    places: of the pattern's tokens, relative to its first; () is the bias. length: tokens in the probe text; starts:
    where the pattern is put, and weights: what each of these answers counts, scale included.
    """

    family: str
    places: tuple[int, ...]
    length: int
    starts: tuple[int, ...]
    weights: tuple[float, ...]

    @property
    def order(self) -> int:
        """Tokens in the pattern."""
        return len(self.places)


def probes_of(architecture: Architecture) -> tuple[Probe, ...]:
    """The probes that make an architecture's families visible.

    Main effects average over interior places and are multiplied by the text's length under mean pooling. For a CNN
    they add up a pattern's offsets; with "valid" padding the single window of a text of kernel_size tokens shows each
    offset by itself, with "same" padding the first and the last place of the text show the windows at the edges.
    ElmanRNN's lags are differences between neighbouring places. Raises OptionError for an unknown architecture.
    """
    for kind, make in _PROBES:
        if isinstance(architecture, kind):
            return tuple(make(architecture))
    raise OptionError(f"there are no probes for {architecture!r}")


def _interior(family: str, places: tuple[int, ...], reach: int, windows: float | None) -> Probe:
    """A pattern so far inside the text that every window of `reach` tokens around it is full."""
    span = places[-1] if places else 0
    starts = tuple(range(reach - 1, reach + 1))
    length = starts[-1] + span + reach
    scale = 1.0 if windows is None else length - windows
    return Probe(family, places, length, starts, (scale / len(starts),) * len(starts))


def _missing(architecture: Any, windows: float) -> float | None:
    """What a text's length exceeds its number of windows by; None where pooling does not divide by them."""
    return windows if architecture.pooling == "mean" else None


def _bias(architecture: Any, length: int) -> Probe:
    return Probe("bias", (), length, (0,), (1.0 if architecture.pooling == "mean" else 1 / length,))


def _mlp(architecture: Any) -> list[Probe]:
    return [_bias(architecture, 4), _interior("token", (0,), 2, _missing(architecture, 0))]


def _attention(architecture: Any) -> list[Probe]:
    return [_interior("token", (0,), 3, _missing(architecture, 0))]


def _cnn(architecture: Any) -> list[Probe]:
    k = architecture.kernel_size
    same = architecture.padding == "same"
    missing = _missing(architecture, 0 if same else k - 1)
    probes = [Probe("bias", (), k, (0,), (1.0 if architecture.pooling == "mean" or not same else 1 / k,)),
              _interior("token", (0,), k, missing)]
    if same:
        scale = float(k) if architecture.pooling == "mean" else 1.0
        probes += [Probe("token first", (0,), k, (0,), (scale,)), Probe("token last", (0,), k, (k - 1,), (scale,))]
    else:
        probes += [Probe(f"token@{offset}", (0,), k, (offset,), (1.0,)) for offset in range(k)]
    for size in range(2, min(k, LONGEST) + 1):
        for rest in combinations(range(1, k), size - 1):
            family = "skip-gram " + " ".join("x" if place in (0, *rest) else "_" for place in range(rest[-1] + 1))
            probes.append(_interior(family, (0, *rest), k, missing))
    return probes


def _matrix_vector(architecture: Any) -> list[Probe]:
    orders = range(1, architecture.order + 1) if architecture.residual else [architecture.order]
    return [_interior(f"n-gram {r}", tuple(range(r)), architecture.order, _missing(architecture, r - 1))
            for r in orders]


def _linear_rnn(architecture: Any) -> list[Probe]:
    orders = range(1, min(architecture.max_order, LONGEST) + 1)
    if architecture.pooling == "last":
        return [Probe(f"n-gram {r}", tuple(range(r)), r + 2, (2,), (1.0,)) for r in orders]
    return [_interior(f"n-gram {r}", tuple(range(r)), 3, _missing(architecture, 0)) for r in orders]


def _elman_rnn(architecture: Any) -> list[Probe]:
    length = 6
    probes = []
    for lag in range(min(architecture.max_lag, LONGEST) + 1):
        scale = float(length) if architecture.pooling == "mean" else 1.0
        start = length - 1 - lag
        nearer = architecture.pooling != "last" and lag > 0  # the next place sees every lag but this one
        starts, weights = ((start, start + 1), (scale, -scale)) if nearer else ((start,), (scale,))
        probes.append(Probe(f"token at lag {lag}", (0,), length, starts, weights))
    return probes


_PROBES: list[tuple[type[Architecture], Callable[[Any], list[Probe]]]] = [
    (MLP, _mlp), (CNN, _cnn), (SelfAttention, _attention), (MatrixVector, _matrix_vector), (LinearRNN, _linear_rnn),
    (ElmanRNN, _elman_rnn),
]


@dataclass(frozen=True, eq=False)
class Probes:
    """Probes and the patterns that each is asked about, as one set of texts.

    patterns: for every probe the token ids (N, order). `texts` gives the probe texts, in the order that `scores`
    expects their outputs in.
    """

    probes: tuple[Probe, ...]
    patterns: tuple[NDArray[np.int64], ...]
    vocabulary: Vocabulary

    @classmethod
    def frequent(cls, architecture: Architecture, tokens: Tokens, *, most: int = 100) -> Probes:
        """The architecture's probes for the patterns that occur most often in these texts, at most `most` each; probes
        of which no pattern occurs are left out. Raises DataError where none remains.
        """
        pairs = [(probe, frequent_patterns(tokens, probe.places, most)) for probe in probes_of(architecture)]
        pairs = [(probe, patterns) for probe, patterns in pairs if len(patterns)]
        if not pairs:
            raise DataError(f"none of the patterns that {describe(architecture)} reads occurs in these {len(tokens)} "
                            "texts; give more or longer texts")
        probes, patterns = zip(*pairs, strict=True)
        return cls(probes, patterns, tokens.vocabulary)

    @property
    def blanks(self) -> int:
        """Never-trained tokens that a network's texts use."""
        return DRAWS * max(probe.length for probe in self.probes)

    def texts(self, *, blanks: bool = True) -> Tokens:
        """The probe texts. blanks=True: □ are the ids v, v + 1, …, for networks built for v + `blanks` tokens, every
        probe DRAWS times with others; blanks=False: □ are unknown tokens, which match nothing, for the prediction.
        """
        rows = [self._rows(probe, patterns, draw) for draw in range(DRAWS if blanks else 1)
                for probe, patterns in zip(self.probes, self.patterns, strict=True)]
        ids = np.concatenate([row.ravel() for row in rows])
        lengths = np.concatenate([np.full(len(row), row.shape[1]) for row in rows])
        size = len(self.vocabulary)
        strings = self.vocabulary.strings + tuple(f"□{number}" for number in range(self.blanks if blanks else 0))
        ids = ids if blanks else np.where(ids >= size, UNKNOWN, ids)
        return Tokens(ids.astype(np.int32), np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
                      Vocabulary(strings, self.vocabulary.tokenizer))

    def scores(self, outputs: Array) -> list[Array]:
        """Label scores by probe, arrays (…, N, c), from outputs (…, texts, c) on `texts`; draws are averaged."""
        sizes = [2**probe.order * len(probe.starts) * len(patterns)
                 for probe, patterns in zip(self.probes, self.patterns, strict=True)]
        draws = outputs.shape[-2] // sum(sizes)
        lead = outputs.shape[:-2]
        mean = outputs.reshape(*lead, draws, sum(sizes), -1).mean(axis=-3)
        results, at = [], 0
        for probe, patterns, size in zip(self.probes, self.patterns, sizes, strict=True):
            block = mean[..., at:at + size, :].reshape(*lead, 2**probe.order, len(probe.starts), len(patterns), -1)
            results.append(np.einsum("s,p,...spnc->...nc", _signs(probe.order), np.array(probe.weights), block))
            at += size
        return results

    def _rows(self, probe: Probe, patterns: NDArray[np.int64], draw: int) -> NDArray[np.int64]:
        """Probe texts (2^order · starts · N, length)."""
        blank = len(self.vocabulary) + draw * (self.blanks // DRAWS) + np.arange(probe.length)
        shape = (2**probe.order, len(probe.starts), len(patterns), probe.length)
        rows = np.broadcast_to(blank, shape).copy()
        for subset in range(2**probe.order):
            for place, start in enumerate(probe.starts):
                for token, step in enumerate(probe.places):
                    if subset >> token & 1:
                        rows[subset, place, :, start + step] = patterns[:, token]
        return rows.reshape(-1, probe.length)


def network_scores(call: Call, probes: Probes) -> dict[str, Array]:
    """Label scores of any network by family, arrays (N, c).

    call: maps Tokens (n texts) to outputs (n, c), an array or a tensor; its network has embeddings for
    v + probes.blanks tokens, the last ones never trained. For a trained network, give the difference to its start.

    >>> import tangentlens as tl
    >>> tokens = tl.Tokens.from_ids([[0, 1], [1, 2]])
    >>> probes = Probes.frequent(tl.MLP(pooling="sum"), tokens)
    >>> scores = network_scores(lambda texts: np.array([[float(sum(ids == 1))] for ids in texts_of(texts)]), probes)
    >>> probes.patterns[1][:, 0].tolist(), scores["token"][:, 0].tolist()
    ([1, 0, 2], [1.0, 0.0, 0.0])
    """
    outputs = call(probes.texts())
    outputs = outputs.detach().cpu().numpy() if hasattr(outputs, "detach") else np.asarray(outputs)
    found = probes.scores(np.asarray(outputs, dtype=np.float64))
    return {probe.family: scores for probe, scores in zip(probes.probes, found, strict=True)}


def texts_of(tokens: Tokens) -> Sequence[NDArray[np.int32]]:
    """The ids of every text, one array each."""
    return np.split(tokens.ids, tokens.offsets[1:-1])


def _signs(order: int) -> Array:
    """(−1)^(tokens left out) for every subset of the pattern's tokens."""
    return np.array([(-1.0) ** (order - int(subset).bit_count()) for subset in range(2**order)])
