"""LightGBM and XGBoost, recorded by themselves: natively and by their estimators."""

from __future__ import annotations

from collections.abc import Callable

import lightgbm
import numpy as np
import pandas as pd
import pytest
import xgboost
from sklearn.model_selection import GridSearchCV

import everloop as el
from everloop.sdk.platform import Everloop
from tests.sdk.autolog.conftest import only, paths

X = pd.DataFrame(np.random.default_rng(0).normal(size=(300, 3)), columns=["a", "b", "c"])
Y = (X["a"] + X["b"] > 0).astype(int)
FILES = {"feature_importance.parquet", "feature_importance.svg", "models/model/input_example.json"}


def light() -> lightgbm.Booster:
    data = lightgbm.Dataset(X, Y)
    told = {"objective": "binary", "metric": "auc", "verbose": -1, "learning_rate": 0.3}
    return lightgbm.train(told, data, 7, valid_sets=[data], valid_names=["valid"])


def extreme() -> xgboost.Booster:
    data = xgboost.DMatrix(X, Y)
    told = {"objective": "binary:logistic", "eval_metric": "auc", "learning_rate": 0.3}
    return xgboost.train(told, data, 7, evals=[(data, "valid")], verbose_eval=False)


@pytest.mark.parametrize(("library", "train"), [("lightgbm", light), ("xgboost", extreme)])
def test_native_training_has_each_iteration(ever: Everloop, library: str, train: Callable[[], object]) -> None:
    el.autolog(library)
    train()
    found = only(ever)
    assert (found.parameters["learning_rate"], found.parameters["num_boost_round"]) == ("0.3", "7")
    assert [point.step for point in ever.runs.history(found.id, "valid-auc")] == list(range(7))
    assert paths(ever, found.id) >= FILES


@pytest.mark.parametrize(
    ("library", "model", "key"),
    [
        ("lightgbm", lightgbm.LGBMClassifier(n_estimators=6, verbose=-1), "training-binary_logloss"),
        ("xgboost", xgboost.XGBClassifier(n_estimators=6), "validation_0-logloss"),
    ],
)
@pytest.mark.filterwarnings("ignore:The argument 'eval_set'")
def test_an_estimator_has_each_iteration_and_its_parameters(
    ever: Everloop, library: str, model: lightgbm.LGBMClassifier, key: str
) -> None:
    el.autolog(library)
    model.fit(X, Y, eval_set=[(X, Y)])
    found = only(ever)
    assert found.name == type(model).__name__
    assert found.parameters["n_estimators"] == "6"
    assert len(ever.runs.history(found.id, key)) == 6
    assert paths(ever, found.id) >= FILES


def test_where_it_stopped_early_is_told(ever: Everloop) -> None:
    el.autolog("xgboost", log_models=False)
    model = xgboost.XGBClassifier(n_estimators=50, early_stopping_rounds=1, learning_rate=1.0)
    model.fit(X[:200], Y[:200], eval_set=[(X[200:], Y[200:])], verbose=False)
    assert only(ever).metrics["best_iteration"] == model.best_iteration


def test_a_search_over_one_is_the_searchs_run(ever: Everloop) -> None:
    el.autolog(["sklearn", "lightgbm"], log_models=False)
    GridSearchCV(lightgbm.LGBMClassifier(verbose=-1), {"n_estimators": [2, 3]}, cv=2).fit(X, Y)
    assert sorted(found.name for found in ever.runs.search()) == ["GridSearchCV", "candidate 0", "candidate 1"]


@pytest.mark.parametrize(("library", "train"), [("lightgbm", light), ("xgboost", extreme)])
def test_the_trees_are_the_same_with_and_without(ever: Everloop, library: str, train: Callable[[], object]) -> None:
    def predicted() -> np.ndarray:
        booster: lightgbm.Booster = train()
        return np.asarray(booster.predict(X if library == "lightgbm" else xgboost.DMatrix(X)))

    plain = predicted()
    el.autolog(library)
    assert np.array_equal(predicted(), plain)
