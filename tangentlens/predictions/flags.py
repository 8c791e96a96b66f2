"""Shortcut flags: which features decide texts that they should not, by rule, with the evidence (theory, eq. 90, 91)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from tangentlens.data.duplicates import near_duplicates
from tangentlens.data.sorting import distinct
from tangentlens.data.suspects import COMPANION, Lists, kinds_of
from tangentlens.data.tokens import UNKNOWN, Tokens
from tangentlens.features.family import Features
from tangentlens.kernels.architecture import Architecture, describe
from tangentlens.learning.losses import encode
from tangentlens.predictions.chances import at_least, discovery_rates, lowest_share
from tangentlens.predictions.leading import leading
from tangentlens.predictions.questions import least_length
from tangentlens.predictions.shortcuts import LEAST, Pulls, by_class, margin, pulls
from tangentlens.predictions.trajectory import Trajectory

Array = NDArray[np.float64]
Ids = NDArray[np.int64]
SCHEMA = {"architecture": pl.String, "family": pl.String, "feature": pl.String, "class": pl.String,
          "reason": pl.String, "score": pl.Float64, "evidence": pl.String, "rule": pl.String, "cue": pl.String,
          "decided": pl.Int64, "texts": pl.Int64, "in_class": pl.Int64, "label_score": pl.Float64,
          "half_step": pl.Float64, "change": pl.String}
PURE = 0.65  # least purity, the lower 95 % bound, of classes made equally large; SST itself then has 2 or 3 flags
LEVEL = 0.05  # expected share of chance among the one-class suspects (Benjamini and Hochberg)
WEAK = frozenset(("function word", "punctuation"))  # kinds so frequent that chance and style make some of one class
RESTS = 0.05  # mean share of a decision that must rest on a feature of these kinds
OVERLAP = 0.7  # of the texts of an n-gram: in common with a worse one, which then stands for both
ALONE_SHARE, ALONE_TEXTS = 0.5, 0.02  # of the texts with a feature, and of all texts: decided by it alone
FEW = 0.5  # distinct sources, as a share of those that as many texts drawn at random would have
LENGTH = 0.02  # share of texts that the bias of their length decides
MOST = 100  # flags of an architecture


@dataclass(frozen=True, eq=False)
class Ground:
    """What the rules read of n training texts, once for all architectures. index (n,) of classes; groups (n,) of
    near-duplicates; sources (n,) or None; kinds (v,); first (n,): one text of every group and class. The thresholds
    pure, level and rests are those of the constants.
    """

    tokens: Tokens
    classes: tuple[str, ...]
    index: Ids
    groups: Ids
    first: NDArray[np.bool_]
    kinds: NDArray[Any]
    sources: Ids | None = None
    lists: Lists = field(default_factory=Lists)
    pure: float = PURE
    level: float = LEVEL
    rests: float = RESTS

    @classmethod
    def of(cls, tokens: Tokens, labels: Any, *, lists: Lists | None = None, sources: Sequence[Any] | None = None,
           lowercased: bool = False) -> Ground:
        """Looks at the texts."""
        targets = encode(labels, None, texts=len(tokens))
        groups = near_duplicates(tokens)
        _, places = np.unique(np.column_stack([groups, targets.index]), axis=0, return_index=True)
        first = np.zeros(len(tokens), bool)
        first[places] = True
        numbers = None
        if sources is not None:
            numbers = np.unique(np.array([str(one) for one in sources]), return_inverse=True)[1]
        kinds = np.array(kinds_of(tokens, lowercased=lowercased), dtype=object)
        return cls(tokens, tuple(map(str, targets.classes)), targets.index, groups, first, kinds, numbers,
                   lists or Lists())


@dataclass(frozen=True)
class Purity:
    """Of features, by distinct texts: texts with it, of them in its class, the lower bound of its purity, p-value."""

    texts: Ids
    inside: Ids
    low: Array
    p: Array


def purity(texts: Ids, inside: Ids, prior: Array) -> Purity:
    """Lower 95 % bound (Clopper–Pearson) of k/m with classes made equally large, and P(Binomial(m, π) ≥ k) (eq. 91).

    >>> found = purity(np.array([10]), np.array([10]), np.array([0.5]))
    >>> found.low.round(2).tolist(), found.p.round(4).tolist()
    ([0.74], [0.001])
    """
    low = lowest_share(inside, texts, 0.05)
    odds = low * (1 - prior)
    return Purity(texts, inside, odds / np.maximum(odds + (1 - low) * prior, 1e-300),
                  at_least(inside, texts, prior))


def together(tables: Sequence[pl.DataFrame]) -> pl.DataFrame:
    """The flags of several architectures, worst first; each reason says which of them take the cue and which do not."""
    found = pl.concat([pl.DataFrame(schema=SCHEMA), *tables])
    if len(tables) > 1 and found.height:
        takers = found.group_by("cue", "class", maintain_order=True).agg(pl.col("architecture").alias("takers"))
        found = found.join(takers, on=["cue", "class"], how="left", maintain_order="left").with_columns(
            pl.col("reason") + pl.lit("; taken by ") + pl.col("takers").list.join(", ")).drop("takers")
    return found.sort(pl.col("rule") != "forbidden", -pl.col("score"), maintain_order=True)


def compared_flags(found: pl.DataFrame, earlier: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The flags with `change` filled in, "new" or "kept", and those of the earlier run that are gone."""
    keys = ["architecture", "cue", "class"]
    kept = found.join(earlier.select(keys).unique(), on=keys, how="semi")
    marked = found.join(kept.select(keys).with_columns(there=pl.lit(True)).unique(), on=keys, how="left",
                        maintain_order="left").with_columns(
        pl.when(pl.col("there").is_null()).then(pl.lit("new")).otherwise(pl.lit("kept")).alias("change")).drop("there")
    gone = earlier.join(found.select(keys).unique(), on=keys, how="anti", maintain_order="left")
    return marked, gone.with_columns(change=pl.lit("gone"))


