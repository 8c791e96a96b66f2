"""A small Report made by hand whose every text tries to break out of the page or the terminal."""

from __future__ import annotations

import math
from typing import Any

import polars as pl

from tangentlens.report.content import COMPARED, ArchitectureAnswer, ComparedAnswer, DataGlance, Report, VerifiedAnswer

TIMES = (0.0, 0.1, 1.0, 10.0, 100.0)
HOSTILE = [
    "<script>window.pwned = 1</script>",
    "</script><script>window.pwned = 2</script>",
    "<img src=x onerror=window.pwned=3>",
    "javascript:window.pwned=4",
    '"><svg onload=window.pwned=5>',
    "&amp; &lt;b&gt;",
    "{{ 7*7 }}{% raw %}",
    "\u202eevil",
    "👩‍🔬 日本 مرحبا",
    "line\nbreak\ttab",
    "\x1b[31mred\x1b]0;title\x07",
    "x" * 500,
    "[red]bold[/red] [link=http://example.invalid]",
    "<!-- ]]> --> '",
]


def answer(name: str, labels: list[str], features: list[str]) -> ArchitectureAnswer:
    """One architecture: every feature once per class, scores falling, one missing and one infinite number."""
    two = len(labels) == 2
    top: list[tuple[Any, ...]] = []
    lines: list[tuple[Any, ...]] = []
    for place, feature in enumerate(features):
        for index, label in enumerate(labels):
            sign = -1.0 if two and index == 0 else 1.0
            score = sign / (place + 1 + 0.1 * index)
            family = "pair" if " " in feature else "token"
            top.append((family, f"{feature} {index}", label, score, 40 - place, 30 - place, 3.0 + place))
            lines += [(family, f"{feature} {index}", label, t, score * t / (t + 2)) for t in TIMES]
    top.append(("bias", "<bias>", labels[-1], math.nan, 90, None, math.inf))
    curves = [(t, 0.7 / (1 + t), 0.9 - 0.4 / (1 + t), 0.7 / (1 + t), 0.8 if t else None) for t in TIMES]
    return ArchitectureAnswer(
        name=name,
        description=f"{name}(activation='relu', note='</script>')",
        spectrum=pl.DataFrame(
            {
                "family": ["bias", "token", "pair"],
                "order": [0, 1, 2],
                "coefficient": [0.159, 1.34, math.nan],
                "share": [0.1, 0.8, 0.1],
            }
        ),
        top=pl.DataFrame(
            top, orient="row", schema=["family", "feature", "class", "score", "count", "count_in_class", "half_step"]
        ),
        trajectories=pl.DataFrame(lines, orient="row", schema=["family", "feature", "class", "time", "score"]),
        curves=pl.DataFrame(
            curves,
            orient="row",
            schema=["time", "train_loss", "train_accuracy", "validation_loss", "validation_accuracy"],
        ),
        best_time=10.0,
        time_reached=100.0,
        products=42,
        features=12_345,
        windowless=1,
        seconds=0.5,
        trends=pl.DataFrame(
            [(option, value, value == 1.0, 0.1, 0.9 - value / 10, value / 10, math.nan)
             for option in ("</script><script>window.pwned = 9</script>", "depth") for value in (0.25, 1.0, 2.0)],
            orient="row",
            schema=["option", "value", "own", "bias", "token", "pair", "longer"],
        ),
        steady=("<b>readout_std",),
    )


