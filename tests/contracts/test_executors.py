"""What every executor of steps promises, wherever it executes them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from everloop.app.platform import Platform, open_platform
from everloop.app.settings import load as load_settings
from everloop.backends.executors.local import LocalExecutor
from everloop.backends.executors.processes import ProcessesExecutor
from everloop.kernel.errors import InvalidInput, StepFailed
from everloop.pipelines.declare import Step
from everloop.pipelines.executor import Executor, StepCall
from everloop.pipelines.project import load
from tests.conftest import unsynced
from tests.homes import fresh

STEPS = """
from __future__ import annotations
import os
from pathlib import Path
import everloop as el
from everloop.catalog.session import active_session
from everloop.pipelines.declare import step_seed
from everloop.tracking.active import active_run, log_artifact, log_metric, log_parameter

@el.step
def double(x: int, y: int = 1) -> int:
    return x * 2 + y

@el.step
def divide(x: int) -> float:
    return 1 / x

@el.step
def context() -> tuple:
    return active_run(), step_seed(), active_session().project, str(active_session().home)

@el.step
def logs() -> None:
    log_metric("auc", 0.7, step=3)
    log_parameter("rate", 0.1)
    log_artifact("note.txt", b"hello")

@el.step
def table(path: Path):
    import pyarrow as pa
    return pa.table({"a": [1, 2, 3]})

@el.step
def die() -> None:
    os._exit(9)
"""
Call = Callable[..., StepCall]


@pytest.fixture(params=[LocalExecutor, pytest.param(ProcessesExecutor, marks=pytest.mark.slow)])
def executor(request: pytest.FixtureRequest) -> Iterator[Executor]:
    opened: Executor = request.param()
    yield opened
    opened.close()


@pytest.fixture
def system(home: Path) -> Iterator[Platform]:
    """A platform that another process can open too: its clock is the system's."""
    settings = {"home": str(fresh(home)), "project": "shop"}
    opened = open_platform(load_settings(settings, environment={}, folder=home.parent))
    unsynced(opened)
    yield opened
    opened.close()


@pytest.fixture
def call(tmp_path: Path, system: Platform) -> Call:
    (tmp_path / "contract_steps.py").write_text(STEPS)

    def make(name: str, **arguments: object) -> StepCall:
        step: Step[..., object] = load(tmp_path, f"contract_steps:{name}", Step)
        return StepCall(name, step.target, tmp_path, step.function, arguments, "run-1", 42, system.session())

    return make


class TestExecutors:
    def test_the_outcome_has_the_value(self, executor: Executor, call: Call) -> None:
        outcome = executor.submit(call("double", x=4)).result()
        assert (outcome.value, outcome.error) == (9, "")
        assert outcome.seconds >= 0

    def test_many_steps_can_be_under_way(self, executor: Executor, call: Call) -> None:
        futures = [executor.submit(call("double", x=x, y=0)) for x in range(10)]
        assert [future.result().value for future in futures] == [2 * x for x in range(10)]

    def test_what_a_step_raises_is_told_with_its_place(self, executor: Executor, call: Call) -> None:
        outcome = executor.submit(call("divide", x=0)).result()
        assert outcome.error == "ZeroDivisionError: division by zero"
        assert outcome.place.endswith("contract_steps.py:16")

    def test_run_seed_and_session_are_active_inside(self, executor: Executor, call: Call, home: Path) -> None:
        assert executor.submit(call("context")).result().value == ("run-1", 42, "shop", str(home))

    def test_what_a_step_logs_comes_back(self, executor: Executor, call: Call, system: Platform) -> None:
        recording = executor.submit(call("logs")).result().recording
        assert [(point.key, point.value, point.step) for point in recording.metrics] == [("auc", 0.7, 3)]
        assert recording.parameters == {"rate": "0.1"}
        assert system.session().store.get(recording.artifacts[0].digest) == b"hello"

    def test_tables_and_paths_travel(self, executor: Executor, call: Call, tmp_path: Path) -> None:
        assert executor.submit(call("table", path=tmp_path)).result().value.num_rows == 3

    def test_an_executor_works_after_it_was_closed(self, executor: Executor, call: Call) -> None:
        executor.close()
        assert executor.submit(call("double", x=1)).result().value == 3


@pytest.mark.slow
class TestProcesses:
    def test_a_process_that_dies_fails_its_step_and_not_the_next(self, call: Call) -> None:
        executor = ProcessesExecutor(1)
        with pytest.raises(StepFailed, match="The process that executed step die died"):
            executor.submit(call("die")).result()
        assert executor.submit(call("double", x=1)).result().value == 3
        executor.close()

    def test_a_step_that_no_other_process_can_find_is_refused(self, call: Call) -> None:
        hidden = replace(call("double", x=1), target="steps:make.<locals>.double")
        with pytest.raises(InvalidInput, match="cannot be found by another process"):
            ProcessesExecutor(1).submit(hidden)
