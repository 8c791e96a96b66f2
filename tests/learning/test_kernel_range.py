"""The range of Θ: as a dense eigenvalue decomposition finds it; and flows in all vectors of it."""

from __future__ import annotations

from itertools import permutations
from types import SimpleNamespace
from typing import cast

import numpy as np
import pytest
import reference
from cases import (
    ALL,
    SUMMED,
    TEXT_SETS,
    distance,
    every_sparse,
    grow_slowly,
    labels_of,
    random_texts,
    store_by_texts,
)
from scipy import sparse

import tangentlens as tl
from tangentlens.errors import DataError
from tangentlens.kernels import Architecture
from tangentlens.learning import KernelProduct
from tangentlens.learning import kernel_range as ranges
from tangentlens.learning import product as products
from tangentlens.learning.basis import GrowingBasis
from tangentlens.learning.feature_basis import FeatureBasis
from tangentlens.learning.galerkin import GalerkinFlow
from tangentlens.learning.kernel_range import KernelRange, kernel_range
from tangentlens.learning.on_device import DeviceProduct
from tangentlens.learning.partitioned import PartitionedProduct

SEEN = 1e-12  # share of the largest eigenvalue of a dense kernel above which one is none of rounding
ORDERS = list(permutations(range(3)))
TWO_WORDS = ["10110001000100101010", "", "0110100", "11000000110100000101", "0000000000000000000", "01011011010001",
             "011101011011000101000", "01000000", "00", "00111000100111010000000000", "0000", "1000000001", "",
             "1100101011", "0010000"]


@pytest.fixture
def kept(monkeypatch: pytest.MonkeyPatch) -> list[GalerkinFlow]:
    """The flows of a test."""
    flows, prepare = list[GalerkinFlow](), GalerkinFlow.__post_init__

    def prepared(flow: GalerkinFlow) -> None:
        prepare(flow)
        flows.append(flow)

    monkeypatch.setattr(GalerkinFlow, "__post_init__", prepared)
    return flows


def projector(found: KernelRange | None, n: int) -> np.ndarray:
    """Onto the range, (n, n)."""
    assert found is not None
    return found.part(np.eye(n))


def of_the_dense(kernel: np.ndarray) -> np.ndarray:
    """The same, by eigenvectors."""
    values, modes = np.linalg.eigh(kernel)
    modes = modes[:, values > SEEN * values[-1]] if values[-1] > 0 else modes[:, :0]
    return modes @ modes.T


@pytest.mark.parametrize("tokens", TEXT_SETS.values(), ids=TEXT_SETS)
@every_sparse
def test_the_range_is_that_of_the_dense_kernel(architecture: Architecture, tokens: tl.Tokens) -> None:
    product, n = KernelProduct(architecture.features(tokens)), len(tokens)
    expected = of_the_dense(product @ np.eye(n))
    found = kernel_range(product, 1)
    assert np.abs(projector(found, n) - expected).max() < 1e-6
    spanning = found.spanning(n, n)
    assert spanning.shape[1] == round(np.trace(expected))
    assert np.abs(spanning @ spanning.T - expected).max() < 1e-6
    assert found.spanning(n, spanning.shape[1] - 1) is None


def test_parts_of_vectors_of_several_outputs() -> None:
    tokens = TEXT_SETS["all"]
    product, n = KernelProduct(tl.MLP().features(tokens)), len(tokens)
    found, duals = kernel_range(product, 3), np.random.default_rng(0).normal(size=(n * 3, 4))
    one = projector(kernel_range(product, 1), n)
    assert not found.whole
    for order in "CF":
        arranged = np.array(duals, order=order)
        expected = np.einsum("ij,jcp->icp", one, duals.reshape(n, 3, 4)).reshape(n * 3, 4)
        np.testing.assert_allclose(found.part(arranged), expected, atol=1e-12)
        np.testing.assert_array_equal(arranged, duals)
    assert np.abs(product @ (duals - found.part(duals)).reshape(n, 12)).max() < 1e-12


def test_directions_that_are_hardly_seen_are_in_the_range() -> None:
    """Slow modes of an eigenvalue that a dense kernel, or ZᵀZ, would round away decide late flows."""
    z = sparse.csr_array([[1.0, 0.0], [1.0, 1e-9]])
    for rows in (z, sparse.csr_array(sparse.hstack([z, sparse.csr_array((2, 3))]))):
        found = kernel_range(cast(KernelProduct, SimpleNamespace(lacking=(np.arange(2), rows))), 1)
        assert found is not None
        assert found.whole
    duals = np.ones((2, 1))
    assert found.part(duals) is duals


