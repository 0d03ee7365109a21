"""Executing pipelines: what is remembered, recorded, resumed and told."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import msgspec
import pyarrow as pa
import pytest

from everloop.app.platform import Platform
from everloop.catalog.session import Session
from everloop.datasets.content import urn_of, write_table
from everloop.kernel.errors import InvalidInput, NotFound, Refused, StepFailed
from everloop.pipelines.entities import ABANDONED
from everloop.pipelines.execution import execute, replay
from everloop.pipelines.executions import get
from everloop.pipelines.progress import StepProgress, watching
from tests.pipelines.conftest import Project

HEADER = """
from __future__ import annotations
import enum
from dataclasses import dataclass
from datetime import datetime, timedelta
import msgspec
import everloop as el
from everloop.datasets.content import read_table, write_table
from everloop.catalog.session import active_session
from everloop.pipelines.declare import step_seed
from everloop.tracking.active import log_artifact, log_metric, log_parameter
"""
CHAIN = (
    HEADER
    + """
@el.step
def first(x: int): return x + 1
@el.step
def second(x: int): return x * 2
@el.step
def third(x: int):
    if BROKEN: raise ValueError("broken")
    return x - 1
BROKEN = False
@el.pipeline
def fit(x: int = 1): return third(second(first(x)))
"""
)


def test_a_second_run_executes_nothing_and_gives_the_same(project: Project) -> None:
    project.write("steps.py", CHAIN)
    first = project.run()
    second = project.run()
    assert (first.executed, second.executed) == (["first", "second", "third"], [])
    assert (first.output, second.output, project.output) == (3, 3, 3)
    assert [s.output_digest for s in first.steps] == [s.output_digest for s in second.steps]


def test_only_what_comes_after_a_change_runs_again(project: Project) -> None:
    project.write("steps.py", CHAIN)
    project.run()
    project.edit("steps.py", "x * 2", "x * 3")
    assert project.executed() == ["second", "third"]
    project.edit("steps.py", "x * 3", "3 * x")
    assert project.executed() == ["second"]  # Its output is the same, so that nothing after it is touched.


def test_a_change_that_is_taken_back_finds_what_was_remembered(project: Project) -> None:
    project.write("steps.py", CHAIN)
    project.run()
    project.edit("steps.py", "x * 2", "x * 3")
    project.run()
    project.edit("steps.py", "x * 3", "x * 2")
    assert project.executed() == []


def test_a_step_that_raises_is_named_with_its_place_and_is_not_remembered(project: Project) -> None:
    project.write("steps.py", CHAIN.replace("BROKEN = False", "BROKEN = True"))
    with pytest.raises(StepFailed, match=r"Step third of fit failed: ValueError: broken \(.*steps.py:19\)") as caught:
        project.run()
    assert isinstance(caught.value.__cause__, ValueError)
    with pytest.raises(StepFailed):
        project.run()
    project.edit("steps.py", "BROKEN = True", "BROKEN = False")
    assert project.executed() == ["third"]


def test_a_failed_execution_is_kept_with_its_run(project: Project, platform: Platform) -> None:
    project.write("steps.py", CHAIN.replace("BROKEN = False", "BROKEN = True"))
    with pytest.raises(StepFailed):
        project.run()
    [execution] = platform.call("pipelines.executions", {})
    assert (execution.status, len(execution.steps)) == ("failed", 3)
    assert execution.steps[2].error == "ValueError: broken"
    assert "Step third of fit failed" in execution.error
    assert platform.call("runs.get", {"id": execution.run}).status == "failed"


def test_a_pipeline_that_raises_outside_of_its_steps_says_where(project: Project) -> None:
    project.write("steps.py", HEADER + "@el.pipeline\ndef fit(): return 1 / 0\n")
    with pytest.raises(StepFailed, match=r"Pipeline fit failed: ZeroDivisionError: .*steps.py:13"):
        project.run()


def test_a_pipeline_may_go_on_after_a_step_that_failed(project: Project) -> None:
    body = (
        "@el.pipeline\ndef fit():\n    try:\n        return third(1)\n    except Exception:\n        return first(1)\n"
    )
    project.write("steps.py", CHAIN.replace("BROKEN = False", "BROKEN = True").split("@el.pipeline")[0] + body)
    execution = project.run()
    assert (execution.status, execution.output) == ("finished", 2)
    assert [bool(step.error) for step in execution.steps] == [True, False]


VALUES = [
    "None", "True", "1", "1.0", "-0.0", "float('nan')", "float('inf')", "1 << 100", "'é'", "b'x'", "b'x' * 5000",
    "[1, 2.0]", "(1, (2,), [3])", "{'a': (1,)}", "{1: 'a', (2,): 'b'}", "{'$tuple': 1}", "{}", "()", "{1, 2}",
    "frozenset({'a'})", "datetime(2026, 1, 1)", "timedelta(microseconds=-5)", "S(1, (2,))", "T(a=[S(0, ())])",
    "D(1, [2])",
    "E.A", "{'b': 1, 'a': 2}",
]  # fmt: skip
KINDS = """
class S(msgspec.Struct, frozen=True):
    a: int
    b: tuple[int, ...]
