"""Reading: what works, and one line with the exact place and a remedy for what does not."""

import codecs
import gzip
import json
import os
import socket
import threading
import unicodedata

import numpy as np
import pandas as pd
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tangentlens.data import read_corpus, read_texts
from tangentlens.errors import DataError, OptionError, TangentLensError


@pytest.fixture
def write(tmp_path):
    def write(content, name="reviews.csv"):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode("utf-8", "surrogatepass"))
        return path
    return write


def refusal(source, *arguments, error=DataError, **options):
    with pytest.raises(error) as caught:
        read_texts(source, *arguments, **options)
    message = str(caught.value)
    assert len(message) < 700
    assert not [character for character in message if unicodedata.category(character) in ("Cc", "Cf", "Cs", "Zl", "Zp")]
    return message


def test_csv_with_every_liberty_of_the_format(write):
    text = 'text,,label,x,x\r\n"a\r\nb",0,1,,\r\n\r\n"say ""hi"", you",1,0,,\r\n5" screen,2,0,,\r\n0042,3,1,,\r\n'
    for encoding, mark in (("utf-8", codecs.BOM_UTF8), ("utf-8", b""), ("utf-16", b""), ("utf-32", b"")):
        texts = read_texts(write(mark + text.encode(encoding)))
        assert texts.texts == ("a\r\nb", 'say "hi", you', '5" screen', "0042")
        assert texts.labels.tolist() == [1, 0, 0, 1]
        assert texts.skipped == 0


@given(st.lists(st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\0\ufeff"), min_size=1)
                .filter(lambda text: not text.isspace()), min_size=2, max_size=8))
def test_round_trip_through_every_kind_of_file(tmp_path_factory, strings):
    labels = ["a", "b"] * len(strings)
    frame = pl.DataFrame({"text": strings, "label": labels[: len(strings)]})
    folder = tmp_path_factory.mktemp("files")
    frame.write_csv(folder / "a.csv", quote_style="always")
    frame.write_csv(folder / "a.tsv", separator="\t", quote_style="always")
    frame.write_parquet(folder / "a.parquet")
    rows = zip(strings, labels, strict=False)
    (folder / "a.jsonl").write_text("\n".join(json.dumps({"text": text, "label": label}) for text, label in rows))
    (folder / "a.csv.gz").write_bytes(gzip.compress((folder / "a.csv").read_bytes()))
    sources = [folder / name for name in ("a.csv", "a.tsv", "a.parquet", "a.jsonl", "a.csv.gz")]
    for source in [*sources, frame, frame.lazy(), frame.to_pandas()]:
        texts = read_texts(source)
        assert texts.texts == tuple(strings)
        assert texts.labels.tolist() == labels[: len(strings)]


@given(st.binary(max_size=200), st.sampled_from([".csv", ".tsv", ".jsonl", ".gz"]), st.sampled_from(["error", "skip"]))
def test_any_bytes_give_texts_or_an_error_of_ours(tmp_path_factory, content, extension, on_bad_row):
    path = tmp_path_factory.mktemp("any") / f"a.csv{extension}"
    for start in (b"", b"text,label\nx,1\ny,0\n", b'{"text": "x", "label": 1}\n{"text": "y", "label": 0}\n'):
        path.write_bytes(start + content)
        message = ""
        try:
            texts = read_texts(path, on_bad_row=on_bad_row)
        except TangentLensError as error:
            texts, message = [], str(error)
        assert "\n" not in message
        assert bool(message) != bool(len(texts))
        assert all(text.strip() and text.encode() for text in texts)


@pytest.mark.parametrize(("written", "read"), [
    ("1 0 -1", [1, 0, -1]), ("01 0 1", ["01", "0", "1"]), ("1.0 0 1", ["1.0", "0", "1"]), ("+1 0 1", ["+1", "0", "1"]),
    ("-0 0 1", ["-0", "0", "1"]), ("١ 0 1", ["١", "0", "1"]), ("True False True", ["True", "False", "True"]),
    (f"{10**30} 0 1", [str(10**30), "0", "1"]), ("nan NA null", ["nan", "NA", "null"]),
])
def test_labels_of_files_become_whole_numbers_only_if_written_so(write, written, read):
    texts = read_texts(write("text,label\n" + "".join(f"t,{label}\n" for label in written.split())))
    assert texts.labels.tolist() == read


