"""Language models that were saved and read again answer the same."""

import numpy as np
import pytest
from cases import SPARSE
from polars.testing import assert_frame_equal

import tangentlens as tl
from tangentlens.errors import DataError, ShapeError

TEXT = ["the cat sat on the mat and the dog sat on the cat", "a dog and a cat", "the dog ran to the cat é \t"] * 2
SOME = ["mlp", "attention-sum-stds", "matrix-vector", "linear-rnn-last-frozen", "elman-rnn", "cnn3-same", "cnn2-valid"]


def contexts_of() -> tl.Contexts:
    corpus = tl.read_corpus(TEXT, vocabulary_size=8)
    assert corpus.tokens.unknown
    return tl.Contexts(corpus, 4)


@pytest.mark.parametrize("name", SOME)
def test_first_order_survives_saving(name, tmp_path):
    (first,) = tl.first_order(contexts_of(), SPARSE[name])
    first.save(tmp_path / "first.npz")
    again = tl.load(tmp_path / "first.npz")
    assert repr(again) == repr(first)
    assert again.architecture == first.architecture
    assert again.contexts.corpus.reading == first.contexts.corpus.reading
    for model, other in zip(*([tl.at_first_order(one, 3.0, start) for start in ("unigram", "uniform")]
                              for one in (first, again)), strict=True):
        same(model, other)


@pytest.mark.parametrize("name", SOME)
def test_a_model_survives_saving(name, tmp_path):
    contexts = contexts_of()
    part = contexts.sample(15, seed=1)
    for number, model in enumerate((tl.at_first_order(tl.first_order(part, SPARSE[name])[0], 3.0, "uniform"),
                                    tl.learn_next(part, SPARSE[name], time=3.0),
                                    tl.learn_next(contexts, SPARSE[name], time=1.0, targets=3,
                                                  batches=tl.Batches(8)))):
        model.save(tmp_path / f"{number}.npz")
        again = tl.load(tmp_path / f"{number}.npz")
        assert repr(again) == repr(model)
        assert np.array_equal(again.contexts.positions, model.contexts.positions)
        same(model, again)
        if model.learned:
            assert_frame_equal(again.learned.curves, model.learned.curves)
            assert (again.learned.method, again.learned.steps) == (model.learned.method, model.learned.steps)


def test_no_pickle_and_no_other_kind(tmp_path):
    (first,) = tl.first_order(contexts_of(), tl.MLP())
    first.save(tmp_path / "first.npz")
    with np.load(tmp_path / "first.npz", allow_pickle=False) as archive:
        assert all(archive[name].dtype != object for name in archive.files)
    (tmp_path / "first.npz").write_bytes((tmp_path / "first.npz").read_bytes()[:200])
    with pytest.raises(DataError, match="damaged"):
        tl.load(tmp_path / "first.npz")


def same(model: tl.LanguageModel, other: tl.LanguageModel) -> None:
    for text in ("the cat", "", "on the mat unheard"):
        assert_frame_equal(other.next_token(text), model.next_token(text))
        assert_frame_equal(other.explain(text, "cat").parts, model.explain(text, "cat").parts)
    assert_frame_equal(other.contexts_of("cat"), model.contexts_of("cat"))
    assert np.array_equal(other.log_probabilities(model.contexts), model.log_probabilities(other.contexts))


def test_models_that_were_loaded_have_perplexities(tmp_path):
    training, held = tl.read_corpus(TEXT * 4).split(0.3)
    contexts, rest = tl.Contexts(training, 4), tl.Contexts(held, 4)
    models = dict(zip("ab", tl.first_order(contexts, (tl.MLP(), tl.MatrixVector())), strict=True))
    loaded = {}
    for name, model in models.items():
        model.save(tmp_path / name)
        loaded[name] = tl.load(tmp_path / name)
    assert_frame_equal(tl.perplexities(loaded, rest, rest), tl.perplexities(models, rest, rest))
    (other,) = tl.first_order(tl.Contexts(training, 3), tl.MLP())
    with pytest.raises(ShapeError, match="other contexts"):
        tl.perplexities(models | {"c": other}, rest, rest)
