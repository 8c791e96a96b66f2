"""Explanations: the parts add up to the decision, by feature and by training text, at every record."""

import numpy as np
import polars as pl
import pytest
from cases import ALL, NEW, SUMMED, distance, every_sparse, labels_of, tokens_of

import tangentlens as tl
from tangentlens.errors import OptionError


def sums(table, names):
    return np.array([table.filter(pl.col("class") == name)["contribution"].sum() for name in names])


@every_sparse
@pytest.mark.parametrize("classes", [2, 3])
def test_parts_add_up_to_the_decision(architecture, classes):
    tokens, other = tokens_of(ALL), tokens_of(NEW)
    features = architecture.features(tokens)
    trajectory = tl.learn(features, labels_of(tokens, classes), steps=5, record=[2])
    new = architecture.features(other, columns=features)
    names = trajectory.outputs
    for step in range(len(trajectory.steps)):
        decisions, scale = trajectory.decision(new, step), 1e-300 + np.abs(trajectory.duals[step]).max()
        by_kernel = architecture.kernel(other, tokens)[:, :, None] * trajectory.duals[step]
        for row in (1, 3, 4) if step == 2 else (1,):
            found = trajectory.explain(new, step, row=row)
            assert found.residual <= 1e-10 * scale
            for table in (found.features, found.texts, found.parts(None)):
                assert np.abs(sums(table, names) - decisions[row]).max() <= 1e-10 * scale
            for output in range(len(names)):
                dense = np.zeros(len(tokens))
                own = found.texts.filter(pl.col("class") == names[output])
                dense[own["row"].to_numpy()] = own["contribution"].to_numpy()
                assert np.abs(dense - by_kernel[row, :, output]).max() <= SUMMED * scale


@every_sparse
def test_parts_of_a_feature_add_up_to_its_contribution(architecture):
    tokens = tokens_of(ALL)
    trajectory = tl.learn(architecture.features(tokens), labels_of(tokens, 3), steps=9)
    scores = trajectory.label_scores()
    for row in (9, 24):
        found = trajectory.explain(trajectory.features, row=row)
        keys = ["family", "feature", "class"]
        by_feature = found.parts(None).group_by(keys).agg(pl.col("contribution").sum().alias("sum"))
        joined = found.features.join(by_feature, on=keys, how="left").fill_null(0.0)
        assert distance(joined["sum"], joined["contribution"], least=1e-3) < SUMMED
        there = found.features.join(scores, on=keys, how="left")
        assert distance(there["score"], there["score_right"], least=1e-3) < 1e-9


def test_tables_show_the_largest_first_and_the_top_of_each_feature():
    tokens = tokens_of(ALL)
    trajectory = tl.learn(tl.CNN().features(tokens), labels_of(tokens, 2), steps=30)
    found = trajectory.explain(trajectory.features, row=9)
    for table in (found.features, found.texts):
        assert table["contribution"].abs().is_sorted(descending=True)
    full, top = found.parts(None), found.parts(2)
    best = full.group_by("family", "feature", maintain_order=True).agg(
        pl.col("contribution").abs().top_k(2).sort(descending=True))["contribution"].explode()
    assert top["contribution"].abs().to_list() == best.to_list()
    assert found.pull["share"].sum() == pytest.approx(1)
    assert found.pull["contribution"].sum() == pytest.approx(found.decision[0])


def test_a_text_without_a_known_token_has_no_parts():
    tokens = tokens_of(ALL)
    architecture = tl.MLP(activation="tanh")
    trajectory = tl.learn(architecture.features(tokens), labels_of(tokens, 2), steps=3)
    for ids in ([], [-1, -1], [6]):
        found = trajectory.explain(architecture.features(tokens_of([ids]), columns=trajectory.features))
        assert found.decision.tolist() == [0.0]
        assert found.texts.height == found.parts().height == 0
        assert found.residual == 0.0


def test_several_texts_need_a_row():
    tokens = tokens_of(ALL)
    trajectory = tl.learn(tl.MLP().features(tokens), labels_of(tokens, 2), steps=3)
    with pytest.raises(OptionError, match="one text"):
        trajectory.explain(trajectory.features)
