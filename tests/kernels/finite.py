"""Networks of finite width in plain NumPy, with gradients written by hand: one vector of all parameters' derivatives.

Separate from `tangentlens.networks` and from the closed forms; `gradient(ids)` is that of f on one text.
"""

from __future__ import annotations

import numpy as np

ACTIVATIONS = {
    "relu": (lambda x: np.maximum(x, 0), lambda x: (x > 0).astype(float)),
    "tanh": (np.tanh, lambda x: 1 - np.tanh(x) ** 2),
}


class FiniteMLP:
    """f = r/√m Σ_p ω v·h_p, h ← φ(w/√m W h + σ_b b) from h = σ_e e_t."""

    def __init__(self, net, size: int, width: int, seed: int) -> None:
        rng = np.random.default_rng(seed)
        self.net, self.m = net, width
        layers = [shape for _ in range(net.depth) for shape in ((width, width), width)]
        self.parameters = [rng.normal(size=shape) for shape in ((size, width), *layers, width)]
        self.function, self.slope = ACTIVATIONS[net.activation]

    def weight(self, ids: list[int]) -> float:
        return self.net.readout_std / np.sqrt(self.m) / (len(ids) if self.net.pooling == "mean" else 1)

    def layers(self, ids: list[int]) -> tuple[list[np.ndarray], list[np.ndarray]]:
        hidden, inputs = [self.net.embedding_std * self.parameters[0][ids]], []
        for layer in range(self.net.depth):
            w, b = self.parameters[1 + 2 * layer:3 + 2 * layer]
            inputs.append(self.net.weight_std / np.sqrt(self.m) * hidden[-1] @ w.T + self.net.bias_std * b)
            hidden.append(self.function(inputs[-1]))
        return hidden, inputs

    def output(self, ids: list[int]) -> float:
        return float(self.weight(ids) * np.sum(self.layers(ids)[0][-1] @ self.parameters[-1]))

    def gradient(self, ids: list[int]) -> np.ndarray:
        hidden, inputs = self.layers(ids)
        scale = self.net.weight_std / np.sqrt(self.m)
        gradients = [self.weight(ids) * hidden[-1].sum(axis=0)]
        back = np.repeat(self.weight(ids) * self.parameters[-1][None, :], len(ids), axis=0)
        for layer in reversed(range(self.net.depth)):
            back = back * self.slope(inputs[layer])
            gradients += [self.net.bias_std * back.sum(axis=0), scale * back.T @ hidden[layer]]
            back = scale * back @ self.parameters[1 + 2 * layer]
        embedding = np.zeros_like(self.parameters[0])
        np.add.at(embedding, ids, self.net.embedding_std * back)
        return np.concatenate([g.ravel() for g in (embedding, *reversed(gradients))])


