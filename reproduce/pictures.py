"""Pictures of the studies, with matplotlib.

Part of: python -m reproduce.score_widths, python -m reproduce.score_curves
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import polars as pl

mpl.use("Agg")
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

COLUMNS = 5


def written(figure: Figure, path: Path) -> None:
    """Saves to a temporary name, then renames."""
    temporary = path.with_name(f".{path.name}")
    figure.savefig(temporary, format="png", dpi=110)
    plt.close(figure)
    os.replace(temporary, path)


def grid(panels: int, *, height: float = 2.6, columns: int = COLUMNS) -> tuple[Figure, Any]:
    """Figure and flat axes."""
    rows = -(-panels // columns)
    figure, axes = plt.subplots(rows, columns, figsize=(3 * columns, height * rows), squeeze=False,
                                layout="constrained")
    for axis in axes.ravel()[panels:]:
        axis.set_visible(False)
    return figure, axes.ravel()


def widths_picture(errors: pl.DataFrame, path: Path) -> None:
    """Error against width, log-log, one panel per architecture, one line per family, with a slope of −1/2."""
    names = errors["architecture"].unique(maintain_order=True).to_list()
    figure, axes = grid(len(names))
    for axis, name in zip(axes, names, strict=False):
        part = errors.filter(pl.col("architecture") == name)
        for (family,), rows in part.group_by("family", maintain_order=True):
            rms = rows.group_by("width").agg(pl.col("error").pow(2).mean().sqrt()).sort("width")
            axis.loglog(rms["width"], rms["error"], "o-", markersize=3, linewidth=1, label=str(family))
        widths = np.array(sorted(part["width"].unique()))
        guide = part["error"].median() * (widths / widths[0]) ** -0.5
        axis.loglog(widths, guide, "k:", linewidth=1, label="slope −1/2")
        axis.set_title(name, fontsize=8)
        axis.set_xticks(widths, [str(width) for width in widths])
        axis.minorticks_off()
        axis.legend(fontsize=6)
    figure.supxlabel("width", fontsize=9)
    figure.supylabel("relative error of label scores", fontsize=9)
    written(figure, path)


def curves_picture(curves: Mapping[str, pl.DataFrame], path: Path) -> None:
    """Mean response of positive, negative and neutral tokens over the epochs: predicted lines, trained points."""
    figure, axes = grid(len(curves))
    colours = {"positive": "tab:blue", "negative": "tab:red", "neutral": "tab:gray"}
    for axis, (name, table) in zip(axes, curves.items(), strict=False):
        for group, colour in colours.items():
            steps = table["epoch"]
            axis.plot(steps, table[f"{group}_predicted"], color=colour, linewidth=1.2, label=f"{group}, predicted")
            axis.plot(steps, table[f"{group}_trained"], "o", color=colour, markersize=3.5, label=f"{group}, trained")
        axis.axhline(0, color="k", linewidth=0.5)
        axis.set_title(name, fontsize=8)
    figure.legend(*axes[0].get_legend_handles_labels(), loc="lower right", ncols=2, fontsize=8)
    figure.supxlabel("epoch", fontsize=9)
    figure.supylabel("mean label score", fontsize=9)
    written(figure, path)
