"""Measures in which architectures differ: laws over the case table, and plain loops over kernels and score tables."""

import warnings

import numpy as np
import pytest
from asking import SOME, TOKENS, blocks_of, by_kernel, learned, scale_of, slow_share, subsets
from cases import (
    ALL,
    EXACT,
    NEW,
    SIZE,
    SPARSE,
    SUMMED,
    TEXT_SETS,
    VOCABULARY,
    distance,
    labels_of,
    random_texts,
    tokens_of,
)

import tangentlens as tl
from tangentlens.errors import DataError, OptionError, ShapeError
from tangentlens.predictions.measures import mains_and_joints
from tangentlens.predictions.questions import Questions, answers_of, least_length

ADDITIVE = [name for name, net in SPARSE.items() if isinstance(net, tl.MLP | tl.ElmanRNN)
            or getattr(net, "scores", "") == "uniform" or getattr(net, "kernel_size", 0) == 1
            or (isinstance(net, tl.CNN) and net.activation == "identity")]
BIASED = [name for name, net in SPARSE.items() if any(net.spectrum().filter(order=0)["coefficient"] > 0)]
every_name = pytest.mark.parametrize("name", SPARSE)
every_case = pytest.mark.parametrize(("name", "classes"), [(n, 3) for n in SPARSE] + [(n, 2) for n in SOME])


# ---- bias -----------------------------------------------------------------------------------------------------------


@every_case
def test_a_response_is_own_and_bias(name, classes):
    architecture, trajectory = learned(name, classes)
    least, scale = least_length(architecture), scale_of(trajectory)
    f = by_kernel(architecture, trajectory)
    table = tl.bias_split(architecture, trajectory, TOKENS)
    found = {column: blocks_of(table, column) for column in table.columns[2:]}
    assert distance(found["response"], found["own"] + found["bias"], least=scale) < EXACT
    assert distance(found["bias"], np.tile(f([-1] * least), (SIZE, 1)), least=scale) < SUMMED
    expected = [f([-1] * (least - 1) + [token]) for token in range(SIZE)]
    assert distance(found["response"], expected, least=scale) < SUMMED
    if least == 1:
        assert distance(found["response"], tl.responses(architecture, trajectory, VOCABULARY), least=scale) < EXACT
    with np.errstate(invalid="ignore"):
        shares = np.abs(found["bias"]) / (np.abs(found["bias"]) + np.abs(found["own"]))
    np.testing.assert_allclose(found["share"], shares, rtol=1e-9)
    assert found["flipped"].tolist() == (found["response"] * found["own"] < 0).tolist()
    for size, rank in (("own", "own_rank"), ("response", "rank")):
        for values, ranks in zip(np.abs(found[size]).T, found[rank].T, strict=True):
            assert sorted(ranks) == list(range(1, SIZE + 1))
            assert (np.diff(values[np.argsort(ranks)]) <= 0).all()


def test_the_bias_split_is_a_table_with_one_row_for_every_token_and_output():
    tokens = tl.tokenize(["a good_ film", "a bad film film", "a bad film"], tokenizer="whitespace")
    net = tl.MLP()
    trajectory = tl.learn(net.features(tokens), [1, 2, 3], steps=20, record=[4])
    table = tl.bias_split(net, trajectory, tokens)
    assert table.columns == ["feature", "class", "count", "response", "own", "bias", "share", "flipped", "own_rank",
                             "rank"]
    assert table.select("feature", "class", "count").rows() == [
        (feature, name, count) for name in (1, 2, 3)
        for feature, count in (("film", 4), ("a", 3), ("bad", 2), ("good\\_", 1))]
    early = tl.bias_split(net, trajectory, tokens, step=1)
    assert early.equals(tl.bias_split(net, trajectory, tokens, step=-2))
    assert not early["response"].equals(table["response"])
    with pytest.raises(OptionError, match="there is no record 3"):
        tl.bias_split(net, trajectory, tokens, step=3)


def test_a_large_class_flips_the_signs_of_the_others_tokens():
    tokens = tokens_of([[0, 1]] * 19 + [[2, 3]])
    net = tl.MLP()
    trajectory = tl.learn(net.features(tokens), ["good"] * 19 + ["bad"], steps=3)
    table = tl.bias_split(net, trajectory, tokens)
    assert table["flipped"].to_list() == [False, False, True, True, False, False, False, False]
    assert table["own"].sign().to_list() == [1, 1, -1, -1, 0, 0, 0, 0]
    assert table["response"].sign().to_list() == [1] * 8
    assert table["share"].to_list()[4:] == [1.0] * 4