@pytest.mark.parametrize("labels", [[1, 0, 2], [True, False, True], [0.5, 1.5, 1], ["1", "0", "x"]])
def test_labels_of_tables_and_lists_keep_their_types(labels):
    strings = ["a", "b", "c"]
    sources = [(strings, labels), (np.array(strings), np.array(labels)), (pd.Series(strings), pd.Series(labels)),
               (pl.DataFrame({"text": strings, "label": pl.Series(labels, strict=False)}), None),
               (pd.DataFrame({"text": strings, "label": labels}), None)]
    for source, given_labels in sources:
        texts = read_texts(source, given_labels)
        assert texts.labels.tolist() == labels
        assert texts.labels.dtype.kind == np.array(labels).dtype.kind


def test_pairs_and_unlabelled_texts(write):
    path = write("a,b\nq one,p one\nq two,p two\n")
    texts = read_texts(path, text="a", text_b="b", label=None, separator="<sep>")
    assert texts.texts == ("q one <sep> p one", "q two <sep> p two")
    assert texts.separator == "<sep>"
    assert texts.labels is None
    assert read_texts(["just", "texts"]).labels is None
    assert "text is empty" in refusal(write("a,b\nx,y\nx,\n"), text="a", text_b="b", label=None)


def test_long_fields_and_the_limit_of_the_csv_module(write):
    import csv

    before = csv.field_size_limit()
    long = "word " * 100_000
    assert read_texts(write(f'text,label\n"{long}",1\nb,0\n')).texts[0] == long
    assert csv.field_size_limit() == before


def test_tsv_without_quoting(write):
    path = write('text\tlabel\n"Wow\t1\n"b" x\t0\n', "a.tsv")
    assert "quote=None" in refusal(path)
    assert read_texts(path, quote=None).texts == ('"Wow', '"b" x')


CSV_REFUSALS = {
    "empty text, counted past newlines": (
        'text,label\n"a\nb",1\n\n,0\nc,1\n', ["row 2 (line 5 of the file)", "text is empty", "skip"]),
    "blank text": ("text,label\na,1\n\u2003 ,0\n", ["row 2 (line 3", "text is empty"]),
    "missing label": ("text,label\na,1\nb,\n", ["row 2 (line 3", "label is missing", "skip"]),
    "too many fields": ("text,label\na,1\nb, c,0\n", ["row 2 (line 3", "3 fields", "2 in the header", "quote fields"]),
    "too few fields": ("text,label,x\na,1,\nb,0\n", ["row 2 (line 3", "2 fields", "3 in the header"]),
    "unclosed quote": ('text,label\na,1\nb,0\n"c,1\nd,0\n', ["row 3 (line 4", "never closed", "quote=None"]),
    "stray quote": ('text,label\na,1\n"b" c,0\n', ["row 2 (line 3", "a quote inside", "twice"]),
    "unclosed header": ('"text,label\na,1\n', ["the header", "never closed"]),
    "one class": ("text,label\na,1\nb,1\n", ["only one class, '1'", "label=None"]),
    "header only": ("text,label\n", ["no rows"]),
    "empty": ("", ["is empty", "column names"]),
    "only blank lines": ("\n\r\n  \n", ["is empty"]),
    "no column": ("txt,label\na,1\n", ["no column 'text'", 'did you mean "txt"', "label"]),
    "no label column": ("text\na\nb\n", ["no column 'label'", "label=None"]),
    "no header": ("a fine film,1\na dull film,0\n", ["no column 'text'", "first line must hold the column names"]),
    "semicolons": ("text;label\na;1\n", ["semicolons", "separator=';'"]),
    "tabs": ("text\tlabel\na\t1\n", ["tabs", ".tsv"]),
    "two columns of one name": ("text,label,text\na,1,b\n", ["several columns 'text'", "1 and 3"]),
    "hostile column names": ("te\x1b[31mxt\x07," + "label" * 9000 + ",\u202e\na,1,2\n", ["no column 'text'"]),
    "undecodable": (b"text,label\na,1\nb\xff,0\n", ["line 3, byte 16", "utf-8", "UTF-8", "encoding=", "skip"]),
    "surrogates in UTF-8": (b"text,label\na,1\n\xed\xa0\x80,0\n", ["line 3, byte 15"]),
    "NUL": (b"text,label\na,1\nb\0,0\n", ["line 3, byte 16", "NUL", "binary"]),
    "workbook": (b"PK\x03\x04rest", ["Excel"]),
    "picture": (b"\x89PNG\r\n\x1a\n", ["PNG"]),
    "cut gzip": (gzip.compress(b"text,label\na,1\nb,0\n" * 50)[:-9], ["gzip", "damaged"]),
    "odd UTF-16": (codecs.BOM_UTF16_LE + b"t\0e", ["not readable as utf-16"]),
    "one field": ("text,label\na,1\nb\n", ["row 2 (line 3", "1 field, but 2 in the header"]),
}


