"""The empirical kernel of any module is J J'ᵀ; a random projection of J gives it back on average."""

import numpy as np
import pytest
import torch
from cases import ALL, ARCHITECTURES, NEW, SIZE, SUMMED, distance, tokens_of
from torch import nn
from torch.func import functional_call, jacrev

from tangentlens.errors import OptionError
from tangentlens.networks import build
from tangentlens.verification import drift, empirical_ntk, jacobian_bytes
from tangentlens.verification.probes import texts_of

ONE_OF_EACH = ["mlp-depth2-erf-bias", "cnn3-frozen-bias-valid", "attention-positions", "attention-tied-relu-sum",
               "matrix-vector3-residual", "matrix-vector2-full-frozen", "linear-rnn-sum-stds", "elman-rnn-last-frozen"]
TEXTS, OTHER = tokens_of(ALL[2:14]), tokens_of([*NEW, [0, 1, 2]])


def twin_of(name, outputs=2, **options):
    return build(ARCHITECTURES[name], **{"vocabulary_size": SIZE, "width": 5, "dtype": torch.float64} | options,
                 outputs=outputs)


class Bag(nn.Module):
    """What a user might have: an embedding bag under a small network."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.bag, self.top = nn.EmbeddingBag(SIZE + 1, 4, mode="mean", dtype=torch.float64), nn.Sequential(
            nn.Linear(4, 5, dtype=torch.float64), nn.Tanh(), nn.Linear(5, 3, dtype=torch.float64))

    def forward(self, ids, offsets):
        return self.top(self.bag(ids, offsets))

    @staticmethod
    def call(module, tokens):
        ids = torch.as_tensor(tokens.ids.astype(np.int64))
        return module(torch.where(ids < 0, SIZE, ids), torch.as_tensor(tokens.offsets[:-1]))


class Padded(nn.Module):
    """An LSTM over padded ids, read at every text's last token."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(1)
        self.embedding = nn.Embedding(SIZE + 1, 3, padding_idx=SIZE, dtype=torch.float64)
        self.lstm = nn.LSTM(3, 4, batch_first=True, dtype=torch.float64)
        self.top = nn.Linear(4, 2, dtype=torch.float64)

    def forward(self, ids, lengths):
        states = self.lstm(self.embedding(ids))[0]
        return self.top(states[torch.arange(len(ids)), lengths - 1])

    @staticmethod
    def call(module, tokens):
        rows = [torch.as_tensor(ids.astype(np.int64)) for ids in texts_of(tokens)]
        padded = nn.utils.rnn.pad_sequence([torch.where(ids < 0, SIZE, ids) for ids in rows], True, SIZE)
        return module(padded, torch.as_tensor(tokens.lengths))


MODULES = {name: (lambda name=name: twin_of(name), None) for name in ONE_OF_EACH} | {
    "bag": (Bag, Bag.call), "lstm": (Padded, Padded.call)}


def jacobian(module, tokens, call):
    """(n, c, parameters) by torch.func, all texts at once; one column of outputs after another."""
    trained = {name: p for name, p in module.named_parameters() if p.requires_grad}
    wrapped = Wrapped(module, call)
    parts = jacrev(lambda values: functional_call(wrapped, {f"module.{k}": v for k, v in values.items()}, (tokens,)),
                   chunk_size=1)(trained)
    return torch.cat([part.flatten(2) for part in parts.values()], dim=2).numpy(force=True)


class Wrapped(nn.Module):
    def __init__(self, module, call):
        super().__init__()
        self.module, self.call = module, call

    def forward(self, tokens):
        return self.module(tokens) if self.call is None else self.call(self.module, tokens)


@pytest.mark.parametrize(("make", "call"), MODULES.values(), ids=MODULES)
def test_it_is_the_product_of_dense_jacobians(make, call):
    texts, other = (TEXTS, OTHER) if call is None else (TEXTS[TEXTS.lengths > 0], OTHER[OTHER.lengths > 0])
    module = make()
    left, right = jacobian(module, texts, call), jacobian(module, other, call)
    expected = np.einsum("ncp,mdp->ncmd", left, right)
    assert distance(empirical_ntk(module, texts, call=call), np.einsum("ncp,mdp->ncmd", left, left)) < SUMMED
    assert distance(empirical_ntk(module, texts, other, call=call), expected) < SUMMED
    small = jacobian_bytes(module, left.shape[0] * left.shape[1])
    assert small == left.size * 8
    assert distance(empirical_ntk(module, texts, other, call=call, memory=small), expected) < SUMMED  # in blocks
    assert np.linalg.matrix_rank(expected.reshape(left.shape[0] * left.shape[1], -1)) > 2


