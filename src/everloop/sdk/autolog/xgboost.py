"""XGBoost: `xgboost.train` and its estimators, with what each iteration measured."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any

from everloop.sdk.autolog.boosting import Library, fitted, log_values, trained
from everloop.sdk.autolog.patches import Call, Patches
from everloop.sdk.autolog.training import Training, current

_EXAMPLE = 1_000


def patch(patches: Patches) -> None:
    """Record what is trained natively, and by estimators."""
    import xgboost
    import xgboost.sklearn

    patches.wrap(xgboost, "train", _train)
    for cls in ("XGBModel", "XGBClassifier", "XGBRegressor", "XGBRanker", "XGBRFClassifier", "XGBRFRegressor"):
        patches.wrap(getattr(xgboost.sklearn, cls), "fit", _fit)
    patches.wrap(xgboost.sklearn, "train", _train)


def _fit(original: Call, arguments: tuple[Any, ...], named: Mapping[str, Any]) -> Any:
    return fitted(LIBRARY, original, arguments, named)


def _train(original: Call, arguments: tuple[Any, ...], named: Mapping[str, Any]) -> Any:
    return trained(LIBRARY, original, arguments, named)


@functools.cache
def _callback() -> Any:
    """The class of our callback, of which XGBoost's own must be the parent."""
    from xgboost.callback import TrainingCallback

    class LogIteration(TrainingCallback):
        def after_iteration(self, model: Any, epoch: int, evals_log: Mapping[str, Mapping[str, Any]]) -> bool:
            training = current()
            if isinstance(training, Training):
                last = (
                    (f"{data}-{name}", values[-1][0] if isinstance(values[-1], tuple) else values[-1])
                    for data, found in evals_log.items()
                    for name, values in found.items()
                )
                log_values(training, last, epoch)
            return False

    return LogIteration


def importances(model: Any) -> tuple[list[str], Mapping[str, list[float]]]:
    """The names of the inputs, and how much each counted: in splits and in gain, 0 where it was never used."""
    booster = model.get_booster() if hasattr(model, "get_booster") else model
    names = list(booster.feature_names or (f"f{at}" for at in range(booster.num_features())))
    found: dict[str, list[float]] = {}
    for kind in ("weight", "gain"):
        scores = booster.get_score(importance_type=kind)
        found[kind] = [float(scores.get(name, 0.0)) for name in names]
    return names, found


def shown(matrix: Any) -> Any:
    """The first rows of a matrix of XGBoost's, as columns if those have names."""
    rows = matrix.slice(range(min(matrix.num_row(), _EXAMPLE))).get_data().toarray()
    names = matrix.feature_names
    return rows if names is None else {name: rows[:, at] for at, name in enumerate(names)}


def _told(given: Mapping[str, Any]) -> tuple[dict[str, Any], Any]:
    """Parameters, and the first rows of the matrix."""
    told = {key: given.get(key) for key in ("early_stopping_rounds", "maximize")}
    told |= {"num_boost_round": given.get("num_boost_round", 10), "rows": given["dtrain"].num_row()}
    return {**(given.get("params") or {}), **told}, shown(given["dtrain"])


LIBRARY = Library("xgboost", importances, lambda: _callback()(), _told)
