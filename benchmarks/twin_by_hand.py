"""The finite MLP and its gradient descent as fast as plain PyTorch goes: no autograd, buffers kept, updates fused.

Part of: python -m benchmarks --only twin
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

import tangentlens as tl

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Setting:
    """How to train: texts of a batch (None: all), momentum of the heavy ball, and the learning rate as a part of the
    critical one of full batches.
    """

    batch: int | None
    momentum: float
    part: float

    def rate(self, critical: float) -> float:
        """η; momentum μ makes (1 + μ) times larger rates stable."""
        return self.part * critical * (1 + self.momentum)

    def steps(self, end: float, critical: float) -> int:
        """How many make up the time of the gradient flow, η / (1 − μ) each."""
        return math.ceil(end * (1 - self.momentum) / self.rate(critical))

    def __str__(self) -> str:
        return (f"{'full batches' if self.batch is None else f'batches of {self.batch}'}, momentum {self.momentum:g}, "
                f"{self.part:g} of the critical rate")


class Batch:
    """The distinct tokens of some texts (u,) and the mean over their places, a sparse (b, u) matrix and its transpose.
    """

    def __init__(self, tokens: tl.Tokens, rows: NDArray[np.int64] | None = None, *, device: str = "cpu") -> None:
        chosen = tokens if rows is None else tokens[rows]
        used, place = np.unique(chosen.ids, return_inverse=True)
        text = np.repeat(np.arange(len(chosen)), chosen.lengths)
        weight = (1 / np.maximum(chosen.lengths, 1))[text]
        self.rows = slice(None) if rows is None else torch.as_tensor(rows, device=device)
        self.used, self.text, self.place = (torch.as_tensor(one, device=device) for one in (used, text, place))
        self.weight = torch.as_tensor(weight, dtype=torch.float32, device=device)
        self.size = len(chosen)

    def pooled(self, values: Tensor) -> Tensor:
        """Means of token values (u,) over texts; (b,)."""
        return self.weight.new_zeros(self.size).index_add_(0, self.text, values[self.place] * self.weight)

    def spread(self, slopes: Tensor) -> Tensor:
        """The transpose: what every token's value moves (u,)."""
        return self.weight.new_zeros(len(self.used)).index_add_(0, self.place, slopes[self.text] * self.weight)


class MLPByHand:
    """f = mean over tokens of v · relu(W e / √m) / √m, trained on f − f_0 of the logistic loss; y = ±1."""

    def __init__(self, vocabulary: int, width: int, seed: int = 0, *, device: str = "cpu") -> None:
        random = torch.Generator(device).manual_seed(seed)
        self.embedding = torch.randn(vocabulary, width, generator=random, device=device)
        self.weight = torch.randn(width, width, generator=random, device=device)
        self.readout = torch.randn(width, generator=random, device=device)
        self.scale, self.device = width**-0.5, device

    def outputs(self, batch: Batch) -> Tensor:
        """f (b,)."""
        hidden = torch.relu_(self.embedding[batch.used] @ self.weight)
        return batch.pooled(hidden @ self.readout) * self.scale**2

    def train(self, tokens: tl.Tokens, y: Tensor, setting: Setting, rate: float, steps: int, seconds: float = math.inf
              ) -> int:
        """Gradient descent; the steps that were taken, fewer if the seconds are over or outputs are not finite."""
        whole = Batch(tokens, device=self.device)
        start = self.outputs(whole)
        velocity = [torch.zeros_like(one) for one in (self.embedding, self.weight, self.readout)]
        random, order = np.random.default_rng(0), np.empty(0, np.int64)
        began = time.perf_counter()
        for step in range(steps):
            if setting.batch is None:
                batch = whole
            else:
                if len(order) < setting.batch:
                    order = random.permutation(len(tokens))
                batch = Batch(tokens, order[:setting.batch], device=self.device)
                order = order[setting.batch:]
            if not self.step(batch, y, start, rate, setting.momentum, velocity):
                return step
            if time.perf_counter() - began > seconds:
                return step + 1
        return steps

    def step(self, batch: Batch, y: Tensor, start: Tensor, rate: float, momentum: float, velocity: list[Tensor]
             ) -> bool:
        """θ ← θ + v, v ← μ v − η ∇; False if outputs are no longer finite."""
        x = self.embedding if len(batch.used) == len(self.embedding) else self.embedding[batch.used]
        hidden = torch.relu_(x @ self.weight)  # (u, m), unscaled
        f = batch.pooled(hidden @ self.readout).mul_(self.scale**2).sub_(start[batch.rows])
        targets = y[batch.rows]
        slopes = torch.sigmoid(-targets * f).mul_(targets).div_(-batch.size)
        push = batch.spread(slopes).mul_(self.scale**2)  # (u,)
        readout = hidden.T @ push
        inner = torch.outer(push, self.readout).mul_(hidden > 0)  # (u, m)
        back, weight = inner @ self.weight.T, x.T @ inner
        for parameter, gradient, speed in ((self.weight, weight, velocity[1]), (self.readout, readout, velocity[2])):
            parameter.add_(speed.mul_(momentum).sub_(gradient, alpha=rate) if momentum else gradient.mul_(-rate))
        if momentum:
            velocity[0].mul_(momentum).index_add_(0, batch.used, back, alpha=-rate)
            self.embedding.add_(velocity[0])
        else:
            self.embedding.index_add_(0, batch.used, back, alpha=-rate)
        return bool(torch.isfinite(f).all())
