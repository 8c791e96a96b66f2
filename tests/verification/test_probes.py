"""Probes find the weights that are planted in a function, and in the prediction they find its label scores."""

from itertools import combinations

import numpy as np
import pytest
import torch
from cases import EXACT, SPARSE, SUMMED, distance, labels_of, random_texts, tokens_of

import tangentlens as tl
from tangentlens import CNN, MLP, ElmanRNN, LinearRNN, MatrixVector, SelfAttention
from tangentlens.errors import OptionError
from tangentlens.features.patterns import frequent_patterns
from tangentlens.verification import Probes, network_scores, probes_of
from tangentlens.verification.probes import DRAWS, texts_of

SIZE = 8
TOKENS, LABELS = random_texts(30, size=SIZE, lengths=(3, 9))


class Planted:
    """f of a text = pooled sums of a weight for every pattern, by (family key, tokens); 0 where a token is □."""

    def __init__(self, architecture):
        self.net, self.weights, self.rng = architecture, {}, np.random.default_rng(0)

    def weight(self, key, tokens):
        if any(not 0 <= token < SIZE for token in tokens):
            return 0.0
        return self.weights.setdefault((key, tuple(map(int, tokens))), self.rng.normal())

    def __call__(self, tokens):
        return np.array([[self.output(ids.tolist())] for ids in texts_of(tokens)])

    def output(self, ids):
        parts = [self.pool(values) for values in self.values(ids)]
        return sum(parts)

    def pool(self, values):
        if not values or self.net.pooling == "sum":
            return sum(values)
        return values[-1] if self.net.pooling == "last" else sum(values) / len(values)

    def values(self, ids):
        """By order, what every window or position adds."""
        net, length = self.net, len(ids)
        if isinstance(net, MatrixVector):
            orders = range(1, net.order + 1) if net.residual else [net.order]
            return [[self.weight(r, ids[p:p + r]) for p in range(length - r + 1)] for r in orders]
        if isinstance(net, LinearRNN):
            return [[sum(self.weight(r, ids[t - r + 1:t + 1]) for r in range(1, t + 2)) for t in range(length)]]
        if isinstance(net, ElmanRNN):
            return [[sum(self.weight(lag, [ids[t - lag]]) for lag in range(t + 1)) for t in range(length)]]
        k = net.kernel_size if isinstance(net, CNN) else 1
        same = isinstance(net, MLP) or net.padding == "same"
        left = (k - 1) // 2 if same else 0
        around = [-1] * left + ids + [-1] * (k - 1 - left if same else 0)
        return [[self.window(around[p:p + k]) for p in range(len(around) - k + 1)]]

    def window(self, window):
        subsets = [places for r in range(1, len(window) + 1) for places in combinations(range(len(window)), r)]
        return self.weight((), ()) + sum(self.weight(s, [window[place] for place in s]) for s in subsets)


