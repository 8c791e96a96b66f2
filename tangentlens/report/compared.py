"""Fills a report's tables of what makes architectures differ, from trajectories and the evidence in the texts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from tangentlens.errors import OptionError
from tangentlens.features.patterns import escaped, names_of
from tangentlens.kernels import Architecture, SelfAttention, describe
from tangentlens.kernels.activations import ACTIVATIONS
from tangentlens.kernels.comparing import parts
from tangentlens.predictions.chances import rate_error
from tangentlens.predictions.evidence import ORDERS, Evidence
from tangentlens.predictions.measures import bias_sources, by_order, mains_and_joints
from tangentlens.predictions.questions import Answers, least_length, share_of_joints
from tangentlens.predictions.trajectory import Trajectory
from tangentlens.report.content import COMPARED, ComparedAnswer

STRONGEST = 100  # tokens with the largest effects, whose rank the bias may change
SHOWN = 20  # rows of a table of examples
POSITIONS = 2**24  # Σ L² of the texts that the interaction share of attention with positions is taken over
BATCH = 2**21  # the same at a time
ROUNDING = 1e-9  # smaller shares, and effects relative to the largest one, are none

Array = NDArray[np.float64]
Row = dict[str, Any]


@dataclass(frozen=True, eq=False)
class Learned:
    """An architecture at its best time. scores: label scores by family; table: the audit's, from its first one on."""

    architecture: Architecture
    trajectory: Trajectory
    scores: list[Array]
    table: pl.DataFrame

    @classmethod
    def of(cls, architecture: Architecture, trajectory: Trajectory, table: pl.DataFrame) -> Learned:
        """Takes the label scores at the best time."""
        return cls(architecture, trajectory, trajectory.scores(trajectory.best), table)

    @cached_property
    def rows(self) -> list[int]:
        """How many rows of the table each family has: its features that occur in the training texts."""
        return [int(np.count_nonzero(family.occurrences.sum(axis=0))) * len(self.outputs)
                for family in self.trajectory.features.families]

    @property
    def outputs(self) -> list[str]:
        """The classes that the c outputs speak for."""
        return [str(name) for name in self.trajectory.outputs]


def compared(learned: Learned, evidence: Evidence, labels: Any) -> tuple[ComparedAnswer, NDArray[np.bool_]]:
    """What makes this architecture differ, still without `leads`, and which held-out texts it gets right, (n',).

    labels: (n',), of the held-out texts.
    """
    architecture, trajectory = learned.architecture, learned.trajectory
    questions = evidence.questions(least_length(architecture))
    short = architecture.features(questions.asked(blanks=False), columns=trajectory.features)
    answers = questions.answers(short.pull(learned.scores))
    held = evidence.held if len(evidence.held) else evidence.train
    features = trajectory.features if held is evidence.train else architecture.features(held, trajectory.features)
    sums = by_order(features, learned.scores)
    right = trajectory.decided(sums.sum(axis=0)) == labels if len(evidence.held) else np.empty(0, np.bool_)
    share, texts = _interaction_share(learned, sums, evidence)
    spectrum = architecture.spectrum()
    found = ComparedAnswer(
        name=describe(architecture),
        longest=int(spectrum.filter(pl.col("share") > ROUNDING)["order"].max() or 0),  # type: ignore[arg-type]
        accuracy=accuracy_table(right, evidence.holding), leads=_empty("leads"),
        contrary=_contrary(learned, answers, evidence), interactions=_interactions(learned, answers, evidence),
        interaction_share=share, share_texts=texts, share_held=held is evidence.held,
        bias=_bias(learned, answers), frequent=len(evidence.frequent), strongest=_strongest(evidence),
        flipped=_flipped(learned, answers, evidence), unbiased=unbiased(architecture), learned=_learned(learned))
    return found, right


def with_leads(answers: Sequence[ComparedAnswer], right: Sequence[NDArray[np.bool_]],
               holding: NDArray[np.bool_]) -> tuple[ComparedAnswer, ...]:
    """The answers with `leads`; right: which of the same n' held-out texts each of them gets right; holding: which of
    these texts hold a contrary n-gram.
    """
    found = []
    for answer, mine in zip(answers, right, strict=True):
        rows = [(other.name, *lead(mine, theirs), *disagreements(mine, theirs, holding))
                for other, theirs in zip(answers, right, strict=True) if other is not answer and len(mine)]
        found.append(replace(answer, leads=_table("leads", rows)))
    return tuple(found)


