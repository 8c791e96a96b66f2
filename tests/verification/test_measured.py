"""Networks are trained as long as the prediction says, asked the same, and kept."""

from importlib import import_module
from types import SimpleNamespace

import numpy as np
import pytest
from asking import parts_of
from cases import ARCHITECTURES, EXACT, distance, labels_of, random_texts, tokens_of

import tangentlens as tl
from tangentlens.errors import DataError, OptionError, ShapeError
from tangentlens.networks import build, train
from tangentlens.predictions.questions import Questions
from tangentlens.verification import Course, Measured, measure
from tangentlens.verification.width_study import rate_of

module = import_module("tangentlens.verification.measured")
TOKENS, LABELS = random_texts(14, size=8, lengths=(2, 6))
QUESTIONS = Questions(TOKENS.vocabulary, [0, 1, 5], ([[0, 1], [2, 1]],), TOKENS[:4])
COURSE = Course(width=16, seeds=2, epochs=3, batch_size=5, records=3)


def measured(name="linear-rnn", *, tokens=TOKENS, labels=LABELS, questions=QUESTIONS, course=COURSE, **options):
    return measure(ARCHITECTURES[name], tokens, labels, questions, course, **options)


def same(first, second):
    return all(np.array_equal(a, b) for mine, theirs in zip(first.trained, second.trained, strict=True)
               for a, b in zip(parts_of(mine), parts_of(theirs), strict=True))


# ---- training and asking --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["mlp", "cnn3-same", "attention-tied", "linear-rnn"])
def test_the_prediction_is_a_trajectory_of_as_many_steps(name):
    found, net = measured(name), ARCHITECTURES[name]
    assert found.steps == (3, 6, 9)  # of 3 epochs of 3 batches
    features = net.features(TOKENS)
    rate = rate_of(features, LABELS, None, 9, 0.95)
    asked = net.features(QUESTIONS.asked(blanks=False), columns=features)
    for place, steps in enumerate(found.steps):
        alone = tl.learn(features, LABELS, steps=steps, learning_rate=rate)
        expected = QUESTIONS.answers(alone.decision(asked))
        for mine, theirs in zip(parts_of(found.predicted), parts_of(expected), strict=True):
            assert distance(mine[place], theirs, least=1e-3) < EXACT * 100
    assert found.trajectory.dynamics.learning_rate == rate
    assert found.architecture == net
    assert found.questions is QUESTIONS


@pytest.mark.parametrize("fall", [0.95, 0.8])
def test_training_ends_where_the_predicted_loss_has_fallen(fall):
    found = measured("mlp", course=Course(width=2, seeds=1, epochs=200, batch_size=None, fall=fall))
    assert found.steps == (200,)
    assert found.trajectory.curves["train_loss"][-1] == pytest.approx(fall * np.log(2), rel=2e-3)


@pytest.mark.parametrize(("batch_size", "steps", "classes"), [(5, 9, 2), (None, 3, 3), (1000, 3, 2)])
def test_answers_are_those_of_networks_trained_by_hand(batch_size, steps, classes):
    labels, outputs = labels_of(TOKENS, classes), 1 if classes == 2 else classes
    course = Course(width=16, seeds=2, epochs=3, batch_size=batch_size, records=1)
    assert course.steps(len(TOKENS)) == steps
    found = measured("cnn2-same-sum", labels=labels, course=course)
    rate, asked = found.trajectory.dynamics.learning_rate, QUESTIONS.asked()
    for seed, answers in enumerate(found.trained):
        network, start = (build(ARCHITECTURES["cnn2-same-sum"], vocabulary_size=8 + QUESTIONS.blanks, width=16,
                                outputs=outputs, seed=seed) for _ in range(2))
        train(network, TOKENS, labels, learning_rate=rate, steps=steps, batch_size=batch_size, seed=seed)
        expected = QUESTIONS.answers((network(asked) - start(asked)).detach().double().numpy())
        for mine, theirs in zip(parts_of(answers), parts_of(expected), strict=True):
            assert mine.shape[0] == 1
            assert distance(mine[0], theirs, least=float(np.abs(expected.responses).max())) < 1e-4  # float32
    assert not same(found, Measured(None, None, None, (), None, found.trained[::-1]))


