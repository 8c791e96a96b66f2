"""Short texts that show what a network has learned, asked of predictions and of trained networks alike (section 5).

□ is a token that never occurred in training: to a prediction an unknown one, to a network an embedding that was never
trained, with several draws averaged.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tangentlens.data.tokens import UNKNOWN, Tokens, Vocabulary
from tangentlens.errors import DataError, OptionError, ShapeError
from tangentlens.features.patterns import same_vocabulary
from tangentlens.kernels.architecture import Architecture, check_count
from tangentlens.predictions.trajectory import Trajectory

Array = NDArray[np.float64]
Ask = Callable[[Tokens], Array]
DRAWS = 4  # times that a short text is asked, each with other never-trained tokens
ROUNDING = 1e-12  # a relative standard deviation below this is rounding, and counts as none


@dataclass(frozen=True, eq=False)
class Answers:
    """Outputs f, put together as the measures of section 5 need them; leading axes (T records) are kept.

    Shapes: nothing (…, c): f(□ … □), of `least` tokens; responses (…, k, c): f(□ … a), of as many, for every token a
    that was asked about; interactions: for every array of patterns (…, N, c): I by inclusion–exclusion (eq. 63), and
    wholes, f of the pattern minus f of as many □; mains, joints (…, n, c): M and J of every text (eq. 65), and
    decisions, its f. What was not asked about has N, k or n = 0.
    """

    nothing: Array
    responses: Array
    interactions: tuple[Array, ...]
    mains: Array
    joints: Array
    decisions: Array = field(default_factory=lambda: np.empty((0, 1)))
    wholes: tuple[Array, ...] = ()

    @property
    def effects(self) -> Array:
        """f(a) − f(□): what a token's own co-occurrence earned (eq. 71); shape (…, k, c)."""
        return np.asarray(self.responses - self.nothing[..., None, :])

    @property
    def bias_shares(self) -> Array:
        """|f(□)| / (|f(□)| + |f(a) − f(□)|) of every token and output (eq. 64); shape (…, k, c), NaN for 0/0."""
        bias, own = np.abs(self.nothing)[..., None, :], np.abs(self.effects)
        return np.asarray(np.divide(bias, bias + own, out=np.full(own.shape, np.nan), where=bias + own > 0))

    @property
    def interaction_share(self) -> Array:
        """Var J / (Var M + Var J) over the texts (eq. 65); shape (…), see `share_of_joints`."""
        return share_of_joints(self.mains, self.joints)

    @staticmethod
    def mean(answers: Sequence[Answers]) -> Answers:
        """The answers of the mean of several networks: their outputs are averaged, so it has their shapes."""
        def mean(name: str) -> Any:
            return np.mean([getattr(one, name) for one in answers], axis=0)

        def means(name: str) -> tuple[Array, ...]:
            return tuple(np.mean(part, axis=0) for part in zip(*(getattr(one, name) for one in answers), strict=True))

        return Answers(mean("nothing"), mean("responses"), means("interactions"), mean("mains"), mean("joints"),
                       mean("decisions"), means("wholes"))


