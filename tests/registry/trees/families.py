"""Small models of every family of trees: how each is trained, read into a table, and asked by its own library."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from everloop.backends.flavors import trees_catboost, trees_lightgbm, trees_sklearn, trees_xgboost
from everloop.registry.trees.table import TreeTable

FEATURES = 4
CATEGORICAL = 3
NAMES = [f"f{place}" for place in range(FEATURES)]
Rows = np.ndarray


class Family(NamedTuple):
    """A library's model of rows and labels (of so many classes; 1 for numbers): its table, and its own scores."""

    train: Callable[[Rows, np.ndarray, int], tuple[TreeTable | None, Callable[[Rows], np.ndarray]]]
    missing: bool = True
    categories: bool = False


def _sklearn(name: str, **settings: Any) -> Family:
    def train(rows: Rows, label: np.ndarray, classes: int) -> Any:
        from sklearn import ensemble, tree

        full = name + ("Classifier" if classes > 1 else "Regressor")
        kind = getattr(ensemble, full, None) or getattr(tree, full)
        model = kind(random_state=0, **settings).fit(rows, label)
        return trees_sklearn.trees_of(model, NAMES), lambda rows: _scores(model, rows)

    return Family(
        train,
        missing=name != "GradientBoosting",
        categories="categorical_features" in settings,
    )


def _scores(model: Any, rows: Rows) -> np.ndarray:
    if not hasattr(model, "predict_proba"):
        return np.asarray(model.predict(rows), np.float64)
    found = np.asarray(model.predict_proba(rows), np.float64)
    return found[:, 1] if found.shape[1] == 2 else found


def _lightgbm(**settings: Any) -> Family:
    def train(rows: Rows, label: np.ndarray, classes: int) -> Any:
        import lightgbm

        task = {1: "regression", 2: "binary"}.get(classes, "multiclass")
        fixed = {"objective": task, "verbosity": -1, "num_threads": 1, "num_leaves": 6, "min_data_in_leaf": 2}
        fixed |= {"num_class": classes} if classes > 2 else {}
        fixed |= {"min_data_per_group": 1, "cat_smooth": 1.0, "max_cat_to_onehot": 2}
        data = lightgbm.Dataset(rows, label, categorical_feature=[CATEGORICAL])
        model = lightgbm.train(fixed | settings, data, 5)
        return trees_lightgbm.trees_of(model.model_to_string()), lambda rows: model.predict(rows, num_threads=1)

    return Family(train, categories=True)


def _xgboost(**settings: Any) -> Family:
    def train(rows: Rows, label: np.ndarray, classes: int) -> Any:
        import xgboost

        task = {1: "reg:squarederror", 2: "binary:logistic"}.get(classes, "multi:softprob")
        fixed = {"objective": task, "nthread": 1, "max_depth": 3, "min_child_weight": 0}
        fixed |= {"num_class": classes} if classes > 2 else {}
        kinds = ["c" if place == CATEGORICAL else "q" for place in range(FEATURES)]
        data = xgboost.DMatrix(rows, label, feature_types=kinds, enable_categorical=True)
        model = xgboost.train(fixed | settings, data, 5)
        return trees_xgboost.trees_of(model), lambda rows: model.inplace_predict(rows).astype(np.float64)

    return Family(train, categories=True)


def _catboost(**settings: Any) -> Family:
    def train(rows: Rows, label: np.ndarray, classes: int) -> Any:
        import catboost

        kind = catboost.CatBoostClassifier if classes > 1 else catboost.CatBoostRegressor
        fixed = {"iterations": 5, "depth": 3, "verbose": 0, "thread_count": 1, "allow_writing_files": False}
        model = kind(**fixed, **settings).fit(rows, label)
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "model.json"
            model.save_model(str(path), format="json")
            return trees_catboost.trees_of(json.loads(path.read_text())), lambda rows: _scores(model, rows)

    return Family(train)


FAMILIES = {
    "histograms": _sklearn("HistGradientBoosting", max_iter=5, min_samples_leaf=2),
    "histograms with categories": _sklearn(
        "HistGradientBoosting", max_iter=5, min_samples_leaf=2, categorical_features=[CATEGORICAL]
    ),
    "forest": _sklearn("RandomForest", n_estimators=5),
    "extra trees": _sklearn("ExtraTrees", n_estimators=5),
    "gradient boosting": _sklearn("GradientBoosting", n_estimators=5),
    "decision tree": _sklearn("DecisionTree"),
    "lightgbm": _lightgbm(),
    "lightgbm, averaged": _lightgbm(boosting="rf", bagging_freq=1, bagging_fraction=0.7),
    "xgboost": _xgboost(),
    "xgboost, parallel": _xgboost(num_parallel_tree=3, subsample=0.7),
    "catboost": _catboost(),
    "catboost, lossguide": _catboost(grow_policy="Lossguide"),
    "catboost, missing high": _catboost(nan_mode="Max"),
}
