"""The sparse feature map is the kernel, exactly, on training texts and on new ones."""

import numpy as np
import pytest
from cases import (
    ALL,
    EXACT,
    NEW,
    SPARSE,
    SUMMED,
    TEXT_SETS,
    distance,
    every_sparse,
    token_sets,
    tokens_of,
    window_count,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

import tangentlens as tl
from tangentlens.errors import ShapeError
from tangentlens.features import attending, bag
from tangentlens.features.counting import count_texts
from tangentlens.features.windows import Windows


@every_sparse
def test_the_map_is_the_kernel(architecture):
    for name, tokens in TEXT_SETS.items():
        assert distance(architecture.features(tokens).kernel(), architecture.kernel(tokens)) < EXACT, name


@every_sparse
def test_the_map_is_the_kernel_on_new_texts(architecture):
    """NEW holds patterns that no text of ALL has, and the other way round."""
    for first, second in [(ALL, NEW), (NEW, ALL), (ALL, ALL[::-1]), (ALL, [[]]), ([[]], ALL)]:
        tokens, other = tokens_of(first), tokens_of(second)
        features = architecture.features(tokens)
        mapped = architecture.features(other, columns=features)
        assert distance(features.kernel(mapped), architecture.kernel(tokens, other)) < EXACT
        assert distance(mapped.kernel(features), architecture.kernel(other, tokens)) < EXACT


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(sorted(SPARSE)), token_sets(), token_sets())
def test_the_map_is_the_kernel_on_any_texts(name, tokens, other):
    architecture = SPARSE[name]
    features = architecture.features(tokens)
    assert distance(features.kernel(), architecture.kernel(tokens), least=1e-3) < EXACT
    mapped = architecture.features(other, columns=features)
    assert distance(features.kernel(mapped), architecture.kernel(tokens, other), least=1e-3) < EXACT


