"""Shortcut flags: which features decide texts that they should not, by rule, with the evidence (theory, eq. 90, 91)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy import sparse

from tangentlens.data.sorting import blocks, distinct
from tangentlens.data.suspects import COMPANION, Lists
from tangentlens.data.threads import parallel
from tangentlens.data.tokens import Vocabulary
from tangentlens.features.counting import rows_of
from tangentlens.kernels.architecture import Architecture, describe
from tangentlens.predictions.ground import Ground, discoveries, priors, purity
from tangentlens.predictions.leading import leading
from tangentlens.predictions.placing import length_flag, position_flags
from tangentlens.predictions.shortcuts import LEAST, Learned, Pulls, pulls
from tangentlens.predictions.trajectory import Trajectory

Ids = NDArray[np.int64]
SCHEMA = {"architecture": pl.String, "family": pl.String, "feature": pl.String, "class": pl.String,
          "reason": pl.String, "score": pl.Float64, "evidence": pl.String, "rule": pl.String, "cue": pl.String,
          "decided": pl.Int64, "texts": pl.Int64, "in_class": pl.Int64, "label_score": pl.Float64,
          "half_step": pl.Float64, "change": pl.String}
WEAK = frozenset(("function word", "punctuation"))  # kinds so frequent that chance and style make some of one class
OVERLAP = 0.7  # of the texts of an n-gram: in common with a worse one, which then stands for both
ALONE_SHARE, ALONE_TEXTS = 0.5, 0.02  # of the texts with a feature, and of all texts: decided by it alone
CHANCE = 0.5  # purity of what tells nothing: an n-gram with it decides only where others in the same texts outweigh it
SURE = frozenset(("one class", "pattern", "decides alone"))  # rules whose score counts how sure the purity is
EVEN = 0.05  # by how much the share of a class may be off one half for its purity to be what a reader counts
FEW = 0.5  # distinct sources, as a share of those that as many texts drawn at random would have
MOST = 100  # flags of an architecture
BLOCK = 2**21  # entries of patterns and texts that are worked on at a time


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
    if trajectory.record(step):
        learned = Learned.at(trajectory, step)
        rows += [row for found in pulls(learned) for row in _pattern_flags(found, learned, ground)]
        rows += position_flags(architecture, learned, ground)
        rows += length_flag(learned, ground)
    rows = _without_repeats(sorted(rows, key=lambda row: (row["rule"] != "forbidden", -row["score"], row["cue"])))
    for row in rows:
        row |= {"architecture": describe(architecture), "change": ""}
        row.pop("holders", None)
    return pl.DataFrame(rows[:MOST], schema=SCHEMA)


def _pattern_flags(found: Pulls, learned: Learned, ground: Ground) -> list[dict[str, Any]]:
    named = _Named.of(found, ground)
    every, inside = _counted(found, np.ones(len(ground.index), bool), ground)
    share = priors(found.toward, ground)
    pure = purity(*_counted(found, ground.first, ground), share)
    suspect = (named.kinds != "") | (named.patterns != "")
    weak = np.zeros(len(suspect), bool)
    weak[suspect] = [WEAK.issuperset(kind.split(", ")) for kind in named.kinds[suspect].tolist()]
    one_class = suspect & (pure.low >= ground.pure) & discoveries(pure.p, suspect, ground.level)
    one_class &= ~weak | (named.patterns != "") | (found.weight >= ground.rests * every)
    alone = (found.decided >= np.maximum(LEAST, ALONE_TEXTS * len(ground.index))) & (
        found.decided >= ALONE_SHARE * every) & (pure.low > CHANCE)
    sources = _few(found, np.flatnonzero((found.weight >= 1) & (2 * inside > every)), ground)
    few = sources != ""
    chosen = np.flatnonzero((one_class | alone | few | named.forbidden) & (named.forbidden | ~named.allowed))
    cues, rows = cues_of(found, chosen, ground.tokens.vocabulary), []
    for j, cue, column in zip(chosen.tolist(), cues, leading(found, chosen, learned), strict=True):
        holds = _Holds(forbidden=bool(named.forbidden[j]), one_class=bool(one_class[j]), few=bool(few[j]),
                      most=bool(2 * inside[j] > every[j]))
        rule, reason = _rule(holds, named.patterns[j], named.kinds[j], sources[j])
        name = ground.classes[found.toward[j]]
        sure = max(0.0, 2 * float(pure.low[j]) - 1) if rule in SURE else 1.0
        even = "" if abs(share[j] - 0.5) < EVEN else ", were its class as large as all others"
        turned = f"{found.decided[j]} decisions turn" if found.decided[j] != 1 else "1 decision turns"
        evidence = (f"{inside[j]} of {every[j]} texts with it are {name} (purity at least {100 * pure.low[j]:.0f} %"
                    f"{even}); without it {turned}")
        family, feature, score, half = column
        rows.append({"family": family, "feature": feature, "class": name, "reason": reason,
                     "score": float(found.weight[j]) * sure, "evidence": evidence, "rule": rule, "cue": cue,
                     "decided": int(found.decided[j]), "texts": int(every[j]), "in_class": int(inside[j]),
                     "label_score": score, "half_step": half,
                     "holders": found.present.indices[found.present.indptr[j]:found.present.indptr[j + 1]].copy()})
    return rows


def cues_of(found: Pulls, numbers: Ids, vocabulary: Vocabulary) -> list[str]:
    """Some patterns as people read them: the tokens, `_` for an open place between."""
    shape = found.families[0].patterns.shape if found.families[0].patterns is not None else (0,)
    gaps = [" " + "_ " * (step - before - 1) for before, step in pairwise(shape)]
    strings = vocabulary.strings
    return ["".join([strings[ids[0]], *(gap + strings[token] for gap, token in zip(gaps, ids[1:], strict=True))])
            for ids in found.tokens[numbers].tolist()]


@dataclass(frozen=True, eq=False)
class _Named:
    """Of d patterns what their strings say: kinds (d,), "" for none; patterns (d,), the user's pattern or ""; allowed
    and forbidden (d,), by the user's lists.
    """

    kinds: NDArray[Any]
    patterns: NDArray[Any]
    allowed: NDArray[np.bool_]
    forbidden: NDArray[np.bool_]

    @classmethod
    def of(cls, found: Pulls, ground: Ground) -> _Named:
        """Makes strings only where they can tell anything."""
        size = len(found.tokens)
        allowed, forbidden = np.zeros(size, bool), np.zeros(size, bool)
        patterns = np.full(size, "", dtype=object)
        if ground.lists != Lists():
            cues = cues_of(found, np.arange(size), ground.tokens.vocabulary)
            allowed, forbidden, named = ground.lists.matches(cues)
            patterns[:] = named
        return cls(_kinds(found, ground), patterns, allowed, forbidden)


@dataclass(frozen=True)
class _Holds:
    """Which rules hold for a feature, and whether most texts with it are of one class."""

    forbidden: bool
    one_class: bool
    few: bool
    most: bool


def _rule(holds: _Holds, named: str, kind: str, sources: str) -> tuple[str, str]:
    """The rule that flags a feature, of those that hold, and its reason."""
    if holds.forbidden:
        return "forbidden", "it is on your list of forbidden features"
    if holds.one_class:
        where = "seldom occurs outside one class" if holds.most else "is much more frequent in one class than elsewhere"
        if named:
            return "pattern", f"{where}, and matches your pattern {named}"
        return "one class", f"{where}, and is of the kind: {kind}"
    if holds.few:
        return "few sources", f"what is known of it comes from {sources}"
    return "decides alone", "decides by itself, against everything else, most texts that hold it"


def _counted(found: Pulls, rows: NDArray[np.bool_], ground: Ground) -> tuple[Ids, Ids]:
    """Of these texts, how many hold each pattern, and how many of them are of the class that it pushes to."""
    member = ((ground.index[:, None] == np.arange(len(ground.classes))) & rows[:, None]).astype(np.int64)
    present = sparse.csr_array(found.present.T)
    parts = parallel(lambda ends: rows_of(present, *ends) @ member, blocks(present.indptr.astype(np.int64), BLOCK))
    counts = np.concatenate([np.zeros((0, len(ground.classes)), np.int64), *parts])
    return counts.sum(axis=1), counts[np.arange(len(counts)), found.toward]


def _kinds(found: Pulls, ground: Ground) -> NDArray[Any]:
    """The kind of a token; of an n-gram the kinds of its tokens, if all of them are suspects."""
    tokens, known = found.tokens, ground.kinds != ""
    if tokens.shape[1] == 1:
        return np.asarray(ground.kinds[tokens[:, 0]])
    kinds = np.full(len(tokens), "", dtype=object)
    several = np.flatnonzero(known[tokens].all(axis=1))
    kinds[several] = [", ".join(dict.fromkeys(row)) for row in ground.kinds[tokens[several]].tolist()]
    strings = ground.tokens.vocabulary.strings
    begins = np.array([string[:1].isdecimal() for string in strings], bool)
    ends = np.array([string[-1:].isdecimal() for string in strings], bool)
    numbers = np.flatnonzero(begins[tokens[:, 0]] & ends[tokens[:, -1]])
    cues = pl.Series(cues_of(found, numbers, ground.tokens.vocabulary), dtype=pl.String)
    kinds[numbers[cues.str.contains(r"^\d+(?:[.,]\d+)? (?:/|out of) \d+$").to_numpy()]] = "rating"
    return kinds


def _few(found: Pulls, numbers: Ids, ground: Ground) -> NDArray[Any]:
    """What few sources some patterns' texts come from, "" if they are not few; (d,)."""
    result = np.full(len(found.toward), "", dtype=object)
    texts = np.diff(found.present.indptr)[numbers]
    runs = blocks(np.cumsum([0, *texts]), BLOCK)
    about = ((ground.groups, "texts that are not near-duplicates"), (ground.sources, "sources"))
    for group, words in about:
        if group is None:
            continue
        size = np.bincount(group)
        parts = parallel(lambda run: _different(found, numbers[slice(*run)], group, size), runs)  # noqa: B023
        different = np.concatenate([np.empty(0, np.int64), *parts])
        sizes, how_many = np.unique(size, return_counts=True)
        expected = ((1 - (1 - sizes / len(group)) ** texts[:, None]) * how_many).sum(axis=1)
        for j in np.flatnonzero(different <= FEW * expected).tolist():
            result[numbers[j]] = f"only {different[j]} {words}, of {texts[j]} texts"
    return result


