"""Sweeps in one process: what is tried, when it ends, what is kept of it."""

from __future__ import annotations

import time
from pathlib import Path

import optuna
import pytest

import everloop as el
from everloop.catalog.session import Session
from everloop.kernel.errors import Conflict, InvalidInput, NotFound, StepFailed
from everloop.pipelines.sweeps import service
from everloop.pipelines.sweeps.entities import Budget, Choice, FloatRange, IntRange, Search
from everloop.tracking import service as tracking
from everloop.tracking.index import service as index
from tests.pipelines.sweeps.made import X, created, swept, trials_of


def test_the_best_trial_is_the_best_of_all(idle: Session, folder: Path) -> None:
    sweep = swept(idle, folder, "bowl", space=X)
    values = {trial.number: trial.values[0] for trial in trials_of(idle, "bowl")}
    assert sweep.counts == {"complete": 8}
    assert sweep.values == (min(values.values()),)
    assert sweep.best == (min(values, key=lambda number: values[number]),)


def test_more_is_better_where_that_is_said(idle: Session, folder: Path) -> None:
    sweep = swept(idle, folder, "bowl", space=X, directions=("maximize",))
    assert sweep.values == (max(trial.values[0] for trial in trials_of(idle, "bowl")),)


def test_each_trial_is_a_run_below_that_of_the_sweep(idle: Session, folder: Path) -> None:
    sweep = swept(idle, folder, "bowl", space=X, trials=2)
    with idle.begin(write=False) as unit:
        for trial in trials_of(idle, "bowl"):
            run = tracking.get(unit, trial.run)
            assert (run.parent, run.status, run.group) == (sweep.run, "finished", "bowl")
            assert run.parameters == {"x": str(trial.parameters["x"])}
            assert run.metrics == {"objective": trial.values[0]}


def test_the_runs_of_trials_are_found_by_searching(idle: Session, folder: Path) -> None:
    sweep = swept(idle, folder, "bowl", space=X, trials=3)
    with idle.begin(write=False) as unit:
        found = index.search(unit, where=f"parent = '{sweep.run}'")
    assert len(found) == 3


def test_the_run_of_a_sweep_names_its_best(idle: Session, folder: Path) -> None:
    sweep = swept(idle, folder, "bowl", space=X)
    with idle.begin(write=False) as unit:
        run = tracking.get(unit, sweep.run)
    assert run.tags["sweep.best"] == str(sweep.best[0])
    assert run.metrics["best.objective"] == sweep.values[0]
    assert run.status == "finished"


def test_what_an_objective_reports_and_logs_is_in_its_run(idle: Session, folder: Path) -> None:
    swept(idle, folder, "staged", trials=1)
    (trial,) = trials_of(idle, "staged")
    with idle.begin(write=False) as unit:
        assert [point.step for point in tracking.history(unit, trial.run, "reported")] == list(range(8))
        assert [point.value for point in tracking.history(unit, trial.run, "seen")] == list(range(8))


def test_pruned_trials_are_told_apart(idle: Session, folder: Path) -> None:
    sweep = swept(idle, folder, "staged", trials=20, search=Search("random", pruner="median", seed=1))
    pruned = service.trials(idle, "staged", "pruned")
    assert pruned
    assert sweep.counts["pruned"] == len(pruned)
    with idle.begin(write=False) as unit:
        run = tracking.get(unit, pruned[0].run)
    assert (run.status, run.tags["sweep.state"]) == ("finished", "pruned")


@pytest.mark.parametrize("sampler", ["tpe", "random", "cmaes", "qmc", "nsga2", "nsga3", "brute_force"])
def test_every_sampler_finds_its_way(idle: Session, folder: Path, sampler: str) -> None:
    space = {"x": FloatRange(-5, 5, step=0.5)}
    sweep = swept(idle, folder, "bowl", space=space, trials=12, search=Search(sampler, seed=1))
    assert sweep.counts == {"complete": 12}


