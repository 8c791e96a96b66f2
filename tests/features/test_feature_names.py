"""Names of features: unique, and readable back, whatever the tokens look like."""

import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tangentlens as tl

STRINGS = [" ", "_", "@", "<", "\\", "<script>", "\n", "👩‍🔬", "a_b", "good@0", "good", "a", "b", "a b", "", "<bias>",
           "\\ ", "@0", "__", "a\\", "日本", "\t"]
ARCHITECTURES = [tl.MLP(), tl.CNN(), tl.CNN(kernel_size=4, padding="valid"), tl.CNN(kernel_size=2),
                 tl.SelfAttention(scores="tied"), tl.MatrixVector(order=3, residual=True), tl.LinearRNN(max_order=3),
                 tl.ElmanRNN(max_lag=4)]


def features_over(architecture, strings, seed=0):
    rng = np.random.default_rng(seed)
    ids = [rng.integers(len(strings), size=40).tolist() for _ in range(12)]
    tokens = tl.Tokens.from_ids(ids, vocabulary=tl.Vocabulary(tuple(strings)))
    return architecture.features(tokens)


def unescape(text):
    return re.sub(r"\\(.)", r"\1", text, flags=re.DOTALL)


def split(name):
    """Parts between spaces that no backslash protects."""
    return ["".join(part) for part in _split(name)]


def _split(name):
    parts, place = [[]], 0
    while place < len(name):
        if name[place] == "\\":
            parts[-1].append(name[place:place + 2])
            place += 2
        elif name[place] == " ":
            parts.append([])
            place += 1
        else:
            parts[-1].append(name[place])
            place += 1
    return parts


def check(features, strings):
    seen = set()
    for family in features.families:
        names = family.names.to_list()
        assert len(names) == len(family)
        for label in family.labels():
            assert not seen & {(label, name) for name in names}
            seen |= {(label, name) for name in names}
        if family.patterns is None:
            assert names == ["<bias>"]
            continue
        for name, ids in zip(names, family.patterns.tokens(), strict=True):
            expected = [strings[index] for index in ids]
            if family.style in ("offset", "lag"):
                token, lag, offset = re.fullmatch(r"((?:[^\\@]|\\.)*)@(lag)?(\d+)", name, flags=re.DOTALL).groups()
                assert bool(lag) == (family.style == "lag")
                assert [unescape(token)] == expected
                assert int(offset) == family.first
                continue
            parts = split(name)
            assert len(parts) == family.window
            places = {family.first + step: string for step, string in zip(family.patterns.shape, expected, strict=True)}
            for place, part in enumerate(parts):
                if place in places:
                    assert part != "_"
                    assert unescape(part) == places[place]
                else:
                    assert part == "_"
    assert len(seen) == features.columns


@pytest.mark.parametrize("architecture", ARCHITECTURES, ids=str)
def test_hostile_tokens_give_unique_names_that_read_back(architecture):
    check(features_over(architecture, STRINGS), STRINGS)


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(ARCHITECTURES), st.lists(st.text("ab _@<\\0\n"), min_size=2, max_size=8, unique=True))
def test_any_tokens_give_unique_names_that_read_back(architecture, strings):
    check(features_over(architecture, strings), strings)


def test_every_character_with_a_meaning_is_escaped():
    for strings in (STRINGS, STRINGS[::-1]):
        family = next(family for family in features_over(tl.MLP(), strings).families if family.name == "token")
        names, ids = family.names, family.patterns.keys
        escaped = ["".join("\\" + sign if sign in " _@<\\" else sign for sign in strings[index]) for index in ids]
        assert names.to_list() == escaped
        assert "<bias>" not in names.to_list()


def test_names_as_documented():
    tokens = tl.tokenize(["not very good", "good"])
    names = [family.names.to_list() for family in tl.CNN(padding="valid").features(tokens).families]
    assert names[0] == ["<bias>"]
    assert "good@2" in names[3]
    assert names[5] == ["not _ good"]
    assert names[7] == ["not very good"]


def test_bigrams_are_named_by_their_place_in_the_window():
    tokens = tl.tokenize(["not very good"])
    families = tl.CNN(padding="valid").features(tokens).families
    names = [family.names.to_list() for family in families if family.patterns and family.patterns.shape == (0, 1)]
    assert names == [["not very _", "very good _"], ["_ not very", "_ very good"]]
