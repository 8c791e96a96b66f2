"""A text's output is its own: alone, among others, in any order; unknown tokens are vectors like any, never trained."""

import numpy as np
import pytest
import torch
import witness
from cases import (
    ALL,
    ARCHITECTURES,
    LONGEST,
    NEW,
    SIZE,
    SUMMED,
    distance,
    every_architecture,
    token_sets,
    tokens_of,
    window_count,
)
from hypothesis import given, settings

import tangentlens as tl
from tangentlens.networks import build
from tangentlens.networks.layout import RESERVOIR, by_length, distinct, numbered, prefixes, windows

TEXTS = [*ALL, *NEW]
ROUNDING = 1e-12  # a matrix product may round otherwise for another number of rows


def twin_of(architecture, **options):
    return build(architecture, **{"vocabulary_size": SIZE, "width": 9, "outputs": 2, "dtype": torch.float64} | options)


def outputs(network, ids):
    return network(tokens_of(ids)).detach().numpy()


@every_architecture
def test_a_text_does_not_see_the_texts_beside_it(architecture):
    """Unknown tokens included."""
    network = twin_of(architecture)
    together = outputs(network, TEXTS)
    alone = np.concatenate([outputs(network, [ids]) for ids in TEXTS])
    assert distance(together, alone) < ROUNDING
    order = np.random.default_rng(0).permutation(len(TEXTS))
    assert distance(outputs(network, [TEXTS[place] for place in order]), together[order]) < ROUNDING
    assert distance(outputs(network, [*TEXTS, *TEXTS, [3] * 40]), [*together, *together, *outputs(network, [[3] * 40])]
                    ) < ROUNDING


@every_architecture
def test_texts_without_a_window_give_zero_and_equal_texts_equal_outputs(architecture):
    network = twin_of(architecture)
    f = outputs(network, TEXTS)
    for ids, output in zip(TEXTS, f, strict=True):
        windowless = window_count(architecture, len(ids)) == 0
        assert (output == 0).all() == windowless, ids
        assert distance(output, f[TEXTS.index(ids)]) < ROUNDING
    assert outputs(network, []).shape == (0, 2)
    np.testing.assert_array_equal(outputs(network, [[], []]), np.zeros((2, 2)))


@every_architecture
def test_a_plan_is_its_texts(architecture):
    network = twin_of(architecture)
    tokens = tokens_of(TEXTS)
    plan = network.plan(tokens)
    assert torch.equal(network(plan), network(tokens))
    for chosen in (slice(5, 12), [7, 3, 3, 0]):
        assert distance(network(network.plan(tokens[chosen])).detach(), network(plan)[chosen].detach()) < ROUNDING


@every_architecture
def test_gradients_of_a_text_do_not_depend_on_the_texts_beside_it(architecture):
    network = twin_of(architecture, outputs=1)
    trained = [p for p in network.parameters() if p.requires_grad]
    total = torch.autograd.grad(network(tokens_of(TEXTS)).sum(), trained)
    parts = [torch.autograd.grad(network(tokens_of([ids])).sum(), trained, allow_unused=True, materialize_grads=True)
             for ids in TEXTS if ids]
    for place, gradient in enumerate(total):
        assert distance(gradient, sum(part[place] for part in parts)) < SUMMED


# ---- unknown tokens ------------------------------------------------------------------------------------------------

UNKNOWN = [ids for ids in TEXTS if -1 in ids]


@every_architecture
def test_an_unknown_token_is_an_ordinary_one_with_a_vector_of_its_own(architecture):
    """The same outputs from a larger network whose further embeddings are those vectors."""
    network = twin_of(architecture)
    tokens = tokens_of(UNKNOWN)
    used, place = numbered(tokens)
    larger = twin_of(architecture, vocabulary_size=SIZE + RESERVOIR)
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            larger.get_parameter(name)[:len(parameter)] = parameter
        larger.embedding[SIZE:] = network._reservoir()
    renamed = np.split(used[place], tokens.offsets[1:-1])
    assert distance(network(tokens).detach(), [witness.output(larger, ids) for ids in renamed]) < SUMMED


