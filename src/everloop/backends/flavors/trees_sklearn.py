"""scikit-learn's ensembles of trees as a table.

Its forests and its older gradient boosting round what they are given to float32; histogram gradient boosting does not.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from everloop.registry.trees.growth import MAX_CATEGORIES, CategoricalSplit, Tree, grown
from everloop.registry.trees.table import LARGEST_FLOAT32, Arithmetic, Link

if TYPE_CHECKING:
    from everloop.registry.trees.table import TreeTable

_FORESTS = (
    "RandomForestClassifier",
    "RandomForestRegressor",
    "ExtraTreesClassifier",
    "ExtraTreesRegressor",
)
_SINGLE = ("DecisionTreeClassifier", "DecisionTreeRegressor", "ExtraTreeClassifier", "ExtraTreeRegressor")
_BOOSTED = ("GradientBoostingClassifier", "GradientBoostingRegressor")
_HISTOGRAMS = ("HistGradientBoostingClassifier", "HistGradientBoostingRegressor")
_LINKS: dict[str, Link] = {
    "HalfSquaredError": "identity",
    "AbsoluteError": "identity",
    "PinballLoss": "identity",
    "HuberLoss": "identity",
    "HalfPoissonLoss": "exp",
    "HalfGammaLoss": "exp",
    "HalfBinomialLoss": "sigmoid",
    "ExponentialLoss": "sigmoid",
    "HalfMultinomialLoss": "softmax",
}


def trees_of(estimator: Any, names: Sequence[str]) -> TreeTable | None:
    """The table of a fitted estimator that is asked for inputs of these names; None when it is no known ensemble.

    (`Any`: scikit-learn is untyped.)
    """
    kind = type(estimator).__name__
    if type(estimator).__module__.partition(".")[0] != "sklearn" or not names:
        return None
    places = _places(estimator, names)
    if kind in _HISTOGRAMS:
        return _histograms(estimator, places)
    if kind in _BOOSTED:
        return _boosted(estimator, places)
    if kind in _FORESTS or kind in _SINGLE:
        return _forest(estimator, places)
    return None


def _places(estimator: Any, names: Sequence[str]) -> np.ndarray:
    """At which input each of the estimator's features stands."""
    own = getattr(estimator, "feature_names_in_", names)
    at = {name: place for place, name in enumerate(names)}
    return np.array([at[str(name)] for name in own], np.int64)


def _forest(estimator: Any, places: np.ndarray) -> TreeTable | None:
    single = type(estimator).__name__ in _SINGLE
    members = [estimator] if single else estimator.estimators_
    classes = getattr(estimator, "classes_", None)
    if estimator.n_outputs_ > 1 and classes is not None:
        return None
    first = members[0].tree_.value[:, :, 0] if classes is None else members[0].tree_.value[:, 0, :]
    # With two classes the score is the second one's share.
    column = 0 if first.shape[1] == 1 else 1 if classes is not None and len(classes) == 2 else None
    trees = [_tree(member.tree_, places, _shares(member.tree_, classes is not None, column)) for member in members]
    width = first.shape[1] if column is None else 1
    missing = bool(members[0]._support_missing_values(np.zeros((1, 1))))
    how = _of_float32(missing, "identity", divisor=float(len(trees)))
    return grown(trees, len(places), [0.0] * width, how)


def _shares(tree: Any, classes: bool, column: int | None) -> np.ndarray:
    values = tree.value[:, 0, :] if classes else tree.value[:, :, 0]
    return np.asarray(values if column is None else values[:, column], np.float64)


