"""LightGBM: `lightgbm.train` and its estimators, with what each iteration measured."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

from everloop.sdk.autolog.boosting import Boosting, fitted, log_values
from everloop.sdk.autolog.patches import Call, Patches
from everloop.sdk.autolog.training import Training, current, guarded, options_of, recorded

LIBRARY = "lightgbm"


def patch(patches: Patches) -> None:
    """Record what is trained natively, and by estimators."""
    import lightgbm
    import lightgbm.sklearn

    patches.wrap(lightgbm, "train", _train)
    for cls in ("LGBMModel", "LGBMClassifier", "LGBMRegressor", "LGBMRanker"):
        patches.wrap(getattr(lightgbm.sklearn, cls), "fit", _fit)
    patches.wrap(lightgbm.sklearn, "train", _train)


def _fit(original: Call, arguments: tuple[Any, ...], named: Mapping[str, Any]) -> Any:
    return fitted(LIBRARY, original, arguments, named, importances)


def _train(original: Call, arguments: tuple[Any, ...], named: Mapping[str, Any]) -> Any:
    around = current()
    if isinstance(around, Training) and around.library == LIBRARY:
        return original(*arguments, **_watched(named))
    if around is not None or options_of(LIBRARY) is None:
        return original(*arguments, **named)
    given: Mapping[str, Any] = {}
    data = None
    with guarded(LIBRARY):
        bound = inspect.signature(original).bind(*arguments, **named)
        bound.apply_defaults()
        given = bound.arguments
        data = _data(given["train_set"])
    parameters = {**(given.get("params") or {}), "num_boost_round": given.get("num_boost_round")}
    record = Boosting(parameters, data, importances)
    return recorded(LIBRARY, "train", lambda: original(*arguments, **_watched(named)), record)


def _watched(named: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments, with a callback of ours beside those that are there."""
    return {**named, "callbacks": [*(named.get("callbacks") or []), log_iteration]}


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


def _data(dataset: Any) -> Any:
    """What a dataset was made of, which it forgets once it is constructed; as columns with the booster's own names."""
    found = dataset.data
    return None if isinstance(found, (str, bytes)) else found
