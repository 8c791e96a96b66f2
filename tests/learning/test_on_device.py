"""Products through PyTorch, here on its CPU, against those of NumPy; a GPU too where there is one."""

import numpy as np
import pytest
import torch
from cases import ALL, EXACT, NEW, distance, every_sparse, random_texts, tokens_of

import tangentlens as tl
from tangentlens.errors import OptionError
from tangentlens.learning import KernelProduct
from tangentlens.learning.on_device import DeviceProduct

DEVICES = ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]


@every_sparse
@pytest.mark.parametrize("device", DEVICES)
def test_products_are_the_same(architecture, device):
    tokens = tokens_of(ALL)
    features = architecture.features(tokens)
    other = architecture.features(tokens_of(NEW), columns=features)
    for extra in (None, other):
        mine, plain = DeviceProduct(features, extra, device=device), KernelProduct(features, extra)
        duals = np.random.default_rng(0).normal(size=(len(tokens), 3))
        assert mine.nnz == plain.nnz
        expected = plain @ duals
        assert distance(mine @ duals, expected) < EXACT
        assert distance(mine @ duals[:, 0], expected[:, 0]) < EXACT
        assert mine.products == plain.products + 1 == 4
        backwards = np.arange(len(tokens))[::-1]  # whole numbers, and a view
        assert distance(mine @ backwards, plain @ backwards.astype(float)) < EXACT


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("how", [{"time": 40.0}, {"steps": 30}])
def test_learning_is_the_same(device, how):
    tokens, labels = random_texts(60)
    features = tl.CNN().features(tokens)
    mine, plain = tl.learn(features, labels, device=device, **how), tl.learn(features, labels, **how)
    assert distance(mine.duals, plain.duals) < 1e-9
    assert mine.label_scores()["feature"].to_list() == plain.label_scores()["feature"].to_list()


@pytest.mark.parametrize("name", ["nonsense", "cuda:99"])
def test_a_device_that_is_not_there(name):
    tokens, labels = random_texts(9)
    with pytest.raises(OptionError, match=f'no device "{name}" here .*leave device= out'):
        tl.learn(tl.MLP().features(tokens), labels, device=name)


def test_parts_have_their_own_place(tmp_path):
    texts = tl.small_reviews()
    parts = tl.partition(texts, tl.MLP(), part=100)
    with pytest.raises(OptionError, match="leave device= out"):
        tl.learn(parts, texts.labels, device="cpu")
