"""Products with the kernel through shared features, a diagonal, Cholesky factors and rotations: the same matrix."""

import numpy as np
import pytest
from cases import ALL, EXACT, NEW, TEXT_SETS, distance, every_sparse, random_texts, store_by_texts, tokens_of
from scipy import sparse

import tangentlens as tl
from tangentlens.features import bag
from tangentlens.learning import KernelProduct, by_text, columns


@every_sparse
def test_product_is_the_kernel_times_vectors(architecture):
    for name, tokens in TEXT_SETS.items():
        kernel, product = architecture.kernel(tokens), KernelProduct(architecture.features(tokens))
        assert distance(product @ np.eye(len(tokens)), kernel) < EXACT, name
        vector = np.random.default_rng(0).normal(size=len(tokens))
        assert (product @ vector).shape == (len(tokens),)
        assert distance(product @ vector, (product @ vector[:, None])[:, 0]) < EXACT, name
        assert product.products == len(tokens) + 3
        backwards = np.arange(len(tokens))[::-1]  # whole numbers, and a view
        assert distance(product @ backwards, kernel @ backwards) < EXACT, name
        for count in (0, 2, 3, 5):  # few vectors are multiplied one after another
            vectors = np.random.default_rng(count).normal(size=(len(tokens), count))
            assert (product @ vectors).shape == vectors.shape
            assert distance(product @ vectors, kernel @ vectors) < EXACT, name


@every_sparse
def test_extra_rows_are_outputs_on_other_texts(architecture):
    tokens = tokens_of(ALL)
    features = architecture.features(tokens)
    duals = np.random.default_rng(1).normal(size=(len(tokens), 3))
    for extra in (NEW, [[]], [[6]], ALL):
        other = tokens_of(extra)
        product = KernelProduct(features, architecture.features(other, columns=features))
        assert product.rows == len(tokens) + len(other)
        result = product @ duals
        assert distance(result[:len(tokens)], architecture.kernel(tokens) @ duals) < EXACT
        assert distance(result[len(tokens):], architecture.kernel(other, tokens) @ duals, least=1e-3) < EXACT


@every_sparse
def test_tilted_products_see_what_the_kernel_sees(architecture, monkeypatch):
    """Θ a beside Z W Zᵀ a, which is symmetric and has the same null space; of one lane or many."""
    tokens = tokens_of(ALL)
    features, unit = architecture.features(tokens), np.eye(len(tokens))
    product = KernelProduct(features)
    kernel, tilted = product.tilted(unit)
    assert product.products == 2 * len(tokens)
    assert distance(kernel, architecture.kernel(tokens)) < EXACT
    assert distance(tilted, tilted.T) < EXACT
    assert distance(tilted, kernel) > 1e-3
    assert np.linalg.matrix_rank(tilted, 1e-10) == np.linalg.matrix_rank(kernel, 1e-10)
    with_more = KernelProduct(features, architecture.features(tokens_of(NEW), columns=features))
    assert distance(with_more.tilted(unit)[0], with_more @ unit) < EXACT
    monkeypatch.setattr(columns, "SMALL", 0)
    monkeypatch.setattr(columns, "LANE", 16)
    assert distance(KernelProduct(features).tilted(unit)[1], tilted) < EXACT


def test_large_products_run_in_blocks_and_are_the_same(monkeypatch):
    """Enough counts for several threads, and blocks of several lanes, which are not copied."""
    monkeypatch.setattr(columns, "LANE", 2**14)
    tokens, _ = random_texts(3000, size=200, lengths=(20, 60))
    net = tl.CNN()
    features = net.features(tokens)
    product = KernelProduct(features)
    assert product.nnz > 200_000
    assert all(np.shares_memory(lane.data, back.data) and np.shares_memory(lane.indices, back.indices)
               for lane, back in product._both_ways)
    duals = np.random.default_rng(2).normal(size=(3000, 2))
    assert distance(product @ duals, features.pull(features.push(duals))) < EXACT


