"""Files in parts: every row once, in order, as `read_texts` reads it; a bad row or part is named."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest

import tangentlens as tl
from tangentlens.errors import DataError, OptionError

TEXTS = tl.small_reviews(53)


def written(folder: Path, kind: str, texts: tl.Texts = TEXTS) -> Path:
    path = folder / f"texts.{kind}"
    rows = list(zip(texts.texts, texts.labels.tolist(), strict=True))
    if kind == "parquet":
        pl.DataFrame(rows, schema=["text", "label"], orient="row").write_parquet(path, row_group_size=9)
    else:
        path.write_text("".join(json.dumps({"text": text, "label": label}) + "\n" for text, label in rows))
    return path


@pytest.mark.parametrize("kind", ["parquet", "jsonl"])
@pytest.mark.parametrize("part", [1, 7, 53, 1000])
def test_every_row_once_and_in_order(tmp_path: Path, kind: str, part: int) -> None:
    path = written(tmp_path, kind)
    scan = tl.scan_texts(path, part=part)
    assert (scan.rows, len(scan)) == (53, -(-53 // part))
    parts = list(scan)
    assert [len(texts) for texts in parts[:-1]] == [part] * (len(parts) - 1)
    assert [text for texts in parts for text in texts] == list(TEXTS.texts)
    assert np.concatenate([texts.labels for texts in parts]).tolist() == tl.read_texts(path).labels.tolist()


@pytest.mark.parametrize("kind", ["parquet", "jsonl"])
def test_a_split_is_a_partition_of_the_rows(tmp_path: Path, kind: str) -> None:
    scan = tl.scan_texts(written(tmp_path, kind), part=8)
    train, held = scan.split(0.3, seed=1)
    for whole, *halves in zip(scan, train, held, strict=True):
        assert sorted(whole) == sorted([text for texts in halves for text in texts])
    assert 5 < sum(map(len, held)) < 30
    assert [list(texts) for texts in scan.split(0.3, seed=1)[1]] == [list(texts) for texts in held]
    assert [list(texts) for texts in scan.split(0.3, seed=2)[1]] != [list(texts) for texts in held]
    with pytest.raises(OptionError, match="split already"):
        train.split()


def test_the_last_line_needs_no_end_and_blank_lines_are_left_out(tmp_path: Path) -> None:
    path = tmp_path / "few.jsonl"
    path.write_text('\ufeff{"text": "a", "label": 0}\n\n{"text": "b", "label": 1}\n{"text": "c", "label": 1}')
    assert [list(texts) for texts in tl.scan_texts(path, part=2)] == [["a"], ["b", "c"]]


def test_a_bad_line_is_named_or_left_out(tmp_path: Path) -> None:
    path = written(tmp_path, "jsonl")
    lines = path.read_bytes().split(b"\n")
    for place, bad in ((17, b'{"text": "open'), (30, b'{"text": "", "label": 1}'),
                       (41, b'{"text": "\xff", "label": 1}')):
        changed = lines.copy()
        changed[place] = bad
        path.write_bytes(b"\n".join(changed))
        with pytest.raises(DataError, match=rf"texts.jsonl, line {place + 1}: .*skip"):
            list(tl.scan_texts(path, part=10))
        assert sum(map(len, tl.scan_texts(path, part=10, on_bad_row="skip"))) == 52


def test_a_damaged_row_group_is_named(tmp_path: Path) -> None:
    path = written(tmp_path, "parquet")
    data = bytearray(path.read_bytes())
    middle = len(data) // 2
    data[middle - 200:middle + 200] = b"\xff" * 400
    path.write_bytes(data)
    scan = tl.scan_texts(path, part=9)
    with pytest.raises(DataError, match=r"texts.parquet, rows \d+ to \d+: .*damaged"):
        list(scan)


@pytest.mark.parametrize(("name", "content", "message"), [
    ("none.jsonl", None, "there is no such file"),
    ("empty.jsonl", b"", "has no rows"),
    ("table.csv", b"text,label\na,1\n", "sink_parquet"),
    ("cut.parquet", b"PAR1 and nothing more", "not a readable Parquet file"),
    ("other.jsonl", b'{"words": "a", "label": 1}\n', 'no column .text.'),
])
def test_files_that_cannot_be_scanned(tmp_path: Path, name: str, content: bytes | None, message: str) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=message):
        tl.scan_texts(tmp_path / name)
    with pytest.raises(OptionError, match="part is a number"):
        tl.scan_texts(written(tmp_path, "jsonl"), part=0)
