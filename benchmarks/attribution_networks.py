"""Ordinary networks (standard parametrisation, Adam, full batches), many at a time, each on its own texts and labels.

A bag of embeddings with one hidden layer over every token, and a CNN of window 3; both average over positions.
Used by python -m benchmarks --only attribution.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

import tangentlens as tl

Array = NDArray[np.float64]
WIDTH, STEPS, RATE, WINDOW = 16, 60, 0.01, 3


class Network(nn.Module):
    """f(x) = mean over positions of u · relu(Σ_o W_o e_{t + o} + b); window 1 (bag) or 3 (CNN, zero padding)."""

    def __init__(self, vocabulary: int, window: int, seed: int) -> None:
        super().__init__()
        random = torch.Generator().manual_seed(seed)

        def normal(*shape: int, fan: int) -> nn.Parameter:
            return nn.Parameter(torch.randn(*shape, generator=random) / fan**0.5)

        self.window = window
        self.embedding = normal(vocabulary + 1, WIDTH, fan=1)  # the last row is padding, and masked
        self.weight = normal(WIDTH, window * WIDTH, fan=window * WIDTH)
        self.bias = nn.Parameter(torch.zeros(WIDTH))
        self.readout = normal(WIDTH, fan=WIDTH)

    def hidden(self, ids: Tensor) -> Tensor:
        """Pooled hidden layer (b, WIDTH) of padded token ids (b, L)."""
        here = (ids < len(self.embedding) - 1).to(self.embedding.dtype)
        table = torch.cat([self.embedding[:-1], torch.zeros_like(self.embedding[:1])]) @ self.weight
        table = table.view(len(table), self.window, WIDTH)
        summed = self.bias + sum(shifted(table[:, place][ids], place - self.window // 2)
                                 for place in range(self.window))
        return (torch.relu(summed) * here[..., None]).sum(1) / here.sum(1, keepdim=True).clamp(min=1)

    def forward(self, ids: Tensor) -> Tensor:
        """Outputs (b,)."""
        return self.hidden(ids) @ self.readout


def shifted(values: Tensor, by: int) -> Tensor:
    """values[:, place + by], zero outside."""
    if by == 0:
        return values
    empty = torch.zeros_like(values[:, :abs(by)])
    return torch.cat([values[:, by:], empty], 1) if by > 0 else torch.cat([empty, values[:, :by]], 1)


def padded(tokens: tl.Tokens) -> Tensor:
    """Token ids (n, longest); padding, and what is unknown, is the number after the last."""
    ids = np.full((len(tokens), max(int(tokens.lengths.max()), 1)), len(tokens.vocabulary))
    for row, length in enumerate(tokens.lengths):
        known = tokens[row].ids
        ids[row, :length] = np.where(known < 0, len(tokens.vocabulary), known)
    return torch.tensor(ids)


def trained(ids: Tensor, y: Tensor, weight: Tensor, vocabulary: int, window: int, seed: int) -> Network:
    """A network trained on the weighted mean logistic loss of texts with labels 0 or 1."""
    network = Network(vocabulary, window, seed)
    rows = torch.nonzero(weight).flatten()
    ids, y = ids[rows], y[rows]
    optimiser = torch.optim.Adam(network.parameters(), RATE)
    for _ in range(STEPS):
        optimiser.zero_grad()
        nn.functional.binary_cross_entropy_with_logits(network(ids), y).backward()
        optimiser.step()
    return network
