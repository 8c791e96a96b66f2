"""What makes architectures differ, as numbers for the user's own data (theory, section "Measures")."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import polars as pl
from numpy.typing import NDArray

from tangentlens.data.tokens import Tokens, Vocabulary
from tangentlens.errors import OptionError
from tangentlens.features.family import Features
from tangentlens.features.patterns import escaped, frequent_patterns, names_of
from tangentlens.kernels.architecture import Architecture, check_count, check_number
from tangentlens.kernels.attention import SelfAttention
from tangentlens.predictions.questions import Questions, answers_of, least_length, share_of_joints
from tangentlens.predictions.scores import score_tables
from tangentlens.predictions.trajectory import Trajectory

Array = NDArray[np.float64]
ROUNDING = 1e-12  # share of all weights


def responses(architecture: Architecture, trajectory: Trajectory, vocabulary: Vocabulary, *, step: int = -1
              ) -> NDArray[np.float64]:
    """The response f(a) of every one-token text a, bias included; shape (v, c): the paper's label score (eq. 61).

    An architecture whose windows need more than one token ("valid" padding) answers 0.
    """
    size = len(vocabulary)
    probes = Tokens(np.arange(size, dtype=np.int32), np.arange(size + 1), vocabulary)
    return trajectory.decision(architecture.features(probes, columns=trajectory.features), step)


def bias_split(architecture: Architecture, trajectory: Trajectory, tokens: Tokens, *, step: int = -1) -> pl.DataFrame:
    """Every token's response, split into what its own co-occurrence earned and what the bias family added (eq. 71).

    f(a) = [f(a) − f(□)] + f(□): response = own + bias. tokens: the training texts.
    Returns a table, one row per token and output: feature, class, count, response, own, bias, share (eq. 64),
    flipped (the bias changes the sign), own_rank, rank (1 is the largest |own|, |response| of its class).

    >>> import tangentlens as tl
    >>> texts = tl.small_reviews(); tokens = tl.tokenize(texts); relu = tl.MLP()
    >>> trajectory = tl.learn(relu.features(tokens), texts.labels, time=100.0)
    >>> table = bias_split(relu, trajectory, tokens)
    >>> bool((table["response"] - table["own"] - table["bias"]).abs().max() < 1e-12)
    True
    """
    size = len(tokens.vocabulary)
    questions = Questions(tokens.vocabulary, np.arange(size), least=least_length(architecture))
    found = answers_of(architecture, trajectory, questions, [trajectory.record(step)])
    own, response = found.effects[0], found.responses[0]
    bias = np.broadcast_to(found.nothing[0], own.shape)
    strings = escaped(tokens.vocabulary).alias("feature")
    counts = np.bincount(tokens.ids[tokens.ids >= 0], minlength=size)
    return pl.concat([pl.DataFrame({
        "feature": strings, "class": _repeated(trajectory, name, size), "count": counts, "response": response[:, place],
        "own": own[:, place], "bias": bias[:, place], "share": found.bias_shares[0][:, place],
        "flipped": np.sign(response[:, place]) * np.sign(own[:, place]) < 0,
        "own_rank": _ranks(own[:, place]), "rank": _ranks(response[:, place]),
    }) for place, name in enumerate(trajectory.outputs)])


def bias_sources(architecture: Architecture, trajectory: Trajectory, *, step: int = -1) -> tuple[Array, Array]:
    """The net push of all texts, and what text length adds: arrays (c,) that sum to the bias f(□) (eq. 72).

    f(□) = Σ_i k_i a_i, k_i being the bias part of Θ(□, x_i), with mean k̄ over the training texts. The net push
    k̄ Σ_i a_i is at first what the classes' sizes do; later also what other features leave to be corrected.
    Σ_i (k_i − k̄) a_i is what texts of different length (or number of full windows) do.

    >>> import tangentlens as tl
    >>> texts = tl.small_reviews(); tokens = tl.tokenize(texts); relu = tl.MLP(pooling="sum")
    >>> trajectory = tl.learn(relu.features(tokens), texts.labels, time=100.0)
    >>> push, lengths = bias_sources(relu, trajectory)
    >>> bool(abs(push + lengths - bias_split(relu, trajectory, tokens)["bias"][0])[0] < 1e-12)
    True
    """
    vocabulary = _vocabulary(trajectory.features)
    blank = Tokens.from_ids([[-1] * least_length(architecture)], vocabulary=vocabulary)
    asked = architecture.features(blank, columns=trajectory.features)
    weight = np.zeros(len(trajectory.features))
    for mine, theirs in zip(asked.families, trajectory.features.families, strict=True):
        if mine.order == 0:
            weight += theirs.counts @ (mine.coefficients @ mine.counts.toarray()[0])
    duals = trajectory.duals[trajectory.record(step)]
    centre = float(weight.mean())
    return centre * duals.sum(axis=0), (weight - centre) @ duals


def interactions(architecture: Architecture, trajectory: Trajectory, tokens: Tokens, *, order: int = 2,
                 most: int = 200, patterns: NDArray[np.int64] | None = None, competition: float = 0.0,
                 step: int = -1) -> pl.DataFrame:
    """Interactions I of n-grams by inclusion–exclusion, beside what their tokens say one by one (eq. 63).

    tokens: texts whose `most` most frequent n-grams of `order` ≥ 2 tokens are asked about (an empty table if there is
    none), or `patterns` (N, r), token ids over their vocabulary, are instead. competition: of two tokens under max
    pooling, for bigrams (eq. 96); `tl.stand_in` says how much. Returns one row per n-gram and output: feature, class,
    interaction, words (Σ f(a) − f(□) over its tokens), the two being on one scale only up to pooling: under a mean, an
    n-gram's text is r tokens long and a token's one.
    Raises OptionError, DataError or ShapeError where that cannot be asked.

    >>> import tangentlens as tl
    >>> texts = tl.small_reviews(); tokens = tl.tokenize(texts); rnn = tl.LinearRNN()
    >>> trajectory = tl.learn(rnn.features(tokens), texts.labels, time=100.0)
    >>> pair = [[tokens.vocabulary.ids[word] for word in ("not", "good")]]
    >>> table = interactions(rnn, trajectory, tokens, patterns=np.array(pair))
    >>> table.select("feature", "class").row(0), table["interaction"][0] < 0
    (('not good', 'positive'), True)
    """
    check_count("order", order)
    check_count("most", most)
    if order < 2:
        raise OptionError(f"an interaction needs an n-gram of at least 2 tokens; give order of at least 2, not {order}")
    check_number("competition", competition, zero=True)
    ids = frequent_patterns(tokens, tuple(range(order)), most) if patterns is None else np.asarray(patterns)
    if competition and (order, *ids.shape[1:]) != (2, 2):
        raise OptionError("competition is known between two tokens only; leave it out for longer n-grams")
    asked = (ids, frequent_patterns(tokens, (0, 1), most)) if competition else (ids,)
    (joint, sums), *usual = _pairs(architecture, trajectory, tokens, asked, step)
    if usual:
        joint = _competing(joint, sums, *usual[0], competition)
    names = names_of(tokens.vocabulary, ids, tuple(range(ids.shape[1])))
    return pl.concat([pl.DataFrame({
        "feature": pl.Series(names, dtype=pl.String), "class": _repeated(trajectory, name, len(names)),
        "interaction": joint[:, output], "words": sums[:, output],
    }) for output, name in enumerate(trajectory.outputs)])


def _pairs(architecture: Architecture, trajectory: Trajectory, tokens: Tokens, patterns: tuple[NDArray[np.int64], ...],
           step: int) -> list[tuple[Array, Array]]:
    """I and Σ f(a) − f(□) of every array of patterns (N, r), (N, c) each."""
    words = np.unique(np.concatenate([ids.ravel() for ids in patterns]))
    questions = Questions(tokens.vocabulary, words, patterns, least=least_length(architecture))
    found = answers_of(architecture, trajectory, questions, [trajectory.record(step)])
    return [(joint[0], found.effects[0][np.searchsorted(words, ids)].sum(axis=1))
            for ids, joint in zip(patterns, found.interactions, strict=True)]


def _competing(joint: Array, sums: Array, usual: Array, usual_sums: Array, competition: float) -> Array:
    """Interactions (N, c) less a share of what the two tokens say, in units of frequent bigrams' own (eq. 96)."""
    if not len(usual):
        return joint
    tiny = np.finfo(float).tiny
    size, other = (np.maximum(values.std(axis=0), tiny) for values in (usual, usual_sums))
    mixed = joint / size - competition * sums / other
    scale = size / np.maximum((usual / size - competition * usual_sums / other).std(axis=0), tiny)
    return np.where(usual.std(axis=0) > 0, mixed * scale, joint)