def flags(architecture: Architecture, trajectory: Trajectory, ground: Ground, *, step: int = -1) -> pl.DataFrame:
    """The flags of one architecture, worst first; see `tl.audit`. Columns: SCHEMA.

    score: texts whose decision rests on the feature, each counted by the share that does (eq. 90), times what is sure
    of its purity, 2 · low − 1 (eq. 91; not for rules without it).
    """
    rows: list[dict[str, Any]] = []
    record = trajectory.record(step)
    if record:
        for found in pulls(trajectory, step=record):
            rows += _pattern_flags(found, trajectory, ground, record)
        rows += position_flags(architecture, trajectory, ground, record)
        rows += length_flag(trajectory, ground, record)
    rows = _without_repeats(sorted(rows, key=lambda row: (row["rule"] != "forbidden", -row["score"], row["cue"])))
    for row in rows:
        row |= {"architecture": describe(architecture), "change": ""}
        row.pop("holders", None)
    return pl.DataFrame(rows[:MOST], schema=SCHEMA)


def _pattern_flags(found: Pulls, trajectory: Trajectory, ground: Ground, record: int) -> list[dict[str, Any]]:
    strings = ground.tokens.vocabulary.strings
    shape = found.families[0].patterns.shape if found.families[0].patterns is not None else (0,)
    gaps = ["_ " * (step - before - 1) for before, step in pairwise(shape)]
    cues = ["".join([strings[ids[0]], *(" " + gap + strings[token] for gap, token in zip(gaps, ids[1:], strict=True))])
            for ids in found.tokens.tolist()]
    every, inside = _counted(found, np.ones(len(ground.index), bool), ground)
    pure = purity(*_counted(found, ground.first, ground), _priors(found.toward, ground))
    kinds = _kinds(found.tokens, cues, ground)
    allowed, forbidden, named = ground.lists.matches(cues)
    suspect = (kinds != "") | (np.array(named) != "")
    weak = np.array([bool(WEAK.issuperset(kind.split(", "))) for kind in kinds.tolist()]) & (np.array(named) == "")
    one_class = suspect & (pure.low >= ground.pure) & _discoveries(pure.p, suspect, ground.level)
    one_class &= ~weak | (found.weight >= ground.rests * every)
    n = len(ground.index)
    alone = (found.decided >= np.maximum(LEAST, ALONE_TEXTS * n)) & (found.decided >= ALONE_SHARE * every)
    sources = _few(found, ground)
    few = (sources != "") & (found.weight >= 1) & (2 * inside > every)
    rows = []
    chosen = np.flatnonzero((one_class | alone | few | forbidden) & (forbidden | ~allowed))
    for j, column in zip(chosen.tolist(), leading(found, chosen, trajectory, record), strict=True):
        rule, reason = _rule(bool(forbidden[j]), bool(one_class[j]), bool(few[j]), named[j], kinds[j], sources[j])
        name = ground.classes[found.toward[j]]
        sure = max(0.0, 2 * float(pure.low[j]) - 1) if rule in ("one class", "pattern") else 1.0
        evidence = (f"{inside[j]} of {every[j]} texts with it are {name} (purity at least {100 * pure.low[j]:.0f} %); "
                    f"without it {found.decided[j]} decisions turn")
        family, feature, score, half = column
        rows.append({"family": family, "feature": feature, "class": name, "reason": reason,
                     "score": float(found.weight[j]) * sure, "evidence": evidence, "rule": rule, "cue": cues[j],
                     "decided": int(found.decided[j]), "texts": int(every[j]), "in_class": int(inside[j]),
                     "label_score": score, "half_step": half,
                     "holders": found.present.indices[found.present.indptr[j]:found.present.indptr[j + 1]]})
    return rows


