"""Lightning: `Trainer.fit`, by a callback beside those that the trainer has."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from everloop.sdk.autolog import training as trainings
from everloop.sdk.autolog.gradients import hyperparameters
from everloop.sdk.autolog.patches import Call, Patches
from everloop.sdk.autolog.training import Training, current, guarded, options_of, recorded

LIBRARY = "lightning"
_TOLD = ("max_epochs", "max_steps", "accumulate_grad_batches", "gradient_clip_val", "num_devices", "precision")


def patch(patches: Patches) -> None:
    """Record trainers of `lightning`."""
    _patch(patches, "lightning.pytorch")


def patch_alone(patches: Patches) -> None:
    """Record trainers of `pytorch_lightning`, the same library under its other name."""
    _patch(patches, "pytorch_lightning")


def _patch(patches: Patches, package: str) -> None:
    patches.wrap(importlib.import_module(package).Trainer, "fit", _fit)


def _fit(original: Call, arguments: tuple[Any, ...], named: Mapping[str, Any]) -> Any:
    if options_of(LIBRARY) is None or current() is not None:
        return original(*arguments, **named)
    try:
        given = inspect.signature(original).bind(*arguments, **named).arguments
    except TypeError:  # Lightning says itself what is wrong.
        return original(*arguments, **named)
    trainer, module = given["self"], given["model"]
    record = Fit(trainer, module)
    return recorded(LIBRARY, type(module).__name__, lambda: original(*arguments, **named), record)


class Fit:
    """What is said of one call of `fit`."""

    def __init__(self, trainer: Any, module: Any) -> None:
        self.trainer = trainer
        self.module = module

    def before(self, training: Training) -> None:
        """How it is trained; from now on a callback logs."""
        run = training.run
        run.set_tag("autolog", LIBRARY)
        told = {name: getattr(self.trainer, name, None) for name in _TOLD}
        trainings.log_parameters(run, {key: value for key, value in told.items() if value is not None})
        trainings.log_parameters(run, dict(getattr(self.module, "hparams", {})))
        run.log_text(str(self.module), "model_summary.txt")
        self.trainer.callbacks.append(_callback(self.trainer, training))

    def after(self, training: Training, result: object, seconds: float) -> None:
        """The optimizer, the best checkpoint, and where it stopped."""
        self.trainer.callbacks[:] = [each for each in self.trainer.callbacks if not hasattr(each, "everloop")]
        for optimizer in self.trainer.optimizers:
            trainings.log_parameters(training.run, hyperparameters(optimizer), "optimizer_")
        stopping = getattr(self.trainer, "early_stopping_callback", None)
        if stopping is not None:
            training.run.log_metric("stopped_epoch", stopping.stopped_epoch)
            trainings.log_parameters(
                training.run, {"monitor": stopping.monitor, "patience": stopping.patience}, "early_stopping_"
            )
        kept = getattr(self.trainer.checkpoint_callback, "best_model_path", "")
        if training.options.log_models and kept and Path(kept).is_file():
            training.run.log_artifact(kept, f"checkpoints/{Path(kept).name}")


def _callback(trainer: Any, training: Training) -> Any:
    """Our callback; the library's own class, of whichever of its two names, is its parent."""
    package = type(trainer).__module__.partition(".trainer")[0]
    parent: Any = importlib.import_module(f"{package}.callbacks").Callback

    def log(trainer: Any, values: Mapping[str, Any], step: int) -> None:
        if trainer.sanity_checking:
            return
        with guarded(LIBRARY):
            training.run.log_metrics({key: float(value) for key, value in values.items()}, step)

    class LogEpoch(parent):  # type: ignore[misc]  # Which class it is, is known when it runs.
        everloop = True

        def on_train_batch_end(self, trainer: Any, module: Any, *_: Any) -> None:
            if trainer.global_step % max(trainer.log_every_n_steps, 1) == 0:
                log(
                    trainer,
                    {k: v for k, v in trainer.logged_metrics.items() if k.endswith("_step")},
                    trainer.global_step,
                )

        def on_validation_epoch_end(self, trainer: Any, module: Any) -> None:
            known = {
                k: v for k, v in trainer.callback_metrics.items() if k.startswith("val") and not k.endswith("_step")
            }
            log(trainer, known, trainer.current_epoch)

        def on_train_epoch_end(self, trainer: Any, module: Any) -> None:
            known = trainer.callback_metrics.items()
            log(
                trainer,
                {k: v for k, v in known if not k.startswith("val") and not k.endswith("_step")},
                trainer.current_epoch,
            )

    return LogEpoch()
