"""Networks of finite width that are linear in each embedding, as in `finite`: MatrixVector and the recurrences."""

from __future__ import annotations

import numpy as np


class FiniteMatrixVector:
    """f = Σ_r r/√m Σ_p ω_r v·M_1(x_p) ··· M_{r−1}(x_{p+r−2}) vec(x_{p+r−1}); every order r has weights of its own.

    M_s(x) = diag(w/√m W_s x), or for matrices="full" w/m Σ_a U_ija x_a; vec(x) = σ_vec/√m V x.
    """

    def __init__(self, net, size: int, width: int, seed: int) -> None:
        rng = np.random.default_rng(seed)
        self.net, self.m, self.full = net, width, net.matrices == "full"
        self.parameters = [rng.normal(size=(size, width))]
        self.places = {}  # order: where its r − 1 matrices begin; its V and v follow
        for order in range(1 if net.residual else net.order, net.order + 1):
            self.places[order] = len(self.parameters)
            shapes = [(width,) * (3 if self.full else 2)] * (order - 1)
            self.parameters += [rng.normal(size=shape) for shape in (*shapes, (width, width), width)]

    def forward(self, ids: list[int], order: int) -> tuple[np.ndarray, ...]:
        """Windows (p, r), their embeddings (p, r, m), matrices by slot, products from slot s on, weight of a window."""
        windows = np.array([ids[p:p + order] for p in range(len(ids) - order + 1)], dtype=int).reshape(-1, order)
        *weights, vector, _ = self.parameters[self.places[order]:self.places[order] + order + 1]
        x = self.net.embedding_std * self.parameters[0][windows]
        products, matrices = [self.net.vector_std / np.sqrt(self.m) * x[:, -1] @ vector.T], []
        for slot in reversed(range(order - 1)):
            if self.full:
                matrices.insert(0, self.net.weight_std / self.m * np.tensordot(x[:, slot], weights[slot], (1, 2)))
                products.insert(0, np.einsum("pij,pj->pi", matrices[0], products[0]))
            else:
                matrices.insert(0, self.net.weight_std / np.sqrt(self.m) * x[:, slot] @ weights[slot].T)
                products.insert(0, matrices[0] * products[0])
        weight = self.net.readout_std / np.sqrt(self.m)
        return windows, x, matrices, products, weight / (max(1, len(windows)) if self.net.pooling == "mean" else 1)

    def output(self, ids: list[int]) -> float:
        total = 0.0
        for order, place in self.places.items():
            *_, products, weight = self.forward(ids, order)
            total += weight * np.sum(products[0] @ self.parameters[place + order])
        return float(total)

    def gradient(self, ids: list[int]) -> np.ndarray:
        embedding, rest = np.zeros_like(self.parameters[0]), []
        for order, place in self.places.items():
            windows, x, matrices, products, weight = self.forward(ids, order)
            *weights, vector, readout = self.parameters[place:place + order + 1]
            back, to_x = np.repeat(weight * readout[None, :], len(windows), axis=0), []
            for slot, w in enumerate(weights):
                if self.full:
                    scale, outer = self.net.weight_std / self.m, back[:, :, None] * products[slot + 1][:, None, :]
                    rest.append(scale * np.tensordot(outer, x[:, slot], (0, 0)))
                    to_x.append(scale * np.tensordot(outer, w, ((1, 2), (0, 1))))
                    back = np.einsum("pij,pi->pj", matrices[slot], back)
                else:
                    scale, outer = self.net.weight_std / np.sqrt(self.m), back * products[slot + 1]
                    rest.append(scale * outer.T @ x[:, slot])
                    to_x.append(scale * outer @ w)
                    back = back * matrices[slot]
            scale = self.net.vector_std / np.sqrt(self.m)
            rest += [scale * back.T @ x[:, -1], weight * products[0].sum(axis=0)]
            to_x = np.stack([*to_x, scale * back @ vector], axis=1)
            np.add.at(embedding, windows, self.net.embedding_std * to_x)
        return flat([embedding, *rest] if self.net.train_embedding else rest)


