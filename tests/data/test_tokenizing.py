"""Tokenising: laws on any text, the documented cases, and foreign tokenizers."""

import json
import multiprocessing
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.feature_extraction.text import CountVectorizer
from tokenizers import Tokenizer, models, pre_tokenizers, trainers

from tangentlens.data import Texts, Tokens, Vocabulary, pieces, read_texts, tokenize
from tangentlens.data.cutting import Rule
from tangentlens.errors import DataError, OptionError

NAMES = ["words", "whitespace", "characters"]
SST = Path(__file__).parents[3] / "shared" / "data" / "sst" / "train.csv"
any_text = st.one_of(st.text(st.characters(exclude_categories=("Cs",))),
                     st.text(st.sampled_from("ab' .,1<>/br\0\n\u200b\u200d\u0301[SEP]")))
any_texts = st.lists(any_text, max_size=6)


def strings_of(tokens: Tokens) -> list[list[str]]:
    return [[tokens.vocabulary[index] for index in tokens[row].ids] for row in range(len(tokens))]


@given(any_texts)
def test_whitespace_is_str_split_and_characters_are_all_code_points(texts):
    assert strings_of(tokenize(texts, tokenizer="whitespace")) == [text.split() for text in texts]
    characters = strings_of(tokenize(texts, tokenizer="characters"))
    assert ["".join(row) for row in characters] == texts
    assert {len(token) for row in characters for token in row} <= {1, len("[SEP]")}


simple_text = st.text(st.characters(max_codepoint=0x24ff, exclude_categories=("Cs",)), max_size=30)


@given(st.lists(st.one_of(any_text, simple_text, st.text("aB1.,'’Σσİ <br/>[SEP]\u0301")), max_size=6),
       st.sampled_from(NAMES), st.booleans())
def test_rules_cut_as_their_full_regular_expressions_do(texts, name, lowercase):
    """Rust's expressions are faster than those of Hugging Face, and right for most texts; others go the long way."""
    encoder = Rule.choose(name, lowercase=lowercase, separator="[SEP]").words({})
    whole = [encoder.normalizer.normalize_str(text) if lowercase else text for text in texts]
    wanted = [[piece for piece, _ in encoder.pre_tokenizer.pre_tokenize_str(text)] for text in whole]
    assert strings_of(tokenize(texts, tokenizer=name, lowercase=lowercase)) == wanted


@given(st.lists(st.one_of(st.text(st.characters(exclude_categories=("Cs", "Cn"))),  # letters that this Python knows
                          st.text("ab_1 'Σé²\u0301")), max_size=6))
def test_scikit_learn_is_its_default_analyser(texts):
    analyse = CountVectorizer().build_analyzer()
    assert strings_of(tokenize(texts, tokenizer="scikit-learn")) == [analyse(one) for one in texts]


def test_long_data_is_cut_in_many_runs(monkeypatch):
    texts = ["a b", "", "cafe\u0301 d", "b b", " "] * 7
    whole = tokenize(texts)
    monkeypatch.setattr(pieces, "CHARACTERS", 5)
    runs = tokenize(texts)
    assert strings_of(runs) == strings_of(whole) == [text.split() for text in texts]
    assert runs.vocabulary == whole.vocabulary


@given(any_texts)
def test_words_keep_every_character_but_white_space(texts):
    for text, tokens in zip(texts, strings_of(tokenize(texts)), strict=True):
        # str.split() also drops the four ASCII separators, which Unicode does not count as white space
        assert [c for c in "".join(tokens) if not c.isspace()] == [c for c in text if not c.isspace()]
        assert all(token.strip() or token in "\x1c\x1d\x1e\x1f" for token in tokens)


