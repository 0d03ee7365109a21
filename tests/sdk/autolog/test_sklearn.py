"""scikit-learn, recorded by itself."""

from __future__ import annotations

import inspect
import pickle
import threading
import warnings

import numpy as np
import pandas as pd
import pytest
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.cluster import KMeans
from sklearn.ensemble import GradientBoostingClassifier, RandomForestClassifier, VotingClassifier
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import everloop as el
from everloop.sdk.autolog import results
from everloop.sdk.platform import Everloop
from everloop.sdk.recording.warn import TrackingWarning
from tests.sdk.autolog.conftest import only, paths

X = np.random.default_rng(0).normal(size=(300, 4))
Y = (X[:, 0] + X[:, 1] > 0).astype(int)


def test_a_fit_is_a_run_with_parameters_scores_data_and_the_model(ever: Everloop) -> None:
    el.autolog("sklearn", experiment="trial")
    LogisticRegression(C=0.5).fit(X, Y)
    found = only(ever)
    assert (found.name, found.experiment, found.status) == ("LogisticRegression", "trial", "finished")
    assert found.parameters["C"] == "0.5"
    assert 0.9 < found.metrics["training_accuracy_score"] <= 1
    assert {"training_log_loss", "training_roc_auc", "training_f1_score"} <= found.metrics.keys()
    assert len(found.inputs) == 1
    assert {"models/model/model.skops", "models/model/input_example.json"} <= paths(ever, found.id)


def test_it_goes_to_the_run_that_is_open_and_later_ones_become_its_children(ever: Everloop) -> None:
    el.autolog("sklearn", log_models=False)
    with el.run("trial", platform=ever) as run:
        LogisticRegression(C=0.5).fit(X, Y)
        LogisticRegression(C=2.0).fit(X, Y)
    assert ever.runs.get(run.id).parameters["C"] == "0.5"
    child = next(found for found in ever.runs.search() if found.parent == run.id)
    assert (child.parameters["C"], child.experiment) == ("2.0", "trial")


@pytest.mark.parametrize(
    "model",
    [
        make_pipeline(StandardScaler(), LogisticRegression()),
        VotingClassifier([("a", LogisticRegression()), ("b", RandomForestClassifier(3))]),
        GradientBoostingClassifier(n_estimators=3),
        RandomForestClassifier(3, n_jobs=2),
    ],
)
def test_what_is_fitted_inside_of_a_fit_is_no_run(ever: Everloop, model: BaseEstimator) -> None:
    el.autolog("sklearn", log_models=False)
    clone(model).fit(X, Y)
    assert only(ever).name == type(model).__name__


def test_parameters_of_parts_are_there(ever: Everloop) -> None:
    el.autolog("sklearn", log_models=False)
    make_pipeline(StandardScaler(), LogisticRegression(C=3.0)).fit(X, Y)
    assert only(ever).parameters["logisticregression__C"] == "3.0"
    assert "estimator.html" in paths(ever, only(ever).id)


def test_a_transformer_alone_is_no_run(ever: Everloop) -> None:
    el.autolog("sklearn")
    StandardScaler().fit(X)
    assert ever.runs.search() == []


def test_a_regression_and_a_clustering_have_scores_of_their_own(ever: Everloop) -> None:
    el.autolog("sklearn", log_models=False)
    Ridge().fit(X, X[:, 0] * 2)
    KMeans(2, n_init=1).fit(X)
    found = {run.name: run for run in ever.runs.search()}
    line, clusters = found["Ridge"], found["KMeans"]
    assert line.metrics["training_r2_score"] > 0.99
    assert {"training_root_mean_squared_error", "training_mean_absolute_error"} <= line.metrics.keys()
    assert clusters.metrics["training_inertia"] > 0


def test_a_search_has_what_it_tried_as_children_and_as_a_table(ever: Everloop) -> None:
    el.autolog("sklearn", log_models=False)
    search = GridSearchCV(LogisticRegression(), {"C": [0.1, 1.0, 10.0]}, cv=3).fit(X, Y)
    runs = ever.runs.search()
    parent = next(found for found in runs if not found.parent)
    children = [found for found in runs if found.parent == parent.id]
    assert sorted(child.parameters["C"] for child in children) == ["0.1", "1.0", "10.0"]
    assert parent.metrics["best_cv_score"] == pytest.approx(search.best_score_)
    assert parent.parameters["best_C"] == str(search.best_params_["C"])
    assert max(child.metrics["mean_test_score"] for child in children) == pytest.approx(search.best_score_)
    assert "cv_results.parquet" in paths(ever, parent.id)