class FiniteLinearRNN:
    """h_t = σ_i/√m W_I x_t + (σ_g/√m W_G x_t) ∘ (h_{t−1}, shifted by one unit), h_0 = 0; f = r/√m Σ_t ω_t v·h_t."""

    def __init__(self, net, size: int, width: int, seed: int) -> None:
        rng = np.random.default_rng(seed)
        self.net, self.m = net, width
        self.parameters = [rng.normal(size=(size, width)), *rng.normal(size=(2, width, width)), rng.normal(size=width)]

    def forward(self, ids: list[int]) -> tuple[np.ndarray, ...]:
        """Embeddings, gates and states before each token, all (L, m), and states after it."""
        e, into, gate, _ = self.parameters
        x = self.net.embedding_std * e[ids]
        gates = self.net.gate_std / np.sqrt(self.m) * x @ gate.T
        entering = self.net.input_std / np.sqrt(self.m) * x @ into.T
        before, after, state = [], [], np.zeros(self.m)
        for t in range(len(ids)):
            before.append(np.roll(state, 1))
            state = entering[t] + gates[t] * before[t]
            after.append(state)
        return x, gates, np.array(before), np.array(after)

    def output(self, ids: list[int]) -> float:
        return float(state_weights(self.net, self.m, ids) @ self.forward(ids)[3] @ self.parameters[3])

    def gradient(self, ids: list[int]) -> np.ndarray:
        e, into, gate, readout = self.parameters
        x, gates, before, after = self.forward(ids)
        weights = state_weights(self.net, self.m, ids)
        back, later = np.zeros_like(after), np.zeros(self.m)
        for t in reversed(range(len(ids))):
            back[t] = weights[t] * readout + later
            later = np.roll(gates[t] * back[t], -1)
        to_input, to_gate = (std / np.sqrt(self.m) * side for std, side in (
            (self.net.input_std, back), (self.net.gate_std, back * before)))
        embedding = np.zeros_like(e)
        np.add.at(embedding, ids, self.net.embedding_std * (to_input @ into + to_gate @ gate))
        rest = [to_input.T @ x, to_gate.T @ x, weights @ after]
        return flat([embedding, *rest] if self.net.train_embedding else rest)


class FiniteElmanRNN:
    """h_t = σ_i/√m W_I x_t + w/√m W h_{t−1}, h_0 = 0; f = r/√m Σ_t ω_t v·h_t."""

    def __init__(self, net, size: int, width: int, seed: int) -> None:
        rng = np.random.default_rng(seed)
        self.net, self.m = net, width
        self.parameters = [rng.normal(size=(size, width)), *rng.normal(size=(2, width, width)), rng.normal(size=width)]

    def forward(self, ids: list[int]) -> tuple[np.ndarray, np.ndarray]:
        """Embeddings (L, m) and states (L + 1, m), the first one zero."""
        e, into, w, _ = self.parameters
        x = self.net.embedding_std * e[ids]
        states = [np.zeros(self.m)]
        for t in range(len(ids)):
            states.append((self.net.input_std * into @ x[t] + self.net.weight_std * w @ states[t]) / np.sqrt(self.m))
        return x, np.array(states)

    def output(self, ids: list[int]) -> float:
        return float(state_weights(self.net, self.m, ids) @ self.forward(ids)[1][1:] @ self.parameters[3])

    def gradient(self, ids: list[int]) -> np.ndarray:
        e, into, w, readout = self.parameters
        x, states = self.forward(ids)
        weights = state_weights(self.net, self.m, ids)
        back, later = np.zeros_like(x), np.zeros(self.m)
        for t in reversed(range(len(ids))):
            back[t] = weights[t] * readout + later
            later = self.net.weight_std / np.sqrt(self.m) * w.T @ back[t]
        to_input = self.net.input_std / np.sqrt(self.m) * back
        embedding = np.zeros_like(e)
        np.add.at(embedding, ids, self.net.embedding_std * to_input @ into)
        rest = [to_input.T @ x, self.net.weight_std / np.sqrt(self.m) * back.T @ states[:-1], weights @ states[1:]]
        return flat([embedding, *rest] if self.net.train_embedding else rest)


def state_weights(net, width: int, ids: list[int]) -> np.ndarray:
    """r/√m ω_t, what every state counts for; shape (L,)."""
    chosen = np.zeros(len(ids)) if net.pooling == "last" else np.ones(len(ids))
    chosen[-1] = 1.0
    return net.readout_std / np.sqrt(width) * chosen / (len(ids) if net.pooling == "mean" else 1)


def flat(arrays: list[np.ndarray]) -> np.ndarray:
    return np.concatenate([array.ravel() for array in arrays])