def _different(found: Pulls, numbers: Ids, group: Ids, size: Ids) -> Ids:
    """In how many groups the texts with each of some patterns are; size: of all groups."""
    present = found.present[:, numbers]
    texts = np.diff(present.indptr)
    column = np.repeat(np.arange(len(texts)), texts)
    several = np.flatnonzero(size[group[present.indices]] > 1)
    pairs = distinct(column[several] * len(size) + group[present.indices[several]])
    return np.asarray(texts - np.bincount(column[several], minlength=len(texts)) + np.bincount(
        pairs // len(size), minlength=len(texts)))


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
        same = (row["class"], row["cue"] if holders is None or row["rule"] == "forbidden" else holders.tobytes())
        if len(kept) >= MOST and same not in kept:
            continue
        if len(parts) > 1 and holders is not None and row["rule"] != "forbidden":
            if any(name == row["class"] and len(np.intersect1d(holders, other)) > OVERLAP * len(holders)
                   for name, other in longer):
                continue
            longer.append((row["class"], holders))
        if COMPANION in row["reason"] and COMPANION not in kept.get(same, row)["reason"] and len(parts) == 1:
            kept[same] = row | {"score": kept[same]["score"]}  # the rarer word tells a reader more
        kept.setdefault(same, row)
    return list(kept.values())
