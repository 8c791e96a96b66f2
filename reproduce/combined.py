"""Small networks of several layers in NTK parametrisation, which map texts to outputs (n, 1).

Part of: python -m reproduce.deeper_networks
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

import tangentlens as tl
from tangentlens.networks.layout import by_length


class Layer(nn.Module):
    """Maps states (b, L, m) to states (b, L, m); its matrices are N(0, 1), the scales stand in `forward`."""

    def __init__(self, width: int, *names: str) -> None:
        super().__init__()
        for name in names:
            self.register_parameter(name, nn.Parameter(torch.randn(width, width)))


class TiedAttention(Layer):
    """O V Σ_j α_ij x_j with scores q_i · k_j / m of one matrix for queries and keys: equal states attend."""

    def __init__(self, width: int) -> None:
        super().__init__(width, "key", "value", "output")

    def forward(self, x: Tensor) -> Tensor:
        key = dense(x, self.key)
        weights = torch.softmax(key @ key.transpose(1, 2) / x.shape[2], dim=2)
        return dense(weights @ dense(x, self.value), self.output)


class HeadedAttention(Layer):
    """The same with queries and keys of their own and scores q_i · k_j / √(m / heads), as in practice."""

    def __init__(self, width: int, heads: int = 4) -> None:
        super().__init__(width, "query", "key", "value", "output")
        self.heads = heads

    def forward(self, x: Tensor) -> Tensor:
        query, key, value = (dense(x, matrix).unflatten(2, (self.heads, -1)).transpose(1, 2)
                             for matrix in (self.query, self.key, self.value))  # (b, heads, L, m / heads)
        weights = torch.softmax(query @ key.transpose(2, 3) / math.sqrt(key.shape[3]), dim=3)
        return dense((weights @ value).transpose(1, 2).flatten(2), self.output)


class Residual(nn.Module):
    """x + layer(x)."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x: Tensor) -> Tensor:
        return x + self.layer(x)


class Block(Layer):
    """W_2 ReLU(W_1 x), position by position."""

    def __init__(self, width: int) -> None:
        super().__init__(width, "inner", "outer")

    def forward(self, x: Tensor) -> Tensor:
        return dense(torch.relu(dense(x, self.inner)), self.outer)


class Convolution(Layer):
    """ReLU of a convolution over `window` tokens, with zeros outside of the text."""

    def __init__(self, width: int, window: int) -> None:
        super().__init__(width, *(f"slot{slot}" for slot in range(window)))
        self.window = window

    def forward(self, x: Tensor) -> Tensor:
        before = (self.window - 1) // 2
        padded = functional.pad(x, (0, 0, before, self.window - 1 - before))
        slots = (dense(padded[:, slot:slot + x.shape[1]], weight) for slot, weight in enumerate(self.parameters()))
        return torch.relu(sum(slots) / math.sqrt(self.window))


class Stack(nn.Module):
    """Embedding (v, m), layers, mean over positions, readout (m, 1). Texts of one length go together, without padding.

    An unknown token of a text is one of the last embeddings, by its place.
    """

    def __init__(self, *layers: nn.Module, vocabulary_size: int, width: int) -> None:
        super().__init__()
        self.embedding = nn.Parameter(torch.randn(vocabulary_size, width))
        self.layers = nn.Sequential(*layers)
        self.readout = nn.Parameter(torch.randn(width, 1))

    def forward(self, tokens: tl.Tokens) -> Tensor:
        place = np.arange(len(tokens.ids)) - tokens.offsets[:-1][tokens.text_of_token]
        ids = torch.as_tensor(np.where(tokens.ids < 0, len(self.embedding) - 1 - place, tokens.ids))
        numbers, outputs = [], []
        for texts, positions in by_length(tokens):
            states = self.layers(functional.embedding(ids[torch.as_tensor(positions)], self.embedding))
            numbers.append(torch.as_tensor(texts))
            outputs.append(dense(states.mean(dim=1), self.readout))
        result = self.readout.new_zeros(len(tokens), 1)
        return result.index_copy(0, torch.cat(numbers), torch.cat(outputs)) if outputs else result


def dense(x: Tensor, weight: Tensor) -> Tensor:
    """x W / √fan_in."""
    return x @ weight / math.sqrt(weight.shape[0])
