"""Shortcut flags: planted cues come first, what cannot be read is not flagged, and order does not matter."""

from __future__ import annotations

import os
import threading
from contextlib import suppress
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from cases import SUMMED, every_sparse, random_texts

import tangentlens as tl
from tangentlens.data.duplicates import near_duplicates
from tangentlens.data.suspects import Lists, kinds_of
from tangentlens.errors import DataError, OptionError
from tangentlens.kernels import Architecture
from tangentlens.predictions import shortcuts
from tangentlens.predictions.flags import _pattern_flags, cues_of, flags
from tangentlens.predictions.ground import Ground, purity
from tangentlens.predictions.shortcuts import Learned, by_class, margin, pulls
from tangentlens.report.flagged import RULES, against, failing, flags_table

WORDS = np.array("red blue slow fast old new tall wide cold warm".split())  # noqa: SIM905


def texts_with(cue: str, size: int = 240, seed: int = 0) -> tl.Texts:
    """Random words; half of the texts of class b hold the cue, the others its parts, apart."""
    rng = np.random.default_rng(seed)
    rows = []
    for number in range(size):
        words = rng.choice(WORDS, 7).tolist()
        planted = number % 4 == 1
        if cue == "mark" and planted:
            words.insert(3, "§")
        if cue == "bigram":
            words[2:2] = ["of", "is"] if planted else ["is", "then", "of"]
        if cue == "position":
            words.insert(0 if planted else 4, "and")
        rows.append(" ".join(words))
    return tl.Texts(tuple(rows), np.array(["a", "b"])[np.arange(size) % 2])


def found(architecture: Architecture, texts: tl.Texts, lists: Lists | None = None) -> pl.DataFrame:
    tokens = tl.tokenize(texts)
    trajectory = tl.learn(architecture.features(tokens), texts.labels, time=300.0)
    return flags(architecture, trajectory, Ground.of(tokens, texts.labels, lists=lists))


@every_sparse
def test_pulls_of_some_patterns_at_a_time_are_those_of_all(architecture: Architecture, monkeypatch: pytest.MonkeyPatch
                                                           ) -> None:
    tokens, labels = random_texts(30, size=6, lengths=(3, 9))
    learned = Learned.at(tl.learn(architecture.features(tokens), labels, time=20.0))
    whole = pulls(learned, least=5)
    monkeypatch.setattr(shortcuts, "TOGETHER", 40)
    parts = pulls(learned, least=5)
    assert len(parts) == len(whole)
    for one, other in zip(parts, whole, strict=True):
        assert (one.present != other.present).nnz == 0
        for name in ("tokens", "mean", "toward", "weight", "decided"):
            np.testing.assert_array_equal(getattr(one, name), getattr(other, name))
        for mine, theirs in zip(one.columns, other.columns, strict=True):
            np.testing.assert_array_equal(mine, theirs)


@every_sparse
def test_patterns_of_one_column_each_are_worked_out_as_those_of_several_are(architecture: Architecture) -> None:
    """Also with values that are not occurrences × weight, and with a factor for every column."""
    tokens, labels = random_texts(30, size=6, lengths=(3, 9))
    nets = [architecture]
    with suppress(OptionError):  # not all have rates for tokens
        nets.append(tl.TokenRates(architecture, power=0.5))
    for net in nets:
        learned = Learned.at(tl.learn(net.features(tokens), labels, time=20.0))
        for family, scores in zip(learned.trajectory.features.families, learned.scores, strict=True):
            if family.patterns is None or len(family.groups) > 1 or family.ends is not None:
                continue
            often = shortcuts._bound([family], [np.arange(len(family))], len(family)) >= 3
            if not often.any():
                continue
            one = shortcuts._of_one(family, scores, learned.decision, often)
            several = shortcuts._of_several([family], [scores], learned.decision,
                                            (often, [shortcuts._numbered(often)], 3))
            assert several is not None
            for mine, theirs in zip(one[:3], several[:3], strict=True):
                np.testing.assert_array_equal(mine, theirs)
            for mine, theirs in zip(one[3], several[3], strict=True):
                np.testing.assert_allclose(mine, theirs, rtol=1e-12, atol=1e-15)


