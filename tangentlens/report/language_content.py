"""What is shown of a language model's first step: frozen values with checked tables."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl

from tangentlens.errors import ShapeError
from tangentlens.report.content import _require
from tangentlens.report.results import as_json

PAIRS = ("family", "order", "feature", "count", "target", "target_count", "score", "beyond", "lift", "rank",
         "rank_beyond")
CONTEXTS = ("target", "target_count", "family", "feature", "beyond", "lift", "rank")
HEAT = ("feature", "target", "beyond", "lift")
LAGS = ("feature", "target", "lag", "count", "lift")
NEXT = ("token", "probability", "unigram")
PARTS = ("family", "feature", "count", "score", "contribution")
PERPLEXITY = ("model", "perplexity", "loss", "chosen", "contexts")


@dataclass(frozen=True)
class CorpusGlance:
    """The corpus at a glance: documents, tokens, types of the training part; unknown tokens; contexts (targets) that
    the scores are counted from; held_out: tokens held out for perplexities and examples, 0 for none.
    """

    source: str
    documents: int
    tokens: int
    types: int
    unknown: int
    contexts: int
    window: int
    held_out: int
    tokenizer: str


@dataclass(frozen=True)
class LanguageExample:
    """A held-out context (its last tokens), the token that follows, and what the model says.

    next: token, probability, unigram; explained: the true next token's logit = start + contributions of the features
    (parts: family, feature, count, score, contribution, the largest first) + rest, the sum of parts not shown.
    """

    text: str
    target: str
    probability: float
    unigram: float
    logit: float
    start: float
    rest: float
    next: pl.DataFrame
    parts: pl.DataFrame

    def __post_init__(self) -> None:
        _require("LanguageExample.next", self.next, NEXT)
        _require("LanguageExample.parts", self.parts, PARTS)


@dataclass(frozen=True)
class LanguageArchitecture:
    """What one architecture learns first. features, pairs: columns of its map, stored pairs; time: of the scores.

    targets: both ends of the rankings, see `tangentlens.predictions.pairs.target_pairs`; contexts: of every frequent
    target the features that call for it; heat: the strongest pairs as a rectangle, features × targets.
    """

    name: str
    description: str
    features: int
    pairs: int
    time: float
    targets: pl.DataFrame
    contexts: pl.DataFrame
    heat: pl.DataFrame
    examples: tuple[LanguageExample, ...] = ()

    def __post_init__(self) -> None:
        for name, columns in (("targets", PAIRS), ("contexts", CONTEXTS), ("heat", HEAT)):
            _require(f"LanguageArchitecture.{name}", getattr(self, name), columns)
        if self.targets.is_empty():
            raise ShapeError(f"LanguageArchitecture.targets of {self.name} has no row. Give pairs of a feature and a "
                             "target.")


@dataclass(frozen=True)
class LanguageAnswer:
    """What a next-token network learns first from a corpus, architecture by architecture; see `tl.language`.

    lags: for a few of the strongest pairs, how often the feature stands `lag` places before the target (count), and as
    many times chance (lift). perplexities: see `tl.perplexities`; empty without held-out text.
    """

    corpus: CorpusGlance
    architectures: tuple[LanguageArchitecture, ...]
    lags: pl.DataFrame
    perplexities: pl.DataFrame
    settings: dict[str, Any] = field(default_factory=dict)
    notes: Sequence[str] = ()

    def __post_init__(self) -> None:
        _require("LanguageAnswer.lags", self.lags, LAGS)
        _require("LanguageAnswer.perplexities", self.perplexities, PERPLEXITY)
        if not self.architectures:
            raise ShapeError("LanguageAnswer has no architecture. Give at least one.")

    @property
    def table(self) -> pl.DataFrame:
        """Every pair of every architecture, as in pairs.parquet: architecture, time, and the columns of targets."""
        return pl.concat([one.targets.select(pl.lit(one.name).alias("architecture"), pl.lit(one.time).alias("time"),
                                             *PAIRS) for one in self.architectures])

    def to_json(self) -> str:
        """Settings, corpus, perplexities and the strongest pairs as JSON text."""
        results = [{"architecture": one.name, "time": one.time, "features": one.features, "pairs": one.pairs,
                    "strongest": one.targets.sort("beyond", descending=True, maintain_order=True).head(20).to_dicts()}
                   for one in self.architectures]
        return as_json(self.settings | {"corpus": vars(self.corpus), "perplexities": self.perplexities.to_dicts(),
                                        "results": results, "notes": list(self.notes)})

    def write(self, folder: Path) -> None:
        """Writes language.html, pairs.parquet and run.json into an existing folder. Raises OutputError."""
        from tangentlens.report.files import explained
        from tangentlens.report.language_page import render_language
        with explained(folder.parent):
            (folder / "language.html").write_bytes(render_language(self).encode())
            self.table.write_parquet(folder / "pairs.parquet")
            (folder / "run.json").write_bytes(f"{self.to_json()}\n".encode("utf-8", "backslashreplace"))