def _boosted(estimator: Any, places: np.ndarray) -> TreeTable | None:
    link = _LINKS.get(type(estimator._loss).__name__)
    init = estimator.init_
    if link is None or not (isinstance(init, str) or type(init).__name__ in ("DummyClassifier", "DummyRegressor")):
        return None
    base = np.asarray(estimator._raw_predict_init(np.zeros((1, len(places)), np.float32)), np.float64)[0]
    trees = [
        _tree(member.tree_, places, estimator.learning_rate * member.tree_.value[:, 0, 0], output)
        for stage in estimator.estimators_
        for output, member in enumerate(stage)
    ]
    slope = 2.0 if type(estimator._loss).__name__ == "ExponentialLoss" else 1.0
    return grown(trees, len(places), base.tolist(), _of_float32(False, link, slope=slope))


def _of_float32(missing: bool, link: Link, *, slope: float = 1.0, divisor: float = 1.0) -> Arithmetic:
    return Arithmetic(
        link=link, slope=slope, divisor=divisor, float32_inputs=True, largest=LARGEST_FLOAT32, missing=missing
    )


def _tree(tree: Any, places: np.ndarray, value: np.ndarray, output: int = 0) -> Tree:
    inner = tree.children_left >= 0
    return Tree(
        np.where(inner, places[np.where(inner, tree.feature, 0)], -1),
        np.asarray(tree.threshold, np.float64),
        np.asarray(tree.children_left, np.int64),
        np.asarray(tree.children_right, np.int64),
        np.asarray(tree.missing_go_to_left, bool),
        value,
        output,
    )


def _histograms(estimator: Any, places: np.ndarray) -> TreeTable | None:
    link = _LINKS.get(type(estimator._loss).__name__)
    categorical = getattr(estimator, "is_categorical_", None)
    codes: list[np.ndarray] = []
    if categorical is not None and np.any(categorical):
        # Its encoder puts the categorical features first, and gives them codes.
        found = _encoded(estimator)
        if found is None:
            return None
        codes = found
        places = np.concatenate([places[categorical], places[~categorical]])
    if link is None:
        return None
    trees = [
        _histogram(predictor, places, codes, output)
        for stage in estimator._predictors
        for output, predictor in enumerate(stage)
    ]
    base = np.asarray(estimator._baseline_prediction, np.float64).reshape(-1)
    return grown(trees, len(places), base.tolist(), Arithmetic(link=link))


def _encoded(estimator: Any) -> list[np.ndarray] | None:
    """The number that each code of each categorical feature stands for; None when they are no small whole numbers."""
    found = []
    for values in estimator._preprocessor.named_transformers_["encoder"].categories_:
        if values.dtype.kind not in "fiu":
            return None
        numbers = np.asarray(values, np.float64)
        known = numbers[~np.isnan(numbers)]
        if (known != np.trunc(known)).any() or (known < 0).any() or (known >= MAX_CATEGORIES).any():
            return None
        found.append(known.astype(np.int64))
    return found


def _histogram(predictor: Any, places: np.ndarray, codes: Sequence[np.ndarray], output: int) -> Tree:
    nodes = predictor.nodes
    inner = nodes["is_leaf"] == 0
    splits = {}
    for at in np.flatnonzero(inner & (nodes["is_categorical"] != 0)):
        node = nodes[at]
        numbers = codes[int(node["feature_idx"])]
        left = _members(predictor.raw_left_cat_bitsets[int(node["bitset_idx"])], len(numbers))
        splits[int(at)] = CategoricalSplit(
            numbers[left].tolist(), numbers[~left].tolist(), unknown_left=bool(node["missing_go_to_left"])
        )
    return Tree(
        np.where(inner, places[np.where(inner, nodes["feature_idx"], 0)], -1),
        nodes["num_threshold"].astype(np.float64),
        nodes["left"].astype(np.int64),
        nodes["right"].astype(np.int64),
        nodes["missing_go_to_left"] != 0,
        nodes["value"].astype(np.float64),
        output,
        splits,
    )


def _members(words: np.ndarray, count: int) -> np.ndarray:
    codes = np.arange(count)
    return np.asarray((words[codes // 32] >> (codes % 32).astype(words.dtype)) & 1, bool)
