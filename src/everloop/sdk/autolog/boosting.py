"""What the libraries of boosted trees have in common: values of each iteration, importances, the best iteration."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from everloop.sdk.autolog import training as trainings
from everloop.sdk.autolog.inputs import log_data
from everloop.sdk.autolog.patches import Call
from everloop.sdk.autolog.results import keep_importances, keep_model
from everloop.sdk.autolog.training import Training, current, guarded, options_of, recorded

Importances = Callable[[Any], tuple[list[str], Mapping[str, list[float]]]]


@dataclass(frozen=True)
class Library:
    """What differs between them."""

    name: str
    importances: Importances
    callback: Callable[[], Any]
    """Makes the callback that logs each iteration."""
    told: Callable[[Mapping[str, Any]], tuple[dict[str, Any], Any]]
    """The parameters and the data among the arguments of its `train`."""


class Boosting:
    """What is said of one training of boosted trees: by the native function or by an estimator's `fit`."""

    def __init__(self, parameters: Mapping[str, object], data: Any, importances: Importances) -> None:
        self._parameters = parameters
        self._data = data
        self._importances = importances

    def before(self, training: Training) -> None:
        """Parameters and the data."""
        training.run.set_tag("autolog", training.library)
        trainings.log_parameters(training.run, self._parameters)
        with guarded(training.library):
            if self._data is not None:
                log_data(training, self._data)

    def after(self, training: Training, result: object, seconds: float) -> None:
        """The best iteration, importances and the model."""
        with guarded(training.library):
            best = best_iteration(result)
            if best is not None:
                training.run.log_metric("best_iteration", best)
        with guarded(training.library):
            keep_importances(training, *self._importances(result))
        if self._data is not None:
            keep_model(training, result, self._data)


def best_iteration(model: Any) -> int | None:
    """Where a training that stopped early was best; nothing if it did not."""
    for name in ("best_iteration_", "best_iteration"):
        try:
            found = getattr(model, name, None)
        except AttributeError:  # scikit-learn's doors tell so that there was no early stopping.
            continue
        if found is not None and found > 0:
            return int(found)
    return None


def fitted(library: Library, original: Call, arguments: tuple[Any, ...], named: Mapping[str, Any]) -> Any:
    """What an estimator's `fit` gives, recorded."""
    if options_of(library.name) is None or current() is not None:
        return original(*arguments, **named)
    estimator = arguments[0]
    data = arguments[1] if len(arguments) > 1 else named.get("X")
    record = Boosting(estimator.get_params(), data, library.importances)
    return recorded(library.name, type(estimator).__name__, lambda: original(*arguments, **named), record)


def trained(library: Library, original: Call, arguments: tuple[Any, ...], named: Mapping[str, Any]) -> Any:
    """What a library's own `train` gives, recorded; inside of an estimator's `fit` it only logs the iterations."""
    around = current()
    inside = isinstance(around, Training) and around.library == library.name
    if options_of(library.name) is None or (around is not None and not inside):
        return original(*arguments, **named)
    try:
        bound = inspect.signature(original).bind(*arguments, **named)
    except TypeError:  # The library says itself what is wrong.
        return original(*arguments, **named)
    parameters: dict[str, Any] = {}
    data = None
    with guarded(library.name):
        if not inside:
            parameters, data = library.told(bound.arguments)
        bound.arguments["callbacks"] = [*(bound.arguments.get("callbacks") or []), library.callback()]
    if inside:
        return original(*bound.args, **bound.kwargs)
    record = Boosting(parameters, data, library.importances)
    return recorded(library.name, "train", lambda: original(*bound.args, **bound.kwargs), record)


def log_values(training: Training, values: Iterable[tuple[str, float]], iteration: int) -> None:
    """Log what was measured after an iteration."""
    with guarded(training.library):
        for key, value in values:
            training.run.log_metric(key, float(value), iteration)
