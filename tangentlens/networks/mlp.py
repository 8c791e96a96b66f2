"""The twin of MLP and of CNN: dense layers over distinct tokens, or one convolution over distinct windows."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from tangentlens.data.tokens import Tokens
from tangentlens.kernels.architecture import per_layer
from tangentlens.kernels.cnn import CNN
from tangentlens.kernels.mlp import MLP
from tangentlens.networks.layout import distinct, numbered, uses, windows
from tangentlens.networks.twin import ACTIVATIONS, Plan, Twin


class MLPTwin(Twin):
    """h ← φ(weight_std / √m W h + bias_std b) for every distinct token; f = pooled readout."""

    architecture: MLP

    def make(self) -> None:
        m, depth = self.width, self.architecture.depth
        self.weights = nn.ParameterList([self.drawn(m, m) for _ in range(depth)])
        stds = per_layer(self.architecture.bias_std, depth, "bias_std")
        self.biases = nn.ParameterList([self.drawn(m, trained=std > 0) for std in stds])

    def plan(self, tokens: Tokens) -> Plan:
        """Units: distinct tokens."""
        used, places = numbered(tokens)
        where = uses(tokens.text_of_token, places, texts=len(tokens), pooling=self.architecture.pooling)
        return self.planned(tokens, used, (), where)

    def values(self, plan: Plan) -> Tensor:
        architecture, hidden = self.architecture, self.embed(plan.used)
        stds = zip(per_layer(architecture.weight_std, architecture.depth, "weight_std"),
                   per_layer(architecture.bias_std, architecture.depth, "bias_std"), strict=True)
        for weight, bias, (weight_std, bias_std) in zip(self.weights, self.biases, stds, strict=True):
            inner = self.dense(hidden, weight, weight_std)
            hidden = ACTIVATIONS[architecture.activation](inner + bias_std * bias if bias_std else inner)
        return self.read(hidden)


class CNNTwin(Twin):
    """h = φ(weight_std / √(k m) Σ_s W_s x_{p+s} + bias_std b) for every distinct window; outside of a text x = 0."""

    architecture: CNN

    def make(self) -> None:
        self.weight = self.drawn(self.architecture.kernel_size, self.width, self.width)
        self.bias = self.drawn(self.width, trained=self._stds()[1] > 0)

    def plan(self, tokens: Tokens) -> Plan:
        """Units: (w, k) places of the tokens of every distinct window; u stands for outside of the text."""
        used, places = numbered(tokens)
        k, same = self.architecture.kernel_size, self.architecture.padding == "same"
        rows, text = windows(tokens, places, size=k, before=(k - 1) // 2 if same else 0, partial=same)
        rows, unit = distinct(rows)
        rows[rows < 0] = len(used)
        where = uses(text, unit, texts=len(tokens), pooling=self.architecture.pooling)
        return self.planned(tokens, used, (rows,), where)

    def values(self, plan: Plan) -> Tensor:
        architecture, (rows,) = self.architecture, plan.units
        weight_std, bias_std = self._stds()
        x = self.embed(plan.used)
        x = torch.cat([x, x.new_zeros(1, self.width)]) * (weight_std / (architecture.kernel_size * self.width) ** 0.5)
        inner = bias_std * self.bias if bias_std else x.new_zeros(())
        for slot in range(architecture.kernel_size):
            inner = inner + functional.embedding(rows[:, slot], x @ self.weight[slot])
        return self.read(ACTIVATIONS[architecture.activation](inner))

    def _stds(self) -> tuple[float, float]:
        stds = (self.architecture.weight_std, self.architecture.bias_std)
        return per_layer(stds[0], 1, "weight_std")[0], per_layer(stds[1], 1, "bias_std")[0]