def mains_and_joints(architecture: Architecture, trajectory: Trajectory, tokens: Tokens, *, step: int = -1
                     ) -> tuple[Array, Array]:
    """M and J of texts (eq. 65, 73): what their tokens say one by one, and what only their combinations say; (n, c).

    Read off the families: those of one token make M, those of two and more J. Tied attention gives a token that stands
    alone among □ the weight 1, as uniform attention does; what its own weights add is J. With positions, by asking
    about every token by itself, so at a cost of Σ L².
    """
    asked = architecture.features(tokens, columns=trajectory.features)
    scores = trajectory.scores(step)
    if isinstance(architecture, SelfAttention) and architecture.scores == "tied":
        if architecture.positions:
            questions = Questions(tokens.vocabulary, texts=tokens)
            found = answers_of(architecture, trajectory, questions, [trajectory.record(step)])
            return found.mains[0], found.joints[0]
        alone = replace(architecture, scores="uniform").features(tokens, columns=trajectory.features)
        return alone.pull(scores), asked.pull(scores) - alone.pull(scores)
    _, main, joint = by_order(asked, scores)
    return main, joint


def by_order(asked: Features, scores: list[Array]) -> Array:
    """What bias, single tokens, and combinations of tokens add to the decisions on n texts; shape (3, n, c).

    scores: label scores by family, as `Trajectory.scores` gives them for these columns.
    """
    parts = np.zeros((3, len(asked), scores[0].shape[1]))
    for family, pushed in zip(asked.families, scores, strict=True):
        parts[min(family.order, 2)] += family.counts @ pushed
    return parts