def test_small_blocks_share_lanes_of_about_equal_size(monkeypatch):
    """A CNN of many offsets has many blocks, each of them too small for a lane of its own."""
    monkeypatch.setattr(columns, "LANE", 2**14)
    monkeypatch.setattr(columns, "SMALL", 2**15)
    monkeypatch.setattr(columns, "LANES", 4)
    tokens, _ = random_texts(800, size=60, lengths=(20, 60))
    features = tl.CNN(kernel_size=5).features(tokens)
    blocks = columns.rotated(features, None)
    product = KernelProduct(features)
    size = max(2**14, product.nnz // 4)
    assert sum(block.nnz < size / 4 for block in blocks) > 4
    assert 2 <= len(product.lanes) <= 8
    assert max(lane.nnz for lane in product.lanes) < 1.6 * size
    duals = np.random.default_rng(2).normal(size=(800, 1))
    assert distance(product @ duals, features.pull(features.push(duals))) < EXACT


@pytest.mark.parametrize("entries", [[20, 9, 8], [3, 2, 1], [20, 3, 9, 1, 2], [1, 1, 20, 9], [1], [0, 2, 0], [], [9],
                                     [9, 3, 3, 3, 3]],
                         ids=str)
def test_columns_are_parted_alike_wherever_long_ones_stand(entries):
    draw = np.random.default_rng(0)
    dense = np.zeros((25, len(entries)))
    for column, count in enumerate(entries):
        dense[draw.permutation(25)[:count], column] = draw.normal(size=count)
    block = sparse.csr_array(dense)
    parts, alone = columns.by_columns(block)
    assert distance(sum((part.T @ part).toarray() for part in parts) + np.diag(alone), dense @ dense.T) < EXACT
    assert sorted(np.concatenate([[0], *(np.diff(part.indptr) for part in parts)])) == sorted(
        [0, *(count for count in entries if count > 1)])
    for part in parts:  # a view does not keep what is not needed
        assert len(part.data if part.data.base is None else part.data.base) <= 2 * part.nnz


@every_sparse
def test_a_product_leaves_the_features_as_they_are(architecture):
    rates = isinstance(architecture, tl.MLP) and architecture.train_embedding
    for map_ in (architecture, tl.TokenRates(architecture)) if rates else (architecture,):
        features = map_.features(tokens_of(ALL))
        extra = map_.features(tokens_of(NEW), columns=features)
        arrays = [array for family in features.families
                  for array in (family.stored.data, family.weight, family.values) if array is not None]
        before = [array.copy() for array in arrays]
        eye = np.eye(len(features))
        first = KernelProduct(features) @ eye
        KernelProduct(features, extra)
        np.testing.assert_array_equal(KernelProduct(features) @ eye, first)
        for array, old in zip(arrays, before, strict=True):
            np.testing.assert_array_equal(array, old)


@every_sparse
def test_a_map_stored_by_texts_makes_the_same_products(architecture, monkeypatch):
    """Of maps that need no rotation; the others stay as they are."""
    tokens = tokens_of(ALL)
    features = architecture.features(tokens)
    extra = architecture.features(tokens_of(NEW), columns=features)
    usual = KernelProduct(features, extra)
    store_by_texts(monkeypatch)
    product = KernelProduct(features, extra)
    assert bool(product.runs) != bool(product.lanes)
    assert product.runs or not isinstance(architecture, tl.MLP)
    assert product.lanes or getattr(architecture, "kernel_size", 1) == 1
    if product.runs:
        many = np.random.default_rng(2).normal(size=(len(tokens), 2))
        np.testing.assert_allclose(product.spread(product.gathered(many)), usual @ many, rtol=1e-12, atol=1e-14)
        columns = product.gathered(np.eye(len(tokens))), product.spread(np.eye(product.columns))[:len(tokens)]
        np.testing.assert_allclose(columns[0], columns[1].T, rtol=1e-13, atol=1e-300)
        np.testing.assert_allclose(product.squares(), np.sum(product.spread(np.eye(product.columns))**2, axis=0),
                                   rtol=1e-12, atol=1e-300)
    for duals in (np.linspace(-1, 1, len(tokens)), np.random.default_rng(1).normal(size=(len(tokens), 3))):
        np.testing.assert_allclose(product @ duals, usual @ duals, rtol=1e-12, atol=1e-14)


def test_products_by_texts_know_the_rates_of_tokens(monkeypatch):
    """A factor for every column."""
    tokens, _ = random_texts(60, size=12)
    features = tl.TokenRates(tl.MLP(), power=0.5).features(tokens)
    assert any(family.scale is not None and np.ptp(family.scale) > 0.1 for family in features.families)
    usual = KernelProduct(features) @ np.eye(60)
    store_by_texts(monkeypatch)
    product = KernelProduct(features)
    assert product.runs
    np.testing.assert_allclose(product @ np.eye(60), usual, rtol=1e-12, atol=1e-14)


def test_products_by_texts_take_no_copy_of_counts_in_64_bits(monkeypatch):
    """And blocks of texts do not change what they add up."""
    tokens, _ = random_texts(300, size=50)
    for module in (by_text, bag):
        monkeypatch.setattr(module, "MANY", 1)
    monkeypatch.setattr(by_text, "DENSE", 0)
    features = tl.MLP().features(tokens)
    product = KernelProduct(features)
    assert sum(map(len, product.runs)) == 300 > by_text.RUNS == len(product.runs)
    for run in product.runs:
        assert all(np.shares_memory(counts.data, family.stored.data) and
                   np.shares_memory(counts.indices, family.stored.indices)
                   for counts, family in zip(run.counts, features.families[:1], strict=False))
    squares = product.squares()
    monkeypatch.setattr(by_text, "BLOCK", 100)
    np.testing.assert_allclose(product.squares(), squares, rtol=1e-13)


def test_the_product_stores_fewer_counts_than_the_map():
    """Features of one text only go to the diagonal."""
    tokens = tokens_of([[0, 1, 2], [3, 4, 5], [6, 7]])
    product = KernelProduct(tl.MLP(activation="tanh").features(tokens))
    assert product.nnz == 0
    assert product.own == pytest.approx(np.diag(tl.MLP(activation="tanh").kernel(tokens)), rel=1e-12)


@every_sparse
def test_largest_eigenvalue(architecture):
    """Dense below 20 texts, Lanczos above."""
    for size in (12, 34):
        tokens = tokens_of(ALL[:size])
        exact = np.linalg.eigvalsh(architecture.kernel(tokens))[-1]
        found = KernelProduct(architecture.features(tokens)).largest_eigenvalue()
        assert found == pytest.approx(exact, rel=1e-3)


def test_largest_eigenvalue_without_windows_is_zero():
    assert KernelProduct(tl.MLP().features(tokens_of([[], []]))).largest_eigenvalue() == 0.0
