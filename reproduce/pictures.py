"""Pictures of the studies, with matplotlib.

Part of: python -m reproduce.score_widths, python -m reproduce.score_curves
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import polars as pl

mpl.use("Agg")
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

COLUMNS = 5
# Okabe and Ito's colours that stand out from white and from black, with a marker each
STYLES = (("#0072B2", "o-"), ("#E69F00", "s--"), ("#009E73", "^-."), ("#CC79A7", "D:"), ("#D55E00", "v-"),
          ("#56B4E9", "P--"), ("#999999", "X:"))


def themed(draw: Callable[..., None]) -> Callable[..., None]:
    """Draws a picture twice: for light pages, and with the ending _dark for dark ones."""
    def both(table: Any, path: Path) -> None:
        draw(table, path)
        with mpl.style.context("dark_background"):
            draw(table, path.with_stem(f"{path.stem}_dark"))
    return both


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


@themed
def bias_picture(table: pl.DataFrame, path: Path) -> None:
    """The bias f(□) against the share of positive texts, one panel per pooling, one line per activation."""
    names = table["network"].unique(maintain_order=True).to_list()
    figure, axes = grid(2, height=3.2, columns=2)
    for place, name in enumerate(names):
        rows = table.filter(pl.col("network") == name)
        axis, style = axes[int("pooling=sum" in name)], STYLES[place % (len(names) // 2)]
        axis.plot(rows["positive"], rows["bias"], style[1], color=style[0], markersize=5, linewidth=1.4,
                  label=name.replace("MLP:", "").replace("MLP", "relu").replace("activation=", "").split(",")[0])
    for axis, pooling in zip(axes, ("mean", "sum"), strict=True):
        axis.set_title(f"MLP, pooling by the {pooling}", fontsize=9)
        axis.set_xlabel("share of positive texts", fontsize=9)
        axis.axhline(0, color=mpl.rcParams["text.color"], linewidth=0.5)
    axes[0].set_ylabel("bias f(□)", fontsize=9)
    axes[0].legend(fontsize=8)
    written(figure, path)


@themed
def interactions_picture(tables: Mapping[str, pl.DataFrame], path: Path) -> None:
    """Trained against predicted interactions of bigrams, one panel per network, on one scale."""
    figure, axes = grid(len(tables), height=3.0, columns=len(tables))
    for axis, (name, table), style in zip(axes, tables.items(), STYLES, strict=False):
        end = 1.05 * max(table["predicted"].abs().max() or 0.0, table["trained"].abs().max() or 0.0)
        axis.plot([-end, end], [-end, end], color=mpl.rcParams["text.color"], linewidth=0.7)
        axis.plot(table["predicted"], table["trained"], style[1][0], color=style[0], markersize=3, alpha=0.7)
        axis.set_title(name, fontsize=8)
        axis.set_xlabel("predicted I(a, b)", fontsize=9)
    axes[0].set_ylabel("trained I(a, b)", fontsize=9)
    written(figure, path)


@themed
def negations_picture(table: pl.DataFrame, path: Path) -> None:
    """Accuracy on seen combinations, new triples and new pairs, per network: predicted bars, trained markers."""
    figure, axes = grid(3, height=3.6, columns=3)
    names = table["network"].to_list()
    for axis, (group, title), style in zip(axes, (("seen", "combination seen"), ("triple", "new triple, known pair"),
                                                  ("pair", "new pair")), STYLES, strict=False):
        place = np.arange(len(names))[::-1]
        axis.barh(place, table[group], color=style[0], alpha=0.6, label="predicted")
        axis.plot(table[f"{group}_trained"], place, "D", color=mpl.rcParams["text.color"], markersize=4,
                  label="trained, mean network")
        axis.plot(table[f"{group}_single"], place, "|", color=mpl.rcParams["text.color"], markersize=11,
                  label="trained, one network")
        axis.set_yticks(place, names if axis is axes[0] else [""] * len(names), fontsize=8)
        axis.set_xlim(0, 1.02)
        axis.set_xlabel("accuracy", fontsize=9)
        axis.set_title(title, fontsize=9)
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=3, fontsize=8)
    written(figure, path)


@themed
def variance_picture(table: pl.DataFrame, path: Path) -> None:
    """Interaction share, or bias share where there are no interactions, over each option: predicted and trained."""
    groups = list(table.group_by(["network", "varied"], maintain_order=True))
    figure, axes = grid(len(groups), height=2.8, columns=3)
    for axis, ((network, varied), rows) in zip(axes, groups, strict=False):
        names = ("share", "common") if (rows["share"].max() or 0.0) > 1e-6 else ("bias", "bias_trained")
        for name, style, label in zip(names, STYLES, ("predicted", "trained"), strict=False):
            axis.plot(rows["value"], 100 * rows[name], style[1], color=style[0], markersize=5, label=label)
        axis.set_title(f"{network}: {'interaction' if names[0] == 'share' else 'bias'} share, %", fontsize=9)
        axis.set_xlabel(str(varied), fontsize=9)
        axis.set_ylim(bottom=0)
    axes[0].legend(fontsize=8)
    written(figure, path)


@themed
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
        axis.loglog(widths, guide, ":", color=mpl.rcParams["text.color"], linewidth=1, label="slope −1/2")
        axis.set_title(name, fontsize=8)
        axis.set_xticks(widths, [str(width) for width in widths])
        axis.minorticks_off()
        axis.legend(fontsize=6)
    figure.supxlabel("width", fontsize=9)
    figure.supylabel("relative error of label scores", fontsize=9)
    written(figure, path)


@themed
def curves_picture(curves: Mapping[str, pl.DataFrame], path: Path) -> None:
    """Mean response of positive, negative and neutral tokens over the epochs: predicted lines, trained points."""
    figure, axes = grid(len(curves))
    colours = {"positive": "#0072B2", "negative": "#D55E00", "neutral": "#999999"}
    for axis, (name, table) in zip(axes, curves.items(), strict=False):
        for group, colour in colours.items():
            steps = table["epoch"]
            axis.plot(steps, table[f"{group}_predicted"], color=colour, linewidth=1.2, label=f"{group}, predicted")
            axis.plot(steps, table[f"{group}_trained"], "o", color=colour, markersize=3.5, label=f"{group}, trained")
        axis.axhline(0, color=mpl.rcParams["text.color"], linewidth=0.5)
        axis.set_title(name, fontsize=8)
    figure.legend(*axes[0].get_legend_handles_labels(), loc="lower right", ncols=2, fontsize=8)
    figure.supxlabel("epoch", fontsize=9)
    figure.supylabel("mean label score", fontsize=9)
    written(figure, path)


@themed
def language_picture(panels: Mapping[str, tuple[list[str], Any, Any]], path: Path) -> None:
    """Box plots of label scores of context tokens, for the targets that co-occur most and least; a panel per model."""
    figure, axes = grid(len(panels), height=2.7, columns=2)
    figure.set_size_inches(13, figure.get_size_inches()[1])
    line = {"color": mpl.rcParams["text.color"], "linewidth": 0.8}
    for axis, (name, (tokens, top, bottom)) in zip(axes, panels.items(), strict=False):
        for part, shift, style, label in ((top, -0.2, STYLES[0], "most"), (bottom, 0.2, STYLES[1], "least")):
            drawn = axis.boxplot(list(part), positions=np.arange(len(tokens)) + shift, widths=0.34, patch_artist=True,
                                 medianprops=line, whiskerprops=line, capprops=line, showfliers=False,
                                 boxprops={"facecolor": style[0], **line})
            drawn["boxes"][0].set_label(f"10 targets that co-occur {label}")
        axis.axhline(0, color=mpl.rcParams["text.color"], linewidth=0.5)
        axis.set_xticks(np.arange(len(tokens)), tokens, fontsize=8, rotation=60)
        axis.set_title(name, fontsize=9)
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=2, fontsize=9)
    figure.supylabel("label score, ÷ standard deviation", fontsize=9)
    written(figure, path)
