"""What cannot be learned is refused, and the message names it."""

import numpy as np
import polars as pl
import pytest
from cases import ALL, labels_of, random_texts, tokens_of

import tangentlens as tl
from tangentlens.errors import DataError, OptionError, ShapeError
from tangentlens.learning import Dynamics
from tangentlens.learning.losses import encode

TOKENS, LABELS = random_texts(30)
FEATURES = tl.CNN().features(TOKENS)
HELD_OUT = tl.CNN().features(TOKENS[:3], columns=FEATURES)


@pytest.mark.parametrize(("labels", "options", "error", "words"), [
    (LABELS[:-1], {}, ShapeError, "29 labels for 30 texts"),
    ("good", {}, ShapeError, "1 labels for 30 texts"),
    ([7] * 30, {}, DataError, "all 30 labels are 7; learning needs at least two classes"),
    (np.array([1] * 15 + ["a"] * 15, dtype=object), {}, DataError, "cannot be sorted together"),
    ([0, 1, 2] * 10, {"loss": "logistic"}, OptionError, 'logistic loss needs two classes, not 3; use loss="softmax"'),
    (LABELS, {"loss": "hinge"}, OptionError, 'unknown loss "hinge"; there are: logistic, softmax, squared'),
    (LABELS, {"steps": 0}, OptionError, "steps must be a whole number of at least 1, not 0"),
    (LABELS, {"steps": 2.5}, OptionError, "steps must be .*not 2.5"),
    (LABELS, {"steps": True}, OptionError, "steps must be .*not True"),
    (LABELS, {"learning_rate": 0}, OptionError, "learning rate must be a positive number or .auto., not 0"),
    (LABELS, {"learning_rate": -1.0}, OptionError, "learning rate must be .*not -1.0"),
    (LABELS, {"learning_rate": float("nan")}, OptionError, "learning rate must be .*not nan"),
    (LABELS, {"learning_rate": float("inf")}, OptionError, "learning rate must be .*not inf"),
    (LABELS, {"learning_rate": "fast"}, OptionError, "learning rate must be .*not 'fast'"),
    (LABELS, {"steps": 5, "record": [6]}, OptionError, "record names steps outside of 0 … 5"),
    (LABELS, {"steps": 5, "record": [-1]}, OptionError, "record names steps outside of 0 … 5"),
    (LABELS, {"time": 5.0, "record": [6]}, OptionError, "record names times outside of 0 … 5"),
    (LABELS, {"time": 0}, OptionError, 'time must be a positive number or "best", not 0'),
    (LABELS, {"time": float("inf")}, OptionError, "time = inf; the logistic loss needs a finite time"),
    (LABELS, {"time": "bst"}, OptionError, "time must be .*not 'bst'"),
    (LABELS, {"time": "best"}, OptionError, 'time="best" needs validation='),
    (LABELS, {"time": 3.0, "steps": 3}, OptionError, "give either time= .*or steps=.*not both"),
    (LABELS, {"time": 3.0, "learning_rate": 0.1}, OptionError, "not both"),
    (LABELS, {"validation": (HELD_OUT, [0])}, ShapeError, "1 labels for 3 texts"),
    (LABELS, {"validation": (HELD_OUT, [0, 1, 5])}, DataError, r"label 5 is not among the training classes \[0, 1\]"),
    (LABELS, {"validation": (tl.MLP().features(TOKENS[:3]), [0, 1, 1])}, ShapeError, "columns=features"),
])
def test_learning_refuses_by_name(labels, options, error, words):
    with pytest.raises(error, match=words):
        tl.learn(FEATURES, labels, **options)


@pytest.mark.parametrize("tolerance", [0, -1.0, float("nan"), 1.0, 1e-13])
def test_an_impossible_tolerance_is_refused(tolerance):
    with pytest.raises(OptionError, match="tolerance"):
        tl.learn(FEATURES, LABELS, time=5.0, tolerance=tolerance)


@pytest.mark.parametrize(("options", "record"), [({"time": 5.0}, [-1.0]), ({"time": 5.0}, [float("nan")]),
                                                 ({"steps": 5}, [1.7])])
def test_records_that_make_no_sense_are_refused(options, record):
    with pytest.raises(OptionError, match="record"):
        tl.learn(FEATURES, LABELS, record=record, **options)


def test_best_refuses_an_empty_validation_set():
    nothing = tl.CNN().features(TOKENS[:0], columns=FEATURES)
    with pytest.raises((DataError, OptionError)):
        tl.learn(FEATURES, LABELS, time="best", validation=(nothing, []))


def test_validation_texts_work_where_training_texts_have_no_known_token():
    features = tl.MLP().features(tokens_of([[-1, -1], [-1]]))
    held_out = tl.MLP().features(tokens_of([[-1], [-1, -1, -1], [-1]]), columns=features)
    trajectory = tl.learn(features, [0, 1], time=5.0, validation=(held_out, [0, 1, 1]))
    assert np.isfinite(trajectory.curves["validation_loss"].to_numpy()).all()


def test_no_texts_are_refused():
    with pytest.raises(DataError, match="there are no labels; learning needs at least two classes"):
        tl.learn(tl.MLP().features(tokens_of([])), [])


def test_a_record_that_does_not_exist_is_named():
    trajectory = tl.learn(FEATURES, LABELS, steps=4, record=[0, 2])
    for step in (3, -4):
        with pytest.raises(OptionError, match=f"no record {step}; this trajectory has 0 to 2"):
            trajectory.label_scores(step)
    assert [trajectory.record(step) for step in (0, 2, -1, -3)] == [0, 2, 2, 0]


def test_decisions_need_the_columns_of_training():
    trajectory = tl.learn(FEATURES, LABELS, steps=2)
    with pytest.raises(ShapeError, match="columns=features"):
        trajectory.decision(tl.CNN().features(TOKENS[:5]))
    with pytest.raises(ShapeError, match="columns=features"):
        trajectory.predict(tl.MLP().features(TOKENS))


def test_dynamics_check_their_shapes():
    targets = encode([0, 1, 1], None, texts=3)
    curves = pl.DataFrame({"step": [0.0, 1.0], "validation_loss": [np.nan, np.nan]})
    moments = np.array([0.0, 1.0])
    Dynamics("step", moments, moments, np.zeros((2, 3, 1)), curves, targets, 0)
    with pytest.raises(ShapeError, match="every recorded moment needs"):
        Dynamics("step", moments[:1], moments, np.zeros((2, 3, 1)), curves, targets, 0)
    with pytest.raises(ShapeError, match=r"shape \(4, 1\), targets \(3, 1\)"):
        Dynamics("step", moments, moments, np.zeros((2, 4, 1)), curves, targets, 0)


def test_labels_of_any_sortable_type():
    tokens = tokens_of(ALL)
    features = tl.MLP().features(tokens)
    plain = labels_of(tokens, 2)
    expected = tl.learn(features, plain, steps=20).duals
    for two in ((False, True), (-1, 1), (0.5, 2.5), (b"a", b"b")):
        labels = [two[label == "good"] for label in plain]
        trajectory = tl.learn(features, labels, steps=20)
        assert trajectory.classes == two
        np.testing.assert_array_equal(trajectory.duals, expected)
        assert set(trajectory.predict(features)) <= set(two)