def interaction_share(architecture: Architecture, trajectory: Trajectory, tokens: Tokens, *, step: int = -1) -> float:
    """Var J / (Var M + Var J) over texts (eq. 65): how much of what decides them is in combinations of tokens.

    NaN where nothing varies. Ask about texts that were not learned from: those that were show every rare n-gram again.

    >>> import tangentlens as tl
    >>> made = tl.negations(400); tokens = tl.tokenize(made.train); rnn = tl.LinearRNN()
    >>> trajectory = tl.learn(rnn.features(tokens), made.train.labels, time=1000.0)
    >>> held = tl.tokenize(made.held, vocabulary=tokens.vocabulary)
    >>> 0 < interaction_share(rnn, trajectory, held) < interaction_share(rnn, trajectory, tokens) < 1
    True
    """
    return float(share_of_joints(*mains_and_joints(architecture, trajectory, tokens, step=step)))


def learning_order(trajectory: Trajectory, *, step: int = -1) -> pl.DataFrame:
    """When the families are learned, earliest first: family, order, features, half_step (eq. 75).

    half_step: the median over a family's label scores of the step (or time) at which each first reaches half of its
    size, weighted by |score| × count; features: how many scores these are, those of 0 left out. Families of one name
    and order (the offsets of a CNN, the sizes of its windows) are taken together, and so are outputs.
    """
    rows, features = [], trajectory.features
    tables = score_tables(features, trajectory.dynamics, trajectory.record(step))
    for family, table in zip(features.families, tables, strict=True):
        table = table.drop_nulls("half_step")
        rows.append(table.select(pl.lit(family.name).alias("family"), pl.lit(family.order).alias("order"), "half_step",
                                 (pl.col("score").abs() * pl.col("count")).alias("weight")))
    found = pl.concat(rows).filter(pl.col("weight") > 0).sort("half_step")
    passed = pl.col("weight").cum_sum() / pl.col("weight").sum()
    half = pl.col("half_step").filter(passed >= 0.5 - ROUNDING).first()  # exact ties are common: 1 − 1/2 − 1/2 = 0
    return found.group_by("family", "order", maintain_order=True).agg(pl.len().alias("features"), half).sort(
        "half_step", "order", maintain_order=True)


def _repeated(trajectory: Trajectory, name: object, count: int) -> pl.Series:
    """A column of one class, of the type that the labels have."""
    return pl.Series("class", [name] * count, dtype=pl.Series(trajectory.classes).dtype)


def _ranks(values: Array) -> NDArray[np.int64]:
    """1 for the largest size."""
    ranks = np.empty(len(values), dtype=np.int64)
    ranks[np.argsort(-np.abs(values), kind="stable")] = np.arange(1, len(values) + 1)
    return ranks


def _vocabulary(features: Features) -> Vocabulary:
    return next(family.patterns.vocabulary for family in features.families if family.patterns is not None)