def test_no_texts_have_an_empty_kernel():
    network = twin_of("mlp")
    assert empirical_ntk(network, TEXTS[:0]).shape == (0, 2, 0, 2)
    assert empirical_ntk(network, TEXTS[:3], TEXTS[:0]).shape == (3, 2, 0, 2)
    assert empirical_ntk(network, TEXTS[:0], TEXTS[:3]).shape == (0, 2, 3, 2)
    assert not empirical_ntk(twin_of("linear-rnn"), tokens_of([[], []])).any()


def test_it_is_that_of_the_present_parameters_and_leaves_them_alone():
    network = twin_of("cnn3-same")
    with torch.no_grad():
        assert empirical_ntk(network, TEXTS).any()
    before = [p.detach().clone() for p in network.parameters()]
    start = empirical_ntk(network, TEXTS)
    assert all(torch.equal(p, q) and p.grad is None for p, q in zip(network.parameters(), before, strict=True))
    with torch.no_grad():
        network.readout.mul_(2.0)
    end = empirical_ntk(network, TEXTS)
    assert drift(start, start) == 0.0
    assert drift(start, end) == pytest.approx(np.linalg.norm(end - start) / np.linalg.norm(start))
    assert drift(start, end) > 0.5


def test_too_large_a_jacobian_is_refused_before_it_is_made():
    network = twin_of("mlp", width=64)
    assert jacobian_bytes(network, 10) == 10 * 8 * (8 * 64 + 64 * 64 + 2 * 64)
    assert jacobian_bytes(network.float(), 10, projection=100) == 10 * 100 * 4
    with pytest.raises(OptionError, match=r"the Jacobian of 12 texts with 2 outputs takes 0.4 GiB, more than 0.2 GiB; "
                                          r"give fewer texts, projection=65536, or more memory="):
        empirical_ntk(twin_of("mlp", width=1500), TEXTS, memory=2**30 // 5)
    network = twin_of("mlp", width=64)
    needed = jacobian_bytes(network, 24)
    assert empirical_ntk(network, TEXTS, memory=needed).shape == (12, 2, 12, 2)
    with pytest.raises(OptionError, match="give fewer texts"):
        empirical_ntk(network, TEXTS, memory=needed - 1)
    assert empirical_ntk(network, TEXTS, memory=needed - 1, projection=50).shape == (12, 2, 12, 2)
    with pytest.raises(OptionError, match="projection must be at least 1, not 0"):
        empirical_ntk(network, TEXTS, projection=0)


def test_a_random_projection_is_unbiased_and_its_error_falls_like_one_over_its_root():
    """A count sketch to p numbers: the variance of an entry is at most 2 |J_i|² |J_j|² / p.

    Means of S seeds lie within 5 standard errors; the slope of log error against log p over S seeds and 10 texts
    within 0.1 of −1/2, some five of its standard errors.
    """
    network, texts, seeds = twin_of("mlp", outputs=1, width=12), tokens_of(ALL[2:12]), 60
    exact = empirical_ntk(network, texts)[:, 0, :, 0]
    sizes = np.sqrt(np.outer(np.diag(exact), np.diag(exact)))
    projections, errors = [64, 256, 1024], []
    for projection in projections:
        found = np.array([empirical_ntk(network, texts, projection=projection, seed=seed)[:, 0, :, 0]
                          for seed in range(seeds)])
        scaled = (found - exact) / sizes * np.sqrt(projection)
        assert (np.abs(scaled.mean(axis=0)) < 5 * np.sqrt(2 / seeds)).all()
        assert scaled.std() < np.sqrt(2)
        errors.append(np.sqrt(np.mean((found - exact) ** 2)))
    slope = np.polyfit(np.log(projections), np.log(errors), 1)[0]
    assert abs(slope + 0.5) < 0.1, (slope, errors)
    equal = nn.Linear(300, 1, bias=False)  # every derivative is 1: only random signs make the projection unbiased
    found_equal = [empirical_ntk(equal, texts[:2], call=lambda module, tokens: module(torch.ones(len(tokens), 300)),
                                 projection=64, seed=seed)[0, 0, 1, 0] for seed in range(seeds)]
    assert abs(np.mean(found_equal) - 300) < 5 * 300 * np.sqrt(2 / 64 / seeds)
    assert np.array_equal(found[0], empirical_ntk(network, texts, projection=1024, seed=0)[:, 0, :, 0])
    mixed = empirical_ntk(network, texts, texts[:4], projection=1024, seed=0)
    assert distance(mixed[:, 0, :, 0], found[0][:, :4]) < SUMMED  # both sides are projected alike