@pytest.mark.slow
def test_a_gaussian_process_finds_the_bottom(idle: Session, folder: Path) -> None:
    pytest.importorskip("torch")
    sweep = swept(idle, folder, "bowl", space=X, trials=16, search=Search("gp", seed=1))
    assert sweep.values[0] is not None
    assert sweep.values[0] < 0.5


@pytest.mark.parametrize(
    "pruner", ["median", "percentile", "asha", "successive_halving", "hyperband", "patient", "threshold", "wilcoxon"]
)
def test_every_pruner_can_be_asked(idle: Session, folder: Path, pruner: str) -> None:
    options: dict[str, object] = {"threshold": {"upper": 20.0}}.get(pruner, {})
    search = Search("random", pruner=pruner, pruner_options=options, seed=1)
    sweep = swept(idle, folder, "staged", trials=6, search=search)
    assert sum(sweep.counts.values()) == 6


def test_a_grid_tries_each_point_once(idle: Session, folder: Path) -> None:
    space = {"x": IntRange(-1, 1), "y": Choice((0.0, 1.0))}
    swept(idle, folder, "bowl", space=space, trials=0, search=Search("grid"))
    tried = sorted((trial.parameters["x"], trial.parameters["y"]) for trial in trials_of(idle, "bowl"))
    assert tried == [(x, y) for x in (-1, 0, 1) for y in (0.0, 1.0)]


def test_a_parameter_is_tried_only_where_its_condition_holds(idle: Session, folder: Path) -> None:
    space = {"x": Choice((0, 1)), "y": FloatRange(1, 2, when={"x": 1})}
    swept(idle, folder, "bowl", space=space, trials=12)
    for trial in trials_of(idle, "bowl"):
        assert ("y" in trial.parameters) == (trial.parameters["x"] == 1)


def test_the_same_seed_proposes_the_same(idle: Session, folder: Path) -> None:
    tried = []
    for name in ("one", "again"):
        swept(idle, folder, "bowl", space=X, trials=14, search=Search("tpe", seed=9), called=name)
        tried.append([trial.parameters for trial in trials_of(idle, name)])
    assert tried[0] == tried[1]


def test_a_sweep_that_goes_on_proposes_what_it_would_have(idle: Session, folder: Path) -> None:
    search = Search("tpe", seed=9)
    swept(idle, folder, "bowl", space=X, trials=16, search=search, called="whole")
    swept(idle, folder, "bowl", space=X, trials=11, search=search, called="halves")
    service.resume(idle, "halves", trials=5)
    assert [t.parameters for t in trials_of(idle, "halves")] == [t.parameters for t in trials_of(idle, "whole")]


def test_a_sweep_that_has_all_its_trials_makes_no_more(idle: Session, folder: Path) -> None:
    swept(idle, folder, "bowl", space=X, trials=3)
    assert service.resume(idle, "bowl").counts == {"complete": 3}


def test_known_points_are_tried_first(idle: Session, folder: Path) -> None:
    swept(idle, folder, "bowl", space=X, trials=3, enqueue=[{"x": 1.0}, {"x": 2.0}])
    assert [trial.parameters["x"] for trial in trials_of(idle, "bowl")][:2] == [1.0, 2.0]
    assert len(trials_of(idle, "bowl")) == 3


def test_an_earlier_sweep_teaches_and_does_not_count(idle: Session, folder: Path) -> None:
    first = swept(idle, folder, "bowl", space=X, trials=6, called="first")
    second = swept(idle, folder, "bowl", space=X, trials=2, called="second", warm_start=["first"])
    assert second.counts == {"complete": 8}
    assert second.values <= first.values


def test_what_an_earlier_sweep_tried_outside_of_the_space_is_left_out(idle: Session, folder: Path) -> None:
    swept(idle, folder, "bowl", space={"x": FloatRange(50, 60)}, trials=4, called="first")
    assert created(idle, folder, "bowl", space=X, called="second", warm_start=["first"]).counts == {}


