"""Training of ordinary networks as users train them: Adam, mini-batches of similar length, early stopping."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn.functional import cross_entropy, softplus

from tangentlens.data.tokens import Tokens
from tangentlens.errors import OptionError
from tangentlens.kernels.architecture import check_count, check_number
from tangentlens.learning.losses import encode
from tangentlens.networks.ordinary import OrdinaryNetwork

Array = NDArray[np.float64]
ASKED = 1024  # texts in one forward pass


@dataclass(frozen=True)
class Fitting:
    """How an ordinary network is trained: Adam's learning rate, texts in a batch, at most `epochs`, stopped `patience`
    epochs after the least loss on the development texts; `records` in every epoch. Raises OptionError.
    """

    learning_rate: float = 1e-3
    batch_size: int = 32
    epochs: int = 20
    patience: int = 2
    records: int = 4

    def __post_init__(self) -> None:
        check_number("Fitting: learning_rate", self.learning_rate)
        for name in ("batch_size", "epochs", "patience", "records"):
            check_count(f"Fitting: {name}", getattr(self, name))


@dataclass(frozen=True, eq=False)
class Fitted:
    """What was recorded while a network was trained, T records, the start first, up to the least development loss.

    epochs (T,): moments; curves: what `watch` gave, stacked (T, …), or None; dev_losses: after every epoch.
    """

    epochs: Array
    curves: Array | None
    dev_losses: Array


def fit(network: OrdinaryNetwork, tokens: Tokens, labels: Any, *, dev: tuple[Tokens, Any],
        fitting: Fitting | None = None, seed: int = 0, watch: Callable[[], Array] | None = None) -> Fitted:
    """Trains a network in place and leaves it as it was at its least loss on the development texts, dropout off.

    tokens, labels: training texts; dev: texts to stop by, and their labels; watch: called at every record.
    Raises OptionError, DataError or ShapeError.

    >>> import tangentlens as tl
    >>> texts = tl.small_reviews(); tokens = tl.tokenize(texts)
    >>> network = tl.networks.ordinary("bag", vocabulary_size=len(tokens.vocabulary), size=16)
    >>> fitted = fit(network, tokens, texts.labels, dev=(tokens, texts.labels), fitting=Fitting(epochs=2))
    >>> float(fitted.epochs[-1]), bool(fitted.dev_losses[1] < fitted.dev_losses[0])
    (2.0, True)
    """
    fitting = fitting or Fitting()
    targets = encode(labels, None, texts=len(tokens))
    dev_y = encode(dev[1], None, texts=len(dev[0]), classes=targets.classes).y
    optimizer = torch.optim.Adam(network.parameters(), lr=fitting.learning_rate, fused=True)
    epochs, curves, losses = [0.0], [watch() if watch else np.empty(0)], []
    best = copy.deepcopy(network.state_dict())
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        for epoch in range(fitting.epochs):
            batches = list(_batches(tokens.lengths, fitting.batch_size, np.random.default_rng([seed, epoch])))
            marks = np.linspace(0, len(batches), fitting.records + 1).round().astype(int)[1:]
            for number, rows in enumerate(batches, start=1):
                _step(network, optimizer, tokens[rows], targets.y[rows])
                if number in marks:
                    epochs.append(epoch + number / len(batches))
                    curves.append(watch() if watch else np.empty(0))
            losses.append(loss_of(outputs_of(network, dev[0]), dev_y))
            if np.argmin(losses) == epoch:
                best = copy.deepcopy(network.state_dict())
            elif epoch - np.argmin(losses) >= fitting.patience:
                break
    if not np.isfinite(losses).all():
        raise OptionError(f"training diverged with the learning rate {fitting.learning_rate:g}; give a smaller one")
    network.load_state_dict(best)
    network.eval()
    kept = np.flatnonzero(np.array(epochs) <= np.argmin(losses) + 1)
    return Fitted(np.array(epochs)[kept], np.stack(curves)[kept] if watch else None, np.array(losses))


def outputs_of(network: OrdinaryNetwork, tokens: Tokens) -> Array:
    """Outputs (n, c) with dropout off."""
    network.eval()
    order = np.argsort(tokens.lengths, kind="stable")
    found = []
    with torch.inference_mode():
        for start in range(0, len(order), ASKED):
            found.append(network(tokens[order[start:start + ASKED]]).numpy())
    outputs = np.empty((len(order), network.readout.out_features))
    outputs[order] = np.concatenate(found) if found else outputs
    return outputs


def loss_of(outputs: Array, y: Array) -> float:
    """Mean logistic (one output) or softmax loss."""
    return float(_loss(torch.as_tensor(outputs), torch.as_tensor(y)))


def _loss(outputs: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    return softplus(-y * outputs).mean() if outputs.shape[1] == 1 else cross_entropy(outputs, y)


def _step(network: OrdinaryNetwork, optimizer: torch.optim.Optimizer, tokens: Tokens, y: Array) -> None:
    network.train()
    optimizer.zero_grad()
    _loss(network(tokens), torch.as_tensor(y, dtype=torch.float32)).backward()  # type: ignore[no-untyped-call]
    optimizer.step()


def _batches(lengths: NDArray[np.int64], size: int, rng: np.random.Generator) -> Iterator[NDArray[np.int64]]:
    """Batches of texts of similar length, in random order."""
    order = np.argsort(lengths + rng.uniform(-2, 2, len(lengths)), kind="stable")
    starts = np.arange(0, len(order), size)
    for start in rng.permutation(starts):
        yield order[start:start + size]