@every_sparse
def test_some_columns_of_the_counts(architecture):
    for family in architecture.features(tokens_of(ALL)).families:
        chosen = np.array([family.columns - 1, 0, family.columns // 2, 0])
        np.testing.assert_array_equal(family.counts_of(chosen).toarray(), family.counts.toarray()[:, chosen])


@every_sparse
def test_features_of_a_slice_are_the_slice_of_the_features(architecture):
    tokens = tokens_of(ALL)
    features = architecture.features(tokens)
    for rows in (slice(2, 17), [5, 0, 0, 30], slice(0, 0)):
        part = architecture.features(tokens[rows], columns=features)
        assert len(part) == len(tokens[rows])
        for mine, whole in zip(part.families, features.families, strict=True):
            assert mine.names.to_list() == whole.names.to_list()
            np.testing.assert_array_equal(mine.occurrences.toarray(), whole.occurrences[rows].toarray())
            assert distance(mine.counts.toarray(), whole.counts[rows].toarray()) < EXACT


@every_sparse
def test_texts_without_windows_are_zero_rows_and_are_counted(architecture):
    for tokens in TEXT_SETS.values():
        features = architecture.features(tokens)
        without = np.array([window_count(architecture, length) == 0 for length in tokens.lengths])
        assert features.windowless == without.sum()
        assert features.unknown == np.sum(tokens.ids == -1)
        rows = sparse.hstack([family.counts for family in features.families]).toarray()
        assert not rows[without].any()
        assert np.isfinite(rows).all()
        if "bias" in [family.name for family in features.families]:
            assert rows[~without].any(axis=1).all()


@every_sparse
def test_occurrences_are_positive_whole_numbers_in_order(architecture):
    features = architecture.features(tokens_of(ALL))
    assert features.columns == sum(family.counts.shape[1] for family in features.families)
    assert features.nnz == sum(family.counts.nnz for family in features.families)
    for family in features.families:
        assert family.occurrences.dtype.kind == "i"
        assert (family.occurrences.data > 0).all()
        assert family.occurrences.has_canonical_format


def test_counts_by_hand():
    tokens = tl.Tokens.from_ids([[0, 1, 0, -1, 0], [1], []], vocabulary_size=2)
    families = tl.CNN(kernel_size=2, padding="valid", pooling="sum").features(tokens).families
    assert [(f.name, f.first, f.names.to_list()) for f in families] == [
        ("bias", 0, ["<bias>"]), ("token@offset", 0, ["0@0", "1@0"]), ("token@offset", 1, ["0@1", "1@1"]),
        ("skip-gram", 0, ["0 1", "1 0"])]
    rows = [f.counts.toarray().tolist() for f in families]
    assert rows[0] == [[4], [0], [0]]  # windows 01, 10, 0□, □0
    assert rows[1] == [[2, 1], [0, 0], [0, 0]]
    assert rows[2] == [[2, 1], [0, 0], [0, 0]]
    assert rows[3] == [[1, 1], [0, 0], [0, 0]]
    mean = tl.CNN(kernel_size=2, padding="valid").features(tokens).families
    assert mean[1].counts.toarray().tolist() == [[0.5, 0.25], [0, 0], [0, 0]]


def test_windows_at_the_edges_form_groups_of_their_own():
    tokens = tl.Tokens.from_ids([[0, 1, 0, 1], [1]], vocabulary_size=2)
    families = tl.CNN(pooling="sum").features(tokens).families  # windows .01, 010, 101, 01. and .1.
    bias = families[0]
    assert len(bias.groups) == 3
    assert bias.counts.toarray().tolist() == [[0, 2, 2], [1, 0, 0]]
    middle = next(f for f in families if f.name == "token@offset" and f.first == 1)
    assert middle.names.to_list() == ["0@1", "1@1"]
    assert middle.counts.toarray().reshape(2, 3, 2).tolist() == [[[0, 0], [1, 1], [1, 1]], [[0, 1], [0, 0], [0, 0]]]


def test_attention_gives_each_text_its_length():
    """Every query spends a total of one, so the weights of a text without unknown tokens sum to L."""
    tokens = tokens_of([[0, 0, 1], [3], [2, 4, 2, 2, 5], []])
    for architecture in SPARSE.values():
        if isinstance(architecture, tl.SelfAttention):
            counts = architecture.features(tokens).families[0].counts.sum(axis=1)
            expected = [3, 1, 5, 0] if architecture.pooling == "sum" else [1, 1, 1, 0]
            np.testing.assert_allclose(counts, expected, rtol=1e-13)


def test_attention_in_small_batches_is_the_same(monkeypatch):
    architecture = SPARSE["attention-positions"]
    whole = architecture.features(tokens_of(ALL)).families[0].counts.toarray()
    monkeypatch.setattr(attending, "BATCH", 30)
    assert distance(architecture.features(tokens_of(ALL)).families[0].counts.toarray(), whole) < EXACT


@every_sparse
def test_push_and_pull_are_the_kernel(architecture):
    features = architecture.features(tokens_of(ALL))
    duals = np.random.default_rng(0).normal(size=(len(features), 2))
    assert distance(features.pull(features.push(duals)), features.kernel() @ duals) < SUMMED


def test_maps_with_other_columns_do_not_mix():
    net = tl.CNN()
    features, other = net.features(tokens_of(ALL)), net.features(tokens_of(NEW))
    with pytest.raises(ShapeError, match="columns=features"):
        features.kernel(other)
    with pytest.raises(ShapeError, match="columns=features"):
        features.kernel(tl.MLP().features(tokens_of(ALL)))


def test_a_family_checks_its_shapes():
    family = tl.MLP().features(tokens_of(ALL)).families[0]
    with pytest.raises(ShapeError, match=r"family token: counts have the shape \(34, 7\), expected \(34, 1\)"):
        tl.Family("token", None, sparse.csr_array(family.occurrences), family.weight, family.coefficients)


@pytest.mark.parametrize("ids", [[], [[]], [[1, 2]], [[], [0, 1, 2, 3], [5], [0, 0, 0]]], ids=str)
@pytest.mark.parametrize("size", [1, 3])
def test_windows_are_numbered_as_they_are_counted(ids, size):
    """Where all windows are of one kind their number is known from the length of a text."""
    windows = Windows(tl.Tokens.from_ids(ids, vocabulary_size=6), size, "valid")
    found = bag.bias_family(windows, "mean", np.ones((1, 1))).stored
    counted = count_texts(windows.offsets, np.zeros(windows.offsets[-1], np.int32), 1)
    assert found.shape == counted.shape
    for name in ("data", "indices", "indptr"):
        np.testing.assert_array_equal(getattr(found, name), getattr(counted, name), strict=True)