@every_architecture
def test_unknown_tokens_are_never_trained(architecture):
    network = twin_of(architecture, outputs=1)
    kept, before = network._reservoir().clone(), network.embedding.detach().clone()
    tl.networks.train(network, tokens_of([[-1, 0, -1, 1, 0], [0, -1, 1, -1, -1], [-1, -1, -1]]), ["a", "b", "a"],
                      learning_rate=0.5, steps=3)
    assert torch.equal(network._reservoir(), kept)
    assert torch.equal(network.embedding[2:], before[2:])
    assert torch.equal(network.embedding[:2], before[:2]) != architecture.train_embedding


def test_unknown_tokens_match_nothing():
    """Another vector in every text and at every place, unlike any other; standard normal."""
    tokens = tokens_of([[-1, -1, 0], [0, -1, -1], [-1, 0, -1], [1, -1, -1], [-1], [-1, -1], [-1] * 9])
    used, place = numbered(tokens)
    unknown = tokens.ids == -1
    assert len(np.unique(place[unknown])) == unknown.sum()
    x = witness.array(twin_of(tl.MLP(), width=2000).embed(torch.as_tensor(used)))
    assert np.abs(x @ x.T / 2000 - np.eye(len(used))).max() < 5 * np.sqrt(2 / 2000)
    vectors = twin_of(tl.MLP(), width=500)._reservoir().numpy()
    assert abs(vectors.mean()) < 5 / np.sqrt(vectors.size)
    assert abs(vectors.var() - 1) < 5 * np.sqrt(2 / vectors.size)


def test_unknown_tokens_collide_as_seldom_as_random_numbers():
    """Of N places with one of R vectors each, N − R (1 − (1 − 1/R)^N) share one, ± the root of that."""
    rng = np.random.default_rng(0)
    ids = [[*rng.integers(0, SIZE, 3).tolist(), -1, *rng.integers(0, SIZE, 3).tolist(), -1] for _ in range(1500)]
    ids = [list(text) for text in dict.fromkeys(map(tuple, ids))]
    tokens = tokens_of(ids)
    used, _ = numbered(tokens)
    total, vectors = int((tokens.ids == -1).sum()), int((used >= SIZE).sum())
    expected = total - RESERVOIR * (1 - (1 - 1 / RESERVOIR) ** total)
    assert abs(total - vectors - expected) < 5 * np.sqrt(expected)


# ---- layout --------------------------------------------------------------------------------------------------------


@given(tokens=token_sets(most=8))
@settings(max_examples=60, deadline=None)
def test_windows_and_prefixes_are_those_of_a_loop(tokens):
    places = numbered(tokens)[1]
    texts = np.split(places, tokens.offsets[1:-1])
    for size, before, partial in ((1, 0, False), (2, 0, False), (3, 1, True), (4, 1, True), (LONGEST, 0, False)):
        steps = range(-before, size - before)
        expected = [(number, [int(text[at + step]) if 0 <= at + step < len(text) else -1 for step in steps])
                    for number, text in enumerate(texts) for at in range(len(text))]
        expected = [row for row in expected if partial or -1 not in row[1]]
        rows, text = windows(tokens, places, size=size, before=before, partial=partial)
        assert list(zip(text.tolist(), rows.tolist(), strict=True)) == expected
        few, unit = distinct(rows)
        np.testing.assert_array_equal(few[unit], rows)
        assert len(few) == len({tuple(row) for row in rows.tolist()})
    tree = prefixes(tokens, places)
    seen = [tuple(text[:at + 1].tolist()) for text in texts for at in range(len(text))]
    assert len(set(zip(seen, tree.node.tolist(), strict=True))) == len(set(seen)) == len(set(tree.node.tolist()))
    assert sum(map(len, tree.tokens)) == len(set(seen))


@given(tokens=token_sets(most=8))
@settings(max_examples=30, deadline=None)
def test_groups_of_equal_length_hold_every_position_once(tokens):
    groups = by_length(tokens)
    assert sorted(np.concatenate([[], *(part.ravel() for _, part in groups)]).tolist()) == list(range(len(tokens.ids)))
    for texts, part in groups:
        np.testing.assert_array_equal(tokens.text_of_token[part], np.repeat(texts[:, None], part.shape[1], axis=1))


@pytest.mark.parametrize("name", ["attention", "attention-tied-relu-sum", "attention-positions"])
def test_attention_in_small_groups_is_the_same(name, monkeypatch):
    network = twin_of(ARCHITECTURES[name])
    expected = outputs(network, TEXTS)
    monkeypatch.setattr("tangentlens.networks.attention.PAIRS", 30)
    assert distance(outputs(network, TEXTS), expected) < ROUNDING