class T(msgspec.Struct, tag="t", kw_only=True):
    a: list[S]
@dataclass(frozen=True)
class D:
    a: int
    b: list
class E(enum.Enum):
    A = "a"
"""


def test_remembered_values_are_equal_and_of_the_same_types(project: Project) -> None:
    steps = [f"@el.step\ndef make_{n}():\n    return {value}\n" for n, value in enumerate(VALUES)]
    calls = ", ".join(f"make_{n}()" for n in range(len(VALUES)))
    project.write("steps.py", HEADER + KINDS + "".join(steps) + f"@el.pipeline\ndef fit(): return [{calls}]\n")
    project.run()
    made = project.output
    assert project.executed() == []
    assert isinstance(made, list)
    assert isinstance(project.output, list)
    assert [(type(one), repr(one)) for one in project.output] == [(type(one), repr(one)) for one in made]


def test_tables_and_arrays_come_back_as_they_were(project: Project) -> None:
    body = (
        "@el.step\ndef make():\n    import numpy as np, pyarrow as pa\n"
        "    t = pa.table({'a': pa.array([1, None], pa.int8()), 'b': ['x', 'y'],"
        " 'c': pa.array([0, 1], pa.timestamp('us', 'UTC'))})\n"
        "    return t, np.arange(6.0).reshape(2, 3), np.array(['a', None], object), np.float32(1.5)\n"
        "@el.pipeline\ndef fit(): return make()\n"
    )
    project.write("steps.py", HEADER + body)
    project.run()
    table, array, objects, scalar = project.output  # type: ignore[misc]  # the step says so
    assert project.executed() == []
    again = project.output
    assert again[0].equals(table)  # type: ignore[index]
    assert again[0].schema == table.schema  # type: ignore[index]
    assert (again[1] == array).all()  # type: ignore[index]
    assert again[2].tolist() == objects.tolist() == ["a", None]  # type: ignore[index]
    assert (again[3], type(again[3])) == (scalar, type(scalar))  # type: ignore[index]


@pytest.mark.parametrize("value", ["open(__file__)", "lambda: 1", "(i for i in [])", "object()"])
def test_a_value_that_cannot_be_kept_fails_the_step(project: Project, value: str) -> None:
    project.write(
        "steps.py", HEADER + f"@el.step\ndef make(): return {value}\n@el.pipeline\ndef fit(): return make()\n"
    )
    with pytest.raises(StepFailed, match="A step cannot give a"):
        project.run()


def test_an_output_whose_bytes_are_gone_is_made_again(project: Project, home: Path) -> None:
    project.write(
        "steps.py", HEADER + "@el.step\ndef make(): return b'x' * 5000\n@el.pipeline\ndef fit(): return make()\n"
    )
    project.run()
    shutil.rmtree(home / "store" / "objects")
    assert project.executed() == ["make"]
    assert project.executed() == []


def test_what_a_step_logged_is_logged_again_when_it_is_remembered(project: Project, platform: Platform) -> None:
    body = (
        "@el.step\ndef work():\n    log_metric('auc', 0.7, 2)\n    log_parameter('rate', 0.1)\n"
        "    log_artifact('a.txt', b'a')\n@el.pipeline\ndef fit(): return work()\n"
    )
    project.write("steps.py", HEADER + body)
    for run in [project.run().run, project.run().run]:
        found = platform.call("runs.get", {"id": run})
        assert (found.metrics, found.parameters["rate"]) == ({"auc": 0.7}, "0.1")
        assert [artifact.path for artifact in platform.call("runs.artifacts", {"id": run})] == ["a.txt"]


def test_an_execution_is_tracked_with_arguments_inputs_and_code(project: Project, platform: Platform) -> None:
    import pyarrow as pa

    flights = write_table(project.session, "flights", pa.table({"a": [1, 2]}))
    body = "@el.step\ndef count(rows) -> int: return read_table(active_session(), rows).num_rows\n"
    project.write(
        "steps.py", HEADER + body + "@el.pipeline\ndef fit(rows: el.Snapshot, k: float = 2): return count(rows)\n"
    )
    execution = project.run(rows=flights)
    run = platform.call("runs.get", {"id": execution.run})
    urn = urn_of(project.session, flights)
    assert (execution.output, run.experiment, run.status) == (2, "fit", "finished")
    assert run.inputs == (urn,)
    assert run.parameters["k"] == "2"
    graph = platform.call("lineage.graph", {"urn": f"run:default/{run.id}", "direction": "upstream"})
    assert {urn, f"execution:default/{execution.id}"} <= set(graph.nodes)


def test_a_dataset_that_a_step_makes_is_linked_to_the_execution(project: Project, platform: Platform) -> None:
    body = (
        "@el.step\ndef make(n: int):\n    import pyarrow as pa\n"
        "    made = write_table(active_session(), 'rows', pa.table({'a': list(range(n))}))\n"
        "    assert read_table(active_session(), made).num_rows == n\n    return made\n"
    )
    project.write("steps.py", HEADER + body + "@el.pipeline\ndef fit(n: int): return make(n)\n")
    execution = project.run(n=3)
    graph = platform.call("lineage.graph", {"urn": "dataset:default/rows@1", "direction": "upstream"})
    assert f"execution:default/{execution.id}" in graph.nodes


SNEAK = """
from everloop.datasets.content import snapshot_of
@el.step
def count(name) -> int: return read_table(active_session(), snapshot_of(active_session(), "flights")).num_rows
@el.pipeline
def fit(name: str = "flights"): return count(name)
"""


def test_a_step_may_not_read_a_snapshot_that_it_was_not_handed(project: Project) -> None:
    import pyarrow as pa

    write_table(project.session, "flights", pa.table({"a": [1, 2]}))
    project.write("steps.py", HEADER + SNEAK)
    with pytest.raises(StepFailed, match="read flights@1, which is not among its arguments"):
        project.run()
    assert project.run(name="dataset:default/flights@1").output == 2


def test_a_step_that_is_not_remembered_may_read_anything_and_runs_each_time(project: Project) -> None:
    import pyarrow as pa

    write_table(project.session, "flights", pa.table({"a": [1, 2]}))
    project.write("steps.py", HEADER + SNEAK.replace("@el.step", "@el.step(remember=False)"))
    assert project.run().executed == project.run().executed == ["count"]


def test_a_step_has_a_seed_of_its_own_that_comes_back_with_its_key(project: Project) -> None:
    body = "@el.step\ndef draw(x: int): return step_seed()\n@el.pipeline\ndef fit(): return draw(1), draw(2)\n"
    project.write("steps.py", HEADER + body)
    execution = project.run()
    again = replay(project.session, execution.id)
    assert len({step.random_seed for step in execution.steps}) == 2
    assert execution.output == [step.random_seed for step in execution.steps]
    assert again.output == execution.output


def test_a_replay_executes_everything_and_shows_what_came_out_otherwise(project: Project) -> None:
    body = (
        "import itertools\nCOUNT = itertools.count()\n@el.step\ndef sure(x: int): return x\n"
        "@el.step\ndef unsure(x: int): return next(tools())\ndef tools():\n    import time\n"
        "    yield time.perf_counter_ns()\n@el.pipeline\ndef fit(x: int): return sure(x), unsure(x)\n"
    )
    project.write("steps.py", HEADER + body)
    before = project.run(x=1)
    after = replay(project.session, before.id)
    assert after.executed == ["sure", "unsure"]
    assert [a.output_digest == b.output_digest for a, b in zip(before.steps, after.steps, strict=True)] == [True, False]
    assert project.run(x=1).output == before.output  # The memo still has what it had.


def test_progress_is_told_as_it_happens(project: Project) -> None:
    project.write("steps.py", CHAIN)
    told: list[StepProgress] = []
    with watching(told.append):
        project.run()
        project.edit("steps.py", "x - 1", "x - 2")
        project.run()
    assert [(p.step, p.happening) for p in told] == [
        ("first", "started"), ("first", "finished"), ("second", "started"), ("second", "finished"),
        ("third", "started"), ("third", "finished"), ("first", "hit"), ("second", "hit"),
        ("third", "started"), ("third", "finished"),
    ]  # fmt: skip


def test_a_pipeline_runs_by_its_name(project: Project, platform: Platform) -> None:
    project.write("steps.py", CHAIN)
    definition = {"name": "train", "target": "steps:fit", "folder": str(project.folder)}
    platform.call("pipelines.apply", {"definitions": [definition]})
    execution = platform.call("pipelines.run", {"name": "train", "arguments": {"x": "5"}})
    assert (execution.pipeline, execution.arguments, execution.output) == ("train", {"x": 5}, 11)
    assert platform.call("pipelines.execution", {"id": execution.id}) == execution
    assert platform.call("pipelines.executions", {"pipeline": "train"}) == [execution]
    assert platform.call("pipelines.executions", {"pipeline": "other"}) == []
    assert platform.call("pipelines.replay", {"id": execution.id}).output == 11


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"x": "five"}, "x: Expected `int`"),
        ({"y": 1}, "unexpected keyword argument 'y'"),
        ({"x": 1.5}, "Expected `int`"),
    ],
)
def test_arguments_that_do_not_fit_are_refused_before_anything_starts(
    project: Project, platform: Platform, arguments: dict[str, object], message: str
) -> None:
    project.write("steps.py", CHAIN)
    with pytest.raises(InvalidInput, match=message):
        project.run(**arguments)
    assert platform.call("pipelines.executions", {}) == []


@pytest.mark.parametrize(
    ("target", "error"),
    [("os:system", InvalidInput), ("steps:first", InvalidInput), ("steps:gone", NotFound), ("gone:fit", NotFound),
     ("steps", InvalidInput)],
)  # fmt: skip
def test_only_a_declared_pipeline_can_be_run(project: Project, target: str, error: type[Exception]) -> None:
    project.write("steps.py", CHAIN)
    with pytest.raises(error):
        project.run(target)


def test_async_and_generator_steps_are_refused_where_they_are_declared(project: Project) -> None:
    project.write("steps.py", HEADER + "@el.step\nasync def work(): return 1\n")
    with pytest.raises(InvalidInput, match="async or a generator"):
        project.pipeline()
    project.write("steps.py", HEADER + "@el.step\ndef work(): yield 1\n")
    with pytest.raises(InvalidInput, match="async or a generator"):
        project.pipeline()


def test_a_module_that_does_not_import_says_so(project: Project) -> None:
    project.write("steps.py", "1 / 0")
    with pytest.raises(StepFailed, match="Importing steps failed: ZeroDivisionError"):
        project.pipeline()
    project.write("steps.py", "import not_installed_here")
    with pytest.raises(StepFailed, match="No module named 'not_installed_here'"):
        project.pipeline()


def test_two_projects_with_modules_of_one_name_do_not_mix(project: Project, tmp_path: Path) -> None:
    project.write("steps.py", CHAIN)
    other = Project(tmp_path / "other", project.session)
    other.write("steps.py", CHAIN.replace("x * 2", "x * 5"))
    assert [project.run().output, other.run().output, project.run().output] == [3, 9, 3]


def test_a_step_called_outside_of_a_pipeline_just_runs(project: Project) -> None:
    project.write("steps.py", CHAIN)
    assert project.pipeline()(x=2) == 5


CRASHING = (
    HEADER
    + """
