"""Leaving out and relabelling: learned again it is learning from scratch; the first order misses by the second."""

import numpy as np
import pytest
from cases import ALL, distance, labels_of, random_texts, tokens_of

import tangentlens as tl
from tangentlens.errors import DataError, OptionError
from tangentlens.predictions.what_if import features_of

MOMENTS = {"steps": {"steps": 30}, "flow": {"time": 40.0, "tolerance": 1e-6}}
ARCHITECTURES = [tl.MLP(), tl.CNN(), tl.SelfAttention(scores="tied"), tl.MatrixVector(), tl.LinearRNN(max_order=3),
                 tl.ElmanRNN(max_lag=3)]
each = pytest.mark.parametrize("architecture", ARCHITECTURES, ids=lambda a: type(a).__name__)


@each
@pytest.mark.parametrize("moment", [MOMENTS["steps"], {"time": 10.0, "tolerance": 1e-5}], ids=MOMENTS)
def test_learned_again_is_learning_from_scratch(architecture, moment):
    tokens = tokens_of(ALL)
    labels = np.array(labels_of(tokens, 3))
    trajectory = tl.learn(architecture.features(tokens), labels, **moment)
    rate = {} if "time" in moment else {"learning_rate": trajectory.dynamics.learning_rate}
    kept = np.setdiff1d(np.arange(len(ALL)), [2, 9])
    scratch = tl.learn(architecture.features(tokens[kept]), labels[kept], **moment, **rate)
    new = architecture.features(tokens, columns=scratch.features)
    again = tl.relearned(trajectory, [2, 9])
    assert distance(again.decision(trajectory.features), scratch.decision(new)) < 3e-5
    turned = labels.copy()
    turned[[2, 9]] = ["good", "bad"]
    scratch = tl.learn(trajectory.features, turned, **moment, **rate)
    again = tl.relearned(trajectory, [2, 9], ["good", "bad"])
    assert distance(again.decision(trajectory.features), scratch.decision(trajectory.features)) < 3e-5


@pytest.mark.parametrize(("classes", "left_out", "moment"), [
    (2, True, "steps"), (3, False, "steps"), (2, False, "flow"), (3, True, "flow")])
def test_the_first_order_misses_by_the_second(classes, left_out, moment):
    """With every text R times over learning is the same, and one copy of a text has a weight of 1/R of it."""
    tokens, labels = random_texts(12, classes=classes, seed=3)
    change = None if left_out else [(labels[row] + 1) % classes for row in (5, 7)]
    sizes, errors = (4, 12), []
    for copies in sizes:
        rows = np.tile(np.arange(12), copies)
        trajectory = tl.learn(tl.MLP().features(tokens[rows]), np.array(labels)[rows], **MOMENTS[moment])
        at = features_of(trajectory.features, np.arange(12))
        table = tl.what_if(trajectory, [5, 7], change, at=at)
        moved = np.abs(table["exact"] - table["before"]).max()
        errors.append(np.abs(table["first_order"] - table["exact"]).max())
        assert errors[-1] < 8 / copies * moved
    slope = np.polyfit(np.log(sizes), np.log(errors), 1)[0]
    assert -2.4 < slope < -1.7


def test_counts_that_are_not_whole_are_cut_with_their_rows():
    tokens = tokens_of(ALL)
    for architecture in ARCHITECTURES:
        features = architecture.features(tokens)
        rows = np.array([3, 0, 12, 20])
        assert np.array_equal(features_of(features, rows).kernel(), features.kernel()[np.ix_(rows, rows)])


def test_nothing_changes_before_anything_is_learned():
    tokens = tokens_of(ALL)
    for moment in MOMENTS.values():
        table = tl.what_if(tl.learn(tl.MLP().features(tokens), labels_of(tokens, 3), **moment), [1], step=0)
        assert not table.select("before", "first_order", "exact").to_numpy().any()


def test_what_cannot_be_changed_is_refused():
    tokens = tokens_of(ALL)
    labels = labels_of(tokens, 2)
    trajectory = tl.learn(tl.MLP().features(tokens), labels, steps=5)
    for rows, new, error in (([99], None, OptionError), ([], None, OptionError), ([1, 1], None, OptionError),
                             (range(len(ALL)), None, OptionError), ([1], ["good", "bad"], OptionError),
                             ([1], ["ugly"], DataError)):
        with pytest.raises(error):
            tl.what_if(trajectory, rows, new)
    heavy = tl.learn(tl.MLP().features(tokens), labels, steps=5, momentum=0.9)
    with pytest.raises(OptionError, match="momentum"):
        tl.what_if(heavy, [1])
    rest = tl.learn(tl.MLP().features(tokens), labels, "squared", time=float("inf"))
    with pytest.raises(OptionError, match="finite"):
        tl.what_if(rest, [1])