def test_several_objectives_have_a_front_that_nothing_beats(idle: Session, folder: Path) -> None:
    sweep = swept(idle, folder, "two", space=X, trials=20, directions=("minimize", "minimize"))
    trials = {trial.number: trial.values for trial in trials_of(idle, "two")}
    front = service.best(idle, "two")
    assert {trial.number for trial in front} == set(sweep.best)
    for trial in front:
        beaten = [
            v
            for v in trials.values()
            if v != trial.values and all(a <= b for a, b in zip(v, trial.values, strict=True))
        ]
        assert beaten == []


def test_objectives_are_taken_by_name_and_other_metrics_logged(idle: Session, folder: Path) -> None:
    swept(idle, folder, "named", space=X, trials=1, directions=("minimize", "minimize"), objectives=("loss", "size"))
    (trial,) = trials_of(idle, "named")
    with idle.begin(write=False) as unit:
        assert tracking.get(unit, trial.run).metrics == {"loss": trial.values[0], "size": trial.values[1], "extra": 7}


@pytest.mark.parametrize("name", ["stepped", "piped"])
def test_steps_and_pipelines_can_be_swept(idle: Session, folder: Path, name: str) -> None:
    sweep = swept(idle, folder, name, space=X, trials=3)
    assert sweep.counts == {"complete": 3}
    assert all(trial.values == (trial.parameters["x"] ** 2,) for trial in trials_of(idle, name))


def test_fixed_arguments_are_handed_along(idle: Session, folder: Path) -> None:
    swept(idle, folder, "piped", space=X, trials=1, arguments={"scale": 10.0})
    (trial,) = trials_of(idle, "piped")
    assert trial.values[0] == pytest.approx(trial.parameters["x"] ** 2 * 10)


def test_patience_ends_a_sweep_that_gets_no_better(idle: Session, folder: Path) -> None:
    budget = Budget(patience=4)
    sweep = swept(idle, folder, "bowl", space=X, budget=budget)
    assert len(trials_of(idle, "bowl")) == sweep.best[0] + 1 + 4


def test_seconds_end_a_sweep(idle: Session, folder: Path) -> None:
    began = time.perf_counter()
    sweep = swept(idle, folder, "slow", budget=Budget(seconds=0.4))
    assert 1 <= sum(sweep.counts.values()) <= 3
    assert time.perf_counter() - began > 0.4


def test_an_objective_that_always_raises_fails_the_sweep_soon(idle: Session, folder: Path) -> None:
    with pytest.raises(StepFailed, match=r"3 trials in a row failed, the last, 2, at .*goals.py.*NameError"):
        swept(idle, folder, "typo", space=X, trials=50)
    sweep = service.get(idle, "typo")
    assert (sweep.status, sweep.counts) == ("failed", {"failed": 3})


def test_an_objective_that_raises_at_times_goes_on(idle: Session, folder: Path) -> None:
    sweep = swept(idle, folder, "sometimes", space=X, trials=10, budget=Budget(10, failures=0))
    assert sweep.counts["failed"] + sweep.counts["complete"] == 10
    failed = service.trials(idle, "sometimes", "failed")[0]
    assert failed.error.startswith("ValueError: no -")