def expected_score(planted, probe, pattern):
    """What the probe should find, from the planted weights alone."""
    net, family = planted.net, probe.family
    if isinstance(net, (MatrixVector, LinearRNN, ElmanRNN)):
        return planted.weight(int(family.split()[-1]), pattern)
    k = net.kernel_size if isinstance(net, CNN) else 1
    if family == "bias":
        return planted.weight((), ())
    offsets = range(k - (probe.places[-1] if probe.places else 0))
    if "@" in family:
        offsets = [int(family.split("@")[1])]
    elif family == "token first":
        offsets = range((k - 1) // 2 + 1)
    elif family == "token last":
        offsets = range((k - 1) // 2, k)
    return sum(planted.weight(tuple(o + place for place in probe.places), pattern) for o in offsets)


READABLE = {name: net for name, net in SPARSE.items() if not isinstance(net, SelfAttention)}


@pytest.mark.parametrize("architecture", READABLE.values(), ids=READABLE)
def test_probes_find_planted_weights(architecture):
    """Of tokens, pairs and triples, at every offset, lag and edge, for every pooling; higher orders do not disturb."""
    planted, probes = Planted(architecture), Probes.frequent(architecture, TOKENS, most=5)
    found = network_scores(planted, probes)
    assert list(found) == [probe.family for probe in probes.probes] == [p.family for p in probes_of(architecture)]
    for probe, patterns in zip(probes.probes, probes.patterns, strict=True):
        expected = [[expected_score(planted, probe, pattern)] for pattern in patterns]
        assert np.abs(expected).max() > 0.1
        assert distance(found[probe.family], expected) < SUMMED, probe.family


@pytest.mark.parametrize("architecture", READABLE.values(), ids=READABLE)
def test_in_a_bag_of_tokens_interactions_are_zero_whatever_blanks_add(architecture):
    """f = b + Σ w_t, with weights for □ too: scores are differences to the mean of the □ that stood there."""
    rng, probes = np.random.default_rng(1), Probes.frequent(architecture, TOKENS, most=12)
    bias, w = rng.normal(), rng.normal(size=SIZE + probes.blanks)
    found = network_scores(lambda texts: torch.tensor([[bias + w[ids].sum()] for ids in texts_of(texts)]), probes)
    texts = probes.texts()
    assert len(texts.vocabulary) == len(w)
    for probe, patterns in zip(probes.probes, probes.patterns, strict=True):
        if probe.order > 1:
            assert np.abs(found[probe.family]).max() < SUMMED
        elif probe.order == 1:
            longest = max(p.length for p in probes.probes)
            blank = [np.mean([w[SIZE + draw * longest + start] for draw in range(DRAWS)]) for start in probe.starts]
            expected = sum(weight * (w[patterns] - other) for weight, other in zip(probe.weights, blank, strict=True))
            assert distance(found[probe.family], expected, least=1.0) < SUMMED


def test_sums_and_means_have_the_same_scores():
    for sums, means in ((MLP(pooling="sum"), MLP()), (CNN(padding="valid", pooling="sum"), CNN(padding="valid")),
                        (LinearRNN(pooling="sum"), LinearRNN()), (ElmanRNN(pooling="sum"), ElmanRNN())):
        planted = Planted(sums)
        first = network_scores(planted, Probes.frequent(sums, TOKENS, most=6))
        planted.net = means
        second = network_scores(planted, Probes.frequent(means, TOKENS, most=6))
        for family, scores in first.items():
            assert distance(second[family], scores) < SUMMED, (sums, family)


# ---- the prediction ------------------------------------------------------------------------------------------------


def score_tables(trajectory):
    """Scores (c,) by (name of the family and its group, places in the window, tokens)."""
    tables = {}
    for family, scores in zip(trajectory.features.families, trajectory.scores(), strict=True):
        patterns = [()] if family.patterns is None else list(map(tuple, family.patterns.tokens().tolist()))
        shape = () if family.patterns is None else family.patterns.shape
        places = tuple(family.first + step for step in shape)
        for group, label in enumerate(family.groups):
            for place, pattern in enumerate(patterns):
                name = family.name if family.style == "lag" else ""
                tables[name, label, places, pattern] = scores[group * len(patterns) + place]
    return tables


def predicted_score(net, tables, probe, pattern, outputs):
    """What the probe should find, from the label scores of the columns."""
    zero = np.zeros(outputs)
    if isinstance(net, ElmanRNN):
        return tables.get((probe.family, "", (int(probe.family.split()[-1]),), pattern), zero)
    if not isinstance(net, CNN):
        return tables.get(("", "", probe.places, pattern), zero)
    k, left = net.kernel_size, (net.kernel_size - 1) // 2

    def group(position):
        """The label of the window at a position of a text of k tokens."""
        present = min(position - left + k, k) - max(position - left, 0)
        return "" if present == k or net.padding == "valid" else f" [{present}/{k}]"

    if probe.family == "bias":
        return sum(tables.get(("", group(p), (), ()), zero) for p in range(k)) / k
    if probe.family in ("token first", "token last"):
        place = 0 if probe.family == "token first" else k - 1
        return sum(tables.get(("", group(place - o + left), (o,), pattern), zero)
                   for o in range(k) if 0 <= place - o + left < k)
    offsets = [int(probe.family.split("@")[1])] if "@" in probe.family else range(k)
    return sum(tables.get(("", "", tuple(o + place for place in probe.places), pattern), zero) for o in offsets)


PREDICTED = {name: net for name, net in SPARSE.items() if not getattr(net, "positions", False)}


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("architecture", PREDICTED.values(), ids=PREDICTED)
def test_probes_of_the_prediction_are_its_label_scores(architecture, classes):
    features = architecture.features(TOKENS)
    trajectory = tl.learn(features, labels_of(TOKENS, classes), steps=7)
    probes = Probes.frequent(architecture, TOKENS, most=20)
    asked = architecture.features(probes.texts(blanks=False), columns=features)
    found = probes.scores(trajectory.decision(asked))
    tables = score_tables(trajectory)
    largest = max(np.abs(scores).max() for scores in found)
    for probe, patterns, scores in zip(probes.probes, probes.patterns, found, strict=True):
        expected = [predicted_score(architecture, tables, probe, tuple(pattern.tolist()), classes - 1 + (classes > 2))
                    for pattern in patterns]
        assert distance(scores, expected, least=largest) < SUMMED, probe.family
    assert largest > 1e-3


@pytest.mark.parametrize("name", ["attention-positions", "attention-positions-stds-sum"])
def test_with_positions_a_probe_weighs_by_the_attention_at_its_places(name):
    net = SPARSE[name]
    features = net.features(TOKENS)
    trajectory = tl.learn(features, LABELS, steps=7)
    probes = Probes.frequent(net, TOKENS)
    (probe,), (scores,) = probes.probes, trajectory.scores()
    asked = net.features(probes.texts(blanks=False), columns=features)
    steps = np.abs(np.subtract.outer(range(probe.length), range(probe.length)))
    logits = net.key_std**2 * (net.embedding_std**2 * (steps == 0)
                               + net.position_std**2 * np.exp(-steps / net.position_scale))
    received = (np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)).sum(axis=0)[list(probe.starts)]
    (found,) = probes.scores(trajectory.decision(asked))
    assert distance(found, scores[probes.patterns[0][:, 0]] * received.mean()) < SUMMED


def test_every_record_is_scored_at_once():
    net = CNN(kernel_size=2)
    probes = Probes.frequent(net, TOKENS)
    outputs = np.random.default_rng(0).normal(size=(3, 2, len(probes.texts()), 4))
    together = probes.scores(outputs)
    for first in range(3):
        for second in range(2):
            for alone, all_scores in zip(probes.scores(outputs[first, second]), together, strict=True):
                assert distance(all_scores[first, second], alone) < EXACT


def test_probe_texts_hold_blanks_that_no_text_repeats():
    """Every draw of a probe has blanks of its own, and the patterns stand where the probe says."""
    for net in (MLP(), CNN(), LinearRNN(), ElmanRNN(), MatrixVector(order=3, residual=True)):
        probes = Probes.frequent(net, TOKENS, most=5)
        texts, unknown = probes.texts(), probes.texts(blanks=False)
        assert len(texts) == DRAWS * len(unknown)
        assert texts.vocabulary.strings[:SIZE] == TOKENS.vocabulary.strings == unknown.vocabulary.strings
        part = texts[:len(unknown)]
        np.testing.assert_array_equal(part.offsets, unknown.offsets)
        np.testing.assert_array_equal(np.where(part.ids >= SIZE, -1, part.ids), unknown.ids)
        draws = [set(texts[draw * len(unknown):(draw + 1) * len(unknown)].ids.tolist()) - set(range(SIZE))
                 for draw in range(DRAWS)]
        assert sum(map(len, draws)) == len(set.union(*draws)) == probes.blanks
        for text in range(len(texts)):
            ids = texts[text].ids
            assert len(set(ids[ids >= SIZE].tolist())) == (ids >= SIZE).sum()


def test_the_most_frequent_patterns_are_asked_first():
    tokens = tokens_of([[3, 3, 1], [3, 1, 2], [2, 3, 1], [-1, 3, -1, 1]])
    assert frequent_patterns(tokens, (), 5).tolist() == [[]]
    assert frequent_patterns(tokens, (0,), 2).tolist() == [[3], [1]]
    assert frequent_patterns(tokens, (0, 1), 9).tolist() == [[3, 1], [1, 2], [2, 3], [3, 3]]
    assert frequent_patterns(tokens, (0, 2), 9).tolist() == [[3, 1], [2, 1], [3, 2]]


def test_an_unknown_architecture_has_no_probes():
    with pytest.raises(OptionError, match="there are no probes for 'lstm'"):
        probes_of("lstm")