def test_a_basis_takes_nothing_in_that_the_kernel_does_not_see() -> None:
    product = KernelProduct(tl.MLP().features(tl.tokenize(few_words())))
    onto, basis = projector(kernel_range(product, 1), 60), GrowingBasis(product, (60, 1))
    duals = np.random.default_rng(0).normal(size=(60, 2))
    seen = onto @ duals
    assert np.linalg.norm(seen) < 0.5 * np.linalg.norm(duals)
    left, size, noise = basis.left_out(duals.copy())
    np.testing.assert_allclose(left, seen, atol=1e-12)
    assert size == pytest.approx(max(np.linalg.norm(seen, axis=0)))
    assert noise == pytest.approx(1e-13 * max(np.linalg.norm(duals, axis=0)))
    np.testing.assert_allclose(basis.without_null(duals), seen, atol=1e-12)
    np.testing.assert_allclose(basis._new_in(duals)[0], seen / np.linalg.norm(seen, axis=0), atol=1e-12)
    assert basis._new_in(duals - seen)[0].shape[1] == 0


def few_words(n: int = 60, words: int = 3) -> tl.Texts:
    random = np.random.default_rng(3)
    texts = tuple(" ".join(random.choice(["a", "b", "c", "d"][:words], random.integers(0, 6))) for _ in range(n))
    return tl.Texts(texts, random.integers(0, 3, n))


@pytest.mark.parametrize("texts", [few_words(), few_words(400), few_words(40, 4)[:3]], ids=["few", "many", "three"])
@pytest.mark.parametrize("architecture", [tl.MLP(), tl.CNN()], ids=["mlp", "cnn"])
def test_the_range_is_the_same_wherever_products_are_made(architecture: Architecture, texts: tl.Texts) -> None:
    features, n = architecture.features(tl.tokenize(texts)), len(texts)
    expected = projector(kernel_range(KernelProduct(features), 1), n)
    parts = tl.partition(texts, architecture, part=7)
    assert distance(projector(kernel_range(PartitionedProduct(parts), 1), n), expected) < SUMMED
    pytest.importorskip("torch")
    assert distance(projector(kernel_range(DeviceProduct(features, device="cpu"), 1), n), expected) < SUMMED


def test_it_is_not_looked_for_where_that_would_take_long(monkeypatch: pytest.MonkeyPatch) -> None:
    tokens, _ = random_texts(600, size=300)
    features = tl.MLP().features(tokens)
    product = KernelProduct(features)
    assert min(np.count_nonzero(product.own == 0), sum(lane.shape[0] for lane in product.lanes)) > products.FEW
    assert kernel_range(KernelProduct(features), 1) is None
    parts = tl.partition(tl.Texts(tuple(" ".join(map(str, text.ids)) for text in tokens)), tl.MLP(), part=50)
    assert kernel_range(PartitionedProduct(parts), 1) is None
    few = tl.MLP().features(random_texts(300, size=9)[0])
    assert kernel_range(KernelProduct(few), 1) is not None
    for module, name in ((products, "LARGE"), (products, "STORED"), (ranges, "LARGE")):
        with monkeypatch.context() as patch:
            patch.setattr(module, name, 100)
            assert kernel_range(KernelProduct(few), 1) is None, name


def test_many_texts_of_few_features_are_not_learned_in_all_vectors(kept: list[GalerkinFlow]) -> None:
    """Those would be few, but have many entries each."""
    for n, complete in ((100, True), (5000, False)):
        tokens, labels = random_texts(n, size=20, classes=4)
        learned = tl.learn(tl.MLP().features(tokens), labels, "softmax", time=10.0)
        assert kept[-1].basis.all is complete
        assert learned.dynamics.error < 1e-3


def test_a_basis_with_a_third_of_all_vectors_takes_the_others(kept: list[GalerkinFlow]) -> None:
    tokens, labels = random_texts(120, size=400, lengths=(3, 30), classes=3)
    features = tl.MLP().features(tokens)
    kernel = features.kernel()
    for end, complete in ((1.0, False), (1e9, True)):
        learned = tl.learn(features, labels, "squared", time=end, tolerance=1e-9)
        exact = kernel @ reference.flow(kernel, reference.targets(labels, "squared"), "squared", np.array([end]))[0]
        assert np.linalg.norm(learned.decision(features) - exact) < 1e-9 * np.linalg.norm(exact)
        assert kept[-1].basis.all is complete