def test_nan_is_no_value(idle: Session, folder: Path) -> None:
    with pytest.raises(StepFailed, match="NaN"):
        swept(idle, folder, "nan", space=X)
    assert {trial.status for trial in trials_of(idle, "nan")} == {"failed"}


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"search": Search("foo")}, "no sampler 'foo'"),
        ({"search": Search(pruner="foo")}, "no pruner 'foo'"),
        ({"search": Search("tpe", {"foo": 1})}, "foo"),
        ({"search": Search("grid")}, "needs a declared space"),
        ({"search": Search("grid"), "space": X}, "no steps"),
        ({"search": Search("cmaes"), "directions": ("minimize", "minimize")}, "one objective"),
        ({"search": Search(pruner="median"), "directions": ("minimize", "minimize")}, "cannot be pruned"),
        ({"space": {"x": Choice(())}}, "no value"),
        ({"space": {"x": FloatRange(2, 1)}}, "nothing from 2"),
        ({"space": {"x": FloatRange(float("nan"), 1)}}, "nothing from nan"),
        ({"space": {"x": FloatRange(-1, 1, log=True)}}, "no logarithm"),
        ({"space": {"x": IntRange(1, 9, step=0)}}, "the step 0"),
        ({"space": {"x": FloatRange(0, 1, when={"y": 1})}}, "depends on 'y'"),
        ({"directions": ("upwards",)}, "upwards"),
        ({"directions": ()}, "no direction"),
        ({"budget": Budget(-1)}, "below 0"),
        ({"budget": Budget(1 << 31)}, "too many"),
        ({"workers": 1 << 31}, "workers cannot be had"),
        ({"workers": 0}, "0 workers"),
        ({"called": "no name"}, "no name of a sweep"),
    ],
)
def test_what_makes_no_sense_is_refused_before_anything_runs(
    idle: Session, folder: Path, wrong: dict[str, object], said: str
) -> None:
    with pytest.raises(InvalidInput, match=said):
        created(idle, folder, "bowl", **wrong)  # type: ignore[arg-type]
    assert service.list_sweeps(idle) == []


def test_an_earlier_sweep_that_is_not_there_leaves_nothing(idle: Session, folder: Path) -> None:
    with pytest.raises(NotFound):
        created(idle, folder, "bowl", space=X, warm_start=["nothing"])
    assert service.list_sweeps(idle) == []


def test_a_name_is_given_once(idle: Session, folder: Path) -> None:
    created(idle, folder, "bowl", space=X)
    with pytest.raises(Conflict, match="There is a sweep 'bowl'"):
        created(idle, folder, "bowl", space=X)


def test_el_sweep_takes_a_function_that_nobody_else_can_find(system: object, idle: Session) -> None:
    with idle.activate():
        sweep = el.sweep(lambda x: x * x, X, name="local", trials=3)
        assert sweep.counts == {"complete": 3}
        with pytest.raises(InvalidInput, match="top level"):
            el.sweep(lambda x: x * x, X, name="far", trials=3, workers=2)


def test_constraints_keep_trials_from_being_best(idle: Session, folder: Path) -> None:
    def limited(trial: optuna.Trial) -> float:
        x = trial.suggest_float("x", -5, 5)
        trial.set_constraint("positive", -x)
        return x

    with idle.activate():
        sweep = el.sweep(limited, name="limited", trials=20)
    assert sweep.values[0] is not None
    assert sweep.values[0] >= 0


def test_studies_of_optuna_go_on_here(idle: Session) -> None:
    with idle.activate():
        study = optuna.create_study(storage=el.optuna_storage(), study_name="their own / study")
        study.optimize(lambda trial: trial.suggest_float("x", 0, 1), n_trials=3)
        again = optuna.load_study(study_name="their own / study", storage=el.optuna_storage())
        assert again.best_value == study.best_value
        sweep = service.get(idle, "their own / study")
        assert (sweep.status, sweep.counts) == ("study", {"complete": 3})


def test_pictures_are_there_to_be_drawn(idle: Session, folder: Path) -> None:
    swept(idle, folder, "bowl", space=X | {"y": FloatRange(0.1, 10, log=True)}, trials=12)
    drawn = service.pictures(idle, "bowl")
    bests = [point.best for point in drawn.history]
    assert bests == sorted(bests, reverse=True)
    assert [axis.parameter for axis in drawn.axes] == ["x", "y"]
    assert all(0 <= at <= 1 for line in drawn.lines for at in line.at if at is not None)
    assert sum(weight.weight for weight in drawn.importance) == pytest.approx(1)


def test_a_front_is_drawn_for_several_objectives(idle: Session, folder: Path) -> None:
    sweep = swept(idle, folder, "two", space=X, trials=9, directions=("minimize", "minimize"))
    front = service.pictures(idle, "two").front
    assert {point.number for point in front if point.is_best} == set(sweep.best)
