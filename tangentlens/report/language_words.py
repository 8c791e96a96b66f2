"""The answer of a language model's first step in words, for page and terminal."""

from __future__ import annotations

from typing import Any

import polars as pl

from tangentlens.report.language_content import CorpusGlance, LanguageAnswer, LanguageArchitecture
from tangentlens.report.wording import figure

Row = dict[str, Any]
SEEN = 20


def leading(answer: LanguageArchitecture, most: int = 3, *, by: str = "beyond") -> list[Row]:
    """The strongest pairs by a column, of features that differ, among the ten best targets of each; by lift, only
    targets that occur SEEN times, as a pair that stands together once is far from chance by chance.
    """
    table = answer.targets.filter((pl.col("rank_beyond") <= 10) & (pl.col("beyond") > 0))
    if by == "lift":
        table = table.filter(pl.col("target_count") >= SEEN)
    table = table.sort(by, descending=True, maintain_order=True)
    return table.unique("feature", keep="first", maintain_order=True).head(most).to_dicts()


def compared(answer: LanguageAnswer) -> str:
    """Perplexities in a sentence; "" without held-out text."""
    if answer.perplexities.is_empty():
        return ""
    known = dict(zip(answer.perplexities["model"], answer.perplexities["perplexity"], strict=True))
    best = min(answer.architectures, key=lambda one: known[one.name])
    others = ", ".join(f"{name} {figure(value)}" for name, value in known.items()
                       if name not in [one.name for one in answer.architectures])
    return (f"Perplexity on held-out text after that first step: {best.name} {figure(known[best.name])}; by counting: "
            f"{others}. One step ranks targets; it is not a good language model yet.")


def documents(corpus: CorpusGlance) -> str:
    """The noun for their number."""
    return "document" if corpus.documents == 1 else "documents"


def ends(answer: LanguageArchitecture, feature: str, most: int = 3) -> tuple[list[str], list[str]]:
    """The targets that a feature calls for, and those it speaks against most, beyond the unigram."""
    rows = answer.targets.filter(feature=feature).sort("rank_beyond")
    high = rows.filter(pl.col("beyond") > 0).head(most)["target"].to_list()
    return high, rows.filter(pl.col("beyond") < 0).tail(most)["target"].to_list()[::-1]
