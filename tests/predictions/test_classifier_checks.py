"""NTKClassifier keeps scikit-learn's contract: its estimator checks, clones, pipelines and grid searches."""

import warnings
from pathlib import Path

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.exceptions import DataConversionWarning, NotFittedError, SkipTestWarning
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer
from sklearn.utils import estimator_checks, get_tags
from sklearn.utils.validation import validate_data

import tangentlens as tl
from tangentlens.errors import DataError, ShapeError

SST = Path(__file__).parents[3] / "shared" / "data" / "sst" / "train.csv"

# Checks without data run on NTKClassifier itself. All others want a matrix of numbers, so the whole battery runs on
# OnNumbers, which spells numbers as texts: its checks of matrices (shape, dtype, missing values) say nothing about
# NTKClassifier, those of labels, fitting, predicting and parameters do.
WITHOUT_DATA = (
    "check_do_not_raise_errors_in_init_or_set_params", "check_estimator_cloneable", "check_estimator_repr",
    "check_estimator_tags_renamed", "check_get_params_invariance", "check_mixin_order",
    "check_no_attributes_set_in_init", "check_parameters_default_constructible", "check_set_params",
    "check_valid_tag_types",
)
ON_TEXTS = (
    "check_classifiers_classes", "check_classifiers_one_label", "check_classifiers_regression_target",
    "check_classifiers_train", "check_decision_proba_consistency", "check_dict_unchanged",
    "check_dont_overwrite_parameters", "check_estimators_fit_returns_self", "check_estimators_overwrite_params",
    "check_estimators_pickle", "check_estimators_unfitted", "check_fit_check_is_fitted", "check_fit_idempotent",
    "check_fit_score_takes_y", "check_methods_sample_order_invariance", "check_methods_subset_invariance",
    "check_pipeline_consistency", "check_requires_y_none", "check_supervised_y_2d",
)
EXPECTED_TO_FAIL = {"check_fit2d_1sample": 'its words are "all 1 labels are 1; learning needs at least two classes"'}


class OnNumbers(tl.NTKClassifier):
    """The same classifier on rows of numbers, spelt as texts: [0.2, 3.1] becomes "a0 b3"."""

    def fit(self, X, y):
        return super().fit(spelt(validate_data(self, X)), y)

    def decision_function(self, X):
        return super().decision_function(spelt(validate_data(self, X, reset=False)))

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.string, tags.input_tags.two_d_array = False, True
        return tags


def spelt(rows):
    return [" ".join(f"{chr(97 + column)}{value:.0f}" for column, value in enumerate(row)) for row in rows]


@pytest.mark.parametrize("name", WITHOUT_DATA)
def test_checks_without_data(name):
    getattr(estimator_checks, name)("NTKClassifier", tl.NTKClassifier())


def named(check):
    return getattr(check, "func", check).__name__


def battery():
    """Every check but that of array API inputs, which skips itself: texts are never arrays of that kind."""
    checks = [check for _, check in estimator_checks.estimator_checks_generator(OnNumbers(time=100.0))
              if named(check) != "check_array_api_input"]
    return [pytest.param(check, id=f"{number}-{named(check)}", marks=marks(named(check)))
            for number, check in enumerate(checks)]


def marks(name):
    return [pytest.mark.xfail(reason=EXPECTED_TO_FAIL[name], strict=True)] if name in EXPECTED_TO_FAIL else []


@pytest.mark.parametrize("check", battery())
def test_the_whole_battery(check):
    check(OnNumbers(time=100.0))


def test_the_battery_is_large():
    names = {named(check.values[0]) for check in battery()}
    assert names >= set(ON_TEXTS)
    assert len(names | set(WITHOUT_DATA)) >= 45


def test_tags():
    tags = get_tags(tl.NTKClassifier())
    assert tags.estimator_type == "classifier"
    assert tags.target_tags.required
    assert tags.classifier_tags.multi_class
    assert not tags.classifier_tags.multi_label
    assert tags.input_tags.string
    assert not any(getattr(tags.input_tags, kind) for kind in ("one_d_array", "two_d_array", "sparse", "dict"))
    with pytest.warns(SkipTestWarning, match="string=True"):  # scikit-learn does not offer it matrices
        assert len(list(estimator_checks.estimator_checks_generator(tl.NTKClassifier()))) < 3


def test_labels_of_other_kinds():
    texts, labels = ["good film", "bad film"] * 5, ["+", "-"] * 5
    flat = tl.NTKClassifier(time=10.0).fit(texts, labels)
    with pytest.warns(DataConversionWarning, match="column-vector"):
        column = tl.NTKClassifier(time=10.0).fit(texts, np.array(labels)[:, None])
    assert (column.decision_function(texts) == flat.decision_function(texts)).all()
    with pytest.raises(DataError, match="requires y to be passed, but the target y is None; give one label"):
        tl.NTKClassifier().fit(texts, None)
    with pytest.raises(DataError, match="Unknown label type: continuous"):
        tl.NTKClassifier().fit(texts, np.linspace(0, 1, 10))
    with pytest.raises(ShapeError, match=r"10 texts need as many labels, not the shape \(10, 2\)"):
        tl.NTKClassifier().fit(texts, np.zeros((10, 2)))
    assert tl.NTKClassifier(time=10.0).fit(texts, [1.0, 0.0] * 5).predict(["good"]).tolist() == [1.0]


def test_clones_are_unfitted_and_equal():
    texts = tl.small_reviews()
    fitted = tl.NTKClassifier(tl.CNN(kernel_size=2), time=100.0, min_count=2).fit(texts.texts, texts.labels)
    copy = clone(fitted)
    assert copy.get_params() == fitted.get_params()
    with pytest.raises(NotFittedError):
        copy.predict(["good"])
    copy.fit(texts.texts, texts.labels)
    assert (copy.decision_function(texts.texts) == fitted.decision_function(texts.texts)).all()


@pytest.mark.parametrize("container", [list, tuple, np.array])
def test_a_pipeline(container):
    texts = tl.small_reviews()
    loud = container([text.upper() for text in texts.texts])
    lower = FunctionTransformer(lambda column: [str(text).lower() for text in column])
    pipeline = make_pipeline(lower, tl.NTKClassifier(time=100.0)).fit(loud, texts.labels)
    plain = tl.NTKClassifier(time=100.0).fit([text.lower() for text in texts.texts], texts.labels)
    assert (pipeline.predict_proba(loud) == plain.predict_proba([text.lower() for text in texts.texts])).all()
    pipeline.set_params(ntkclassifier__architecture=tl.LinearRNN())
    assert cross_val_score(pipeline, list(loud), texts.labels, cv=3).min() > 0.6


@pytest.mark.skipif(not SST.exists(), reason=f"the Stanford Sentiment Treebank is not at {SST}")
def test_a_grid_search_over_architectures_on_sst():
    texts = tl.read_texts(SST).sample(1500)
    architectures = [tl.MLP(), tl.CNN(), tl.LinearRNN()]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        search = GridSearchCV(tl.NTKClassifier(tolerance=1e-2), {"architecture": architectures}, cv=2)
        search.fit(texts.texts, texts.labels)
    scores = search.cv_results_["mean_test_score"]
    assert scores.shape == (3,)
    assert scores.min() > 0.6
    assert search.best_params_["architecture"] == architectures[int(scores.argmax())]
    assert search.predict(["a very good film", "a very bad movie"]).tolist() == [1, 0]
    assert set(search.best_estimator_.label_scores_["class"]) == {1}
