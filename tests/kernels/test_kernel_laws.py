"""Kernels against the slow definition and against stored neural-tangents matrices, and what every kernel must obey."""

import json
from pathlib import Path

import numpy as np
import pytest
import reference
from cases import (
    ALL,
    ARCHITECTURES,
    DENSE,
    EXACT,
    NEW,
    SUMMED,
    TEXT_SETS,
    distance,
    every_architecture,
    token_sets,
    tokens_of,
    window_count,
)
from hypothesis import given, settings
from hypothesis import strategies as st

import tangentlens as tl
from tangentlens.errors import NoSparseFormError, OptionError, ShapeError
from tangentlens.features import attending
from tangentlens.kernels import dense

CLOSED = {None, "identity", "relu", "leaky_relu", "erf"}
STORED = Path(__file__).parents[3] / "shared" / "reference"
STORED_CASES = {
    "mlp-relu-sum": tl.MLP(pooling="sum"),
    "mlp-relu-mean": tl.MLP(),
    "mlp-erf-sum": tl.MLP(activation="erf", pooling="sum"),
    "mlp-gelu-sum": tl.MLP(activation="gelu", pooling="sum"),
    "mlp-relu-depth2-sum": tl.MLP(depth=2, pooling="sum"),
    "mlp-relu-bias-sum": tl.MLP(weight_std=1.5, bias_std=0.3, pooling="sum"),
    "cnn2-relu-valid-sum": tl.CNN(kernel_size=2, padding="valid", pooling="sum"),
    "cnn3-relu-valid-sum": tl.CNN(padding="valid", pooling="sum"),
    "cnn3-erf-valid-sum": tl.CNN(padding="valid", activation="erf", pooling="sum"),
    "cnn3-relu-same-sum": tl.CNN(pooling="sum"),
    "attention-tied-sum": tl.SelfAttention(scores="tied", pooling="sum"),
    "attention-tied-relu-sum": tl.SelfAttention(scores="tied", activation="relu", pooling="sum"),
}


@every_architecture
def test_kernel_is_the_slow_definition(architecture):
    tokens, other = tokens_of(ALL), tokens_of(NEW)
    tolerance = EXACT if getattr(architecture, "activation", None) in CLOSED else SUMMED
    for right in (None, other):
        slow = reference.kernels(architecture, tokens, right)
        for kind, expected in zip(("ntk", "nngp"), slow, strict=True):
            assert distance(architecture.kernel(tokens, right, kind=kind), expected) < tolerance, kind


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(sorted(ARCHITECTURES)), token_sets(4), token_sets(3))
def test_kernel_is_the_slow_definition_on_any_texts(name, tokens, other):
    architecture = ARCHITECTURES[name]
    ntk, nngp = reference.kernels(architecture, tokens, other)
    assert distance(architecture.kernel(tokens, other), ntk, least=1e-3) < SUMMED
    assert distance(architecture.kernel(tokens, other, kind="nngp"), nngp, least=1e-3) < SUMMED


@pytest.mark.skipif(not (STORED / "kernels.npz").exists(), reason="../shared/reference/kernels.npz is not here")
@pytest.mark.parametrize("case", STORED_CASES)
def test_kernel_is_that_of_neural_tangents(case):
    ids = json.loads((STORED / "kernels.json").read_text())
    assert ids.keys() == STORED_CASES.keys()
    tokens = tl.Tokens.from_ids(ids[case], vocabulary_size=40)
    with np.load(STORED / "kernels.npz") as stored:
        for kind in ("ntk", "nngp"):
            assert distance(STORED_CASES[case].kernel(tokens, kind=kind), stored[f"{case}/{kind}"]) <= 1e-9
        if case != "attention-tied-relu-sum":
            assert distance(STORED_CASES[case].features(tokens).kernel(), stored[f"{case}/ntk"]) <= 1e-9


@every_architecture
def test_kernel_is_symmetric_and_positive_semi_definite(architecture):
    for name, tokens in TEXT_SETS.items():
        for kind in ("ntk", "nngp"):
            kernel = architecture.kernel(tokens, kind=kind)
            assert kernel.dtype == np.float64
            assert distance(kernel, kernel.T) < EXACT, name
            values = np.linalg.eigvalsh(kernel)
            assert values[0] >= -1e-12 * values[-1], name


@every_architecture
def test_tangent_kernel_exceeds_the_covariance(architecture):
    tokens = tokens_of(ALL)
    rest = architecture.kernel(tokens) - architecture.kernel(tokens, kind="nngp")
    values = np.linalg.eigvalsh(rest)  # what the hidden weights contribute is a Gram matrix of gradients
    assert values[0] > -1e-12 * values[-1]
    assert values[-1] > 0


