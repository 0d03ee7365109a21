"""LightGBM: `lightgbm.train` and its estimators, with what each iteration measured."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from everloop.sdk.autolog.boosting import Library, fitted, log_values, trained
from everloop.sdk.autolog.patches import Call, Patches
from everloop.sdk.autolog.training import Training, current


def patch(patches: Patches) -> None:
    """Record what is trained natively, and by estimators."""
    import lightgbm
    import lightgbm.sklearn

    patches.wrap(lightgbm, "train", _train)
    for cls in ("LGBMModel", "LGBMClassifier", "LGBMRegressor", "LGBMRanker"):
        patches.wrap(getattr(lightgbm.sklearn, cls), "fit", _fit)
    patches.wrap(lightgbm.sklearn, "train", _train)


def _fit(original: Call, arguments: tuple[Any, ...], named: Mapping[str, Any]) -> Any:
    return fitted(LIBRARY, original, arguments, named)


def _train(original: Call, arguments: tuple[Any, ...], named: Mapping[str, Any]) -> Any:
    return trained(LIBRARY, original, arguments, named)


def log_iteration(environment: Any) -> None:
    """LightGBM's callback after each iteration."""
    training = current()
    if isinstance(training, Training):
        found = environment.evaluation_result_list or []
        log_values(training, ((f"{each[0]}-{each[1]}", each[2]) for each in found), environment.iteration)


log_iteration.order = 5  # type: ignore[attr-defined]  # Before early stopping (30), which ends the training.


def importances(model: Any) -> tuple[list[str], Mapping[str, list[float]]]:
    """The names of the inputs, and how much each counted, in splits and in gain."""
    booster = getattr(model, "booster_", model)
    return booster.feature_name(), {kind: booster.feature_importance(kind).tolist() for kind in ("split", "gain")}


def _told(given: Mapping[str, Any]) -> tuple[dict[str, Any], Any]:
    """Parameters, and what the dataset was made of, which it forgets once it is constructed."""
    parameters = {**(given.get("params") or {}), "num_boost_round": given.get("num_boost_round", 100)}
    data = given["train_set"].data
    return parameters, None if isinstance(data, (str, bytes)) else data


LIBRARY = Library("lightgbm", importances, lambda: log_iteration, _told)
