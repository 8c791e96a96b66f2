"""The twins of the linear models: MatrixVector, LinearRNN and ElmanRNN."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from tangentlens.data.tokens import Tokens
from tangentlens.kernels.elman_rnn import ElmanRNN
from tangentlens.kernels.linear_rnn import LinearRNN
from tangentlens.kernels.matrix_vector import MatrixVector
from tangentlens.networks.layout import Uses, distinct, numbered, prefixes, uses, windows
from tangentlens.networks.twin import Plan, Twin


class MatrixVectorTwin(Twin):
    """matrix(t_1) ··· matrix(t_{r−1}) vector(t_r) of every distinct n-gram; each slot and order has its own weights.

    "diagonal": matrix(t) = diag(weight_std / √m W e_t); "full": weight_std / m · Σ_a U_ija e_a, m³ weights a slot.
    """

    architecture: MatrixVector

    def make(self) -> None:
        m, full = self.width, self.architecture.matrices == "full"
        self.matrices = nn.ModuleList([
            nn.ParameterList([self.drawn(m, m, m) if full else self.drawn(m, m) for _ in range(order - 1)])
            for order in self._orders()])
        self.vectors = nn.ParameterList([self.drawn(m, m) for _ in self._orders()])
        if len(self._orders()) > 1:  # independent networks but for the embedding
            self.readouts = nn.ParameterList([self.drawn(m, self.outputs) for _ in self._orders()[1:]])

    def plan(self, tokens: Tokens) -> Plan:
        """Units: for every order r the (w, r) places of the tokens of every distinct n-gram."""
        used, places = numbered(tokens)
        units, parts, before = [], [], 0
        for order in self._orders():
            rows, text = windows(tokens, places, size=order, before=0, partial=False)
            rows, unit = distinct(rows)
            parts.append(uses(text, unit + before, texts=len(tokens), pooling=self.architecture.pooling))
            units.append(rows)
            before += len(rows)
        joined = Uses(*(np.concatenate([getattr(part, name) for part in parts]) for name in ("text", "unit", "weight")))
        return self.planned(tokens, used, tuple(units), joined)

    def values(self, plan: Plan) -> Tensor:
        x = self.embed(plan.used)
        readouts = [self.readout, *getattr(self, "readouts", ())]
        return torch.cat([self.dense(self._product(x, rows, number), readout, self.architecture.readout_std)
                          for number, (rows, readout) in enumerate(zip(plan.units, readouts, strict=True))])

    def _product(self, x: Tensor, rows: Tensor, number: int) -> Tensor:
        """The product of each n-gram's matrices and vector, from the right; (w, m)."""
        architecture, m = self.architecture, self.width
        vector = self.dense(x, self.vectors[number], architecture.vector_std)
        hidden = functional.embedding(rows[:, -1], vector)
        weights: list[Tensor] = list(self.matrices[number].parameters())
        for slot in reversed(range(len(weights))):
            if architecture.matrices == "full":
                matrix = torch.einsum("ija,ua->uij", weights[slot], x) * (architecture.weight_std / m)
                hidden = torch.einsum("wij,wj->wi", matrix[rows[:, slot]], hidden)
            else:
                diagonal = self.dense(x, weights[slot], architecture.weight_std)
                hidden = functional.embedding(rows[:, slot], diagonal) * hidden
        return hidden

    def _orders(self) -> list[int]:
        architecture = self.architecture
        return list(range(1, architecture.order + 1)) if architecture.residual else [architecture.order]


class RecurrentTwin(Twin):
    """States of every distinct beginning of a text, so that equal prefixes are run once and nothing is padded."""

    architecture: LinearRNN | ElmanRNN

    def plan(self, tokens: Tokens) -> Plan:
        """Units: for every level the places of the tokens and of their parents among the nodes of the level before."""
        used, places = numbered(tokens)
        tree = prefixes(tokens, places)
        text, node = tokens.text_of_token, tree.node
        if self.architecture.pooling == "last":
            ends = tokens.offsets[1:][tokens.lengths > 0] - 1
            text, node = text[ends], node[ends]
        where = uses(text, node, texts=len(tokens), pooling=self.architecture.pooling)
        return self.planned(tokens, used, (*tree.tokens, *tree.parents), where)

    def values(self, plan: Plan) -> Tensor:
        x = self.embed(plan.used)
        inputs, gates = self.projected(x)
        depth = len(plan.units) // 2
        states: list[Tensor] = []
        for token, parent in zip(plan.units[:depth], plan.units[depth:], strict=True):
            new = functional.embedding(token, inputs)
            if states:
                before = functional.embedding(parent, states[-1])
                new = new + self.carried(before, None if gates is None else functional.embedding(token, gates))
            states.append(new)
        return self.read(torch.cat(states)) if states else x.new_zeros(0, self.outputs)

    def projected(self, x: Tensor) -> tuple[Tensor, Tensor | None]:
        """input(x), and gate(x) where there is one; (u, m)."""
        raise NotImplementedError

    def carried(self, state: Tensor, gate: Tensor | None) -> Tensor:
        """What the state before adds to the new one; (nodes, m)."""
        raise NotImplementedError


class LinearRNNTwin(RecurrentTwin):
    """h_t = input(x_t) + gate(x_t) ∘ shift(h_{t−1}), shift by one unit, cyclic: n-grams longer than m would wrap."""

    architecture: LinearRNN

    def make(self) -> None:
        self.input, self.gate = self.drawn(self.width, self.width), self.drawn(self.width, self.width)

    def projected(self, x: Tensor) -> tuple[Tensor, Tensor | None]:
        architecture = self.architecture
        return self.dense(x, self.input, architecture.input_std), self.dense(x, self.gate, architecture.gate_std)

    def carried(self, state: Tensor, gate: Tensor | None) -> Tensor:
        assert gate is not None
        return gate * state.roll(1, dims=1)


class ElmanRNNTwin(RecurrentTwin):
    """h_t = input(x_t) + weight_std / √m W h_{t−1}."""

    architecture: ElmanRNN

    def make(self) -> None:
        self.input, self.weight = self.drawn(self.width, self.width), self.drawn(self.width, self.width)

    def projected(self, x: Tensor) -> tuple[Tensor, Tensor | None]:
        return self.dense(x, self.input, self.architecture.input_std), None

    def carried(self, state: Tensor, gate: Tensor | None) -> Tensor:
        return self.dense(state, self.weight, self.architecture.weight_std)