def _rule(forbidden: bool, one_class: bool, few: bool, named: str, kind: str, sources: str) -> tuple[str, str]:
    if forbidden:
        return "forbidden", "it is on your list of forbidden features"
    if one_class and named:
        return "pattern", f"seldom occurs outside one class, and matches your pattern {named}"
    if one_class:
        return "one class", f"seldom occurs outside one class, and is of the kind: {kind}"
    if few:
        return "few sources", f"what is known of it comes from {sources}"
    return "decides alone", "decides by itself, against everything else, most texts that hold it"


def _counted(found: Pulls, rows: NDArray[np.bool_], ground: Ground) -> tuple[Ids, Ids]:
    """Of these texts, how many hold each pattern, and how many of them are of the class that it pushes to."""
    member = (ground.index[:, None] == np.arange(len(ground.classes))) & rows[:, None]
    counts = np.asarray(found.present.T @ member.astype(np.int64)).astype(np.int64)
    return counts.sum(axis=1), counts[np.arange(len(counts)), found.toward]


def _priors(toward: Ids, ground: Ground) -> Array:
    return np.asarray(np.bincount(ground.index[ground.first], minlength=len(ground.classes))[toward]
                      / ground.first.sum())


def _kinds(tokens: Ids, cues: list[str], ground: Ground) -> NDArray[Any]:
    """The kind of a token; of an n-gram the kinds of its tokens, if all of them are suspects."""
    parts = ground.kinds[tokens]
    if tokens.shape[1] == 1:
        return np.asarray(parts[:, 0])
    kinds = np.array([", ".join(dict.fromkeys(row)) if all(row) else "" for row in parts.tolist()], dtype=object)
    rating = pl.Series(cues, dtype=pl.String).str.contains(r"^\d+(?:[.,]\d+)? (?:/|out of) \d+$").to_numpy()
    kinds[rating] = "rating"
    return kinds


def _discoveries(p: Array, suspect: NDArray[np.bool_], level: float) -> NDArray[np.bool_]:
    """Which suspects the procedure of Benjamini and Hochberg keeps at a level."""
    kept = np.zeros(len(p), bool)
    kept[suspect] = discovery_rates(p[suspect]) <= level
    return kept


