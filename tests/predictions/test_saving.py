"""A trajectory that was saved and read again answers the same."""

import numpy as np
from cases import ALL, EXACT, NEW, distance, every_sparse, labels_of, tokens_of
from polars.testing import assert_frame_equal

import tangentlens as tl
from tangentlens.learning import KernelProduct


@every_sparse
def test_a_trajectory_survives_saving(architecture, tmp_path):
    tokens = tokens_of(ALL)
    features = architecture.features(tokens)
    trajectory = tl.learn(features, labels_of(tokens, 3), steps=10)
    path = tmp_path / "trajectory.npz"
    trajectory.save(path)
    again = tl.load(path)
    assert_frame_equal(again.label_scores(), trajectory.label_scores())
    assert_frame_equal(again.curves, trajectory.curves)
    assert repr(again) == repr(trajectory)
    features.check_columns(again.features)
    new = architecture.features(tokens_of(NEW), columns=again.features)
    assert distance(again.decision(new), trajectory.decision(new)) == 0
    product = KernelProduct(again.features, new)
    assert product.nnz == KernelProduct(features, new).nnz
    assert distance((product @ np.eye(len(tokens)))[:len(tokens)], architecture.kernel(tokens)) < EXACT


def test_lags_share_their_counts(tmp_path):
    """33 families, one matrix: in memory, in the file, and read again."""
    tokens = tokens_of(ALL)
    trajectory = tl.learn(tl.ElmanRNN().features(tokens), labels_of(tokens, 2), steps=2)
    trajectory.save(tmp_path / "trajectory.npz")
    again = tl.load(tmp_path / "trajectory.npz")
    for features in (trajectory.features, again.features):
        assert len(features.families) == 33
        assert len({id(family.stored) for family in features.families}) == 1
        assert len({id(family.ends) for family in features.families}) == 1
    with np.load(tmp_path / "trajectory.npz") as archive:
        assert sum(name.endswith("_indices") for name in archive.files) == 1
