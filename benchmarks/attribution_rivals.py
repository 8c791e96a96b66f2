"""Attributions that need trained networks: TRAK, gradient similarity, representer points.

Used by python -m benchmarks --only attribution.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from benchmarks.attribution_networks import Network, padded
from benchmarks.attribution_truth import Problem

Array = NDArray[np.float64]
Found = tuple[Array, Array]
PROJECTED = 512
BATCH = 100


def training_loss(networks: Sequence[Network], asked: Problem, y: NDArray[np.int64]) -> float:
    """Mean logistic loss of the networks on the training texts."""
    ids, target = padded(asked.train), torch.tensor(y, dtype=torch.float32)
    with torch.no_grad():
        return float(np.mean([torch.nn.functional.binary_cross_entropy_with_logits(network(ids), target).item()
                              for network in networks]))


class Margin:
    """For TRAK: the output is the margin ±f of the own label, and the loss log(1 + exp(−margin))."""

    @staticmethod
    def get_output(model: torch.nn.Module, weights: Any, buffers: Any, ids: Tensor, sign: Tensor) -> Tensor:
        """The margin of one text."""
        return torch.func.functional_call(model, (weights, buffers), (ids[None],))[0] * sign

    def get_out_to_loss_grad(self, model: torch.nn.Module, weights: Any, buffers: Any, batch: Any) -> Tensor:
        """1 − p of the own label, (b, 1)."""
        ids, sign = batch
        margin = torch.func.functional_call(model, (weights, buffers), (ids,)) * sign
        return torch.sigmoid(-margin)[:, None].detach()


def trak(networks: Sequence[Network], asked: Problem, y: NDArray[np.int64], folder: Path) -> Found:
    """TRAK as the package traker computes it, from all checkpoints; own influences only where labels are flipped, so
    that the time of the attribution to test texts is not charged for them.
    """
    from trak import TRAKer

    train = (padded(asked.train), torch.tensor(2.0 * y - 1, dtype=torch.float32))
    test = (padded(asked.test), torch.tensor(2.0 * asked.test_y - 1, dtype=torch.float32))
    n, held = len(y), len(asked.test)
    traker = TRAKer(networks[0], Margin(), n, save_dir=str(folder), device="cpu", proj_dim=PROJECTED,
                    use_half_precision=False, logging_level=logging.ERROR)
    for number, network in enumerate(networks):
        traker.load_checkpoint(network.state_dict(), model_id=number)
        for low in range(0, n, BATCH):
            batch = [part[low:low + BATCH] for part in train]
            traker.featurize(batch, num_samples=len(batch[0]))
    traker.finalize_features()
    found = []
    for name, (ids, sign) in {"test": test, **({"train": train} if np.any(y != asked.y) else {})}.items():
        for number, network in enumerate(networks):
            traker.start_scoring_checkpoint(exp_name=name, checkpoint=network.state_dict(), model_id=number,
                                            num_targets=len(ids))
            for low in range(0, len(ids), BATCH):
                batch = [ids[low:low + BATCH], sign[low:low + BATCH]]
                traker.score(batch, num_samples=len(batch[0]))
        found.append(np.asarray(traker.finalize_scores(exp_name=name), float).T)
    assert found[0].shape == (held, n)
    return found[0], np.diag(found[-1]) if len(found) > 1 else np.zeros(n)


def gradients(network: Network, ids: Tensor) -> Tensor:
    """∂f/∂θ of every text; (b, parameters)."""
    parameters = {name: value.detach() for name, value in network.named_parameters()}

    def one(values: dict[str, Tensor], text: Tensor) -> Tensor:
        return torch.func.functional_call(network, values, (text[None],))[0]

    rows = torch.func.vmap(torch.func.grad(one), (None, 0))(parameters, ids)
    return torch.cat([rows[name].flatten(1) for name in parameters], 1)


def gradient_similarity(networks: Sequence[Network], asked: Problem, y: NDArray[np.int64], folder: Path) -> Found:
    """TracIn at the checkpoints: −g_i ∇f(x) · ∇f(x_i), averaged."""
    ids, test = padded(asked.train), padded(asked.test)
    sign, own = 2 * asked.test_y - 1, 2 * y - 1
    total, self_influence = np.zeros((len(test), len(ids))), np.zeros(len(ids))
    for network in networks:
        held = gradients(network, test)
        with torch.no_grad():
            slope = torch.sigmoid(network(ids)).numpy() - y
        for low in range(0, len(ids), BATCH):
            here = slice(low, low + BATCH)
            mine = gradients(network, ids[here])
            total[:, here] -= (held @ mine.T).numpy() * slope[here]
            self_influence[here] -= (mine**2).sum(1).numpy() * slope[here] * own[here]
    return sign[:, None] * total, self_influence


def representer(networks: Sequence[Network], asked: Problem, y: NDArray[np.int64], folder: Path) -> Found:
    """Representer points of the last layer: −g_i h(x) · h(x_i), averaged (Yeh et al. 2018, up to a constant)."""
    ids, test = padded(asked.train), padded(asked.test)
    sign, own = 2 * asked.test_y - 1, 2 * y - 1
    total, suspicion = np.zeros((len(test), len(ids))), np.zeros(len(ids))
    with torch.no_grad():
        for network in networks:
            hidden = network.hidden(ids)
            slope = (torch.sigmoid(hidden @ network.readout)).numpy() - y
            total -= (network.hidden(test) @ hidden.T).numpy() * slope
            suspicion -= (hidden**2).sum(1).numpy() * slope * own
    return sign[:, None] * total, suspicion


RIVALS: dict[str, Callable[[Sequence[Network], Problem, NDArray[np.int64], Path], Found]] = {
    "TRAK (traker)": trak, "gradient similarity": gradient_similarity, "representer points": representer}