@every_architecture
def test_block_of_a_kernel_is_the_kernel_of_blocks(architecture):
    tokens = tokens_of(ALL)
    for kind in ("ntk", "nngp"):
        whole = architecture.kernel(tokens, kind=kind)
        for rows, columns in [(slice(0, 5), slice(3, 20)), ([4, 30, 2, 2], [7]), (slice(9, 13), slice(9, 13))]:
            part = architecture.kernel(tokens[rows], tokens[columns], kind=kind)
            assert distance(part, whole[rows][:, columns]) < EXACT


@every_architecture
def test_blocks_of_any_size_give_the_same_kernel(architecture, monkeypatch):
    tokens, other = tokens_of(ALL), tokens_of(NEW)
    expected = architecture.kernel(tokens), architecture.kernel(tokens, other)
    monkeypatch.setattr(dense, "BLOCK", 7)
    monkeypatch.setattr(attending, "BATCH", 50)
    assert distance(architecture.kernel(tokens), expected[0]) < EXACT
    assert distance(architecture.kernel(tokens, other), expected[1]) < EXACT


@every_architecture
def test_texts_without_windows_have_zero_rows(architecture):
    tokens = tokens_of(ALL)
    kernel = architecture.kernel(tokens)
    without = np.array([window_count(architecture, length) == 0 for length in tokens.lengths])
    assert without.sum() >= 2
    assert not kernel[without].any()
    assert not kernel[:, without].any()
    known = np.array([-1 not in text for text in ALL])
    assert (np.diag(kernel)[known & ~without] > 0).all()


@every_architecture
def test_only_which_tokens_are_equal_matters(architecture):
    renamed = np.random.default_rng(0).permutation(8)
    ids = [[int(renamed[t]) if t >= 0 else -1 for t in text] for text in ALL]
    assert distance(architecture.kernel(tokens_of(ids)), architecture.kernel(tokens_of(ALL))) < EXACT


@every_architecture
def test_unknown_tokens_keep_their_position_and_match_nothing(architecture):
    """A text with unknown tokens meets all other texts like one with words that stand nowhere else."""
    unknown, others = [[-1, 0, 1], [0, -1, 1], [0, 1, -1, -1], [-1, -1]], [[0, 1, 2], [3, 0, 1], [1, 1], [2, 0, 3, 1]]
    words = [[5, 0, 1], [0, 5, 1], [0, 1, 5, 6], [5, 6]]
    for kind in ("ntk", "nngp"):
        expected = architecture.kernel(tokens_of(words), tokens_of(others), kind=kind)
        assert distance(architecture.kernel(tokens_of(unknown), tokens_of(others), kind=kind), expected) < EXACT
    # ... and another text with unknown tokens like one with different words
    expected = architecture.kernel(tokens_of(words), tokens_of([[7, 0, 1], [0, 7]]))
    assert distance(architecture.kernel(tokens_of(unknown), tokens_of([[-1, 0, 1], [0, -1]])), expected) < EXACT


MEANS = {name: net for name, net in ARCHITECTURES.items() if net.pooling == "mean" and not getattr(net, "residual", 0)}


@pytest.mark.parametrize("architecture", MEANS.values(), ids=MEANS)
def test_mean_pooling_divides_by_the_number_of_windows(architecture):
    fields = {name: getattr(architecture, name) for name in architecture.__dataclass_fields__}
    total = type(architecture)(**fields | {"pooling": "sum"})
    tokens = tokens_of(ALL)
    windows = np.array([max(1, window_count(architecture, length)) for length in tokens.lengths])
    assert distance(architecture.kernel(tokens) * np.outer(windows, windows), total.kernel(tokens)) < EXACT


@pytest.mark.parametrize("architecture", DENSE.values(), ids=DENSE)
def test_without_a_sparse_form_features_and_spectrum_say_so(architecture):
    for call in (lambda: architecture.features(tokens_of(ALL)), architecture.spectrum):
        with pytest.raises(NoSparseFormError, match=f'activation="{architecture.activation}".*MLP or CNN'):
            call()


@every_architecture
def test_kernel_refuses_another_kind_and_another_vocabulary(architecture):
    tokens = tokens_of(ALL)
    with pytest.raises(OptionError, match=r"kind must be .*ntk.*nngp.*'ckn'"):
        architecture.kernel(tokens, kind="ckn")
    with pytest.raises(ShapeError, match="different vocabularies"):
        architecture.kernel(tokens, tl.Tokens.from_ids([[0]], vocabulary_size=3))
