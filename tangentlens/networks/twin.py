"""What all finite networks share: N(0, 1) parameters, embeddings of distinct tokens, pooling without padding."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from tangentlens.data.tokens import Tokens
from tangentlens.errors import ShapeError
from tangentlens.kernels.activations import LEAKY_SLOPE
from tangentlens.networks.layout import RESERVOIR, Index, Uses

ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "identity": lambda x: x,
    "relu": torch.relu,
    "leaky_relu": lambda x: functional.leaky_relu(x, LEAKY_SLOPE),
    "erf": torch.erf,
    "sin": torch.sin,
    "cos": torch.cos,
    "gelu": functional.gelu,
    "silu": functional.silu,
    "tanh": torch.tanh,
    "sigmoid": torch.sigmoid,
    "softplus": functional.softplus,
    "elu": functional.elu,
}


@dataclass(frozen=True)
class Plan:
    """Index tensors of n texts, made once and used at every step of training.

    used (u,): distinct token ids, unknown ones from v on; units: what the architecture evaluates, see each twin's
    `plan`; text, unit, weight (uses,): f of a text is the sum of weight · g(unit) over its uses.
    """

    size: int
    used: Tensor
    units: tuple[Tensor, ...]
    text: Tensor
    unit: Tensor
    weight: Tensor


class Twin(nn.Module):
    """A network of finite width m in NTK parametrisation: every parameter is N(0, 1), scales stand in `forward`.

    `network(tokens)` gives the outputs (n, c) of n texts; a Plan in place of the tokens saves the preparation.
    Tokens that are unknown (−1) get random vectors that are never trained, another one at (nearly) every place.

    Shapes: embedding (v, m), readout (m, c).
    """

    embedding: Tensor
    readout: Tensor

    def __init__(self, architecture: Any, *, vocabulary_size: int, width: int, outputs: int, seed: int) -> None:
        super().__init__()
        self.architecture = architecture
        self.vocabulary_size, self.width, self.outputs, self.seed = vocabulary_size, width, outputs, seed
        self._generator = torch.Generator().manual_seed(seed)
        self._unknown: Tensor | None = None
        self.embedding = self.drawn(vocabulary_size, width, trained=architecture.train_embedding)
        self.make()
        self.readout = self.drawn(width, outputs)

    def drawn(self, *shape: int, trained: bool = True) -> nn.Parameter:
        """A parameter of independent N(0, 1) numbers."""
        return nn.Parameter(torch.randn(*shape, generator=self._generator), requires_grad=trained)

    @abstractmethod
    def make(self) -> None:
        """Draws the parameters between embedding and readout."""

    @abstractmethod
    def plan(self, tokens: Tokens) -> Plan:
        """The index tensors of these texts, on the network's device."""

    @abstractmethod
    def values(self, plan: Plan) -> Tensor:
        """What every unit adds to a text, before pooling weights; (units, c)."""

    def forward(self, texts: Tokens | Plan) -> Tensor:
        """Outputs (n, c). Raises ShapeError for tokens of a larger vocabulary."""
        plan = texts if isinstance(texts, Plan) else self.plan(self.checked(texts))
        return self.pooled(self.values(plan), plan)

    def checked(self, tokens: Tokens) -> Tokens:
        """The tokens, if the network has an embedding for each."""
        if int(tokens.ids.max(initial=-1)) >= self.vocabulary_size:
            raise ShapeError(f"the texts hold the token id {int(tokens.ids.max())}, but the network was built for "
                             f"vocabulary_size={self.vocabulary_size}")
        return tokens

    def planned(self, tokens: Tokens, used: Index, units: tuple[Index, ...], uses: Uses) -> Plan:
        """Arrays as a Plan on the network's device."""
        used = np.where(used >= len(tokens.vocabulary), used - len(tokens.vocabulary) + self.vocabulary_size, used)
        to = self.readout.device
        weight = torch.as_tensor(uses.weight, dtype=self.readout.dtype, device=to)
        index = [torch.as_tensor(array, device=to) for array in (used, *units, uses.text, uses.unit)]
        return Plan(len(tokens), index[0], tuple(index[1:-2]), index[-2], index[-1], weight)

    def embed(self, used: Tensor) -> Tensor:
        """Scaled embeddings (u, m) of distinct tokens in ascending order."""
        known = int((used < self.vocabulary_size).sum())
        rows = functional.embedding(used[:known], self.embedding)
        if known < len(used):
            rows = torch.cat([rows, self._reservoir()[used[known:] - self.vocabulary_size]])
        scaled: Tensor = rows * self.architecture.embedding_std
        return scaled

    def dense(self, x: Tensor, weight: Tensor, std: float) -> Tensor:
        """std / √fan_in · x W for rows x (…, fan_in) and W (fan_in, m)."""
        return torch.matmul(x, weight) * (std / math.sqrt(weight.shape[0]))

    def read(self, hidden: Tensor) -> Tensor:
        """readout_std / √m · h v for hidden rows (…, m)."""
        return self.dense(hidden, self.readout, self.architecture.readout_std)

    def pooled(self, values: Tensor, plan: Plan) -> Tensor:
        """Sums of weighted unit values by text; (n, c). One flat sum: the same order of additions every time."""
        c = self.outputs
        added = functional.embedding(plan.unit, values) * plan.weight[:, None]
        place = (plan.text[:, None] * c + torch.arange(c, device=values.device)).reshape(-1)
        flat = torch.zeros(plan.size * c, dtype=values.dtype, device=values.device)
        return flat.index_add(0, place, added.reshape(-1)).reshape(plan.size, c)

    def _reservoir(self) -> Tensor:
        """Random vectors for unknown tokens (RESERVOIR, m), never trained."""
        if (self._unknown is None or self._unknown.device != self.readout.device
                or self._unknown.dtype != self.readout.dtype):
            generator = torch.Generator().manual_seed(self.seed + 2**31)
            self._unknown = torch.randn(RESERVOIR, self.width, generator=generator).to(self.readout)
        return self._unknown
