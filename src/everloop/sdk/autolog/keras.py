"""Keras 3: `Model.fit`, epoch by epoch."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Mapping
from typing import Any

from everloop.sdk.autolog import training as trainings
from everloop.sdk.autolog.inputs import log_data
from everloop.sdk.autolog.patches import Call, Patches
from everloop.sdk.autolog.results import keep_model
from everloop.sdk.autolog.training import Training, current, guarded, options_of, recorded

LIBRARY = "keras"
_TOLD = ("epochs", "batch_size", "initial_epoch", "steps_per_epoch", "validation_split", "shuffle", "class_weight")
_STOPPING = ("monitor", "patience", "min_delta", "restore_best_weights")
_EXAMPLE = 100


def patch(patches: Patches) -> None:
    """Record what models are fitted to, whatever runs below Keras."""
    import keras

    owner = next(cls for cls in keras.Model.__mro__ if "fit" in vars(cls))
    patches.wrap(owner, "fit", _fit)


def _fit(original: Call, arguments: tuple[Any, ...], named: Mapping[str, Any]) -> Any:
    if options_of(LIBRARY) is None or current() is not None:
        return original(*arguments, **named)
    try:
        bound = inspect.signature(original).bind(*arguments, **named)
    except TypeError:  # Keras says itself what is wrong.
        return original(*arguments, **named)
    given = bound.arguments
    record = Fit(given["self"], given)
    with guarded(LIBRARY):
        callbacks = given.get("callbacks") or []
        if isinstance(callbacks, (list, tuple)):
            record.callbacks = list(callbacks)
            given["callbacks"] = [*callbacks, _callback()()]
    return recorded(LIBRARY, type(given["self"]).__name__, lambda: original(*bound.args, **bound.kwargs), record)


@functools.cache
def _callback() -> Any:
    """The class of our callback, of which Keras's own must be the parent."""
    import keras

    class LogEpoch(keras.callbacks.Callback):  # type: ignore[misc]  # Keras is untyped.
        def on_epoch_end(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
            training = current()
            if isinstance(training, Training):
                with guarded(LIBRARY):
                    training.run.log_metrics({key: float(value) for key, value in (logs or {}).items()}, epoch)

    return LogEpoch


class Fit:
    """What is said of one call of `fit`."""

    def __init__(self, model: Any, given: Mapping[str, Any]) -> None:
        self.model = model
        self.given = dict(given)
        self.callbacks: list[Any] = []

    def before(self, training: Training) -> None:
        """How the model is trained, on what, and how it stops early."""
        told = {key: self.given[key] for key in _TOLD if self.given.get(key) is not None}
        trainings.log_parameters(training.run, told)
        training.run.set_tag("autolog", LIBRARY)
        optimizer = getattr(self.model, "optimizer", None)
        if optimizer is not None:
            trainings.log_parameters(training.run, optimizer.get_config(), "optimizer_")
        loss = getattr(self.model, "loss", None)
        training.run.log_parameter("loss", getattr(loss, "name", None) or getattr(loss, "__name__", None) or loss)
        for stopping in self._stopping():
            told = {key: getattr(stopping, key, None) for key in _STOPPING}
            trainings.log_parameters(training.run, told, "early_stopping_")
        with guarded(LIBRARY):
            log_data(training, self.given.get("x"))

    def after(self, training: Training, result: object, seconds: float) -> None:
        """The model and its summary, and where it stopped."""
        with guarded(LIBRARY):
            lines: list[str] = []
            self.model.summary(print_fn=lambda line, **_: lines.append(str(line)))
            training.run.log_text("\n".join(lines), "model_summary.txt")
            training.run.log_parameter("model_parameters", self.model.count_params())
        with guarded(LIBRARY):
            for stopping in self._stopping():
                training.run.log_metric("stopped_epoch", stopping.stopped_epoch)
                training.run.log_metric("best_epoch", stopping.best_epoch)
        data = self.given.get("x")
        if hasattr(data, "shape") and hasattr(data, "dtype"):
            outputs = list(self.model.output_names) if len(self.model.outputs) > 1 else "prediction"
            keep_model(training, self.model, self._columns(data), outputs)

    def _stopping(self) -> list[Any]:
        return [each for each in self.callbacks if hasattr(each, "stopped_epoch") and hasattr(each, "patience")]

    def _columns(self, data: Any) -> Any:
        """A matrix as it is; of arrays with more dimensions one column, by the name of the model's input."""
        return data if data.ndim == 2 else {self.model.inputs[0].name: data[:_EXAMPLE]}
