"""Label scores: decisions are their sums, counts are counts, and half steps by hand."""

import numpy as np
import polars as pl
import pytest
from cases import ALL, EXACT, NEW, SUMMED, distance, every_sparse, labels_of, random_texts, tokens_of
from scipy import sparse

import tangentlens as tl
from tangentlens.learning import Dynamics
from tangentlens.learning.losses import encode

COLUMNS = ["family", "feature", "class", "score", "count", "count_in_class", "half_step"]


def stacked(features):
    return sparse.hstack([family.counts for family in features.families]).toarray()


@every_sparse
@pytest.mark.parametrize("classes", [2, 3])
def test_decisions_are_sums_of_the_label_scores_in_the_table(architecture, classes):
    tokens, other = tokens_of(ALL), tokens_of(NEW)
    features = architecture.features(tokens)
    trajectory = tl.learn(features, labels_of(tokens, classes), steps=25)
    new = architecture.features(other, columns=features)
    for step in (1, -1):
        table = trajectory.label_scores(step)
        assert table.columns == COLUMNS
        names = ["good"] if classes == 2 else ["bad", "fair", "good"]
        assert trajectory.outputs == names
        scores = np.stack([table.filter(pl.col("class") == name)["score"].to_numpy() for name in names], axis=1)
        for texts, ids in ((features, tokens), (new, other)):
            decisions = trajectory.decision(texts, step)
            assert distance(decisions, stacked(texts) @ scores) < EXACT
            by_kernel = architecture.kernel(ids, tokens) @ trajectory.duals[step]
            assert distance(decisions, by_kernel, least=1e-6) < SUMMED
        decided = trajectory.predict(new, step)
        f = trajectory.decision(new, step)
        expected = [trajectory.classes[k] for k in (f.argmax(axis=1) if classes > 2 else (f[:, 0] > 0).astype(int))]
        assert decided.tolist() == expected


@every_sparse
@pytest.mark.parametrize("classes", [2, 3])
def test_the_table_counts_occurrences(architecture, classes):
    tokens = tokens_of(ALL)
    labels = labels_of(tokens, classes)
    features = architecture.features(tokens)
    table = tl.learn(features, labels, steps=3).label_scores()
    raw = sparse.hstack([family.occurrences for family in features.families]).toarray()
    for name in table["class"].unique():
        rows = table.filter(pl.col("class") == name)
        assert rows["count"].to_list() == raw.sum(axis=0).tolist()
        assert rows["count_in_class"].to_list() == raw[np.array(labels) == name].sum(axis=0).tolist()
        assert rows["feature"].to_list() == [name for family in features.families for _ in family.groups
                                             for name in family.names]
    keys = table.select("family", "feature", "class")
    assert keys.n_unique() == keys.height == features.columns * table["class"].n_unique()


def by_hand(duals, steps):
    """Two texts with one token each, γ = 3: scores are 3 a."""
    tokens = tl.Tokens.from_ids([[0], [1]], vocabulary_size=2)
    features = tl.MLP(activation="identity", pooling="sum").features(tokens)
    steps = np.array(steps, float)
    curves = pl.DataFrame({"step": steps, "validation_loss": np.full(len(steps), np.nan)})
    duals = np.array(duals, float)[:, :, None]
    return tl.Trajectory(features, Dynamics("step", steps, steps, duals, curves, encode([0, 1], None, texts=2), 0))


@every_sparse
def test_half_steps_are_read_off_the_scores_of_every_record(architecture):
    tokens = tokens_of(ALL)
    trajectory = tl.learn(architecture.features(tokens), labels_of(tokens, 3), steps=25, record=range(26))
    steps = trajectory.steps
    paths = np.stack([np.concatenate(trajectory.scores(step)) for step in range(len(steps))])  # (T, columns, c)
    for place, name in enumerate(trajectory.outputs):
        found = trajectory.label_scores().filter(pl.col("class") == name)["half_step"].to_list()
        for path, half in zip(paths[:, :, place].T, found, strict=True):
            if half is None:
                assert path[-1] == 0
                continue
            share = np.interp(half, steps, path) / path[-1]
            assert share == pytest.approx(0.5, abs=1e-7)
            assert (path[steps < half] / path[-1] < 0.5 + 1e-7).all()