@every_case
def test_the_sources_of_the_bias_add_up_to_it(name, classes):
    """And are those of a loop over training texts and the kernel, whose rest at □ … □ is the bias."""
    architecture, trajectory = learned(name, classes)
    blank = tokens_of([[-1] * least_length(architecture)])
    for step in (2, -1):
        bias = by_kernel(architecture, trajectory, step)(blank.ids.tolist())
        sizes, lengths = tl.bias_sources(architecture, trajectory, step=step)
        scale = float(np.abs(trajectory.decision(trajectory.features, step)).max())
        assert sizes.shape == lengths.shape == bias.shape
        assert distance(sizes + lengths, bias, least=scale) < EXACT
        k, duals = architecture.kernel(blank, TOKENS)[0], trajectory.duals[step]
        mean = sum(k) / len(k)
        assert distance(sizes, sum(mean * a for a in duals), least=scale) < SUMMED
        assert distance(lengths, sum((k_i - mean) * a for k_i, a in zip(k, duals, strict=True)), least=scale) < SUMMED
    assert (np.abs(bias).max() > 1e-5 * scale) == (name in BIASED)


def test_equal_lengths_leave_the_bias_to_the_sizes_of_classes_and_balance_to_the_lengths():
    tokens = tokens_of([[0, 1], [2, 3], [4, 5], [6, 7]])
    for net in (tl.MLP(), tl.CNN(), tl.MLP(pooling="sum")):
        trajectory = tl.learn(net.features(tokens), ["good", "good", "good", "bad"], steps=20)
        sizes, lengths = tl.bias_sources(net, trajectory)
        assert sizes[0] > 0.001
        assert abs(lengths[0]) < 1e-15
    for net, least in ((tl.MLP(pooling="sum"), 1), (tl.CNN(padding="valid", pooling="sum"), 3)):
        tokens = tokens_of([[0, 1, 2], [3, 4, 5, 6]])
        trajectory = tl.learn(net.features(tokens), ["bad", "good"], "squared", learning_rate=1e-9, steps=1)
        sizes, lengths = tl.bias_sources(net, trajectory)
        assert lengths[0] > 0
        assert abs(sizes[0]) < 1e-6 * lengths[0], least  # a = ∓ a_0, and longer texts, the good ones, weigh more


# ---- interactions ---------------------------------------------------------------------------------------------------


@every_name
@pytest.mark.parametrize("order", [2, 3])
def test_interactions_are_inclusion_and_exclusion_by_a_plain_loop(name, order):
    architecture, trajectory = learned(name)
    f, least, scale = by_kernel(architecture, trajectory), least_length(architecture), scale_of(trajectory)
    patterns = np.array([[0, 1, 2], [2, 2, 2], [1, 0, 1], [6, 0, 6], [3, 2, 1]])[:, :order]
    table = tl.interactions(architecture, trajectory, TOKENS, patterns=patterns)
    assert table.columns == ["feature", "class", "interaction", "words"]
    names = [" ".join(map(str, row)) for row in patterns.tolist()]
    assert table.select("feature", "class").rows() == [(n, c) for c in ("bad", "fair", "good") for n in names]
    before = [-1] * max(0, least - order)
    expected, words = np.zeros((2, len(patterns), 3))
    for place, row in enumerate(patterns.tolist()):
        for kept in subsets(order):
            text = [token if i in kept else -1 for i, token in enumerate(row)]
            expected[place] += (-1) ** (order - len(kept)) * f(before + text)
        for token in row:
            words[place] += f([-1] * (least - 1) + [token]) - f([-1] * least)
    assert distance(blocks_of(table, "interaction"), expected, least=scale) < SUMMED
    assert distance(blocks_of(table, "words"), words, least=scale) < SUMMED


@pytest.mark.parametrize("name", ADDITIVE)
def test_no_interaction_without_combinations(name):
    architecture, trajectory = learned(name)
    for order in (2, 3):
        table = tl.interactions(architecture, trajectory, TOKENS, order=order)
        assert np.abs(table["interaction"].to_numpy()).max() < EXACT * scale_of(trajectory)
        assert np.abs(table["words"].to_numpy()).max() > 1e-3 * scale_of(trajectory)
    for texts in TEXT_SETS.values():
        assert not mains_and_joints(architecture, trajectory, texts)[1].any()
    assert tl.interaction_share(architecture, trajectory, TOKENS) == 0.0