@pytest.mark.parametrize("case", CSV_REFUSALS)
def test_a_bad_csv_is_refused_with_its_place_and_remedy(write, case):
    content, parts = CSV_REFUSALS[case]
    message = refusal(write(content))
    assert [part for part in ["reviews.csv", *parts] if part not in message] == []


JSON_REFUSALS = {
    "broken": ('{"text": "a", "label": 1}\n\n{"text": "b", \n', ["line 3", "not valid JSON", "skip"]),
    "no object": ('{"text": "a", "label": 1}\n[1, 2]\n', ["line 2", "[1, 2] is not an object"]),
    "no string": ('{"text": "a", "label": 1}\n{"text": {"a": [1]}, "label": 0}\n', ["line 2", "string but {'a': [1]}"]),
    "null": ('{"text": "a", "label": 1}\n{"text": null, "label": 0}\n', ["line 2", "text is missing"]),
    "no key": ('{"text": "a", "label": 1}\n{"text": "b"}\n', ["line 2", "label is missing"]),
    "nan": ('{"text": "a", "label": 1}\n{"text": "b", "label": NaN}\n', ["line 2", "label is missing"]),
    "list label": ('{"text": "a", "label": 1}\n{"text": "b", "label": [1]}\n', ["line 2", "label [1] is neither"]),
    "mixed labels": ('{"text": "a", "label": 1}\n{"text": "b", "label": "1"}\n', ["types (int, str)", "strings"]),
    "bool and int": ('{"text": "a", "label": 2}\n{"text": "b", "label": true}\n', ["several types (bool, int)"]),
    "huge label": ('{"text": "a", "label": 1}\n{"text": "b", "label": 1' + "0" * 40 + "}\n", ["too large"]),
    "lone surrogate": ('{"text": "a", "label": 1}\n{"text": "\\ud800", "label": 0}\n', ["line 2", "not valid Unicode"]),
    "deep": ('{"text": "a", "label": 1}\n' + "[" * 100_000 + "\n", ["line 2", "not valid JSON"]),
    "other keys": ('{"txt": "a", "label": 1}\n', ["no column 'text'", "txt"]),
    "nothing of use": ("[\n]\n", ["line 1"]),
    "empty": ("\n", ["is empty"]),
}


@pytest.mark.parametrize("case", JSON_REFUSALS)
def test_a_bad_json_lines_file_is_refused_with_its_line(write, case):
    content, parts = JSON_REFUSALS[case]
    message = refusal(write(content, "a.jsonl"))
    assert [part for part in ["a.jsonl", *parts] if part not in message] == []


def test_skipping_counts_the_bad_rows_and_keeps_the_others(write):
    csv = b"text,label\na,1\n,0\nb\xff,0\nc,0,9\nd\n\ne,\nf,0\n"
    texts = read_texts(write(csv), on_bad_row="skip")
    assert (texts.texts, texts.labels.tolist(), texts.skipped) == (("a", "f"), [1, 0], 5)
    lines = '{"text":"a","label":"x"}\n{"tex\n3\n{"text":7,"label":"x"}\n{"text":"b","label":"y"}\n\n'
    lines += '{"text":"\\udc00","label":"x"}\n'
    texts = read_texts(write(lines, "a.jsonl"), on_bad_row="skip")
    assert (texts.texts, texts.labels.tolist(), texts.skipped) == (("a", "b"), ["x", "y"], 4)
    assert "no row can be used" in refusal(write("text,label\n,1\nb,\n"), on_bad_row="skip")
    assert "only one class" in refusal(write("text,label\na,1\nb,\n"), on_bad_row="skip")
    assert "never closed" in refusal(write('text,label\na,1\nb,0\n"c'), on_bad_row="skip")


def test_a_class_that_was_skipped_is_not_lost_without_a_word(write):
    path = write(b"text,label\nbad,neg\n" + "schön,pos\n".encode("latin-1") * 30)
    message = refusal(path, on_bad_row="skip")
    for part in ("only one class, 'neg'", "30 bad rows left out", "row 2 (line 3", "not valid Unicode", "encoding="):
        assert part in message
    assert "1 bad row left out" in refusal(write("text,label\nbad,neg\n,pos\n"), on_bad_row="skip")
    assert "left out" not in refusal(write("text,label\nbad,neg\n"), on_bad_row="skip")


def test_skipping_is_not_advised_where_it_cannot_help(write):
    for content in (codecs.BOM_UTF16_LE + b"t\0e", b"text,label\na\0,1\n", b'text,label\n"a,1\n'):
        assert "on_bad_row" not in refusal(write(content))


def test_other_encodings_have_to_be_named(write):
    path = write("text,label\ncafé,1\nthé,0\n".encode("latin-1"))
    assert read_texts(path, encoding="latin-1").texts == ("café", "thé")
    assert "no encoding" in refusal(path, encoding="latin-99", error=OptionError)


