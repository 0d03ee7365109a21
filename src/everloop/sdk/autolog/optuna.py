"""Optuna: a study is a run, and each trial is a child of it, to which the objective logs."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Mapping
from typing import Any

from everloop.sdk.autolog import training as trainings
from everloop.sdk.autolog.patches import Call, Patches
from everloop.sdk.autolog.training import Training, current, guarded, options_of, recorded, within
from everloop.sdk.recording.run import Run
from everloop.sdk.recording.start import run

LIBRARY = "optuna"


def patch(patches: Patches) -> None:
    """Record what studies optimize."""
    from optuna.study import Study

    patches.wrap(Study, "optimize", _optimize)


def _optimize(original: Call, arguments: tuple[Any, ...], named: Mapping[str, Any]) -> Any:
    if options_of(LIBRARY) is None or current() is not None:
        return original(*arguments, **named)
    study = arguments[0]
    bound = inspect.signature(original).bind(*arguments, **named)
    record = Optimization(study, bound.arguments["func"])
    bound.arguments["func"] = record.objective
    return recorded(LIBRARY, study.study_name, lambda: original(*bound.args, **bound.kwargs), record)


class Optimization:
    """What is said of one call of `optimize`."""

    def __init__(self, study: Any, objective: Callable[[Any], Any]) -> None:
        self.study = study
        self._objective = objective
        self._training: Training | None = None

    def before(self, training: Training) -> None:
        """The study, its sampler and its pruner."""
        self._training = training
        directions = ", ".join(direction.name.lower() for direction in self.study.directions)
        told = {"sampler": type(self.study.sampler).__name__, "pruner": type(self.study.pruner).__name__}
        trainings.log_parameters(training.run, {"study": self.study.study_name, "directions": directions, **told})
        training.run.set_tag("autolog", LIBRARY)

    def objective(self, trial: Any) -> Any:
        """The user's objective, in a run of its own."""
        found = self._begun(trial)
        if found is None:
            return self._objective(trial)
        block, child = found
        try:
            with within(None):
                value = self._objective(trial)
        except BaseException as error:
            pruned = type(error).__name__ == "TrialPruned"
            with guarded(LIBRARY):
                self._log(child, trial, "pruned" if pruned else "failed")
                block.__exit__(*((None, None, None) if pruned else sys.exc_info()))
            raise
        with guarded(LIBRARY):
            self._log(child, trial, "complete", value)
            block.__exit__(None, None, None)
        return value

    def after(self, training: Training, result: object, seconds: float) -> None:
        """What was best, and all trials as a table."""
        complete = [trial for trial in self.study.trials if trial.values]
        training.run.log_metric("trials", len(self.study.trials))
        if len(self.study.directions) == 1 and complete:
            training.run.log_metric("best_value", self.study.best_value)
            training.run.log_metric("best_trial", self.study.best_trial.number)
            training.run.set_tags({f"best_{key}": value for key, value in self.study.best_params.items()})
        names = sorted({key for trial in complete for key in trial.params})
        columns: dict[str, list[Any]] = {"trial": [trial.number for trial in complete]}
        for at in range(len(self.study.directions)):
            columns[f"value_{at}" if len(self.study.directions) > 1 else "value"] = [it.values[at] for it in complete]
        columns |= {key: [_plain(trial.params.get(key)) for trial in complete] for key in names}
        if complete:
            training.run.log_table(columns, f"trials-{len(self.study.trials)}.parquet")

    def _begun(self, trial: Any) -> tuple[Any, Run] | None:
        training = self._training
        if training is None:
            return None
        with guarded(LIBRARY):
            experiment = training.run.experiment or training.options.experiment
            block = run(experiment, f"trial {trial.number}", parent=training.run.id)
            return block, block.__enter__()
        return None

    def _log(self, child: Run, trial: Any, state: str, value: Any = None) -> None:
        trainings.log_parameters(child, trial.params)
        child.set_tags({"trial": trial.number, "trial_state": state, **trial.user_attrs})
        reported = self.study._storage.get_trial(trial._trial_id).intermediate_values
        for step, found in sorted(reported.items()):
            child.log_metric("intermediate_value", found, step)
        if value is not None:
            values = list(value) if isinstance(value, (list, tuple)) else [value]
            for at, each in enumerate(values):
                child.log_metric("value" if len(values) == 1 else f"value_{at}", each)


def _plain(value: object) -> str | None:
    """A column has one type, a parameter of some trials maybe two."""
    return None if value is None else str(value)