def lead(mine: NDArray[np.bool_], theirs: NDArray[np.bool_]) -> tuple[float, float]:
    """Difference in accuracy on the same n texts, and its standard error sqrt(b + c) / n where both are as good, b and
    c being the texts that only one of them gets right (McNemar).

    >>> lead(np.array([True, True, True, False]), np.array([True, False, False, False]))
    (0.5, 0.3535533905932738)
    """
    only, other = int(np.sum(mine & ~theirs)), int(np.sum(theirs & ~mine))
    return (only - other) / len(mine), float(np.sqrt(only + other)) / len(mine)


def disagreements(mine: NDArray[np.bool_], theirs: NDArray[np.bool_], holding: NDArray[np.bool_]) -> list[int]:
    """b and c of `lead`: of all texts, of those with a contrary n-gram (`holding`), and of those without one.

    >>> one, other = np.array([True, True, True, False]), np.array([True, False, False, True])
    >>> disagreements(one, other, np.array([True, True, False, False]))
    [2, 1, 1, 0, 1, 1]
    """
    only, lost = mine & ~theirs, theirs & ~mine
    return [int(np.sum(which & some)) for some in (np.ones_like(holding), holding, ~holding) for which in (only, lost)]


def unbiased(architecture: Architecture) -> tuple[str, ...]:
    """Activations with which the architecture would have no bias family, all other options staying; () if it has none.

    >>> from tangentlens.kernels import CNN, MLP
    >>> unbiased(MLP()), unbiased(MLP(activation="tanh")), unbiased(CNN(bias_std=0.5))
    (('identity', 'erf', 'sin', 'tanh'), (), ())
    """
    names = [field.name for field in fields(architecture)]  # type: ignore[arg-type]
    if "activation" not in names or parts(architecture.spectrum())[0] <= ROUNDING:
        return ()
    return tuple(name for name in ACTIVATIONS if _bias_share(architecture, name) <= ROUNDING)


def _bias_share(architecture: Architecture, activation: str) -> float:
    try:
        return parts(replace(architecture, activation=activation).spectrum())[0]  # type: ignore[type-var]
    except (ArithmeticError, OptionError):
        return 1.0


def accuracy_table(right: NDArray[np.bool_], holding: NDArray[np.bool_]) -> pl.DataFrame:
    """How many of n held-out texts are right: of all, of those with a contrary n-gram (`holding`), and without one."""
    rows = []
    for subset, chosen in (("all", right), ("with", right[holding]), ("without", right[~holding])):
        if len(right):
            share = float(chosen.mean()) if len(chosen) else float("nan")
            rows.append((subset, len(chosen), share, rate_error(int(chosen.sum()), len(chosen))))
    return _table("accuracy", rows)


def _contrary(learned: Learned, answers: Answers, evidence: Evidence) -> pl.DataFrame:
    """The same rows for every architecture, with its effect and interaction on the output of the row's class."""
    names = [str(name) for name in evidence.contrary["class"]]
    table = evidence.contrary.with_columns(pl.Series("class", names, dtype=pl.String))
    place = [learned.outputs.index(name) for name in names]
    rows = np.arange(len(place))
    joint = answers.joints[rows, place]
    effect = _rounded(answers.mains[rows, place] + joint, answers)
    return table.with_columns(effect=pl.Series(effect), interaction=pl.Series(_rounded(joint, answers))).select(
        pl.col(name).cast(kind) for name, kind in COMPARED["contrary"].items())


def _rounded(values: Array, answers: Answers) -> Array:
    """0 where there is nothing but rounding."""
    sizes = (np.abs(part).max(initial=0) for part in (answers.responses, answers.decisions, *answers.interactions))
    return np.where(np.abs(values) > ROUNDING * max(sizes), values, 0.0)


def _interactions(learned: Learned, answers: Answers, evidence: Evidence) -> pl.DataFrame:
    """The strongest of every order and class."""
    tables = [_empty("interactions")]
    for order, ids, values in zip(ORDERS, evidence.ngrams, answers.interactions, strict=True):
        names = names_of(evidence.train.vocabulary, ids, tuple(range(order)))
        for output, name in enumerate(learned.outputs):
            found = zip(names, _rounded(values[:, output], answers).tolist(), strict=True)
            table = _table("interactions", [(order, feature, name, value) for feature, value in found if value])
            tables.append(table.top_k(SHOWN, by=pl.col("interaction").abs()))
    return pl.concat(tables)