@given(any_texts, st.sampled_from(NAMES), st.booleans(), st.integers(1, 3))
def test_vocabulary_laws(texts, name, lowercase, min_count):
    every = tokenize(texts, tokenizer=name, lowercase=lowercase)
    counts = np.bincount(every.ids, minlength=len(every.vocabulary))
    order = [(-count, token) for count, token in zip(counts.tolist(), every.vocabulary, strict=True)]
    assert order == sorted(order)
    assert every.unknown == 0
    frequent = tokenize(texts, tokenizer=name, lowercase=lowercase, min_count=min_count)
    assert frequent.vocabulary.strings == every.vocabulary.strings[: np.count_nonzero(counts >= min_count)]
    np.testing.assert_array_equal(frequent.ids, np.where(every.ids < len(frequent.vocabulary), every.ids, -1))
    again = tokenize(texts, vocabulary=frequent.vocabulary)
    np.testing.assert_array_equal(again.ids, frequent.ids)
    np.testing.assert_array_equal(again.offsets, frequent.offsets)
    reversed_texts = tokenize(texts[::-1], tokenizer=name, lowercase=lowercase)
    assert reversed_texts.vocabulary.strings == every.vocabulary.strings
    assert strings_of(reversed_texts) == strings_of(every)[::-1]


@pytest.mark.parametrize(("text", "tokens"), [
    ("I don't, l’homme 'tis movies'", "I|don't|,|l’homme|'|tis|movies|'"),
    ("3.5 of 1,000 in 7/10. Mp3 1980s m² x.y", "3.5|of|1,000|in|7|/|10|.|Mp3|1980s|m²|x|.|y"),
    ("well-made... <br /><br/>a < b <3 <i class='x'>", "well|-|made|.|.|.|<br />|<br/>|a|<|b|<|3|<i class='x'>"),
    ("<user@x> </p>", "<|user|@|x|>|</p>"),
    ("👨‍👩‍👧👍🏽 🇩🇪🇫🇷 1️⃣ ❤️x", "👨‍👩‍👧|👍🏽|🇩🇪|🇫🇷|1️⃣|❤️|x"),
    ("ที่นี่ 映画はスーパー", "ที่|นี่|映|画|は|ス|ー|パ|ー"),
    ("cafe\u0301 हिन्दी 한국어 می\u200cخواهم", "cafe\u0301|हिन्दी|한국어|می\u200cخواهم"),
    ("a\0b\u200bc \ufeffd\u200f!", "a|\0|b|\u200b|c|\ufeff|d|\u200f|!"),
    ("שלום, עולם!", "שלום|,|עולם|!"),
    ("a [SEP] b", "a|[SEP]|b"),
    (" \n\t\u3000\u2028 ", ""),
])
def test_words(text, tokens):
    assert strings_of(tokenize([text])) == [tokens.split("|") if tokens else []]


def test_the_separator_of_a_pair_is_one_token_and_is_remembered():
    for name in ("words", "characters", "whitespace"):
        tokens = tokenize(Texts(("a <|> b",), separator="<|>"), tokenizer=name)
        assert "<|>" in tokens.vocabulary
        assert tokens.vocabulary.ids["<|>"] in tokenize(["b <|>"], vocabulary=tokens.vocabulary).ids
    assert tokenize(["A [SEP] B"], lowercase=True).vocabulary.strings == ("[sep]", "a", "b")


def test_unknown_tokens_and_a_vocabulary_by_hand():
    vocabulary = tokenize(["good good film"]).vocabulary
    assert tokenize(["a good", "", "film!"], vocabulary=vocabulary).ids.tolist() == [-1, 0, 1, -1]
    by_hand = tokenize(["b a!"], vocabulary=Vocabulary(("a", "b")), tokenizer="whitespace")
    assert by_hand.ids.tolist() == [1, -1]
    assert tokenize(["b a!"], vocabulary=by_hand.vocabulary).ids.tolist() == [1, -1]
    empty = tokenize([])
    assert (len(empty), len(empty.vocabulary)) == (0, 0)
    assert tokenize(["", " "]).lengths.tolist() == [0, 0]


@pytest.fixture(params=["bpe", "unigram", "wordpiece"])
def foreign(request, tmp_path):
    model, trainer = {
        "bpe": (models.BPE(), trainers.BpeTrainer(vocab_size=60, show_progress=False)),
        "unigram": (models.Unigram(), trainers.UnigramTrainer(vocab_size=60, show_progress=False, unk_token="<unk>",
                                                              special_tokens=["<pad>", "<unk>"])),
        "wordpiece": (models.WordPiece(unk_token="[UNK]"),
                      trainers.WordPieceTrainer(vocab_size=60, show_progress=False, special_tokens=["[UNK]", "[CLS]"])),
    }[request.param]
    made = Tokenizer(model)
    made.pre_tokenizer = pre_tokenizers.Whitespace()
    made.train_from_iterator(["the good film", "a bad film and a good cast"] * 5, trainer)
    made.enable_truncation(2)
    made.enable_padding(length=30)
    made.save(str(tmp_path / "tokenizer.json"))
    return tmp_path / "tokenizer.json"


