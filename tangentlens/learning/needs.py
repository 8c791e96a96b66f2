"""What an audit or work on parts will need, foreseen from a few texts; refused, with a remedy, where it is too much."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass

from tangentlens.data.scanning import FilePart, TextsPart
from tangentlens.data.tokens import Tokens
from tangentlens.data.vocabularies import merged_vocabulary, tokenised
from tangentlens.errors import OptionError, OutputError
from tangentlens.features.counting import MANY
from tangentlens.learning.by_text import DENSE, unrotated
from tangentlens.learning.engines import Engine, Here, Workers
from tangentlens.learning.memory import allowed, free, gigabytes
from tangentlens.learning.parts import Cut, Maps, counted

HEAD = 200  # texts that are looked at
BASE = 3e8  # bytes of a process with the library
WORKED = 100  # bytes for each stored count of a part while its patterns are counted
KEPT = 50  # bytes for each stored count in the folder, or in memory
WHOLE = 15, 39  # bytes of an audit in one piece: for each token, and for each stored count; by measurement …
BY_TEXT = 12, 13  # … and where products go by text
PER_TEXT = 2 * 8 * 150  # bytes of a basis of 150 vectors and its outputs, for each text and output


@dataclass(frozen=True)
class Needs:
    """Bytes: for one part while it is worked on, for what is kept of all parts, and while learning."""

    part: float
    kept: float
    learning: float

    @classmethod
    def of(cls, parts: Sequence[FilePart | TextsPart], architecture: Maps, cut: Cut) -> Needs:
        """From the first texts of the first part; sizes grow with the number of texts."""
        texts = parts[0].read()[:HEAD]
        if not len(texts):
            return cls(BASE, 0.0, BASE)
        tokens = tokenised(texts, cut.tokenizer, cut.lowercase)
        stored = len(counted(tokens, merged_vocabulary([tokens], 1), architecture)["data"]) / len(texts)
        rows = [part.rows for part in parts]
        return cls(BASE + WORKED * stored * max(rows), KEPT * stored * sum(rows),
                   BASE + PER_TEXT * sum(rows) + 2 * KEPT * stored * max(rows))


def audit_bytes(tokens: Tokens, architectures: Sequence[Maps]) -> float:
    """Bytes that an audit of these texts in one piece will need at most at a time, from the first of them: all maps and
    label scores are kept, and the largest map is worked on. Within about a third of what was measured.
    """
    head = tokens[:HEAD]
    share = len(tokens.ids) / max(1, len(head.ids))
    maps = [one.features(head) for one in architectures]
    stored = [share * sum({id(family.stored): family.stored.nnz for family in one.families}.values()) for one in maps]
    by_text = len(tokens) >= MANY and min(stored, default=0.0) >= DENSE * len(tokens.vocabulary) and all(
        unrotated(one) and max((family.order for family in one.families), default=0) < 2 for one in maps)
    per_token, per_count = BY_TEXT if by_text else WHOLE
    return BASE + per_token * len(tokens.ids) + per_count * (sum(stored) + max(stored, default=0.0))


def check_audit(tokens: Tokens, architectures: Sequence[Maps], memory: float | None) -> str:
    """Says how much memory an audit needs. Raises OptionError where that will not do."""
    most, room = audit_bytes(tokens, architectures), free() if memory is None else allowed(memory)
    if most > room:
        raise OptionError(f"this audit needs about {gigabytes(most)} of memory, and {gigabytes(room)} are there; audit "
                          "fewer architectures at a time or a sample of the texts, learn from parts (tl.partition), or "
                          "allow more (memory=, in GB)")
    return f"about {gigabytes(most)} of memory"


def foresee(needs: Needs, engine: Engine, memory: float | None) -> str:
    """Says what is needed. Raises OptionError where memory will not do, OutputError where the disk will not."""
    most = max(needs.part, needs.learning)
    folder = engine.folder if isinstance(engine, Here) else None
    if isinstance(engine, Here) and folder is None:
        most += needs.kept
    room = _worker_memory(engine) if isinstance(engine, Workers) and memory is None else allowed(memory)
    if most > room:
        remedy = "parts smaller (part=)" if folder is not None or isinstance(engine, Workers) else (
            "parts in a folder (folder=)")
        raise OptionError(f"this needs about {gigabytes(most)} of memory, and {gigabytes(room)} are there; make "
                          f"{remedy}, or allow more (memory=, in GB)")
    line = f"about {gigabytes(most)} of memory"
    if folder is None:
        return line
    free = shutil.disk_usage(folder).free + sum(file.stat().st_size for file in folder.glob("*/*"))
    if needs.kept > free:
        raise OutputError(f'this needs about {gigabytes(needs.kept)} in "{folder}", and {gigabytes(free)} are free '
                          "there; give a folder on a larger disk")
    return f"{line}, {gigabytes(needs.kept)} in the folder"


def _worker_memory(engine: Workers) -> float:
    """The memory of the smallest worker."""
    try:
        known = engine.client.scheduler_info(n_workers=-1)
    except TypeError:  # before distributed 2025.3 it takes no number, and tells of all
        known = engine.client.scheduler_info()
    limits = [float(worker["memory_limit"]) for worker in known["workers"].values() if worker.get("memory_limit")]
    return min(limits, default=float("inf"))