def _interaction_share(learned: Learned, sums: Array, evidence: Evidence) -> tuple[float, int]:
    """eq. 65 over the held-out texts (the training texts where none are held out), and over how many of them."""
    architecture, trajectory = learned.architecture, learned.trajectory
    if not (isinstance(architecture, SelfAttention) and architecture.scores == "tied"):
        return float(share_of_joints(sums[1], sums[2])), sums.shape[1]
    texts = evidence.held if len(evidence.held) else evidence.train
    if not architecture.positions:
        found = mains_and_joints(architecture, trajectory, texts, step=trajectory.best)
        return float(share_of_joints(*found)), len(texts)
    order = np.random.default_rng(0).permutation(len(texts))
    reached = np.cumsum(texts.lengths[order] ** 2)
    some = order[:max(1, int(np.searchsorted(reached, POSITIONS, side="right")))]
    batches = np.split(some, np.flatnonzero(np.diff(reached[:len(some)] // BATCH)) + 1)
    parts = [mains_and_joints(architecture, trajectory, texts[rows], step=trajectory.best) for rows in batches]
    mains, joints = (np.concatenate(part) for part in zip(*parts, strict=True))
    return float(share_of_joints(mains, joints)), len(some)


def _bias(learned: Learned, answers: Answers) -> pl.DataFrame:
    net, lengths = bias_sources(learned.architecture, learned.trajectory, step=learned.trajectory.best)
    lengths = np.where(np.abs(lengths) > ROUNDING * np.abs(net), lengths, 0.0)
    rows = []
    for place, name in enumerate(learned.outputs):
        own, response = answers.effects[:, place], answers.responses[:, place]
        shares = answers.bias_shares[:, place]
        known = shares[np.isfinite(shares)]
        rows.append((name, float(answers.nothing[place]), float(net[place]), float(lengths[place]),
                     float(np.median(known)) if len(known) else float("nan"), int(turned(own, response).sum()),
                     _dropped(own, response, min(STRONGEST, len(own) // 2))))
    return _table("bias", rows)


def turned(own: Array, response: Array) -> NDArray[np.bool_]:
    """Where the bias changes the sign of an effect."""
    return np.asarray(np.sign(own) * np.sign(response) < 0)


def _dropped(own: Array, response: Array, most: int) -> int:
    """How many of the `most` largest own effects are not among the `most` largest responses."""
    before, after = (set(np.argsort(-np.abs(values), kind="stable")[:most].tolist()) for values in (own, response))
    return len(before - after)


def _strongest(evidence: Evidence) -> int:
    return min(STRONGEST, len(evidence.frequent) // 2)


def _flipped(learned: Learned, answers: Answers, evidence: Evidence) -> pl.DataFrame:
    """Those of the frequent tokens whose sign the bias turns that matter most, over all outputs."""
    own, response = answers.effects, answers.responses
    token, output = np.nonzero(turned(own, response))
    names = escaped(evidence.train.vocabulary).gather(evidence.frequent[token])
    table = pl.DataFrame({
        "feature": names, "class": pl.Series([learned.outputs[place] for place in output.tolist()], dtype=pl.String),
        "texts": evidence.texts[token], "own": own[token, output], "response": response[token, output]})
    return table.top_k(SHOWN, by=pl.col("texts") * pl.min_horizontal(pl.col("own", "response").abs()))


def _learned(learned: Learned) -> pl.DataFrame:
    """The audit's half steps by order: bias, tokens, pairs, longer."""
    ends = np.cumsum([0, *learned.rows])
    found = []
    for order in range(4):
        parts = [learned.table.slice(low, high - low).select("half_step", pl.col("score").abs() * pl.col("count"))
                 for family, low, high in zip(learned.trajectory.features.families, ends[:-1], ends[1:], strict=True)
                 if min(family.order, 3) == order]
        rows = pl.concat(parts).drop_nulls() if parts else pl.DataFrame()
        if rows.height:
            found.append((order, rows.height, weighted_median(*(rows[name].to_numpy() for name in rows.columns))))
    return _table("learned", sorted(found, key=lambda row: row[2]))


def weighted_median(values: Array, weights: Array) -> float:
    """The least value up to which values hold half of all weight.

    >>> weighted_median(np.array([3.0, 1.0, 2.0]), np.array([1.0, 1.0, 5.0]))
    2.0
    """
    order = np.argsort(values)
    reached = np.cumsum(weights[order])
    return float(values[order[np.searchsorted(reached, reached[-1] / 2)]])


def _table(name: str, rows: Sequence[tuple[Any, ...]]) -> pl.DataFrame:
    return pl.DataFrame(rows, schema=COMPARED[name], orient="row")


def _empty(name: str) -> pl.DataFrame:
    return _table(name, [])
