"""`tangentlens language`: what it writes and prints, and that nothing is left by a failure."""

import json

import polars as pl
import pytest
from command import runner

import tangentlens as tl

TEXT = "\n\n".join(["the cat sat on the mat", "a dog ran to the cat and sat", "the dog sat on a mat"] * 30)


@pytest.fixture
def run(capsys):
    return runner(capsys, "language")


def test_three_files_and_a_summary(run, tmp_path):
    (tmp_path / "text.txt").write_text(TEXT)
    out = tmp_path / "out"
    ran = run(str(tmp_path / "text.txt"), "--window", "4", "--output", str(out))
    assert ran.status == 0, ran.err
    assert {path.name for path in out.iterdir()} == {"language.html", "pairs.parquet", "run.json"}
    assert "may be used" in ran.err
    assert "Kneser–Ney 3" in ran.out
    assert ran.out.index("learns first") < ran.out.index("Perplexity on")
    assert max(map(len, ran.out.splitlines()[:-1])) <= 100
    table = pl.read_parquet(out / "pairs.parquet")
    assert set(table["architecture"]) == {"MLP", "SelfAttention", "MatrixVector"}
    found = table.filter(architecture="MatrixVector", feature="on the", rank_beyond=1)
    assert found["target"].to_list() == ["mat"]
    told = json.loads((out / "run.json").read_text())
    assert told["window"] == 4
    again = tl.read_corpus(TEXT.split("\n\n"))
    assert told["reading"] == again.reading | {"source": str(tmp_path / "text.txt")}
    assert again.reading["sha256"] != tl.read_corpus([f"{TEXT}x"]).reading["sha256"]


def test_quiet_and_json(run, tmp_path):
    (tmp_path / "text.txt").write_text(TEXT)
    common = [str(tmp_path / "text.txt"), "--window", "2", "-a", "MLP", "-o", str(tmp_path / "out")]
    assert run(*common, "--quiet")[1:] == ("", "")
    assert json.loads(run(*common, "--json", "--time", "3").out)["results"][0]["time"] == 3


@pytest.mark.parametrize(("content", "options", "words"), [
    (b"\x00\x01\x02\xff" * 50, [], "binary"),
    (b" \n\n ", [], "empty"),
    (b"word", [], "one token"),
    (TEXT.encode(), ["--window", "400"], "take --window 7 or less, or --window all"),
    (TEXT.encode(), ["--window", "0"], "at least 1"),
    (TEXT.encode(), ["--window", "some"], '"all"'),
    (b"word\n\nword", [], "--documents file takes"),
    (TEXT.encode(), ["--window", "4", "--memory", "0.0000001"], "may be used"),
    (TEXT.encode(), ["--time", "soon"], "--time"),
    (TEXT.encode(), ["--time", "-1"], "positive"),
    (TEXT.encode(), ["--vocabulary-size", "1"], "--vocabulary-size"),
    (TEXT.encode(), ["--min-count", "1000"], "how rare a type may be"),
    (" ".join("ab" * 3000).encode(), ["--window", "all"], "take a window, such as --window 32"),
    ("caf\xe9 is good".encode("latin-1"), [], "--encoding latin-1"),
])
def test_a_failure_is_one_line_and_leaves_nothing(run, tmp_path, content, options, words):
    (tmp_path / "text.txt").write_bytes(content)
    ran = run(str(tmp_path / "text.txt"), "--output", str(tmp_path / "out"), *options)
    assert (ran.status, ran.out) == (2, "")
    assert words in ran.err
    assert "error:" in ran.err.splitlines()[-1]
    assert [path.name for path in tmp_path.iterdir()] == ["text.txt"]


def test_a_file_in_another_encoding(run, tmp_path):
    (tmp_path / "text.txt").write_text(TEXT.replace("cat", "chaton née"), encoding="latin-1")
    ran = run(str(tmp_path / "text.txt"), "--window", "4", "--encoding", "latin-1", "-o", str(tmp_path / "out"))
    assert ran.status == 0, ran.err
    assert "née" in pl.read_parquet(tmp_path / "out" / "pairs.parquet")["feature"].to_list()


def test_a_short_corpus_has_no_held_out_text(run, tmp_path):
    (tmp_path / "text.txt").write_text("a b a c\n\na b")
    ran = run(str(tmp_path / "text.txt"), "--window", "2", "--output", str(tmp_path / "out"))
    assert ran.status == 0, ran.err
    assert "too short" in ran.out
