"""Corpora and contexts: what is read, how it is cut, and that contexts are places and not copies."""

from __future__ import annotations

import gzip

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tangentlens as tl
from tangentlens.errors import DataError, OptionError, ShapeError

PTB = " no it was <unk> \n it was N \n\n was it \n"


def strings(corpus: tl.Corpus) -> list[list[str]]:
    names = [*corpus.vocabulary.strings, "?"]
    return [[names[index] for index in corpus.tokens[row].ids] for row in range(len(corpus))]


@pytest.mark.parametrize(("documents", "expected"), [
    ("blocks", [["a", "b", "c"], ["b", "a"], ["d", "a"]]), ("lines", [["a", "b"], ["c"], ["b", "a"], ["d", "a"]]),
    ("file", [["a", "b", "c", "b", "a", "d", "a"]])])
@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
def test_files_are_cut_into_documents(tmp_path, documents, expected, packed, newline):
    data = "a b\nc\n\nb a\n \n\t\n\nd a\n".replace("\n", newline).encode()
    path = tmp_path / "text.txt"
    path.write_bytes(gzip.compress(data) if packed else data)
    corpus = tl.read_corpus(path, documents=documents)
    assert strings(corpus) == expected
    assert corpus.source == str(path)


def test_benchmark_files_are_one_stream_with_line_ends(tmp_path):
    """As in published perplexities: a token for the end of every line, and <unk> is a token that is predicted."""
    (tmp_path / "ptb.txt").write_text(PTB)
    corpus = tl.read_corpus(tmp_path / "ptb.txt", documents="ptb")
    assert strings(corpus) == [["no", "it", "was", "<unk>", "<eos>", "it", "was", "N", "<eos>", "<eos>", "was", "it",
                                "<eos>"]]
    more = tl.read_corpus(tmp_path / "ptb.txt", documents="ptb", vocabulary=corpus.vocabulary)
    assert np.array_equal(more.ids, corpus.ids)
    with pytest.raises(OptionError, match="white space"):
        tl.read_corpus(tmp_path / "ptb.txt", documents="ptb", lowercase=True)


def test_only_the_most_frequent_types_are_kept():
    corpus = tl.read_corpus(["c b a a", "a b d"], vocabulary_size=2)
    assert corpus.vocabulary.strings == ("a", "b")
    assert corpus.ids.tolist() == [-1, 1, 0, 0, 0, 1, -1]
    contexts = tl.Contexts(corpus, 2)
    assert contexts.left_out == 2
    assert contexts.positions.tolist() == [1, 2, 3, 4, 5]


def test_a_split_numbers_the_training_part():
    corpus = tl.read_corpus([f"w{row} common w{row} rare{row} common" for row in range(40)])
    training, held = corpus.split(0.25, seed=3)
    assert len(training) + len(held) == 40
    assert 0.2 <= len(held.ids) / len(corpus.ids) <= 0.25
    assert training.vocabulary == held.vocabulary
    assert training.tokens.unknown == 0
    counts = np.bincount(training.ids)
    assert np.all(np.diff(counts) <= 0)
    assert set(held.ids.tolist()) == {-1, 0}  # their other words are in no other document
    everything = strings(training) + [row for row in strings(held) if row]
    assert sorted(map(len, everything)) == [5] * 40


def test_a_single_document_is_cut_in_two():
    training, held = tl.read_corpus(["a b c a b c a b c a"]).split(0.3)
    assert (len(training.ids), len(held.ids)) == (7, 3)
    with pytest.raises(OptionError, match="between 0 and 1"):
        training.split(1.0)


@given(st.lists(st.lists(st.integers(-1, 4), max_size=8), max_size=4), st.one_of(st.none(), st.integers(1, 4)),
       st.integers(0, 2**32 - 1))