def test_a_tokenizer_json_is_cut_as_by_its_own_library(foreign):
    texts = ["the good film [SEP] a bad cast", "good good"]
    library = Tokenizer.from_file(str(foreign))
    library.no_truncation()
    library.no_padding()
    library.add_special_tokens(["[SEP]"])
    tokens = tokenize(texts, tokenizer=foreign)
    assert strings_of(tokens) == [library.encode(text, add_special_tokens=False).tokens for text in texts]
    vocabulary = Vocabulary(tokens.vocabulary.strings, tokens.vocabulary.tokenizer)
    foreign.unlink()
    np.testing.assert_array_equal(tokenize(texts, vocabulary=vocabulary).ids, tokens.ids)
    assert tokenize(["é"], vocabulary=vocabulary).ids.tolist() in ([], [-1])


def test_bad_tokenizers(tmp_path):
    broken = tmp_path / "tokenizer.json"
    broken.write_text('{"model": 3}')
    binary = tmp_path / "b.json"
    binary.write_bytes(b"\xff\x00")
    for path, part in ((tmp_path / "none.json", "No such file"), (broken, "is no tokenizer.json"),
                       (binary, "not UTF-8"), (tmp_path, "directory")):
        with pytest.raises(DataError, match=part) as caught:
            tokenize(["a"], tokenizer=path)
        assert "\n" not in str(caught.value)
    with pytest.raises(OptionError, match='did you mean "words"'):
        tokenize(["a"], tokenizer="word")
    with pytest.raises(OptionError, match="lowercase=False"):
        tokenize(["a"], tokenizer=broken, lowercase=True)
    with pytest.raises(OptionError, match="there is no tokenizer"):
        tokenize(["a"], tokenizer=3)  # type: ignore[arg-type]


def test_bad_texts_and_options():
    for texts, part in (("one string", "list of texts"), (["a", 3], "text 1 .* no string but 3"),
                        (["a", "b\ud800"], "text 1 .* lone surrogate")):
        with pytest.raises(DataError, match=part):
            tokenize(texts)
    with pytest.raises(OptionError, match="min_count"):
        tokenize(["a"], min_count=0)
    with pytest.raises(OptionError, match="leave tokenizer"):
        tokenize(["a"], vocabulary=tokenize(["a"]).vocabulary, min_count=2)
    for rule in ("nonsense", "[]", json.dumps({"tokenizer": "magic"})):
        with pytest.raises(DataError, match="vocabulary's tokenizer"):
            tokenize(["a"], vocabulary=Vocabulary(("a",), rule))


def test_sst_is_split_at_single_spaces_as_in_the_paper():
    if not SST.exists():
        pytest.skip(f"{SST} is not part of the repository")
    texts = read_texts(SST)
    tokens = tokenize(texts, tokenizer="whitespace")
    assert len(texts) == 6920
    assert strings_of(tokens) == [text.split(" ") for text in texts.texts]
    positive = np.bincount(tokens.ids[texts.labels[tokens.text_of_token] == 1], minlength=len(tokens.vocabulary))
    negative = np.bincount(tokens.ids[texts.labels[tokens.text_of_token] == 0], minlength=len(tokens.vocabulary))
    ratio = (positive - negative) / (positive + negative)
    assert np.count_nonzero((ratio > 0.5) & (positive > 5)) == 411
    assert np.count_nonzero((ratio < -0.5) & (negative > 5)) == 265


def test_a_forked_child_can_tokenise_too_and_nothing_warns():
    if "fork" not in multiprocessing.get_all_start_methods():
        pytest.skip("this system has no fork")
    script = ("import os, tangentlens.data as d; d.tokenize(['a b'] * 3000); pid = os.fork()\n"
              "ids = d.tokenize(['a b'] * 3000).ids\n"
              "os._exit(0 if len(ids) == 6000 else 3) if pid == 0 else None\n"
              "print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))")
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True)
    assert (done.stdout, done.stderr) == ("0\n", "")