def _few(found: Pulls, ground: Ground) -> NDArray[Any]:
    """What few sources a pattern's texts come from, "" if they are not few."""
    result = np.full(len(found.toward), "", dtype=object)
    texts = np.diff(found.present.indptr)
    column = np.repeat(np.arange(len(texts)), texts)
    about = ((ground.groups, "texts that are not near-duplicates"), (ground.sources, "sources"))
    for group, words in about:
        if group is None:
            continue
        size = np.bincount(group)
        pairs = distinct(column * len(size) + group[found.present.indices])
        different = np.bincount(pairs // len(size), minlength=len(texts))
        sizes, how_many = np.unique(size, return_counts=True)
        expected = ((1 - (1 - sizes / len(group)) ** texts[:, None]) * how_many).sum(axis=1)
        for j in np.flatnonzero(different <= FEW * expected).tolist():
            result[j] = f"only {different[j]} {words}, of {texts[j]} texts"
    return result


def _without_repeats(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Of flags in the very same texts the worst, and no n-gram beside a flagged part of it that pushes the same way."""
    kept: dict[Any, dict[str, Any]] = {}
    longer: list[tuple[str, Ids]] = []
    words: set[tuple[str, str]] = {(row["cue"], row["class"]) for row in rows if " " not in row["cue"]}
    for row in rows:
        parts = row["cue"].split(" ")
        if len(parts) > 1 and row["rule"] != "forbidden" and any((part, row["class"]) in words for part in parts):
            continue
        holders = row.get("holders")
        if len(parts) > 1 and holders is not None and row["rule"] != "forbidden":
            if any(name == row["class"] and len(np.intersect1d(holders, other)) > OVERLAP * len(holders)
                   for name, other in longer):
                continue
            longer.append((row["class"], holders))
        same = (row["class"], row["cue"] if holders is None or row["rule"] == "forbidden" else holders.tobytes())
        if COMPANION in row["reason"] and COMPANION not in kept.get(same, row)["reason"] and len(parts) == 1:
            kept[same] = row | {"score": kept[same]["score"]}  # the rarer word tells a reader more
        kept.setdefault(same, row)
    return list(kept.values())


def position_flags(architecture: Architecture, trajectory: Trajectory, ground: Ground, record: int
                   ) -> list[dict[str, Any]]:
    """Tokens that are of one class at the first or last place of a text and not elsewhere, where the place matters.

    The place matters by f(t □ … □) − f(□ … t … □), the token at the edge and in the middle of a text of unknown tokens:
    exactly zero for an architecture that cannot tell.
    """
    tokens, rows = ground.tokens, []
    scores = trajectory.scores(record)
    learned = _Learned(architecture, trajectory.features, scores, by_class(trajectory.features.pull(scores)))
    filled = tokens.lengths > 2
    for edge, places in (("first", tokens.offsets[:-1]), ("last", tokens.offsets[1:] - 1)):
        at = np.where(filled, tokens.ids[np.clip(places, 0, max(0, len(tokens.ids) - 1))], UNKNOWN)
        member = (ground.index[:, None] == np.arange(len(ground.classes))) & ground.first[:, None] & (at >= 0)[:, None]
        size = len(tokens.vocabulary)
        counts = np.stack([np.bincount(at[mine], minlength=size) for mine in member.T], axis=1)
        texts, toward = counts.sum(axis=1), counts.argmax(axis=1)
        candidates = np.flatnonzero(texts >= LEAST)
        if not len(candidates):
            continue
        pure = purity(texts[candidates], counts[candidates, toward[candidates]], _priors(toward[candidates], ground))
        sure = _discoveries(pure.p, np.ones(len(candidates), bool), ground.level) & (pure.low >= ground.pure)
        for place in np.flatnonzero(sure).tolist():
            token = int(candidates[place])
            row = _position_flag(learned, ground, token, np.flatnonzero(at == token), edge)
            if row and row["class"] == ground.classes[toward[token]]:
                row["score"] *= 2 * float(pure.low[place]) - 1
                rows.append(row)
    return rows


@dataclass(frozen=True, eq=False)
class _Learned:
    """Label scores by family, and decisions (n, k) on the training texts."""

    architecture: Architecture
    features: Features
    scores: list[Array]
    decision: Array


def _position_flag(learned: _Learned, ground: Ground, token: int, holders: Ids, edge: str
                   ) -> dict[str, Any] | None:
    architecture = learned.architecture
    tokens, index = ground.tokens, ground.index
    elsewhere = np.setdiff1d(tokens.text_of_token[tokens.ids == token], holders)
    toward = int(np.bincount(index[holders]).argmax())
    there, other = (float(np.mean(index[rows] == toward)) if len(rows) else 1.0 for rows in (holders, elsewhere))
    if len(elsewhere) < LEAST or other > (1 + there) / 2 - 0.1:
        return None  # it is the token itself, wherever it stands
    length = max(int(np.median(tokens.lengths[holders])), 2 * least_length(architecture) + 1, 5)
    probes = np.full((2, length), UNKNOWN)
    probes[0, 0 if edge == "first" else -1] = probes[1, length // 2] = token
    asked = architecture.features(Tokens.from_ids(probes.tolist(), vocabulary=tokens.vocabulary),
                                  columns=learned.features)
    answers = by_class(asked.pull(learned.scores))
    contrast = answers[0] - answers[1]
    decision = learned.decision[holders]
    scale = length / tokens.lengths[holders] if getattr(architecture, "pooling", "mean") == "mean" else 1.0
    chosen = decision.argmax(axis=1)
    ahead = margin(decision, chosen)
    behind = margin(decision - contrast * np.reshape(scale, (-1, 1)), chosen)
    rests = np.where(chosen == toward, np.divide(ahead - behind, ahead, out=np.zeros(len(ahead)), where=ahead > 0), 0)
    weight, decided = float(np.clip(rests, 0, 1).sum()), int((rests >= 1).sum())
    if int(contrast.argmax()) != toward or weight < 0.05 * len(holders):
        return None
    inside, name = int(np.sum(index[holders] == toward)), ground.classes[toward]
    cue = f"{tokens.vocabulary.strings[token]} in {edge} place"
    return {"family": "position", "feature": cue, "class": name, "rule": "position", "cue": cue, "score": weight,
            "reason": f"seldom occurs outside one class in the {edge} place of a text, but does elsewhere",
            "evidence": f"{inside} of {len(holders)} texts with it there are {name}, "
                        f"{np.sum(index[elsewhere] == toward)} of {len(elsewhere)} with it elsewhere; without its "
                        f"place {decided} decisions turn",
            "decided": decided, "texts": len(holders), "in_class": inside, "label_score": float(contrast[toward]),
            "half_step": None, "holders": None}


def length_flag(trajectory: Trajectory, ground: Ground, record: int) -> list[dict[str, Any]]:
    """Texts that their length decides: with the bias of an average text in place of its own, the decision turns."""
    scores = trajectory.scores(record)
    bias = np.zeros((len(ground.index), scores[0].shape[1]))
    for family, score in zip(trajectory.features.families, scores, strict=True):
        if family.order == 0:
            bias += family.counts @ score
    own = by_class(bias - bias.mean(axis=0))
    decision = by_class(trajectory.features.pull(scores))
    chosen = decision.argmax(axis=1)
    ahead = margin(decision, chosen)
    behind = margin(decision - own, chosen)
    rests = np.divide(ahead - behind, ahead, out=np.zeros(len(ahead)), where=ahead > 0)
    decided = rests >= 1
    if decided.sum() < max(LEAST, LENGTH * len(decision)):
        return []
    lengths = ground.tokens.lengths
    longer = np.array([own[lengths > np.median(lengths), k].mean() for k in range(own.shape[1])])
    toward = int(np.nan_to_num(longer).argmax())
    name, right = ground.classes[toward], int(np.sum(ground.index[decided] == chosen[decided]))
    mean = [f"{lengths[ground.index == k].mean():.1f} tokens in {each}" for k, each in enumerate(ground.classes)]
    return [{"family": "bias", "feature": "<bias>", "class": name, "rule": "length", "cue": "text length",
             "reason": f"the length of a text decides it; longer ones are pushed to {name}",
             "score": float(np.clip(rests, 0, 1)[decided].sum()),
             "evidence": f"with an average length {decided.sum()} decisions turn, {right} of them right now; "
                         + ", ".join(mean[:4]),
             "decided": int(decided.sum()), "texts": len(decision), "in_class": right, "label_score": None,
             "half_step": None, "holders": None}]
