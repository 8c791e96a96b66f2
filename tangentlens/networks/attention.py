"""The twin of SelfAttention: one layer, scores q·k / m, texts of equal length together."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from tangentlens.data.tokens import Tokens
from tangentlens.kernels.attention import SelfAttention
from tangentlens.networks.layout import by_length, numbered, uses
from tangentlens.networks.twin import ACTIVATIONS, Plan, Twin

PAIRS = 2**24  # attention weights held at a time


class SelfAttentionTwin(Twin):
    """o_i = φ(output_std / √m O Σ_j α_ij v_j), v_j = value_std / √m V x_j, α_i = softmax_j(q_i · k_j / m).

    "tied": one trained matrix for queries and keys; "uniform": two independent ones, whose attention becomes uniform
    at infinite width. Without an activation f is linear in the values, and they are read out before they are attended
    to: the same number with far less work. Position vectors p_i are drawn once and not trained.
    """

    architecture: SelfAttention

    def make(self) -> None:
        m = self.width
        self.key, self.value, self.output = self.drawn(m, m), self.drawn(m, m), self.drawn(m, m)
        if self.architecture.scores == "uniform":
            self.query = self.drawn(m, m)

    def plan(self, tokens: Tokens) -> Plan:
        """Units: for every length, the places (b, L) of the tokens of its texts, and their flat positions (b, L)."""
        used, places = numbered(tokens)
        groups = [part[low:low + step] for _, part in by_length(tokens)
                  for step in [max(1, PAIRS // part.shape[1] ** 2)] for low in range(0, len(part), step)]
        positions = np.arange(len(places))
        where = uses(tokens.text_of_token, positions, texts=len(tokens), pooling=self.architecture.pooling)
        order = np.concatenate([part.ravel() for part in groups]) if groups else positions
        unit = np.empty_like(positions)
        unit[order] = positions
        return self.planned(tokens, used, tuple(places[part] for part in groups), replace(where, unit=unit))

    def values(self, plan: Plan) -> Tensor:
        """What every position adds, in the order of the groups; (total, c)."""
        architecture, x = self.architecture, self.embed(plan.used)
        key = self.dense(x, self.key, architecture.key_std)
        query = self.dense(x, self.query, architecture.key_std) if architecture.scores == "uniform" else key
        linear = architecture.activation in (None, "identity")
        value = self.dense(x, self.dense(self.value, self._output_read(), 1.0), architecture.value_std) if linear else (
            self.dense(x, self.value, architecture.value_std))
        results = [self._attended(ids, query, key, value).reshape(-1, value.shape[1]) for ids in plan.units]
        attended = torch.cat(results) if results else x.new_zeros(0, value.shape[1])
        if linear:
            return attended
        inner = self.dense(attended, self.output, architecture.output_std)
        return self.read(ACTIVATIONS[str(architecture.activation)](inner))

    def _output_read(self) -> Tensor:
        """Output projection and readout as one matrix (m, c), scaled so that `dense` gives both factors 1/√m."""
        architecture = self.architecture
        return self.dense(self.output, self.readout, architecture.output_std * architecture.readout_std)

    def _attended(self, ids: Tensor, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        """Σ_j α_ij v_j for texts of one length; ids (b, L), result (b, L, columns of v)."""
        q, k = functional.embedding(ids, query), functional.embedding(ids, key)
        if self.architecture.positions:
            p = self._positions(ids.shape[1])
            q = q + self._projected(p, "query")
            k = k + self._projected(p, "key")
        scores = q @ k.transpose(1, 2) / self.width
        return torch.softmax(scores, dim=2) @ functional.embedding(ids, value)

    def _projected(self, p: Tensor, which: str) -> Tensor:
        weight = self.query if which == "query" and self.architecture.scores == "uniform" else self.key
        return self.dense(p, weight, self.architecture.key_std)

    def _positions(self, length: int) -> Tensor:
        """Scaled position vectors (L, m) with Cov(p_i, p_j) = exp(−|i − j| / position_scale), by recursion."""
        generator = torch.Generator().manual_seed(self.seed + 2**32)
        z = [torch.randn(self.width, generator=generator, dtype=torch.float64) for _ in range(length)]
        rho = float(np.exp(-1 / self.architecture.position_scale))
        rows = [z[0]]
        for step in z[1:]:
            rows.append(rho * rows[-1] + (1 - rho**2) ** 0.5 * step)
        return (torch.stack(rows) * self.architecture.position_std).to(self.readout)