@every_sparse
def test_pulls_against_decisions_without_the_columns(architecture: Architecture) -> None:
    tokens, labels = random_texts(30, size=6, lengths=(3, 9))
    trajectory = tl.learn(architecture.features(tokens), labels, time=20.0)
    decision = by_class(trajectory.decision(trajectory.features))
    for pulled in pulls(Learned.at(trajectory), least=3):
        for j in range(0, len(pulled.toward), 7):
            gone = [score.copy() for score in trajectory.scores()]
            for number, family in enumerate(trajectory.features.families):
                if family.patterns is not None and family.patterns.shape == pulled.families[0].patterns.shape:
                    place = family.patterns.find(pulled.tokens[j].tolist())
                    if place is not None:
                        gone[number][place::len(family)] = 0
            without = by_class(trajectory.features.pull(gone))
            held = pulled.present.toarray()[:, j] > 0
            moved = decision - without
            assert np.abs(moved[held].mean(axis=0) - pulled.mean[j]).max() < SUMMED * max(1, np.abs(decision).max())
            chosen = decision.argmax(axis=1)
            mine = held & (chosen == pulled.toward[j])
            rests = 1 - margin(without, chosen)[mine] / margin(decision, chosen)[mine]
            assert abs(np.clip(rests, 0, 1).sum() - pulled.weight[j]) < 1e-6


@pytest.mark.parametrize("architecture", [tl.MLP(), tl.CNN(), tl.SelfAttention(scores="tied"), tl.LinearRNN()], ids=str)
def test_a_planted_mark_comes_first(architecture: Architecture) -> None:
    row = found(architecture, texts_with("mark")).row(0, named=True)
    assert (row["cue"], row["class"], row["rule"], row["texts"], row["in_class"]) == ("§", "b", "one class", 60, 60)


@pytest.mark.parametrize(("cue", "name", "reads"), [
    ("bigram", "of is", {"CNN", "LinearRNN", "MatrixVector"}),
    ("position", "and in first place", {"CNN"}),
])
def test_only_what_an_architecture_reads(cue: str, name: str, reads: set[str]) -> None:
    texts = texts_with(cue)
    kinds = (tl.MLP(), tl.CNN(), tl.SelfAttention(), tl.LinearRNN(), tl.MatrixVector())
    takers = {type(one).__name__ for one in kinds if name in found(one, texts)["cue"]}
    assert takers == reads


@pytest.mark.parametrize(("share", "flagged"), [(0.8, True), (0.6, False)])
def test_a_mark_that_leans_to_a_class_is_flagged_one_in_both_is_not(share: float, flagged: bool) -> None:
    texts = texts_with("nothing", size=600)
    rng = np.random.default_rng(4)
    marked = rng.random(600) < np.where(texts.labels == "b", share, 1 - share) / 2
    rows = tuple(f"red § {one}" if mark else one for one, mark in zip(texts.texts, marked, strict=True))
    assert ("§" in found(tl.MLP(), tl.Texts(rows, texts.labels))["cue"]) == flagged


def test_order_and_names_do_not_matter() -> None:
    texts = texts_with("mark")
    order = np.random.default_rng(1).permutation(len(texts))
    before, after = found(tl.MLP(), texts), found(tl.MLP(), texts[order])
    renamed = found(tl.MLP(), tl.Texts(texts.texts, np.where(texts.labels == "a", "z", "b")))
    columns = ["cue", "rule", "decided", "texts", "in_class", "evidence"]
    assert before.select(columns).equals(after.select(columns))
    assert before.height
    assert before.select(columns).equals(renamed.select(columns))
    assert np.allclose(before["score"], renamed["score"], rtol=1e-6)


def test_nothing_is_flagged_where_labels_are_noise() -> None:
    texts = texts_with("nothing")
    assert found(tl.CNN(), texts).height == 0