@dataclass(frozen=True, eq=False)
class Questions:
    """What to ask: tokens for their response, patterns for their interaction, texts for their interaction share.

    Shapes: tokens (k,) ids; patterns: arrays (N, r) of ids, r ≥ 2 tokens right after one another; texts: n texts of
    known and unknown tokens over the same vocabulary. least: tokens that a text needs to have a window
    (`least_length`); tokens and patterns that are shorter are filled up with □ in front, texts are not.
    Raises OptionError, DataError or ShapeError where this cannot be asked, or nothing is.

    >>> import tangentlens as tl
    >>> tokens = tl.Tokens.from_ids([[0, 1], [2, 1], [0, 0]])
    >>> questions = Questions(tokens.vocabulary, np.array([0, 2]), (np.array([[0, 1]]),), tokens)
    >>> len(questions.asked(blanks=False)), questions.blanks
    (19, 8)
    """

    vocabulary: Vocabulary
    tokens: NDArray[np.int64] = ()  # type: ignore[assignment]
    patterns: tuple[NDArray[np.int64], ...] = ()
    texts: Tokens | None = None
    least: int = 1

    def __post_init__(self) -> None:
        check_count("least", self.least)
        if self.texts is not None:
            same_vocabulary(self.vocabulary, self.texts.vocabulary)
        object.__setattr__(self, "tokens", self._ids(self.tokens))
        object.__setattr__(self, "patterns", tuple(self._ids(ids) for ids in self.patterns))
        if self.tokens.ndim != 1:
            raise OptionError(f"tokens is one list of token ids, not an array of the shape {self.tokens.shape}")
        for ids in self.patterns:
            if ids.ndim != 2 or ids.shape[1] < 2:
                raise OptionError("patterns are arrays of token ids with one row per n-gram of at least 2 tokens, not "
                                  f"of the shape {ids.shape}; a single token goes into tokens=")
        if not len(self.tokens) and not self.patterns and self.texts is None:
            raise DataError("nothing is asked; give token ids as tokens=, n-grams as patterns=, or texts=")

    def _ids(self, ids: ArrayLike) -> NDArray[np.int64]:
        found = np.asarray(ids)
        if found.size and found.dtype.kind not in "iu":
            raise DataError(f"tokens are asked about by their ids, whole numbers, not by {found.ravel()[0]!r}; "
                            "vocabulary.ids maps token strings to ids")
        outside = found[(found < 0) | (found >= len(self.vocabulary))]
        if len(outside):
            raise DataError(f"a token asked about has the id {outside[0]}, outside the vocabulary of "
                            f"{len(self.vocabulary)} tokens; ids run from 0 to {len(self.vocabulary) - 1}")
        return found.astype(np.int64)

    @property
    def blanks(self) -> int:
        """Never-trained tokens that a network needs, with the ids v, v + 1, …: it has v + blanks embeddings."""
        longest = 0 if self.texts is None else int(self.texts.lengths.max(initial=0))
        short = max([self.least, *(int(ids.shape[1]) for ids in self.patterns)])
        return max(DRAWS * short, longest)

    def asked(self, *, blanks: bool = True) -> Tokens:
        """The texts whose outputs `answers` reads. blanks=True, for networks: □ are the ids from v on, and short texts
        are asked DRAWS times, each with others; blanks=False, for predictions: □ are unknown tokens, asked once.
        """
        size = len(self.vocabulary)
        rows = [row for draw in range(DRAWS if blanks else 1) for row in self._short(draw)]
        lengths = [np.full(len(row), row.shape[1]) for row in rows]
        flat = [row.ravel() for row in rows]
        if self.texts is not None:
            long, long_lengths = self._long(self.texts)
            flat, lengths = [*flat, long], [*lengths, long_lengths]
        ids = np.concatenate(flat)
        strings = self.vocabulary.strings + tuple(f"□{number}" for number in range(self.blanks if blanks else 0))
        ids = ids if blanks else np.where(ids >= size, UNKNOWN, ids)
        return Tokens(ids.astype(np.int32), np.concatenate([[0], np.cumsum(np.concatenate(lengths))]).astype(np.int64),
                      Vocabulary(strings, self.vocabulary.tokenizer))

    def answers(self, outputs: Array) -> Answers:
        """What outputs (…, N, c) on the N texts of `asked`, in their order, say; □ are averaged over their draws."""
        n = 0 if self.texts is None else len(self.texts)
        total = 0 if self.texts is None else int(self.texts.lengths.sum())
        sizes = [1, len(self.tokens), *(2**ids.shape[1] * len(ids) for ids in self.patterns)]
        asked = [draws * sum(sizes) + 2 * n + total for draws in (DRAWS, 1)]
        if outputs.ndim < 2 or outputs.shape[-2] not in asked:
            raise ShapeError(f"outputs of the shape {outputs.shape} do not fit to these questions, which ask about "
                             f"{asked[0]} texts (or {asked[1]} with blanks=False); give outputs (…, texts, c)")
        short = outputs[..., :outputs.shape[-2] - 2 * n - total, :]
        mean = short.reshape(*short.shape[:-2], -1, sum(sizes), short.shape[-1]).mean(axis=-3)
        nothing, responses, *cubes = np.split(mean, np.cumsum(sizes)[:-1], axis=-2)
        interactions = tuple(_inclusion_exclusion(cube, ids.shape[1]) for cube, ids in
                             zip(cubes, self.patterns, strict=True))
        whole, blank, single = np.split(outputs[..., outputs.shape[-2] - 2 * n - total:, :], [n, 2 * n], axis=-2)
        mains = self._mains(single - self._repeated(blank))
        wholes = tuple(cube[..., -len(ids):, :] - cube[..., :len(ids), :] for cube, ids in
                       zip(cubes, self.patterns, strict=True))
        return Answers(nothing[..., 0, :], responses, interactions, mains, whole - blank - mains, whole, wholes)

    def _repeated(self, by_text: Array) -> Array:
        return by_text if self.texts is None else by_text[..., self.texts.text_of_token, :]

    def _mains(self, effects: Array) -> Array:
        """Sums over the tokens of every text; (…, total, c) → (…, n, c)."""
        if self.texts is None:
            return effects
        filled = self.texts.lengths > 0
        sums = np.zeros((*effects.shape[:-2], len(filled), effects.shape[-1]))
        sums[..., filled, :] = np.add.reduceat(effects, self.texts.offsets[:-1][filled], axis=-2)
        return sums

    def _short(self, draw: int) -> Iterator[NDArray[np.int64]]:
        """Rows of equal length: □, tokens, and every pattern with each subset of its tokens set."""
        blank = len(self.vocabulary) + draw * (self.blanks // DRAWS) + np.arange(self.blanks // DRAWS)
        single = np.broadcast_to(blank[:self.least], (1 + len(self.tokens), self.least)).copy()
        single[1:, -1] = self.tokens
        yield single
        for ids in self.patterns:
            order, length = ids.shape[1], max(self.least, ids.shape[1])
            rows = np.broadcast_to(blank[:length], (2**order, len(ids), length)).copy()
            for subset in range(2**order):
                chosen = [place for place in range(order) if subset >> place & 1]
                rows[subset][:, [length - order + place for place in chosen]] = ids[:, chosen]
            yield rows.reshape(-1, length)

    def _long(self, texts: Tokens) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Flat ids and lengths: the texts, their length in □, and each of their tokens with □ around it.

        An unknown token of a text is a □.
        """
        size, lengths = len(self.vocabulary), texts.lengths
        place = np.arange(len(texts.ids)) - texts.offsets[:-1][texts.text_of_token]
        ids = np.where(texts.ids < 0, size + place, texts.ids)
        each = lengths[texts.text_of_token]  # length of the text around every token
        starts = np.cumsum(each) - each
        around = size + np.arange(int(each.sum())) - np.repeat(starts, each)
        around[starts + place] = ids
        return np.concatenate([ids, size + place, around]), np.concatenate([lengths, lengths, each])


def _inclusion_exclusion(cube: Array, order: int) -> Array:
    """Σ over subsets of (−1)^(tokens left out) f; (…, 2^order N, c) → (…, N, c)."""
    signs = np.array([(-1.0) ** (order - int(subset).bit_count()) for subset in range(2**order)])
    blocks = cube.reshape(*cube.shape[:-2], 2**order, cube.shape[-2] // 2**order, cube.shape[-1])
    return np.asarray(np.einsum("s,...snc->...nc", signs, blocks))


def share_of_joints(mains: Array, joints: Array) -> Array:
    """Var J / (Var M + Var J) over texts, the variances summed over outputs (eq. 65); (…, n, c) → (…).

    NaN where nothing varies, as for one text, or none.
    """
    if not mains.shape[-2]:
        return np.full(mains.shape[:-2], np.nan)
    main, joint = (np.asarray(np.var(part, axis=-2).sum(axis=-1)) for part in (mains, joints))
    size = np.mean(mains**2 + joints**2, axis=-2).sum(axis=-1)
    varies = main + joint > ROUNDING**2 * size
    return np.asarray(np.divide(joint, main + joint, out=np.full(main.shape, np.nan), where=varies))


def predicted(architecture: Architecture, trajectory: Trajectory, step: int = -1) -> Ask:
    """The predicted decision function at a record: texts over the training vocabulary → outputs (n, c)."""
    scores = trajectory.scores(step)
    return lambda tokens: architecture.features(tokens, columns=trajectory.features).pull(scores)


def answers_of(architecture: Architecture, trajectory: Trajectory, questions: Questions,
               steps: Iterable[int] | None = None) -> Answers:
    """The prediction's answers at the last record, without a leading axis; with `steps`, places of records of the
    trajectory (see Trajectory), on a leading axis (T records).

    Raises ShapeError where the questions have another vocabulary than the training texts.
    """
    asked = architecture.features(questions.asked(blanks=False), columns=trajectory.features)
    if steps is None:
        return questions.answers(trajectory.decision(asked))
    return questions.answers(np.stack([trajectory.decision(asked, step) for step in steps]))


def least_length(architecture: Any) -> int:
    """Tokens that a text needs to have a window: with fewer, the architecture answers 0."""
    if getattr(architecture, "padding", None) == "valid":
        return int(architecture.kernel_size)
    return 1 if getattr(architecture, "residual", True) else int(architecture.order)