import os, signal
from pathlib import Path
@el.step
def first(x: int): return x + 1
@el.step
def second(x: int): return x * 2
@el.step
def third(x: int):
    if not Path(__file__).with_name("mended").exists():
        os.kill(os.getpid(), signal.SIGKILL)
    return x - 1
@el.pipeline
def fit(x: int = 1): return third(second(first(x)))
"""
)
SCRIPT = (
    "import sys; from pathlib import Path; from everloop.app.platform import open_platform;"
    "from everloop.pipelines.declare import Pipeline; from everloop.pipelines.project import load;"
    "from everloop.pipelines.execution import execute;"
    "session = open_platform(home=sys.argv[1]).session();"
    "print(execute(session, load(Path(sys.argv[2]), 'steps:fit', Pipeline), {})[0].executed)"
)


@pytest.mark.slow
def test_after_a_kill_the_execution_is_abandoned_and_the_next_goes_on_from_there(
    project: Project, platform: Platform, home: Path
) -> None:
    project.write("steps.py", CRASHING)
    command = [sys.executable, "-c", SCRIPT, str(home), str(project.folder)]
    assert subprocess.run(command, check=False).returncode == -signal.SIGKILL
    [dead] = platform.call("pipelines.executions", {})
    assert (dead.status, dead.error, dead.executed) == ("failed", ABANDONED, ["first", "second"])
    assert platform.call("runs.get", {"id": dead.run}).status == "running"  # Looking changes nothing.
    project.write("mended", "")
    assert project.run().executed == ["third"]
    assert get(project.session, dead.id).status == "failed"
    assert platform.call("runs.get", {"id": dead.run}).status == "failed"


@pytest.mark.slow
def test_an_execution_that_is_still_running_elsewhere_is_left_alone(
    project: Project, platform: Platform, home: Path
) -> None:
    waiting = CRASHING.replace("os.kill(os.getpid(), signal.SIGKILL)", "import time; time.sleep(60)")
    project.write("steps.py", waiting)
    running = subprocess.Popen([sys.executable, "-c", SCRIPT, str(home), str(project.folder)])
    try:
        deadline = time.perf_counter() + 30
        while len(getattr(next(iter(platform.call("pipelines.executions", {})), None), "steps", ())) < 2:
            assert time.perf_counter() < deadline
            time.sleep(0.05)
        project.write("mended", "")
        assert project.run().executed == ["third"]
        assert [each.status for each in platform.call("pipelines.executions", {})].count("running") == 1
    finally:
        os.kill(running.pid, signal.SIGKILL)
        running.wait()
    assert {each.status for each in platform.call("pipelines.executions", {})} == {"failed", "finished"}


def test_an_interrupted_execution_is_kept_as_failed(project: Project, platform: Platform) -> None:
    project.write(
        "steps.py", HEADER + "@el.step\ndef work(): raise KeyboardInterrupt\n@el.pipeline\ndef fit(): work()\n"
    )
    with pytest.raises(KeyboardInterrupt):
        project.run()
    assert [each.status for each in platform.call("pipelines.executions", {})] == ["failed"]


def test_a_step_may_be_declared_in_a_function(idle: Session) -> None:
    from everloop.pipelines.declare import pipeline, step

    calls: list[int] = []

    @step
    def work(x: int) -> int:
        calls.append(x)
        return x

    @pipeline
    def fit() -> int:
        return work(1) + work(1) + work(2)

    assert [execute(idle, fit, {})[1] for _ in range(2)] == [4, 4]
    assert calls == [1, 2]


class Inner(msgspec.Struct, frozen=True):
    """A value of the test's module."""

    a: int


