"""Causal language models in plain PyTorch: ordinary parametrisation, Adam, and the label scores of single tokens.

Part of: python -m reproduce.language_models
"""

from __future__ import annotations

import math
import os
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

Array = NDArray[np.float64]
FRESH = 64  # embeddings of tokens that never occur
WIDTH, HEADS, LAYERS = 200, 2, 2
RATE, BATCH = 1e-3, 32


class Causal(nn.Module):
    """Logits (n, L, v) of the next token after every beginning of n texts, ids (n, L).

    Ids: 0 … v − 1 are types, v is unknown, from v + 1 on stand FRESH tokens that never occur.
    """

    def __init__(self, types: int) -> None:
        super().__init__()
        self.types = types
        self.embedding = nn.Embedding(types + 1 + FRESH, WIDTH)
        self.make()
        self.readout = nn.Linear(WIDTH, types)

    def make(self) -> None:
        """Makes what stands between embedding and readout."""

    def states(self, x: Tensor) -> Tensor:
        """Hidden states (n, L, m) of embeddings (n, L, m); state i sees the first i + 1."""
        raise NotImplementedError

    def forward(self, ids: Tensor) -> Tensor:
        """See the class."""
        logits: Tensor = self.readout(self.states(self.embedding(ids)))
        return logits


class Transformer(Causal):
    """nn.TransformerEncoder with a causal mask and sinusoidal positions, without dropout."""

    def make(self) -> None:
        layer = nn.TransformerEncoderLayer(WIDTH, HEADS, WIDTH, dropout=0.0, batch_first=True)
        self.encoder = nn.TransformerEncoder(layer, LAYERS)

    def states(self, x: Tensor) -> Tensor:
        length = x.shape[1]
        angle = torch.arange(length)[:, None] * torch.exp(torch.arange(0, WIDTH, 2) * (-math.log(1e4) / WIDTH))
        place = torch.stack([torch.sin(angle), torch.cos(angle)], dim=2).reshape(length, WIDTH)
        mask = nn.Transformer.generate_square_subsequent_mask(length)
        states: Tensor = self.encoder(x + place, mask=mask, is_causal=True)
        return states


class MLP(Causal):
    """The mean of the embeddings so far, through one hidden ReLU layer."""

    def make(self) -> None:
        self.hidden = nn.Linear(WIDTH, WIDTH)

    def states(self, x: Tensor) -> Tensor:
        seen = torch.arange(1, x.shape[1] + 1, dtype=x.dtype)[:, None]
        return torch.relu(self.hidden(torch.cumsum(x, dim=1) / seen))


class LSTM(Causal):
    """nn.LSTM, one layer."""

    def make(self) -> None:
        self.lstm = nn.LSTM(WIDTH, WIDTH, batch_first=True)

    def states(self, x: Tensor) -> Tensor:
        states: Tensor = self.lstm(x)[0]
        return states


class LinearRNN(Causal):
    """h_t = input(x_t) + gate(x_t) ∘ shift(h_{t−1}), as tl.LinearRNN."""

    def make(self) -> None:
        self.input, self.gate = nn.Linear(WIDTH, WIDTH, bias=False), nn.Linear(WIDTH, WIDTH, bias=False)

    def states(self, x: Tensor) -> Tensor:
        added, gates = self.input(x), self.gate(x)
        found = [added[:, 0]]
        for place in range(1, x.shape[1]):
            found.append(added[:, place] + gates[:, place] * found[-1].roll(1, dims=-1))
        return torch.stack(found, dim=1)


NETWORKS: dict[str, type[Causal]] = {
    "Transformer": Transformer, "MLP": MLP, "LSTM": LSTM, "LinearRNN": LinearRNN}


@dataclass(frozen=True)
class Found:
    """What is kept of a trained network: centred logits of one-token contexts after minus before training, less those
    of tokens that never occurred (scores (k, v)); the latter (nothing (v,)); mean losses in nats per target.
    """

    scores: Array
    nothing: Array
    training_loss: float
    held_loss: float


@dataclass(frozen=True)
class Task:
    """Texts of equal length to learn from and to test on, (n, L + 1) ids with −1 unknown; v types; the context tokens
    that are asked about.
    """

    training: NDArray[np.int64]
    held: NDArray[np.int64]
    types: int
    asked: NDArray[np.int64]
    epochs: int

    @property
    def steps(self) -> int:
        """Steps of Adam."""
        return self.epochs * -(-len(self.training) // BATCH)

    def key(self, name: str, seed: int) -> str:
        """The name of a file that holds the answers of one network to this task."""
        digest = sha256(repr((WIDTH, HEADS, LAYERS, RATE, BATCH, FRESH, self.types, self.epochs)).encode())
        for array in (self.training, self.held, self.asked):
            digest.update(np.ascontiguousarray(array).tobytes())
        return f"language_{name}_{seed}_{digest.hexdigest()[:12]}.npz"


def answers(task: Task, name: str, seed: int, folder: Path | None) -> Found:
    """Of a network that is trained now, or was before."""
    path = None if folder is None else folder / task.key(name, seed)
    if path is not None and path.exists():
        with np.load(path) as kept:
            return Found(kept["scores"], kept["nothing"], float(kept["training_loss"]), float(kept["held_loss"]))
    found = trained(task, name, seed)
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f".{path.name}")
        np.savez(temporary, **vars(found))
        os.replace(temporary, path)
    return found


def trained(task: Task, name: str, seed: int) -> Found:
    """Trains a network; all beginnings of a text at once, a new seeded order of the texts in every epoch."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = NETWORKS[name](task.types)
    before = centred(network, task)
    optimiser = torch.optim.Adam(network.parameters(), lr=RATE)
    last = []
    for epoch in range(task.epochs):
        order = np.random.default_rng([seed, epoch]).permutation(len(task.training))
        last = []
        for low in range(0, len(order), BATCH):
            loss = loss_of(network, task.training[order[low:low + BATCH]])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            last.append(loss.item())
    after = centred(network, task)
    with torch.no_grad():
        parts = np.split(task.held, range(256, len(task.held), 256))
        held = [(loss_of(network, part).item(), np.count_nonzero(part[:, 1:] >= 0)) for part in parts]
    change = after - before
    nothing = change[len(task.asked):].mean(axis=0)
    return Found(change[:len(task.asked)] - nothing, nothing, float(np.mean(last)),
                 float(np.average([loss for loss, _ in held], weights=[size for _, size in held])))


def loss_of(network: Causal, texts: NDArray[np.int64]) -> Tensor:
    """Mean loss over the known targets of some texts."""
    ids = torch.as_tensor(texts)
    logits = network(torch.where(ids < 0, network.types, ids)[:, :-1])
    return functional.cross_entropy(logits.reshape(-1, network.types), ids[:, 1:].reshape(-1), ignore_index=-1)


@torch.no_grad()
def centred(network: Causal, task: Task) -> Array:
    """Logits minus their mean over targets after one-token contexts: the asked tokens, then those that never occur."""
    fresh = np.arange(task.types + 1, task.types + 1 + FRESH)
    logits = network(torch.as_tensor(np.concatenate([task.asked, fresh]))[:, None])[:, 0].double().numpy()
    return np.asarray(logits - logits.mean(axis=1, keepdims=True))