@pytest.mark.parametrize(("pooling", "share"), [("mean", 0.5), ("sum", 1.0), ("last", 1.0)])
@pytest.mark.parametrize("classes", [2, 3])
def test_a_linear_rnns_interactions_are_its_bigrams_scores(pooling, share, classes):
    """I(a, b) = s_ab / 2 for the mean (theory, eq. 63)."""
    net = tl.LinearRNN(max_order=9, pooling=pooling)
    trajectory = tl.learn(net.features(TOKENS), labels_of(TOKENS, classes), steps=7)
    bigrams = trajectory.features.families[1]
    assert bigrams.order == 2
    table = tl.interactions(net, trajectory, TOKENS, patterns=bigrams.patterns.tokens())
    assert table["feature"].to_list() == bigrams.names.to_list() * (1 if classes == 2 else 3)
    assert distance(blocks_of(table, "interaction"), share * trajectory.scores()[1]) < EXACT


def test_the_most_frequent_ngrams_are_asked_about():
    texts = ["not good", "not good at all", "at all , not bad", "good , at all", "not bad"]
    tokens = tl.tokenize(texts)
    net = tl.CNN(kernel_size=2)
    trajectory = tl.learn(net.features(tokens), [0, 0, 1, 1, 0], steps=20, record=[3])
    assert tl.interactions(net, trajectory, tokens, most=3)["feature"].to_list() == ["at all", "not good", "not bad"]
    three = tl.interactions(net, trajectory, tokens, order=3)
    assert three["feature"].to_list()[0] == "not good at"
    assert three.height == 7
    assert np.abs(three["interaction"].to_numpy()).max() < 1e-15  # the windows hold two tokens
    early = tl.interactions(net, trajectory, tokens, step=1)
    assert early.height == 8
    assert not early["interaction"].equals(tl.interactions(net, trajectory, tokens)["interaction"])
    many = tl.Tokens.from_ids([list(range(300))])
    trajectory = tl.learn(net.features(many[[0, 0]]), ["a", "b"], steps=1)
    assert tl.interactions(net, trajectory, many).height == 200


def test_competition_takes_from_bigrams_what_their_tokens_say_and_keeps_the_size():
    """Order of unit(I) − λ unit(s(a) + s(b)), units being those of frequent bigrams; spread as before."""
    net, trajectory = learned("linear-rnn")
    plain, mixed = (tl.interactions(net, trajectory, TOKENS, competition=share) for share in (0.0, 0.25))
    assert mixed.drop("interaction").equals(plain.drop("interaction"))
    columns = (blocks_of(table, column).T for table, column in (
        (plain, "interaction"), (plain, "words"), (mixed, "interaction")))
    for joint, words, found in zip(*columns, strict=True):
        expected = joint / joint.std() - 0.25 * words / words.std()
        assert distance(found, expected * joint.std() / expected.std()) < SUMMED
    asked = np.array([[int(token) for token in name.split()] for name in mixed["feature"][[3, 0]]])
    some = tl.interactions(net, trajectory, TOKENS, patterns=asked, competition=0.25)
    assert distance(blocks_of(some, "interaction"), blocks_of(mixed, "interaction")[[3, 0]]) < SUMMED


def test_a_network_without_interactions_has_none_under_competition():
    table = tl.interactions(*learned("mlp"), TOKENS, competition=0.25)
    assert table["interaction"].abs().max() < 1e-12


def test_texts_without_any_ngram_have_an_empty_table():
    table = tl.interactions(*learned("mlp"), tokens_of([[0], [], [-1, 1, -1]]))
    assert table.height == 0
    assert table.schema == tl.interactions(*learned("mlp"), TOKENS).schema
    assert tl.interactions(*learned("mlp"), TOKENS, order=10).height == 0
    assert tl.interactions(*learned("mlp"), tokens_of([[0], [1]]), competition=0.25).height == 0


@pytest.mark.parametrize(("options", "error", "message"), [
    ({"order": 1}, OptionError, "n-gram of at least 2 tokens"), ({"order": 0}, OptionError, "order must be a whole"),
    ({"order": 2.0}, OptionError, "order must be a whole"), ({"most": 0}, OptionError, "most must be a whole number"),
    ({"patterns": [[1]]}, OptionError, "n-gram of at least 2 tokens"),
    ({"order": 3, "competition": 0.25}, OptionError, "between two tokens"),
    ({"patterns": [[1, 2, 3]], "competition": 0.25}, OptionError, "between two tokens"),
    ({"competition": -0.25}, OptionError, "competition must be a number"),
    ({"patterns": [[1, 8]]}, DataError, "has the id 8, outside the vocabulary of 8 tokens"),
], ids=str)
def test_what_is_no_interaction_is_refused(options, error, message):
    with pytest.raises(error, match=message):
        tl.interactions(*learned("mlp"), TOKENS, **options)


