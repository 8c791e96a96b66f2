"""The strongest features of every class, and how their label scores grew."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl

from tangentlens.predictions.scores import score_paths, score_tables
from tangentlens.predictions.trajectory import Trajectory

PER_ORDER = (5, 60, 30, 20)  # bias, tokens, pairs, longer: rows shown per class
PATHS = (1, 5, 3, 2)  # the same for trajectories
CANDIDATES = 12  # strongest features from which one row shown is chosen
MOMENTS = 40  # recorded steps shown of a trajectory


@dataclass(frozen=True)
class Strongest:
    """scores: the label-score table (features that occur in the training texts); top: its strongest rows of each class
    and order, `class` being the class that the feature pushes towards, with the columns `order`, `block` (which family)
    and `column` (which column of it) added; paths: family, feature, class, time, score for fewer of them.
    """

    scores: pl.DataFrame
    top: pl.DataFrame
    paths: pl.DataFrame


def strongest(trajectory: Trajectory, *, step: int = -1) -> Strongest:
    """Label scores at a record, the strongest features among them, and their paths up to the end."""
    record = trajectory.record(step)
    tables, extremes = [], []
    for block, table in enumerate(score_tables(trajectory.features, trajectory.dynamics, record)):
        family = trajectory.features.families[block]
        table = table.with_row_index("column").filter(pl.col("count") > 0)
        extremes.append(_extremes(table, trajectory).with_columns(
            pl.col("column") % family.columns, order=pl.lit(family.order), block=pl.lit(block)))
        tables.append(table.drop("column"))
    found = pl.concat(extremes)
    top = _top(found, trajectory, PER_ORDER)
    return Strongest(pl.concat(tables), top, _paths(_top(found, trajectory, PATHS), trajectory))


def _extremes(table: pl.DataFrame, trajectory: Trajectory) -> pl.DataFrame:
    """The rows of one family that `_top` may choose: the largest and the smallest scores of each output."""
    slim = table.select("class", "score").with_row_index("row")
    parts = [slim.filter(pl.col("class") == name) for name in trajectory.outputs]
    most = CANDIDATES * max(PER_ORDER)
    ends = [part for mine in parts for part in (mine.top_k(most, by="score"), mine.bottom_k(most, by="score"))]
    return table[pl.concat(ends)["row"].unique().sort()]


def _top(scores: pl.DataFrame, trajectory: Trajectory, quota: tuple[int, ...]) -> pl.DataFrame:
    """The strongest features of each class and order: of one feature in several groups the most frequent, and of one
    token at several offsets the strongest.
    """
    two = len(trajectory.outputs) == 1
    kind = pl.Series(trajectory.classes).dtype
    chosen = [scores.clear().with_columns(pl.lit(None, dtype=kind).alias("class"))]
    for order in sorted(scores["order"].unique().to_list()):
        rows = scores.filter(pl.col("order") == order)
        for name in trajectory.classes:
            positive = name == trajectory.classes[-1] if two else True
            mine = rows if two else rows.filter(pl.col("class") == name)
            mine = mine.filter(pl.col("score") > 0 if positive else pl.col("score") < 0)
            most = quota[min(order, len(quota) - 1)]
            mine = mine.top_k(CANDIDATES * most, by=pl.col("score").abs())
            mine = mine.sort("count", descending=True, maintain_order=True).unique(
                ["block", "feature"], keep="first", maintain_order=True)
            mine = mine.sort(pl.col("score").abs(), descending=True)
            if order == 1:
                token = pl.col("feature").str.replace(r"@(lag)?\d+$", "")
                mine = mine.unique(token, keep="first", maintain_order=True)
            mine = mine.head(most)
            chosen.append(mine.with_columns(pl.lit(name, dtype=kind).alias("class")))
    return pl.concat(chosen).sort(pl.col("score").abs(), descending=True)


def _paths(rows: pl.DataFrame, trajectory: Trajectory) -> pl.DataFrame:
    steps = trajectory.steps
    moments = np.unique(np.linspace(0, len(steps) - 1, min(MOMENTS, len(steps))).round().astype(int))
    two = len(trajectory.outputs) == 1
    tables = [rows.select("family", "feature", "class", "order", time=pl.lit(0.0), score=pl.lit(0.0)).clear()]
    for (block,), mine in rows.group_by(["block"], maintain_order=True):
        columns = mine["column"].to_numpy()
        paths = score_paths(trajectory.features.families[int(str(block))], trajectory.dynamics, columns)
        for place, row in enumerate(mine.iter_rows(named=True)):
            output = 0 if two else trajectory.outputs.index(row["class"])
            about = [pl.lit(row[name], dtype=rows[name].dtype).alias(name)
                     for name in ("family", "feature", "class", "order")]
            path = pl.DataFrame({"time": steps[moments], "score": paths[moments, place, output]})
            tables.append(path.select(*about, "time", "score"))
    return pl.concat(tables)
