"""Scores that code computes of predictions: logged to the run of the model that made them."""

from __future__ import annotations

import inspect
import sys
import threading
from collections.abc import Mapping
from typing import Any
from weakref import WeakKeyDictionary, ref

from everloop.sdk.autolog import training as trainings
from everloop.sdk.autolog.patches import Call, Patches
from everloop.sdk.autolog.training import PART, guarded, options_of, within
from everloop.sdk.recording.run import Run
from everloop.sdk.recording.start import run as record

LIBRARY = "sklearn"
_MOST = 256
_models: WeakKeyDictionary[Any, Run] = WeakKeyDictionary()
_predictions: dict[int, tuple[ref[Any], Run, str]] = {}
"""Of each array that a model gave (by its address): itself, the model's run, and what the data was called."""
_told: WeakKeyDictionary[Run, dict[str, int]] = WeakKeyDictionary()
_lock = threading.Lock()


def patch(patches: Patches) -> None:
    """Watch every function of sklearn.metrics that compares truth with predictions."""
    import sklearn.metrics

    for name in sklearn.metrics.__all__:
        function = getattr(sklearn.metrics, name)
        if not inspect.isfunction(function):
            continue
        if {"y_true", "y_pred", "y_score", "y_proba"} & inspect.signature(function).parameters.keys():
            patches.wrap(sklearn.metrics, name, _measure)


def trained(model: Any, run: Run) -> None:
    """Remember which run a model came out of."""
    _models[model] = run


def remember(model: Any, data: Any, predicted: Any) -> None:
    """Remember what a model has predicted, as long as the array lives."""
    run = _models.get(model)
    if run is None or not hasattr(predicted, "__array__"):
        return
    with _lock:
        if len(_predictions) >= _MOST:
            for key in [key for key, (alive, _, _) in _predictions.items() if alive() is None]:
                del _predictions[key]
        if len(_predictions) < _MOST:
            _predictions[id(predicted)] = (ref(predicted), run, _called(data))


def log_score(model: Any, data: Any, value: Any) -> None:
    """Log what `model.score(data, …)` gave."""
    run = _models.get(model)
    if run is not None:
        _log(run, f"{type(model).__name__}_score", _called(data), value)


def _measure(original: Call, arguments: tuple[Any, ...], named: Mapping[str, Any]) -> Any:
    if options_of(LIBRARY) is None or trainings.current() is not None:
        return original(*arguments, **named)
    with within(PART):  # Functions of metrics call each other.
        value = original(*arguments, **named)
    with guarded(LIBRARY):
        for given in (*arguments[:2], *named.values()):
            known = _origin(given)
            if known is not None:
                _log(known[0], original.__name__, known[1], value)
                break
    return value


def _origin(array: Any) -> tuple[Run, str] | None:
    """The run whose model predicted an array, or an array that this is a part of (a column of probabilities)."""
    for candidate in (array, getattr(array, "base", None)):
        known = _predictions.get(id(candidate))
        if known is not None and known[0]() is candidate:
            return known[1], known[2]
    return None


def _log(run: Run, name: str, data: str, value: Any) -> None:
    if not isinstance(value, (int, float)) and not (hasattr(value, "dtype") and value.ndim == 0):
        return
    with _lock:
        counts = _told.setdefault(run, {})
        key = f"{name}_{data}" if data else name
        counts[key] = counts.get(key, 0) + 1
        key = key if counts[key] == 1 else f"{key}-{counts[key]}"
    if not run.has_ended:
        run.log_metric(key, float(value))
    elif run.place.open is not None:
        with record(resume=run.id) as again:
            again.log_metric(key, float(value))


def _called(data: Any) -> str:
    """What the caller's code calls an object, as far as its own names tell."""
    frame = sys._getframe(1)
    while frame is not None and (frame.f_globals.get("__name__") or "").startswith(("everloop.", "sklearn.")):
        frame = frame.f_back  # type: ignore[assignment]  # The outermost frame has none, which ends the loop.
    if frame is None or data is None:
        return ""
    known = [*frame.f_locals.items(), *frame.f_globals.items()]
    return next((name for name, value in known if value is data and name.isidentifier()), "")