def test_bad_paths(write, tmp_path, monkeypatch):
    path = write("text,label\na,1\nb,0\n")
    assert "reviews.csv?" in refusal(tmp_path / "review.csv")
    assert "no such file" in refusal(str(tmp_path / "nowhere" / "x.csv"))
    assert "is a folder" in refusal(tmp_path)
    assert ".jsonl" in refusal(write("x", "a.json"))
    assert "known are" in refusal(write("x", "a.xlsx"))
    assert "Parquet" in refusal(write(b"PAR1 nonsense PAR1", "a.parquet"))
    assert "cannot be read" in refusal("a\0b.csv")
    assert "cannot be read" in refusal("a" * 5000 + ".csv")
    monkeypatch.setattr("pathlib.Path.open", lambda *_: (_ for _ in ()).throw(PermissionError(13, "denied")))
    assert "may not be read" in refusal(path)


def test_a_file_is_not_read_before_its_kind_is_known(write, monkeypatch):
    path = write("x", "big.zip")
    monkeypatch.setattr("pathlib.Path.open", lambda *_: pytest.fail("it is read"))
    assert "known are" in refusal(path)
    assert "no such file" in refusal(path.with_name("bag.zip"))


@pytest.mark.skipif(os.name != "posix", reason="devices, sockets and pipes of POSIX")
def test_what_has_no_end_is_refused_and_a_pipe_is_read(write, tmp_path, monkeypatch):
    (tmp_path / "null.csv").symlink_to("/dev/null")  # /dev/zero would fill the memory of a reader
    assert "is a device" in refusal(tmp_path / "null.csv")
    with pytest.raises(DataError, match="/dev/null is a device"):
        read_corpus("/dev/null")
    monkeypatch.chdir(tmp_path)  # the name of a socket must be short
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind("s.csv")
        assert "is a socket" in refusal("s.csv")
    (tmp_path / "link.csv").symlink_to(write("text,label\na,1\nb,0\n"))
    assert read_texts(tmp_path / "link.csv").texts == ("a", "b")
    os.mkfifo(tmp_path / "pipe.csv")
    writer = threading.Thread(target=lambda: (tmp_path / "pipe.csv").write_text("text,label\nc,1\nd,0\n"))
    writer.start()
    assert read_texts(tmp_path / "pipe.csv").texts == ("c", "d")
    writer.join()


def test_a_link_to_nothing_is_named_as_such(write, tmp_path):
    write("text,label\na,1\nb,0\n")
    (tmp_path / "review.csv").symlink_to("nowhere.csv")
    message = refusal(tmp_path / "review.csv")
    assert "is a link to nowhere.csv, which is not there" in message
    assert "did you mean" not in message


def test_bad_tables_and_lists():
    frame = pl.DataFrame({"text": ["a", None, "b"], "label": [1, 0, 0], "number": [1.5, 2, 3]})
    assert "row 2, counted from 1" in refusal(frame)
    assert "row 1, counted from 1 without the header: the text is no string but 1.5" in refusal(frame, text="number")
    assert read_texts(frame, on_bad_row="skip").skipped == 1
    missing = pd.DataFrame({"text": ["a", "b", "c"], "label": pd.array([1, None, 0], "Int64")})
    assert "row 2, counted from 1" in refusal(missing)
    assert read_texts(missing, on_bad_row="skip").labels.tolist() == [1, 0]
    assert "several columns" in refusal(pd.DataFrame([["a", "b"]], columns=["text", "text"]))
    assert "text 1, counted from 0: the text is empty" in refusal(["a", ""], [0, 1])
    assert "text 1, counted from 0: the label is missing" in refusal(["a", "b"], [0, float("nan")])
    assert "text 1, counted from 0: the text is no string but 3" in refusal(["a", 3], [0, 1])
    assert "not valid Unicode" in refusal(["a", "\ud800"], [0, 1])
    assert "2 texts but 3 labels" in refusal(["a", "b"], [0, 1, 0])
    assert "1 text but 2 labels" in refusal(["a"], [0, 1])
    assert "has no rows" in refusal([], [])
    assert "not 7" in refusal(7)
    assert "NUL" in refusal(["a", "b"], ["x\0", "x"])
    assert "longer than" in refusal(["a", "b"], ["x" * 2000, "x"])


@pytest.mark.parametrize("options", [
    {"on_bad_row": "ignore"}, {"separator": ""}, {"separator": "a b"}, {"quote": "''"}, {"labels": [1, 0]},
])
def test_impossible_options(options):
    frame = pl.DataFrame({"text": ["a", "b"], "label": [1, 0]})
    refusal(frame, error=OptionError, **options)