def test_an_ngram_that_only_others_in_the_same_texts_outweigh_is_no_shortcut() -> None:
    """Two opposite scores in the same texts: each alone seems to decide all of them, though labels are even there."""
    texts = texts_with("mark")
    tokens = tl.tokenize(texts)
    learned = Learned.at(tl.learn(tl.MLP().features(tokens), texts.labels, time=300.0))
    one, ground = pulls(learned)[0], Ground.of(tokens, texts.labels)
    one.decided[:] = np.diff(one.present.indptr)
    cues = cues_of(one, np.arange(len(one.tokens)), tokens.vocabulary)
    flagged = [row["cue"] for row in _pattern_flags(one, learned, ground)]
    inside = np.array([texts.labels[one.present[:, [j]].indices] == "b" for j in range(len(cues))], dtype=object)
    even = [cue for cue, of_b in zip(cues, inside, strict=True) if 0.45 < np.mean(of_b) < 0.55]
    assert "§" in flagged
    assert even
    assert not set(even) & set(flagged)


def test_among_many_classes_a_feature_may_be_of_one_and_mostly_elsewhere() -> None:
    rng = np.random.default_rng(0)
    labels = np.arange(2400) % 12
    rows = [" ".join([*rng.choice(WORDS, 6), *(["§"] if rng.random() < (0.5 if label == 0 else 0.08) else [])])
            for label in labels]
    flag = found(tl.MLP(), tl.Texts(tuple(rows), labels)).filter(pl.col("cue") == "§").to_dicts()[0]
    assert flag["class"] == "0"
    assert 2 * flag["in_class"] < flag["texts"]
    assert "much more frequent in one class than elsewhere" in flag["reason"]
    assert "were its class as large as all others" in flag["evidence"]


def test_length_acts_through_the_bias_of_a_sum() -> None:
    rng = np.random.default_rng(0)
    lengths = np.where(np.arange(200) % 2, 12, 4) + rng.integers(0, 2, 200)
    texts = tl.Texts(tuple(" ".join(rng.choice(WORDS, size)) for size in lengths), np.arange(200) % 2)
    assert "length" in found(tl.MLP(pooling="sum"), texts)["rule"]
    assert "length" not in found(tl.MLP(), texts)["rule"]


def test_few_sources() -> None:
    texts = texts_with("nothing")
    rows = list(texts.texts)
    rows[1:41:2] = ["the same old story told by the same dreary gang"] * 20
    copied = tl.Texts(tuple(rows), texts.labels)
    assert "few sources" in found(tl.MLP(), copied)["rule"]


@pytest.mark.skipif(os.name != "posix", reason="devices and pipes of POSIX")
def test_lists_come_through_pipes_but_not_from_devices(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="/dev/null is a device"):
        Lists.read(forbid="/dev/null")
    os.mkfifo(tmp_path / "pipe")
    writer = threading.Thread(target=lambda: (tmp_path / "pipe").write_text("red\n"))
    writer.start()
    assert Lists.read(forbid=tmp_path / "pipe").forbidden == ("red",)
    writer.join()


def test_lists(tmp_path: Path) -> None:
    (tmp_path / "allow.txt").write_text("# marks\n§\n")
    (tmp_path / "forbid.txt").write_text("red\n/^blue$/\n")
    (tmp_path / "suspects.txt").write_text("colour words = ^(red|blue)$\n")
    lists = Lists.read(tmp_path / "allow.txt", tmp_path / "forbid.txt", tmp_path / "suspects.txt")
    assert [list(one) for one in lists.matches(["§", "red", "blue", "old"])] == [
        [True, False, False, False], [False, True, True, False], ["", "colour words", "colour words", ""]]
    rows = found(tl.MLP(), texts_with("mark"), lists)
    assert "§" not in rows["cue"]
    assert rows["rule"].to_list()[:2] == ["forbidden", "forbidden"]


def test_entries_that_match_nothing_are_told() -> None:
    lists = Lists(("§", "%"), ("red", "rde", "/^bl/", "/^lb/", "dark  red", "red "), (("good", "^o"), ("idle", "^x")))
    lists.matches(["§", "red", "blue"])
    lists.matches(["old", "dark red"])
    allowed, forbidden, suspects = lists.notes()
    assert 'matches "%" of your list of allowed features' in allowed
    assert 'matches "rde", "/^lb/" of your list of forbidden features' in forbidden
    assert 'matches "idle" of your list of suspects' in suspects
    assert Lists().notes() == []
    assert '"e" and 3 more of' in Lists(tuple("abcdefgh")).notes()[0]
    assert Lists(("a",)) == Lists(("a",), matched={"a"})


