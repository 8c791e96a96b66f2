"""Fills the report's tables from texts, tokens and trajectories."""

from __future__ import annotations

import numpy as np
import polars as pl

from tangentlens.data.texts import Described
from tangentlens.data.tokens import Tokens
from tangentlens.kernels.architecture import Architecture, describe
from tangentlens.kernels.varying import steady, trends
from tangentlens.predictions.strongest import Strongest
from tangentlens.predictions.trajectory import Trajectory
from tangentlens.report.content import ArchitectureAnswer, DataGlance

BINS = 24


def glance(texts: Described, training: Tokens, validation: Tokens, *, tokenizer: str, training_rows: np.ndarray,
           validation_rows: np.ndarray) -> DataGlance:
    """The data at a glance: classes, lengths, duplicates. The rows say where each tokenised text stands in `texts`."""
    lengths = np.zeros(len(texts), dtype=np.int64)
    lengths[training_rows], lengths[validation_rows] = training.lengths, validation.lengths
    table = pl.DataFrame({"class": pl.Series(texts.labels), "length": lengths})
    classes = table.group_by("class").agg(
        pl.len().alias("texts"), (pl.len() / len(texts)).alias("share"), pl.col("length").mean().alias("mean_length"),
    ).sort("class")
    return DataGlance(
        source=texts.source, texts=len(texts), tokens=int(lengths.sum()), vocabulary=len(training.vocabulary),
        unknown=training.unknown + validation.unknown, skipped=texts.skipped, duplicates=texts.duplicates,
        classes=classes, lengths=_histogram(table), training=len(training), validation=len(validation),
        tokenizer=tokenizer,
    )


def answer(architecture: Architecture, trajectory: Trajectory, found: Strongest, *, seconds: float,
           spectrum: pl.DataFrame) -> ArchitectureAnswer:
    """What one architecture takes from the data."""
    dynamics = trajectory.dynamics
    best = trajectory.best
    moves = trends(architecture)
    columns = ["family", "feature", "class", "score", "count", "count_in_class", "half_step", "order"]
    return ArchitectureAnswer(
        name=describe(architecture), description=repr(architecture), spectrum=spectrum,
        top=_in_own_class(found.top, trajectory).select(columns), trajectories=found.paths,
        curves=dynamics.curves.rename({"step": "time"}),
        best_time=float(dynamics.steps[best]), time_reached=float(dynamics.steps[-1]),
        products=dynamics.products, features=trajectory.features.columns,
        windowless=trajectory.features.windowless, seconds=seconds, error=dynamics.error,
        trends=moves, steady=steady(architecture, moves),
    )


def _in_own_class(top: pl.DataFrame, trajectory: Trajectory) -> pl.DataFrame:
    """With two classes, count_in_class counts the last class; here it is the class that the feature pushes towards."""
    if len(trajectory.outputs) > 1:
        return top
    rest = pl.col("count") - pl.col("count_in_class")
    own = pl.when(pl.col("score") > 0).then(pl.col("count_in_class")).otherwise(rest)
    return top.with_columns(own.alias("count_in_class"))


def _histogram(table: pl.DataFrame) -> pl.DataFrame:
    """Texts per class in bins of equal width, the last bin reaching to the longest text."""
    top = max(1, int(np.quantile(table["length"].to_numpy(), 0.99)) + 1)
    width = max(1, -(-top // BINS))
    last = (top - 1) // width
    longest = int(table["length"].max() or 0)  # type: ignore[arg-type]
    binned = table.with_columns((pl.col("length") // width).clip(0, last).alias("bin"))
    grid = pl.DataFrame({"bin": np.arange(last + 1)}).join(table.select("class").unique(), how="cross")
    counts = binned.group_by("bin", "class").agg(pl.len().alias("texts"))
    return (
        grid.join(counts, on=["bin", "class"], how="left")
        .with_columns(pl.col("texts").fill_null(0), (pl.col("bin") * width).alias("low"))
        .with_columns(pl.when(pl.col("bin") == last).then(max(longest + 1, (last + 1) * width))
                      .otherwise(pl.col("low") + width).alias("high"))
        .sort("bin", "class").select("low", "high", "class", "texts")
    )