def test_a_basis_of_features_is_not_completed(kept: list[GalerkinFlow], monkeypatch: pytest.MonkeyPatch) -> None:
    store_by_texts(monkeypatch)
    tokens, labels = random_texts(60, size=20)
    tl.learn(tl.MLP().features(tokens), labels, time=10.0)
    basis = kept[-1].basis
    weights = np.random.default_rng(0).normal(size=(20, 2))
    assert isinstance(basis, FeatureBasis)
    assert not basis.all
    assert basis.without_null(weights) is weights


@pytest.mark.parametrize("loss", ["squared", "logistic", "softmax"])
@every_sparse
def test_a_flow_in_all_vectors_errs_by_time_steps_alone(architecture: Architecture, loss: str) -> None:
    """Equal texts that disagree, empty ones, and times of 1e-1 to 1e6 natural units; squared loss without steps."""
    tokens, classes = TEXT_SETS["all"], 2 if loss == "logistic" else 3
    labels = labels_of(tokens, classes)
    features = architecture.features(tokens)
    kernel = KernelProduct(features) @ np.eye(len(ALL))
    units = np.array([0.1, 10.0, 1e3, *([1e6] if loss == "squared" else [])])
    times = units * len(ALL) / np.linalg.eigvalsh(kernel)[-1]
    learned = tl.learn(features, labels, loss, time=times[-1], record=times, tolerance=1e-3)
    expected = reference.flow(kernel, reference.targets(labels, loss), loss, times)
    for duals, exact in zip(learned.duals[1:], expected, strict=True):
        assert distance(kernel @ duals, kernel @ exact) < (1e-9 if loss == "squared" else 3e-4)


@pytest.mark.parametrize("complete", [True, False], ids=["all vectors", "a basis that grows"])
def test_the_result_does_not_depend_on_the_names_of_classes(complete: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Texts of two words, of whose duals Θ sees a hundred-thousandth late: what it did not see came to decide."""
    if not complete:
        grow_slowly(monkeypatch)
    ids = [[int(word) for word in text] for text in TWO_WORDS]
    labels = np.array([1, 0, 1, 1, 0, 1, 1, 2, 0, 0, 0, 0, 0, 1, 0])
    features = tl.CNN(activation="identity").features(tl.Tokens.from_ids(ids, vocabulary_size=2))
    kernel, end = features.kernel(), 83.62511279494117
    learned = [tl.learn(features, np.array(order)[labels], time=end) for order in ORDERS]
    exact = reference.flow(kernel, reference.targets(labels, "softmax"), "softmax", np.array([end]))[0]
    outputs = [one.decision(features)[:, order] for one, order in zip(learned, ORDERS, strict=True)]
    assert max(np.linalg.norm(one - kernel @ exact) for one in outputs) < 1e-3 * np.linalg.norm(kernel @ exact)
    away = [one.duals[-1][:, order] - exact for one, order in zip(learned, ORDERS, strict=True)]
    assert max(np.sum(one * (kernel @ one)) for one in away) < 1e-6 * np.sum(exact * (kernel @ exact))


def test_a_basis_is_not_completed_where_nothing_moves() -> None:
    """Labels cancel in every feature: there is nothing to learn, though there are vectors."""
    features = tl.MLP().features(tl.Tokens.from_ids([[0, 1]] * 4))
    with pytest.raises(DataError, match="nothing can be learned"):
        tl.learn(features, [0, 1, 0, 1], until_loss=0.5)
    learned = tl.learn(features, [0, 1, 0, 1], time=10.0, record=[])
    np.testing.assert_array_equal(learned.decision(features), 0.0)


def test_what_duals_round_is_said_though_all_vectors_are_taken() -> None:
    """Duals that the kernel does not see have grown to 1e8 times the others."""
    random = np.random.default_rng(1)
    ids = [random.integers(0, 3, random.integers(1, 9)).tolist() for _ in range(30)]
    labels = [0, 1, 2, *random.integers(0, 3, 30).tolist()[3:]]
    features = tl.MatrixVector().features(tl.Tokens.from_ids(ids, vocabulary_size=3))
    kernel = features.kernel()
    end = 1e8 * 30 / np.linalg.eigvalsh(kernel)[-1]
    with pytest.warns(UserWarning, match="known to a relative"):
        learned = tl.learn(features, labels, "squared", time=end, tolerance=1e-9, record=[])
    exact = kernel @ reference.flow(kernel, reference.targets(labels, "squared"), "squared", np.array([end]))[0]
    assert distance(kernel @ learned.duals[-1], exact) < learned.dynamics.error
