"""The empirical NTK of finite networks at their start against the closed form, over widths and seeds."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import polars as pl

from tangentlens.data.tokens import Tokens
from tangentlens.kernels import Architecture, describe
from tangentlens.networks.building import build
from tangentlens.verification.empirical import empirical_ntk
from tangentlens.verification.width_study import slope_of


def kernel_study(architecture: Architecture, tokens: Tokens, *, widths: Sequence[int] = (64, 128, 256, 512),
                 seeds: int = 8, device: str = "cpu") -> pl.DataFrame:
    """Relative error ‖Θ̂ − Θ‖ / ‖Θ‖ (Frobenius) of single networks: architecture, width, seed, error."""
    exact = architecture.kernel(tokens)
    rows = []
    for width in sorted(set(widths)):
        for seed in range(seeds):
            network = build(architecture, vocabulary_size=len(tokens.vocabulary), width=width, seed=seed, device=device)
            found = empirical_ntk(network, tokens)[:, 0, :, 0]
            error = float(np.linalg.norm(found - exact) / np.linalg.norm(exact))
            rows.append((describe(architecture), width, seed, error))
    return pl.DataFrame(rows, schema=["architecture", "width", "seed", "error"], orient="row")


def kernel_slope(errors: pl.DataFrame) -> tuple[float, float, float]:
    """Slope of log rms error against log width, with its 95 % interval, of one architecture's `kernel_study`."""
    table = errors.pivot(on="seed", index="width", values="error").sort("width")
    return slope_of(table["width"].to_numpy(), table.drop("width").to_numpy())
