"""A TextCNN and its integrated gradients, added up by feature. Part of: python -m benchmarks.shortcuts"""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

import tangentlens as tl
from benchmarks.attribution_networks import padded

PLACE = " in first place"
WIDTH, FILTERS, WINDOW, EPOCHS, BATCH, RATE = 32, 48, 3, 3, 64, 3e-3
MOST, POINTS = 2000, 8  # texts that are explained, and points on the path of the integral
Array = NDArray[np.float64]


class TextCNN(nn.Module):
    """Embedding, one convolution over WINDOW tokens, ReLU, maximum over positions, dropout, one output (Kim 2014)."""

    def __init__(self, vocabulary: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(vocabulary + 1, WIDTH, padding_idx=vocabulary)
        self.convolution = nn.Conv1d(WIDTH, FILTERS, WINDOW, padding=WINDOW // 2)
        self.readout = nn.Sequential(nn.Dropout(0.3), nn.Linear(FILTERS, 1))

    def of_embedded(self, embedded: Tensor) -> Tensor:
        """Outputs (b,) of embedded texts (b, L, WIDTH)."""
        found: Tensor = self.readout(torch.relu(self.convolution(embedded.transpose(1, 2))).amax(2))
        return found[:, 0]

    def forward(self, ids: Tensor) -> Tensor:
        """Outputs (b,) of token ids (b, L)."""
        return self.of_embedded(self.embedding(ids))


def trained(ids: Tensor, y: Tensor, vocabulary: int, seed: int = 0) -> TextCNN:
    """Trained with Adam on the logistic loss, in batches."""
    torch.manual_seed(seed)
    network = TextCNN(vocabulary)
    optimiser = torch.optim.Adam(network.parameters(), RATE)
    for _ in range(EPOCHS):
        for rows in torch.randperm(len(ids)).split(BATCH):
            optimiser.zero_grad()
            nn.functional.binary_cross_entropy_with_logits(network(ids[rows]), y[rows]).backward()
            optimiser.step()
    return network.eval()


def attributed(tokens: tl.Tokens, positive: NDArray[np.bool_], names: Sequence[str]) -> Array:
    """Of every named feature (a token, a bigram, a token in first place) the integrated gradients of its tokens, from a
    text of padding, added up over texts and divided by the root of their number; (d,). All texts train, the first MOST
    are explained.
    """
    ids = padded(tokens)
    network = trained(ids, torch.tensor(positive, dtype=torch.float32), len(tokens.vocabulary))
    some = ids[:MOST]
    found = gradients(network, some)
    strings = [*tokens.vocabulary.strings, ""]
    total: dict[str, float] = defaultdict(float)
    texts: dict[str, int] = defaultdict(int)
    for row, values in zip(some.tolist(), found.tolist(), strict=True):
        words = [strings[one] for one in row]
        parts = [(words[0] + PLACE, values[0]), *zip(words, values, strict=True)]
        parts += [(" ".join(pair), sum(both)) for pair, both in
                  zip(itertools.pairwise(words), itertools.pairwise(values), strict=True)]
        for name, value in parts:
            total[name] += value
        for name in {name for name, _ in parts}:
            texts[name] += 1
    return np.array([total[name] / max(texts[name], 1) ** 0.5 for name in names])


def gradients(network: TextCNN, ids: Tensor) -> Array:
    """Integrated gradients of the output by captum, one number for every position; (n, L)."""
    from captum.attr import IntegratedGradients

    method = IntegratedGradients(network.of_embedded)
    nothing = network.embedding(torch.full_like(ids[:1], network.embedding.num_embeddings - 1)).detach()
    parts = [method.attribute(network.embedding(rows).detach(), baselines=nothing, n_steps=POINTS)
             for rows in ids.split(200)]
    return torch.cat([part.sum(2) for part in parts]).double().numpy()
