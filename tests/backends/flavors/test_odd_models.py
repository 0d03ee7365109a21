"""Models that were trained in ways that few are: they answer as their own library does, or are refused in words."""

from __future__ import annotations

import functools
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from everloop.backends.flavors import catboost as catboost_flavor
from everloop.backends.flavors import lightgbm as lightgbm_flavor
from everloop.backends.flavors import sklearn as sklearn_flavor
from everloop.backends.flavors import xgboost as xgboost_flavor
from everloop.kernel.errors import InvalidInput
from everloop.registry.columns import MatrixColumns, signature_of
from everloop.registry.flavor import Flavor
from everloop.registry.trees.kernel import Kernel, available

NAMES = ("a", "b", "c")
ROWS = np.random.default_rng(0).normal(size=(80, 3))
LABEL = (ROWS.sum(axis=1) > 0).astype(int)
AMOUNT = np.exp(ROWS.sum(axis=1))
COLUMNS = MatrixColumns(NAMES, ROWS)
SIGNATURE = signature_of(COLUMNS)


def again(flavor: Flavor, native: object, folder: Path) -> np.ndarray:
    """What a model says of the rows when it has been saved and loaded."""
    flavor.save(native, folder, SIGNATURE)
    return flavor.load(folder).predict(COLUMNS)


@pytest.mark.parametrize("loss", ["Tweedie:variance_power=1.5", "Poisson", "RMSEWithUncertainty", "Huber:delta=1"])
def test_a_regression_of_catboost_is_on_the_scale_of_its_loss(loss: str, tmp_path: Path) -> None:
    import catboost

    model = catboost.CatBoostRegressor(loss_function=loss, iterations=4, verbose=0, allow_writing_files=False)
    model.fit(ROWS, AMOUNT)
    assert np.array_equal(again(catboost_flavor.open_flavor(), model, tmp_path), model.predict(ROWS))


def test_catboost_s_focal_loss_gives_probabilities(tmp_path: Path) -> None:
    import catboost

    loss = "Focal:focal_alpha=0.5;focal_gamma=1"
    model = catboost.CatBoostClassifier(loss_function=loss, iterations=4, verbose=0, allow_writing_files=False)
    model.fit(ROWS, LABEL)
    assert np.array_equal(again(catboost_flavor.open_flavor(), model, tmp_path), model.predict_proba(ROWS)[:, 1])


@pytest.mark.skipif(not available(), reason="There was no C compiler.")
def test_an_objective_of_ones_own_is_compiled_to_plain_sums(tmp_path: Path) -> None:
    import lightgbm

    def squares(found: np.ndarray, data: Any) -> tuple[np.ndarray, np.ndarray]:
        return found - data.get_label(), np.ones_like(found)

    model = lightgbm.train({"objective": squares, "verbosity": -1}, lightgbm.Dataset(ROWS, AMOUNT), 4)
    flavor = lightgbm_flavor.open_flavor()
    native = again(flavor, model, tmp_path)
    table = flavor.trees(tmp_path)
    assert table is not None
    assert np.array_equal(Kernel(table)(ROWS), native)
    assert np.array_equal(native, model.predict(ROWS))


def test_a_booster_whose_training_overflowed_is_not_compiled(tmp_path: Path) -> None:
    import xgboost

    rows = np.clip(ROWS * 2e38, -3.4e38, 3.4e38)
    model = xgboost.XGBRegressor(n_estimators=3, tree_method="exact").fit(rows, LABEL)
    flavor = xgboost_flavor.open_flavor()
    assert np.array_equal(again(flavor, model, tmp_path), model.predict(ROWS).astype(np.float64))
    assert b"Infinity" in bytes(model.get_booster().save_raw("json"))
    assert flavor.trees(tmp_path) is None


def test_another_number_for_missing_values_is_refused_because_requests_would_not_know_it(tmp_path: Path) -> None:
    import xgboost

    model = xgboost.XGBClassifier(missing=-1, n_estimators=2).fit(ROWS, LABEL)
    with pytest.raises(InvalidInput, match="takes -1 for a missing value"):
        again(xgboost_flavor.open_flavor(), model, tmp_path)


def unfitted() -> list[object]:
    import catboost
    import lightgbm
    import xgboost
    from sklearn.linear_model import LogisticRegression

    return [
        (catboost_flavor.open_flavor(), catboost.CatBoostClassifier()),
        (xgboost_flavor.open_flavor(), xgboost.XGBClassifier()),
        (lightgbm_flavor.open_flavor(), lightgbm.LGBMClassifier()),
        (sklearn_flavor.open_flavor(), LogisticRegression()),
    ]


@pytest.mark.parametrize("which", range(4))
def test_a_model_that_was_never_fitted_is_refused(which: int, tmp_path: Path) -> None:
    flavor, model = unfitted()[which]  # type: ignore[misc]  # Pairs, of libraries without types.
    with pytest.raises(InvalidInput, match="fit"):
        flavor.save(model, tmp_path, SIGNATURE)


def kinds() -> dict[str, Any]:
    from sklearn import calibration, ensemble, linear_model, neural_network, tree

    parts = [("one", tree.DecisionTreeClassifier(max_depth=2)), ("other", linear_model.LogisticRegression())]
    return {
        "histograms with categories": ensemble.HistGradientBoostingClassifier(max_iter=2, categorical_features=[0]),
        "votes": ensemble.VotingClassifier(parts, voting="soft"),
        "a stack": ensemble.StackingClassifier(parts, cv=2),
        "calibrated": calibration.CalibratedClassifierCV(tree.DecisionTreeClassifier(max_depth=2), cv=2),
        "a network": neural_network.MLPClassifier((3,), max_iter=20),
        "tweedie": linear_model.TweedieRegressor(),
    }


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    "kind", ["histograms with categories", "votes", "a stack", "calibrated", "a network", "tweedie"]
)
def test_scikit_learn_s_own_estimators_need_no_trust(kind: str, tmp_path: Path) -> None:
    rows = ROWS.copy()
    rows[:, 0] = np.arange(80) % 4
    model = kinds()[kind].fit(rows, LABEL)
    flavor = sklearn_flavor.open_flavor()
    flavor.save(model, tmp_path, SIGNATURE)
    expected = model.predict_proba(rows)[:, 1] if hasattr(model, "predict_proba") else model.predict(rows)
    assert np.array_equal(flavor.load(tmp_path).predict(MatrixColumns(NAMES, rows)), expected)


def test_what_a_partial_would_call_must_be_trusted_by_itself(tmp_path: Path) -> None:
    import skops.io
    from sklearn.preprocessing import FunctionTransformer

    evil = FunctionTransformer(functools.partial(os.system, "true"))
    assert sklearn_flavor.unknown_types(skops.io.dumps(evil)) == ["posix.system"]
