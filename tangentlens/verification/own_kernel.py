"""A network's training foretold by its own empirical NTK: what remains of the error once its start is known."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from tangentlens.data.tokens import Tokens
from tangentlens.learning.losses import Targets
from tangentlens.networks.building import build
from tangentlens.networks.training import train
from tangentlens.verification.empirical import MEMORY, Call, drift, empirical_ntk
from tangentlens.verification.width_study import Material, Watching

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class OwnKernel:
    """Label scores of one network, as trained and as foretold by its own kernel; by probe, arrays (T, N, c).

    errors: a table with T rows: step; relative L2 errors of all label scores together: total (prediction − trained),
    fluctuation (prediction − own kernel's), drift_error (own kernel's − trained), all relative to trained; and drift,
    ‖Θ̂_t − Θ̂_0‖ / ‖Θ̂_0‖ of the kernel itself.
    """

    width: int
    trained: list[Array]
    foretold: list[Array]
    errors: pl.DataFrame


def own_kernel(material: Material, width: int, *, seed: int = 0, device: str = "cpu", memory: int = MEMORY,
               progress: Callable[[str], None] | None = None, watching: Watching | None = None) -> OwnKernel:
    """Trains one network and foretells that very training with its own empirical NTK (theory, section 6).

    The error of the prediction splits into fluctuation, of the kernel at the start around its limit, and drift, of the
    kernel while training. watching: called with (step, steps, training loss).
    Raises OptionError where the Jacobian does not fit into `memory` bytes.
    """
    say = progress or (lambda line: None)
    targets = material.trajectory.dynamics.targets
    texts = material.probes.texts()
    network = build(material.architecture, vocabulary_size=len(texts.vocabulary), width=width,
                    outputs=targets.y.shape[1], seed=seed, device=device)
    say(f"own kernel of width {width}")
    start = empirical_ntk(network, material.tokens, memory=memory)
    n, c = targets.y.shape
    duals = descend_with(start, np.eye(n * c).reshape(n, c, n, c), targets, learning_rate=material.rate,
                         record=material.steps)
    foretold = np.stack([kernel_product(network, material.tokens, texts, a) for a in duals])
    drifts: list[float] = []
    done = train(network, material.tokens, material.labels, learning_rate=material.rate, loss=targets.loss.name,
                 steps=material.steps[-1], record=material.steps, probes=texts, progress=watching,
                 watch=lambda step: drifts.append(drift(start, empirical_ntk(network, material.tokens, memory=memory))))
    trained = material.probes.scores(done.probes)
    own = material.probes.scores(foretold)
    joined = [np.concatenate([part.reshape(len(part), -1) for part in parts], axis=1)
              for parts in (material.predicted, own, trained)]
    return OwnKernel(width, trained, own, _errors(*joined, steps=material.steps, drifts=np.array(drifts)))


def kernel_product(module: nn.Module, tokens: Tokens, others: Tokens, duals: Array, *, call: Call | None = None
                   ) -> Array:
    """Θ̂ a = J' Jᵀ a on other texts, (N, c) for duals a (n, c), by one backward and one forward derivative.

    No Jacobian is formed: its rows would take a derivative for every text. module, call: as in `empirical_ntk`.
    """
    whole = _Called(module, call or (lambda network, texts: network(texts)))
    trained = {name: p for name, p in whole.named_parameters() if p.requires_grad}
    f = whole(tokens)
    found = torch.autograd.grad(f, list(trained.values()), torch.as_tensor(duals).to(f), allow_unused=True)
    tangents = {name: torch.zeros_like(p) if g is None else g
                for (name, p), g in zip(trained.items(), found, strict=True)}
    points = {name: p.detach() for name, p in trained.items()}
    result = torch.func.jvp(lambda p: torch.func.functional_call(whole, p, (others,)), (points,), (tangents,))[1]
    return np.asarray(result.detach().to("cpu", torch.float64).numpy())


class _Called(nn.Module):
    """A module whose outputs (n, c) are those of `call`, so that its parameters can be exchanged for the call."""

    def __init__(self, module: nn.Module, call: Call) -> None:
        super().__init__()
        self.module, self.call = module, call

    def forward(self, tokens: Tokens) -> Tensor:
        return self.call(self.module, tokens)


def descend_with(kernel: Array, rows: Array, targets: Targets, *, learning_rate: float, record: Sequence[int]) -> Array:
    """Gradient descent in a dense kernel: outputs (T, N, c) on other texts at the recorded, ascending steps.

    kernel: (n, c, n, c) between the training texts; rows: (N, c, n, c) from other texts to them.
    """
    n, c = targets.y.shape
    square, other = kernel.reshape(n * c, n * c), rows.reshape(-1, n * c)
    duals = np.zeros(n * c)
    results = []
    for step in range(max(record) + 1):
        if step in record:
            results.append(other @ duals)
        slope = targets.loss.slope((square @ duals).reshape(n, c), targets.y)
        duals = duals - learning_rate / n * slope.ravel()
    return np.stack(results).reshape(len(results), -1, c)


def _errors(predicted: Array, own: Array, trained: Array, *, steps: list[int], drifts: Array) -> pl.DataFrame:
    """The split of the error at every step after the start."""
    size = np.maximum(np.linalg.norm(trained, axis=1), np.finfo(float).tiny)

    def error(first: Array, second: Array) -> Array:
        return np.where(np.array(steps) > 0, np.linalg.norm(first - second, axis=1) / size, 0.0)

    return pl.DataFrame({"step": steps, "total": error(predicted, trained), "fluctuation": error(predicted, own),
                         "drift_error": error(own, trained), "drift": drifts})