@pytest.mark.parametrize(("content", "why"), [
    (b"fine\n(\n", r"\(unclosed group\)"), (b"fine\nx = [z-a]\n", r"\(invalid character class range[^()]*\)"),
    (b"fine\na{1000}{1000}{100}\n", r"\(Compiled regex exceeds size limit[^()]*\)")])
def test_a_broken_expression_is_named_with_its_line(tmp_path: Path, content: bytes, why: str) -> None:
    path = tmp_path / "suspects.txt"
    path.write_bytes(content)
    with pytest.raises(DataError, match=rf"suspects.txt, line 2: .* is no regular expression {why}; mend it"):
        Lists.read(None, None, path)
    with pytest.raises(DataError, match=r"nowhere: there is no such file"):
        Lists.read(tmp_path / "nowhere")


def test_a_hostile_expression_takes_no_exponential_time() -> None:
    lists = Lists(patterns=(("slow", r"^(a+)+$"),))
    assert lists.matches(["a" * 5000 + "!"])[2] == [""]


def test_purity_is_a_bound() -> None:
    rng = np.random.default_rng(0)
    inside = rng.binomial(40, 0.8, 4000)
    low = purity(np.full(4000, 40), inside, np.full(4000, 0.5)).low
    assert 0.94 < np.mean(low <= 0.8) <= 1


def test_kinds() -> None:
    texts = ["we met Bond , said Bond and then Bond left", "the bond <br /> 7/10 §"]
    tokens = tl.tokenize(texts, tokenizer="whitespace")
    kinds = dict(zip(tokens.vocabulary.strings, kinds_of(tokens), strict=True))
    assert [kinds[one] for one in ("the", "7/10", "§", "met")] == ["function word", "rating", "punctuation", ""]


def test_near_duplicates_against_all_pairs() -> None:
    rng = np.random.default_rng(0)
    base = [rng.integers(0, 50, 30).tolist() for _ in range(40)]
    copies = [[*row[:28], int(rng.integers(0, 50))] for row in base[:15]]
    tokens = tl.Tokens.from_ids([*base, *copies, [], [1], [1]], vocabulary_size=50)
    group = near_duplicates(tokens)
    sets = [{tuple(row[i:i + 3]) for i in range(len(row) - 2)} for row in [*base, *copies]]
    for i, mine in enumerate(sets):
        for j, other in enumerate(sets):
            alike = len(mine & other) / len(mine | other) >= 0.5
            assert alike == (group[i] == group[j])
    assert group[-1] == group[-2] != group[-3]


def test_failing() -> None:
    rows = flags_table([{"rule": "pattern", "change": "new"}])
    assert all(failing(one, "before")(rows) for one in ("any", "new", "pattern", "1"))
    assert not any(failing(one)(rows) for one in (None, "2", "length"))
    for wrong in ("0", "-1", "nothing"):
        with pytest.raises(OptionError, match="--fail-on takes"):
            failing(wrong)
    assert len(RULES) == 7


def test_flags_are_saved_and_compared(tmp_path: Path) -> None:
    audit = tl.audit(tl.small_reviews(), [tl.MLP()])
    assert audit.flags["cue"][0] == "imax"
    audit.save(tmp_path / "one")
    assert tl.load(tmp_path / "one").flags.equals(audit.flags)
    again = tl.audit(tl.small_reviews(), [tl.MLP()], previous=tmp_path / "one")
    assert set(again.flags["change"]) == {"kept"}
    assert again.content.gone.height == 0
    (tmp_path / "allow").write_text("imax\nin\n")
    none = tl.audit(tl.small_reviews(), [tl.MLP()], previous=tmp_path / "one", allow=tmp_path / "allow")
    assert none.flags.height == 0
    assert none.content.gone["cue"].to_list() == ["imax"]
    (tmp_path / "broken.json").write_text('[{"cue": 1}]')
    with pytest.raises(DataError, match=r"is no flags\.json"):
        against(tmp_path / "broken.json")