def test_texts_with_another_vocabulary_are_refused():
    other = tl.Tokens.from_ids([[0, 1]])
    for measure in (tl.bias_split, tl.interactions, tl.interaction_share, mains_and_joints):
        for name in ("linear-rnn", "attention-tied"):
            with pytest.raises(ShapeError, match="the two sets of texts have different vocabularies"):
                measure(*learned(name), other)


# ---- mains and joints -----------------------------------------------------------------------------------------------


@every_case
def test_mains_and_joints_of_the_families_are_those_of_probing(name, classes):
    architecture, trajectory = learned(name, classes)
    for texts in ([*ALL, *NEW], [[], []], [[0, 1, 0, 1, -1], [2]]):
        tokens = tokens_of(texts)
        found = mains_and_joints(architecture, trajectory, tokens)
        expected = answers_of(architecture, trajectory, Questions(VOCABULARY, texts=tokens))
        for mine, theirs in zip(found, (expected.mains, expected.joints), strict=True):
            assert distance(mine, theirs, least=scale_of(trajectory)) < EXACT * 10
    early = mains_and_joints(architecture, trajectory, TOKENS, step=2)
    expected = answers_of(architecture, trajectory, Questions(VOCABULARY, texts=TOKENS), [2])
    for mine, theirs in zip(early, (expected.mains[0], expected.joints[0]), strict=True):
        assert distance(mine, theirs, least=scale_of(trajectory)) < EXACT * 10


@every_case
def test_the_interaction_share_is_that_of_a_plain_loop(name, classes):
    architecture, trajectory = learned(name, classes)
    tokens = tokens_of(NEW)
    for step in (2, -1):
        found = tl.interaction_share(architecture, trajectory, tokens, step=step)
        expected = slow_share(*mains_and_joints(architecture, trajectory, tokens, step=step))
        assert found == pytest.approx(expected, rel=1e-9, nan_ok=True)
        assert (found == 0.0) == (name in ADDITIVE)


@pytest.mark.parametrize("texts", [[], [[]], [[0, 1, 2]], [[], []], [[-1, -1], [-1]]])
def test_the_share_of_nothing_is_no_number(texts):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for name in ("linear-rnn", "attention-tied"):
            assert np.isnan(tl.interaction_share(*learned(name), tokens_of(texts)))


# ---- order of learning ----------------------------------------------------------------------------------------------


def slow_order(trajectory, step):
    """(family, order): [number of scores, weighted median of their half steps]."""
    found = {}
    table = trajectory.label_scores(step).rows(named=True)
    outputs, at = len(trajectory.outputs), 0
    for family in trajectory.features.families:
        rows = [row for row in table[at:at + family.columns * outputs] if row["half_step"] is not None]
        at += family.columns * outputs
        found.setdefault((family.name, family.order), []).extend(
            (row["half_step"], abs(row["score"]) * row["count"]) for row in rows)
    assert at == len(table)
    result = {}
    for key, pairs in found.items():
        pairs = sorted(pair for pair in pairs if pair[1] > 0)
        passed, total = 0.0, sum(weight for _, weight in pairs)
        for half, weight in pairs:
            passed += weight
            if passed >= total / 2 - 1e-12 * total:
                result[key] = [len(pairs), half]
                break
    return result


@every_case
def test_the_order_of_learning_is_that_of_a_plain_loop(name, classes):
    architecture = SPARSE[name]
    trajectory = tl.learn(architecture.features(TOKENS), labels_of(TOKENS, classes), steps=60)
    for step in (-1, 20):
        found = tl.learning_order(trajectory, step=step)
        assert found.columns == ["family", "order", "features", "half_step"]
        expected = slow_order(trajectory, step)
        assert {row[:2] for row in found.rows()} == set(expected)
        for family, order, features, half in found.iter_rows():
            assert [features, half] == pytest.approx(expected[family, order], rel=1e-6)
        assert found["half_step"].is_sorted()


def test_what_is_common_is_learned_first():
    tokens, labels = random_texts(60, lengths=(3, 9))
    trajectory = tl.learn(tl.LinearRNN(max_order=4).features(tokens), labels, steps=300)
    table = tl.learning_order(trajectory)
    assert table["order"].to_list() == [1, 2, 3, 4]
    assert table["half_step"].n_unique() == 4
    assert tl.learning_order(trajectory, step=0).height == 0
    assert tl.learning_order(trajectory, step=0).schema == table.schema