@pytest.mark.parametrize("name", ["mlp", "linear-rnn"])
def test_the_mean_of_wide_networks_answers_as_predicted(name):
    found = measured(name, course=Course(width=384, seeds=6, epochs=60, batch_size=None))
    for part in ("responses", "effects", "mains", "decisions"):
        predicted = getattr(found.predicted, part)
        assert np.linalg.norm(getattr(found.mean, part) - predicted) < 0.2 * np.linalg.norm(predicted), part
    assert np.corrcoef(found.mean.mains.ravel(), found.predicted.mains.ravel())[0, 1] > 0.99
    assert abs(float(found.common_share[-1] - found.predicted.interaction_share[-1])) < 0.02


@pytest.mark.parametrize(("epochs", "records", "steps"), [(10, 1, [10]), (10, 4, [2, 5, 8, 10]), (2, 5, [1, 2]),
                                                          (1, 1, [1])])
def test_records_are_at_equal_distances_and_end_at_the_end(epochs, records, steps):
    found = measured("mlp", course=Course(width=4, seeds=1, epochs=epochs, batch_size=None, records=records))
    assert list(found.steps) == steps
    for answers in (found.predicted, *found.trained):
        assert answers.responses.shape == (len(steps), 3, 1)
        assert answers.responses[-1].any()
        assert answers.responses[0].any() == (steps[0] > 0)


# ---- what is kept ---------------------------------------------------------------------------------------------------


def counting(monkeypatch, stop=None):
    """Seeds of the networks that are trained from now on; an interruption before number `stop`."""
    calls = []

    def counted(network, *arguments, **options):
        if len(calls) == stop:
            calls.append("stop")
            raise KeyboardInterrupt
        calls.append(options["seed"])
        return train(network, *arguments, **options)

    monkeypatch.setattr(module, "train", counted)
    return calls


def test_a_folder_keeps_finished_networks(tmp_path, monkeypatch):
    """Interrupted, gone on, done again, with more seeds: to the last bit the same, and none trained twice."""
    expected = measured()
    calls = counting(monkeypatch, stop=1)
    with pytest.raises(KeyboardInterrupt):
        measured(folder=tmp_path / "new" / "kept")
    found = measured(folder=tmp_path / "new" / "kept")
    assert calls == [0, "stop", 1]
    assert same(found, expected)
    assert same(measured(folder=str(tmp_path / "new" / "kept")), expected)
    assert len(calls) == 3
    more = measured(folder=tmp_path / "new" / "kept", course=Course(**vars(COURSE) | {"seeds": 4}))
    assert calls[3:] == [2, 3]
    assert same(SimpleNamespace(trained=more.trained[:2]), expected)
    assert len(list((tmp_path / "new" / "kept").iterdir())) == 4


LARGER = tl.Vocabulary((*TOKENS.vocabulary.strings, "8"))
OTHERS = {
    **{f"{key}": {"course": Course(**vars(COURSE) | {key: value})} for key, value in (
        ("width", 17), ("epochs", 4), ("batch_size", 4), ("fall", 0.9), ("records", 1))},
    "full batches": {"course": Course(**vars(COURSE) | {"batch_size": None})},
    "architecture": {"name": "linear-rnn-sum-stds"},
    "labels": {"labels": [1 - label for label in LABELS]},
    "order of texts": {"tokens": TOKENS[::-1], "labels": LABELS[::-1]},
    "texts": {"tokens": TOKENS[[0, 0, *range(2, 14)]]},
    "one token": {"tokens": tl.Tokens(np.append(TOKENS.ids[:-1], (TOKENS.ids[-1:] + 1) % 8), TOKENS.offsets,
                                      TOKENS.vocabulary)},
    "cuts": {"tokens": tl.Tokens(TOKENS.ids, np.sort([0, *TOKENS.offsets[2:], 1]), TOKENS.vocabulary)},
    "vocabulary": {"tokens": tl.Tokens(TOKENS.ids, TOKENS.offsets, LARGER), "questions": Questions(LARGER, [0])},
    "tokens": {"questions": Questions(TOKENS.vocabulary, [0, 1, 6], QUESTIONS.patterns, QUESTIONS.texts)},
    "patterns": {"questions": Questions(TOKENS.vocabulary, [0, 1, 5], ([[0, 1], [1, 2]],), QUESTIONS.texts)},
    "texts asked": {"questions": Questions(TOKENS.vocabulary, [0, 1, 5], QUESTIONS.patterns, TOKENS[1:5])},
    "blanks": {"questions": Questions(TOKENS.vocabulary, [0, 1, 5], ([[0, 1], [2, 1]], np.zeros((0, 4), int)))},
    "least": {"questions": Questions(TOKENS.vocabulary, [0, 1, 5], QUESTIONS.patterns, QUESTIONS.texts, 2)},
}