def test_half_steps_by_hand():
    #           token 0 rises 0 1 3 4 (half of 4 between 1 and 3); token 1 stays at 0
    trajectory = by_hand([[0, 0], [1, 0], [3, 0], [4, 0]], [0, 10, 30, 70])
    table = trajectory.label_scores()
    assert table["score"].to_list() == pytest.approx([12.0, 0.0])
    assert table["half_step"].to_list() == [pytest.approx(20.0), None]
    assert trajectory.label_scores(1)["half_step"].to_list() == [pytest.approx(5.0), None]
    assert trajectory.label_scores(0)["half_step"].to_list() == [None, None]


def test_half_steps_of_negative_and_turning_scores():
    # token 0 falls 0 −2 −8; token 1 first goes the other way: 0 −4 8, half of 8 reached three quarters through
    trajectory = by_hand([[0, 0], [-2, -4], [-8, 8]], [0, 100, 200])
    assert trajectory.label_scores()["half_step"].to_list() == pytest.approx([100 + 100 / 3, 100 + 200 / 3])
    # token 0 passes half at once and comes back: the first time counts
    trajectory = by_hand([[0, 0], [8, 1], [6, 2], [8, 4]], [0, 1, 2, 3])
    assert trajectory.label_scores()["half_step"].to_list() == pytest.approx([0.5, 2.0])


@every_sparse
def test_half_steps_are_first_crossings(architecture):
    """Every column, group by group, by a plain loop over the records."""
    tokens = tokens_of(ALL)
    features = architecture.features(tokens)
    trajectory = tl.learn(features, labels_of(tokens, 3), steps=200)
    table = trajectory.label_scores()
    paths = np.stack([np.concatenate([scores.T.ravel() for scores in trajectory.scores(step)])
                      for step in range(len(trajectory.steps))])
    assert distance(table["score"].to_numpy(), paths[-1]) < EXACT
    for column, found in enumerate(table["half_step"]):
        path = paths[:, column]
        if path[-1] == 0:
            assert found is None
            continue
        share = path / path[-1]
        first = int(np.argmax(share >= 0.5))
        low, high = share[first - 1], share[first]
        before, after = trajectory.steps[first - 1:first + 1]
        expected = before + (0.5 - low) / (high - low) * (after - before)
        if abs(path[-1]) > 1e-9:
            assert found == pytest.approx(expected, rel=1e-6)


def test_with_two_classes_under_softmax_the_outputs_are_opposite():
    tokens, labels = random_texts(30)
    trajectory = tl.learn(tl.MLP().features(tokens), labels, "softmax", steps=50)
    assert trajectory.outputs == [0, 1]
    table = trajectory.label_scores()
    low, high = (table.filter(pl.col("class") == name)["score"].to_numpy() for name in (0, 1))
    assert distance(low, -high) < SUMMED


def test_the_start_has_no_scores():
    tokens, labels = random_texts(20)
    table = tl.learn(tl.CNN().features(tokens), labels, steps=10).label_scores(0)
    assert not table["score"].to_numpy().any()
    assert table["half_step"].null_count() == table.height


@every_sparse
def test_responses_are_decisions_on_one_token_texts(architecture):
    tokens = tokens_of(ALL)
    trajectory = tl.learn(architecture.features(tokens), labels_of(tokens, 3), steps=30)
    answers = tl.responses(architecture, trajectory, tokens.vocabulary)
    probes = tokens_of([[token] for token in range(8)])
    expected = architecture.kernel(probes, tokens) @ trajectory.duals[-1]
    assert answers.shape == (8, 3)
    assert distance(answers, expected, least=1e-6) < SUMMED


def test_a_trajectory_describes_itself():
    tokens, labels = random_texts(20)
    assert repr(tl.learn(tl.MLP().features(tokens), labels, steps=10, record=[5])) == (
        f"Trajectory(20 texts, {tl.MLP().features(tokens).columns} features, 3 records to step 10)")
