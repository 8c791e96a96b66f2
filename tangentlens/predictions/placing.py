"""Flags of places and of length: a token that decides only at the edge of a text, and how long the text is."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tangentlens.data.sorting import blocks, distinct
from tangentlens.data.threads import parallel
from tangentlens.data.tokens import UNKNOWN, Tokens
from tangentlens.kernels.architecture import Architecture
from tangentlens.predictions.ground import Ground, discoveries, priors, purity
from tangentlens.predictions.questions import least_length
from tangentlens.predictions.shortcuts import LEAST, Learned, by_class, margin

Ids = NDArray[np.int64]
BLOCK = 2**22  # tokens that are looked through at a time
LENGTH = 0.02  # share of texts that the bias of their length decides


def position_flags(architecture: Architecture, learned: Learned, ground: Ground) -> list[dict[str, Any]]:
    """Tokens that are of one class at the first or last place of a text and not elsewhere, where the place matters.

    The place matters by f(t □ … □) − f(□ … t … □), the token at the edge and in the middle of a text of unknown tokens:
    exactly zero for an architecture that cannot tell.
    """
    tokens, rows = ground.tokens, []
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
        pure = purity(texts[candidates], counts[candidates, toward[candidates]], priors(toward[candidates], ground))
        sure = discoveries(pure.p, np.ones(len(candidates), bool), ground.level) & (pure.low >= ground.pure)
        chosen = candidates[sure]
        for token, low, texts_with in zip(chosen.tolist(), pure.low[sure].tolist(), _holders(tokens, chosen),
                                          strict=True):
            holders = texts_with[at[texts_with] == token]
            elsewhere = texts_with[at[texts_with] != token]
            row = _position_flag(architecture, learned, ground, (token, edge, holders, elsewhere))
            if row and row["class"] == ground.classes[toward[token]]:
                row["score"] *= 2 * low - 1
                rows.append(row)
    return rows


def _holders(tokens: Tokens, wanted: Ids) -> Iterator[NDArray[np.int32]]:
    """For each of some tokens the texts that hold it, ascending; read in one pass."""
    number = np.full(len(tokens.vocabulary) + 1, -1, np.int32)  # the last is that of unknown tokens
    number[wanted] = np.arange(len(wanted))

    def held(ends: tuple[int, int]) -> tuple[NDArray[np.int32], Ids]:
        low, high = tokens.offsets[list(ends)].tolist()
        found = number[tokens.ids[low:high]]
        here = np.flatnonzero(found >= 0)
        text = np.searchsorted(tokens.offsets, here + low, side="right") - 1
        of_token, text = np.divmod(distinct(found[here].astype(np.int64) * len(tokens) + text), len(tokens))
        return text.astype(np.int32), np.searchsorted(of_token, np.arange(len(wanted) + 1))

    parts = parallel(held, blocks(tokens.offsets, BLOCK)) if len(wanted) else []
    for place in range(len(wanted)):
        yield np.concatenate([text[slice(*ends[place:place + 2])] for text, ends in parts])


def _position_flag(architecture: Architecture, learned: Learned, ground: Ground,
                   found: tuple[int, str, NDArray[Any], NDArray[Any]]) -> dict[str, Any] | None:
    """The flag of a token at an edge, held there by some texts and by others elsewhere only; None if its place does
    not matter.
    """
    token, edge, holders, elsewhere = found
    tokens, index = ground.tokens, ground.index
    toward = int(np.bincount(index[holders]).argmax())
    there, other = (float(np.mean(index[rows] == toward)) if len(rows) else 1.0 for rows in (holders, elsewhere))
    if len(elsewhere) < LEAST or other > (1 + there) / 2 - 0.1:
        return None  # it is the token itself, wherever it stands
    length = max(int(np.median(tokens.lengths[holders])), 2 * least_length(architecture) + 1, 5)
    probes = np.full((2, length), UNKNOWN)
    probes[0, 0 if edge == "first" else -1] = probes[1, length // 2] = token
    asked = architecture.features(Tokens.from_ids(probes.tolist(), vocabulary=tokens.vocabulary),
                                  columns=learned.trajectory.features)
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


def length_flag(learned: Learned, ground: Ground) -> list[dict[str, Any]]:
    """Texts that their length decides: with the bias of an average text in place of its own, the decision turns."""
    scores, families = learned.scores, learned.trajectory.features.families
    bias = np.zeros((len(ground.index), scores[0].shape[1]))
    for family, score in zip(families, scores, strict=True):
        if family.order == 0:
            bias += family.counts @ score
    own = by_class(bias - bias.mean(axis=0))
    decision = learned.decision
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