@pytest.mark.parametrize("other", OTHERS.values(), ids=OTHERS)
def test_a_folder_does_not_mix_studies(other, tmp_path, monkeypatch):
    """Also where they happen to have one learning rate."""
    monkeypatch.setattr(module, "rate_of", lambda *arguments: 0.01)
    measured(folder=tmp_path)
    calls = counting(monkeypatch)
    found = measured(folder=tmp_path, **other)
    assert calls == [0, 1]
    assert len(list(tmp_path.iterdir())) == 4
    assert same(found, measured(**other))


def test_architectures_with_one_kernel_are_not_one_network(tmp_path):
    for net in (tl.MatrixVector(), tl.MatrixVector(matrices="full")):
        kept, fresh = (measure(net, TOKENS, LABELS, QUESTIONS, COURSE, folder=folder) for folder in (tmp_path, None))
        assert same(kept, fresh)


def test_questions_with_the_same_texts_but_more_blanks_are_others(tmp_path):
    """The network has more embeddings, so other parameters."""
    few, many = (Questions(TOKENS.vocabulary, [0, 1], patterns) for patterns in ((), (np.zeros((0, 3), int),)))
    assert few.asked().offsets.tolist() == many.asked().offsets.tolist()
    for questions in (few, many):
        assert same(measured(folder=tmp_path, questions=questions), measured(questions=questions))


def test_numbers_as_labels_are_not_their_strings(tmp_path):
    """10 is the last class of 2 and 10, and "2" that of "2" and "10"."""
    numbers = [(2, 10)[label] for label in LABELS]
    first = measured(folder=tmp_path, labels=np.array(numbers, dtype=object))
    second = measured(folder=tmp_path, labels=[str(label) for label in numbers])
    assert first.trajectory.outputs == [10]
    assert second.trajectory.outputs == ["2"]
    assert same(first, measured(labels=LABELS))
    assert same(second, measured(labels=[1 - label for label in LABELS]))


def test_training_can_be_watched():
    seen = []
    measured(watching=lambda *step: seen.append(step), course=Course(width=4, seeds=2, epochs=3, batch_size=7))
    assert [step[:2] for step in seen] == [(step, 6) for _ in range(2) for step in range(1, 7)]
    assert seen[0][2] == pytest.approx(np.log(2))


# ---- what is refused ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("options", "message"), [
    ({"width": 0}, "Course: width must be a whole number of at least 1, not 0"),
    ({"seeds": 0}, "Course: seeds must be"), ({"epochs": 0.5}, "Course: epochs must be"),
    ({"records": 0}, "Course: records must be"), ({"batch_size": 0}, "Course: batch_size must be"),
    *(({"fall": fall}, f"to end at, between 0 and 1, not {fall}; 0.95 is early") for fall in (0, 1, -0.5, 1.5, np.nan)),
], ids=str)
def test_impossible_courses_are_refused(options, message):
    with pytest.raises(OptionError, match=message):
        Course(**options)


def test_what_cannot_be_measured_is_refused_before_anything_is_trained(monkeypatch):
    calls = counting(monkeypatch)
    other = Questions(tl.Vocabulary(("a", "b")), [0])
    with pytest.raises(ShapeError, match="different vocabularies"):
        measured(questions=other)
    with pytest.raises(ShapeError, match="13 labels"):
        measured(labels=LABELS[1:])
    with pytest.raises(DataError, match="nothing can be learned from these 2 texts"):
        measured(tokens=tokens_of([[0], [0]]), labels=[0, 1], questions=Questions(TOKENS.vocabulary, [0]))
    assert not calls