def verified_answer(name: str, labels: list[str], features: list[str]) -> VerifiedAnswer:
    """What networks say of the same features, in families of hostile names; one missing and one infinite number."""
    classes = labels[-1:] if len(labels) == 2 else labels
    families = {"bias": 0, "token <i>&": 1, "</script>token": 1, "pair": 2}
    rows = [(family, f"{feature} {index}", label, 0.1 * place - 0.3, 0.1 * place - 0.2, 0.1 * place - 0.4, 0.1 * place)
            for index, family in enumerate(families) for place, feature in enumerate(features) for label in classes]
    rows[1] = (*rows[1][:3], math.nan, math.inf, math.nan, math.inf)
    schema = ["family", "feature", "class", "predicted", "trained", "low", "high"]
    scatter = pl.DataFrame(rows, orient="row", schema=schema)
    steps = [scatter.select(*schema[:3], pl.lit(step).alias("step"), pl.col(schema[3:]) * step / 20)
             for step in (0, 1, 10, 20)]
    errors = [(family, width, 8 / width**0.5, 7 / width**0.5, 9 / width**0.5)
              for width in (16, 64) for family in families]
    slopes = [(family, -0.5, -0.6, math.nan, 2.0, 1.0, order) for family, order in families.items()]
    own = [(0, 0.0, 0.0, 0.0, 0.0), (1, 0.4, 0.4, 0.01, 0.001), (20, 0.4, math.nan, 0.1, 0.02)]
    return VerifiedAnswer(
        name, 30, 99, 20, 1.5, (16, 64), 2, 0.87, scatter, pl.concat(steps),
        pl.DataFrame(errors, orient="row", schema=["family", "width", "error", "low", "high"]),
        pl.DataFrame(slopes, orient="row", schema=["family", "slope", "low", "high", "error_narrowest", "error_widest",
                                                   "order"]),
        pl.DataFrame(own, orient="row", schema=["step", "total", "fluctuation", "drift_error", "drift"]), 64, 1.0)


def compared_answer(name: str, names: list[str], labels: list[str], features: list[str]) -> ComparedAnswer:
    """What sets it apart: every feature as an n-gram and as a token, one missing and one infinite number."""
    classes = labels[-1:] if len(labels) == 2 else labels
    effects = [math.inf if place == 1 else 0.5 - place for place in range(len(features))]
    ngrams = [(2, feature, classes[place % len(classes)], 20, 18, 2.0, -1.0, effects[place], -1.0)
              for place, feature in enumerate(features)]
    tables: dict[str, list[tuple[Any, ...]]] = {
        "accuracy": [("all", 134, 0.8, 0.03), ("with", 34, 0.7, 0.08), ("without", 100, 0.83, 0.04)],
        "leads": [(other, 0.01 * place - 0.02, 0.004, 1, 2, 0, 2, 1, 0) for place, other in enumerate(names)
                  if other != name],
        "contrary": ngrams,
        "interactions": [(2, feature, classes[0], 0.3) for feature in features],
        "bias": [(label, -0.3, -0.5, 0.2, math.nan, 3, 2) for label in classes],
        "flipped": [(feature, classes[0], 9, 0.25, math.inf if place == 1 else -0.05) for place, feature in
                    enumerate(features)],
        "learned": [(0, 1, 0.01), (1, 50, 4.0), (2, 70, math.nan), (3, 10, 6.0)],
    }
    made = {key: pl.DataFrame(rows, schema=COMPARED[key], orient="row") for key, rows in tables.items()}
    return ComparedAnswer(name=name, longest=3, interaction_share=0.1, share_texts=99, share_held=True, frequent=40,
                          strongest=20, unbiased=("tanh <b>",), **made)


def make_report(labels: list[str], architectures: int = 2, features: list[str] | None = None, verified: int = 0,
                compared: bool = False) -> Report:
    chosen = HOSTILE if features is None else features
    data = DataGlance(
        source="</title><script>window.pwned = 6</script>.csv",
        texts=1234,
        tokens=56_789,
        vocabulary=2_000,
        unknown=17,
        skipped=3,
        duplicates=5,
        training=1_100,
        validation=134,
        tokenizer="words\x1b[2J",
        classes=pl.DataFrame(
            {
                "class": labels,
                "texts": [10] * len(labels),
                "share": [1 / len(labels)] * len(labels),
                "mean_length": [math.nan] + [9.5] * (len(labels) - 1),
            }
        ),
        lengths=pl.DataFrame(
            [(low, low + 5, label, 3 + low) for label in labels for low in range(0, 30, 5)],
            orient="row",
            schema=["low", "high", "class", "texts"],
        ),
    )
    answers = tuple(answer(f"Net {i} <b>&", labels, chosen[i:] + chosen[:i]) for i in range(architectures))
    settings = {"seed": 0, "split": {"share": 0.1, "by": None}, "</script>": HOSTILE, "\x1b[0m": float("nan")}
    notes = ("5 <u>duplicates</u>\x1b[31m", "[blink]")
    trained = tuple(verified_answer(answer.name, labels, chosen) for answer in answers[:verified])
    names = [answer.name for answer in answers]
    different = tuple(compared_answer(name, names, labels, chosen) for name in names) if compared else ()
    return Report("Audit of <i>reviews</i> [bold]\x1b[1m", data, answers, notes, settings, trained, different)