def test_contexts_are_the_tokens_before_their_target(documents, window, seed):
    documents = [[0, 1, 2, 3, 4], *documents]
    contexts = tl.Contexts(tl.Corpus(tl.Tokens.from_ids(documents, vocabulary_size=5)), window)
    expected = [(document[0 if window is None else max(0, place - window):place], word) for document in documents
                for place, word in enumerate(document) if word >= 0]
    rows = np.random.default_rng(seed).permutation(len(contexts))
    tokens = contexts[rows].tokens()
    assert [(tokens[row].ids.tolist(), int(target)) for row, target in enumerate(contexts.targets[rows])] == [
        expected[row] for row in rows]
    assert contexts.lengths.tolist() == [len(before) for before, _ in expected]
    assert contexts.unigram.sum() == pytest.approx(1)
    assert np.array_equal(contexts.counts, np.bincount([word for _, word in expected], minlength=5))


def test_contexts_are_no_copies():
    corpus = tl.read_corpus(["a b " * 5000])
    contexts = tl.Contexts(corpus, window=None)
    assert contexts.positions.nbytes < 1e5
    with pytest.raises(OptionError, match="choose some"):
        tl.Contexts(tl.read_corpus(["a b " * 20000]), window=None).tokens()
    assert len(contexts.sample(10, seed=1).tokens()) == 10
    assert contexts.sample(10**9) is contexts


@pytest.mark.parametrize(("window", "message"), [(4, "longer than the longest context of the corpus, 3 tokens"),
                                                 (0, "at least 1"), (True, "at least 1"), (2.5, "at least 1")])
def test_windows_are_checked(window, message):
    with pytest.raises(OptionError, match=message):
        tl.Contexts(tl.read_corpus(["a b c d", "a"]), window)


@pytest.mark.parametrize(("content", "message"), [
    (b"", "is empty"), (b" \n\n\t", "is empty"), (b"one", "at most one token"), (b"one one one", "at least two"),
    (b"\x89PNG\r\n\x1a\n", "PNG picture.*plain text"), (b"a b\0c", "NUL byte"), (b"a \xff\xfe\xfd b", "not readable"),
    (gzip.compress(b"a b a b", mtime=0)[:-6], "damaged")])
def test_bad_files_are_refused(tmp_path, content, message):
    path = tmp_path / "bad.txt"
    path.write_bytes(content)
    with pytest.raises(DataError, match=message) as refused:
        tl.read_corpus(path)
    assert "bad.txt" in str(refused.value)
    assert "on_bad_row" not in str(refused.value)


def test_bad_sources_and_options_are_refused(tmp_path):
    for source, message in [([], "holds no token"), (["", " "], "holds no token"), (["a", "b"], "at most one token"),
                            (3, "read from a path"), (b"a b", "read from a path"), (["a b", None], "no string"),
                            (tmp_path / "missing.txt", "no such file"), (tmp_path, "is a folder")]:
        with pytest.raises(DataError, match=message):
            tl.read_corpus(source)
    for options, message in [({"documents": "pages"}, "blocks, lines"), ({"documents": "lines"}, "list holds"),
                             ({"vocabulary_size": 1}, "at least 2"), ({"min_count": 0}, "at least 1"),
                             ({"vocabulary_size": 3, "vocabulary": tl.Vocabulary(("a", "b"))}, "leave voc")]:
        with pytest.raises(OptionError, match=message):
            tl.read_corpus(["a b a"], **options)
    with pytest.raises(DataError, match="cannot be a target"):
        tl.Contexts(tl.read_corpus(["a b c a"], vocabulary_size=2), 2, np.array([2]))


def test_held_out_text_needs_the_same_vocabulary():
    contexts = tl.Contexts(tl.read_corpus(["a b a c a b"]), 2)
    model = tl.learn_next(contexts, tl.MLP(), time=1.0)
    with pytest.raises(ShapeError, match="vocabulary=corpus"):
        model.log_probabilities(tl.Contexts(tl.read_corpus(["a d a"]), 2))
