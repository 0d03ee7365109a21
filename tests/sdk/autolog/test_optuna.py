"""Studies of Optuna, recorded by themselves."""

from __future__ import annotations

import optuna
import pytest
from sklearn.linear_model import Ridge

import everloop as el
from everloop.sdk.platform import Everloop
from everloop.tracking.entities import Run

optuna.logging.set_verbosity(optuna.logging.ERROR)


def tried(ever: Everloop) -> tuple[Run, list[Run]]:
    runs = ever.runs.search()
    parent = next(found for found in runs if not found.parent)
    return parent, sorted((found for found in runs if found.parent == parent.id), key=lambda it: it.name)


def test_each_trial_is_a_child_and_the_study_has_the_best(ever: Everloop) -> None:
    el.autolog("optuna")
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=1))
    study.optimize(lambda trial: trial.suggest_float("x", 0, 1) ** 2, n_trials=3)
    parent, children = tried(ever)
    assert [child.name for child in children] == ["trial 0", "trial 1", "trial 2"]
    assert min(child.metrics["value"] for child in children) == parent.metrics["best_value"] == study.best_value
    assert parent.tags["best_x"] == str(study.best_params["x"])


def test_what_the_objective_trains_is_logged_to_its_trial(ever: Everloop) -> None:
    el.autolog(["optuna", "sklearn"], log_models=False)

    def objective(trial: optuna.Trial) -> float:
        return float(Ridge(alpha=trial.suggest_float("a", 0.1, 1)).fit([[0.0], [1.0]], [0.0, 1.0]).coef_[0])

    optuna.create_study().optimize(objective, n_trials=1)
    _, (child,) = tried(ever)
    assert child.parameters["alpha"] == child.parameters["a"]


def test_trials_that_were_pruned_or_failed_say_so(ever: Everloop) -> None:
    el.autolog("optuna")

    def objective(trial: optuna.Trial) -> float:
        trial.report(0.5, 3)
        raise optuna.TrialPruned if trial.number == 0 else ValueError("no")

    with pytest.raises(ValueError, match="no"):
        optuna.create_study().optimize(objective, n_trials=2)
    parent, (pruned, failed) = tried(ever)
    assert (pruned.status, pruned.tags["trial_state"]) == ("finished", "pruned")
    assert [point.step for point in ever.runs.history(pruned.id, "intermediate_value")] == [3]
    assert (failed.status, failed.tags["trial_state"], parent.status) == ("failed", "failed", "failed")