def test_a_struct_is_read_from_json(idle: Session) -> None:
    from everloop.pipelines.declare import pipeline

    @pipeline
    def fit(inner: Inner) -> int:
        return inner.a

    assert execute(idle, fit, {"inner": {"a": 5}})[1] == 5
    assert execute(idle, fit, {"inner": Inner(6)})[1] == 6


GATED = (
    HEADER
    + """
@el.step
def train(rows: el.Snapshot) -> int:
    return el.read_table(rows).num_rows
@el.step
def careful(rows: el.Snapshot) -> int:
    el.require_checks(rows)
    return 1
@el.pipeline
def fit(): return train(el.snapshot("flights"))
@el.pipeline
def look(): return careful(el.snapshot("flights"))
"""
)


def _expecting(platform: Platform, *gates: str) -> None:
    write_table(platform.session(), "flights", pa.table({"flight": [1, 1]}))
    unique = {"type": "unique", "columns": ["flight"]}
    declared = [{"dataset": "flights", "expectations": [unique], "gates": gates}]
    platform.call("datasets.apply_suites", {"declared": declared})


class TestDataThatFailsItsChecks:
    def test_a_step_is_not_given_it_where_the_suite_gates_training(self, platform: Platform, project: Project) -> None:
        _expecting(platform, "training")
        project.write("steps.py", GATED)
        with pytest.raises(Refused, match="flights@1 fails 1 of 1 expectations: no two rows agree in flight"):
            project.run()

    def test_also_when_the_step_is_remembered(self, platform: Platform, project: Project) -> None:
        _expecting(platform)
        project.write("steps.py", GATED)
        assert project.run().output == 2
        platform.call("datasets.gate", {"name": "flights", "at": ["training"]})
        with pytest.raises(Refused, match="flights@1 fails"):
            project.run()

    def test_a_suite_that_gates_elsewhere_stops_no_step(self, platform: Platform, project: Project) -> None:
        _expecting(platform, "commit", "deployment")
        project.write("steps.py", GATED)
        assert project.run().output == 2

    def test_a_step_may_ask_for_itself(self, platform: Platform, project: Project) -> None:
        _expecting(platform)
        project.write("steps.py", GATED.replace("def fit", "def other").replace("def look", "def fit"))
        with pytest.raises(StepFailed, match="flights@1 fails 1 of 1 expectations"):
            project.run()