class FiniteCNN:
    """f = r/√m Σ_p ω v·φ(w/√(k m) Σ_s W_s x_{p+s} + σ_b b); outside of the text x = 0."""

    def __init__(self, net, size: int, width: int, seed: int) -> None:
        rng = np.random.default_rng(seed)
        self.net, self.m = net, width
        self.parameters = [rng.normal(size=(size, width)), rng.normal(size=(width, net.kernel_size * width)),
                           rng.normal(size=width), rng.normal(size=width)]
        self.function, self.slope = ACTIVATIONS[net.activation]

    def windows(self, ids: list[int]) -> np.ndarray:
        """Token at every place of every window, −1 outside; (windows, k)."""
        k = self.net.kernel_size
        first = -((k - 1) // 2) if self.net.padding == "same" else 0
        count = len(ids) if self.net.padding == "same" else max(0, len(ids) - k + 1)
        starts = [p + first for p in range(count)]
        windows = [[ids[p + s] if 0 <= p + s < len(ids) else -1 for s in range(k)] for p in starts]
        return np.array(windows, dtype=int).reshape(count, k)

    def forward(self, ids: list[int]) -> tuple[np.ndarray, np.ndarray, np.ndarray, float]:
        windows = self.windows(ids)
        e, w, b, _ = self.parameters
        x = self.net.embedding_std * e[windows] * (windows >= 0)[:, :, None]
        x = x.reshape(len(windows), self.net.kernel_size * self.m)
        inner = self.net.weight_std / np.sqrt(self.net.kernel_size * self.m) * x @ w.T + self.net.bias_std * b
        weight = self.net.readout_std / np.sqrt(self.m)
        return windows, x, inner, weight / (max(1, len(windows)) if self.net.pooling == "mean" else 1)

    def output(self, ids: list[int]) -> float:
        _, _, inner, weight = self.forward(ids)
        return float(weight * np.sum(self.function(inner) @ self.parameters[3]))

    def gradient(self, ids: list[int]) -> np.ndarray:
        windows, x, inner, weight = self.forward(ids)
        back = weight * self.parameters[3] * self.slope(inner)
        scale = self.net.weight_std / np.sqrt(self.net.kernel_size * self.m)
        inputs = (scale * self.net.embedding_std * back @ self.parameters[1]).reshape(*windows.shape, self.m)
        embedding = np.zeros_like(self.parameters[0])
        np.add.at(embedding, windows[windows >= 0], inputs[windows >= 0])
        gradients = (embedding, scale * back.T @ x, self.net.bias_std * back.sum(axis=0),
                     weight * self.function(inner).sum(axis=0))
        return np.concatenate([g.ravel() for g in gradients])


class FiniteTiedAttention:
    """f = r/√m Σ_i ω v·o_i, o_i = O Σ_j α_ij V x_j, α = softmax of q_i·q_j / m, q = K x: one K, trained too."""

    def __init__(self, net, size: int, width: int, seed: int) -> None:
        rng = np.random.default_rng(seed)
        self.net, self.m = net, width
        self.parameters = [rng.normal(size=(size, width)), *(rng.normal(size=(width, width)) for _ in range(3)),
                           rng.normal(size=width)]

    def forward(self, ids: list[int]) -> tuple[np.ndarray, ...]:
        e, key, value, out, _ = self.parameters
        root = np.sqrt(self.m)
        x = self.net.embedding_std * e[ids]
        q = self.net.key_std / root * x @ key.T
        scores = np.exp(q @ q.T / self.m)
        alpha = scores / scores.sum(axis=1, keepdims=True)
        u = self.net.value_std / root * x @ value.T
        return x, q, alpha, u, self.net.output_std / root * alpha @ u @ out.T

    def weight(self, ids: list[int]) -> float:
        return self.net.readout_std / np.sqrt(self.m) / (len(ids) if self.net.pooling == "mean" else 1)

    def output(self, ids: list[int]) -> float:
        return float(self.weight(ids) * np.sum(self.forward(ids)[4] @ self.parameters[4]))

    def gradient(self, ids: list[int]) -> np.ndarray:
        _, key, value, out, v = self.parameters
        x, q, alpha, u, o = self.forward(ids)
        weight, root = self.weight(ids), np.sqrt(self.m)
        down = weight * self.net.output_std / root * (v @ out)  # the same at every query
        to_alpha = np.repeat((u @ down)[None, :], len(ids), axis=0)
        to_scores = alpha * (to_alpha - np.sum(alpha * to_alpha, axis=1, keepdims=True))
        to_q = (to_scores + to_scores.T) @ q / self.m
        to_u = alpha.sum(axis=0)[:, None] * down
        to_x = self.net.key_std / root * to_q @ key + self.net.value_std / root * to_u @ value
        embedding = np.zeros_like(self.parameters[0])
        np.add.at(embedding, ids, self.net.embedding_std * to_x)
        received = alpha.sum(axis=0) @ u
        gradients = (embedding, self.net.key_std / root * to_q.T @ x, self.net.value_std / root * to_u.T @ x,
                     weight * self.net.output_std / root * np.outer(v, received), weight * o.sum(axis=0))
        return np.concatenate([g.ravel() for g in gradients])