def test_scores_of_predictions_are_logged_under_the_name_of_their_data(ever: Everloop) -> None:
    el.autolog("sklearn", log_models=False)
    from sklearn import metrics

    X_test, y_test = X[:100], Y[:100]
    with el.run(platform=ever) as run:
        model = make_pipeline(StandardScaler(), LogisticRegression()).fit(X, Y)
        accuracy = metrics.accuracy_score(y_test, model.predict(X_test))
        area = metrics.roc_auc_score(y_test, model.predict_proba(X_test)[:, 1])
        model.score(X_test, y_test)
        metrics.accuracy_score(y_test, y_test)
    found = ever.runs.get(run.id).metrics
    assert (found["accuracy_score_X_test"], found["roc_auc_score_X_test"]) == (accuracy, area)
    assert found["Pipeline_score_X_test"] == accuracy
    assert len([key for key in found if not key.startswith("training_")]) == 3


def test_scores_of_a_run_that_has_ended_still_arrive(ever: Everloop) -> None:
    el.autolog("sklearn", log_models=False)
    from sklearn.metrics import accuracy_score

    model = LogisticRegression().fit(X, Y)
    value = accuracy_score(Y, model.predict(X))
    assert only(ever).metrics["accuracy_score_X"] == value
    assert only(ever).status == "finished"


def test_a_frame_with_texts_and_an_estimator_that_errs_are_no_harm(ever: Everloop) -> None:
    el.autolog("sklearn")
    with pytest.raises(ValueError, match="could not convert"):
        LogisticRegression().fit(pd.DataFrame({"a": ["x", "y"]}), [0, 1])
    assert only(ever).status == "failed"


def test_an_error_of_ours_is_told_once_and_the_fit_goes_on(ever: Everloop, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError("ours")

    monkeypatch.setattr(results, "shown", broken)
    el.autolog("sklearn")
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        models = [LogisticRegression().fit(X, Y) for _ in range(2)]
    assert all(hasattr(model, "coef_") for model in models)
    assert [str(each.message) for each in told if each.category is TrackingWarning] == [
        "A part of what sklearn did is not recorded: ours"
    ]


def test_classes_of_the_user_are_recorded_also_those_that_are_made_later(ever: Everloop) -> None:
    el.autolog("sklearn", log_models=False)

    class Constant(ClassifierMixin, BaseEstimator):
        def fit(self, X: np.ndarray, y: np.ndarray) -> Constant:
            self.classes_ = np.unique(y)
            return self

        def predict(self, X: np.ndarray) -> np.ndarray:
            return np.zeros(len(X), dtype=int)

    Constant().fit(X, Y)
    assert only(ever).name == "Constant"
    assert only(ever).metrics["training_accuracy_score"] == pytest.approx((Y == 0).mean())


def test_disabled_everything_is_as_it_was(ever: Everloop) -> None:
    before = (LogisticRegression.fit, LogisticRegression.predict_proba, dict(vars(BaseEstimator)))
    el.autolog("sklearn")
    assert LogisticRegression.fit is not before[0]
    assert inspect.signature(LogisticRegression.fit) == inspect.signature(before[0])
    el.autolog(disable=True)
    assert (LogisticRegression.fit, LogisticRegression.predict_proba, dict(vars(BaseEstimator))) == before
    LogisticRegression().fit(X, Y)
    assert ever.runs.search() == []


def test_each_of_several_threads_has_its_own_run(ever: Everloop, platform: object) -> None:
    el.autolog("sklearn", log_models=False)

    def train(c: float) -> None:
        with el.run("threads", platform=ever):
            LogisticRegression(C=c).fit(X, Y)

    threads = [threading.Thread(target=train, args=(float(c),)) for c in (1, 2, 3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(found.parameters["C"] for found in ever.runs.search()) == ["1.0", "2.0", "3.0"]


def test_a_model_that_was_recorded_can_be_pickled_and_predicts_the_same(ever: Everloop) -> None:
    plain = LogisticRegression().fit(X, Y).predict_proba(X)
    el.autolog("sklearn")
    model = LogisticRegression().fit(X, Y)
    assert np.array_equal(model.predict_proba(X), plain)
    assert np.array_equal(pickle.loads(pickle.dumps(model)).predict_proba(X), plain)
