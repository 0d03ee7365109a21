"""`everloop.run` as a decorator, and as what goes on with a run or joins one."""

from __future__ import annotations

import asyncio
import pickle
from collections.abc import Iterator
from pathlib import Path

import pytest

import everloop as el
from everloop.kernel.errors import Conflict, InvalidInput
from everloop.sdk.platform import Everloop


def test_each_call_of_a_function_is_a_run(ever: Everloop) -> None:
    @el.run("trial", platform=ever)
    def train(rate: float) -> float:
        """Train."""
        el.log_metric("rate", rate)
        return rate

    assert (train(0.1), train(rate=0.2), train.__doc__) == (0.1, 0.2, "Train.")
    assert sorted(run.metrics["rate"] for run in ever.runs.search("trial")) == [0.1, 0.2]


def test_coroutines_that_run_at_once_are_runs_of_their_own(ever: Everloop) -> None:
    @el.run("trial", platform=ever)
    async def train(rate: float) -> str:
        await asyncio.sleep(0)
        el.log_metric("rate", rate)
        await asyncio.sleep(0)
        return el.active_run()

    async def both() -> list[str]:
        return list(await asyncio.gather(train(0.1), train(0.2)))

    one, two = asyncio.run(both())
    assert (ever.runs.get(one).metrics, ever.runs.get(two).metrics) == ({"rate": 0.1}, {"rate": 0.2})
    assert ever.runs.get(one).parent == ever.runs.get(two).parent == ""


def test_a_generator_is_refused() -> None:
    def work() -> Iterator[int]:
        yield 1

    with pytest.raises(InvalidInput, match="is a generator"):
        el.run()(work)


def test_a_function_that_raises_has_failed(ever: Everloop) -> None:
    @el.run("trial", platform=ever)
    def train() -> None:
        raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        train()
    assert [run.status for run in ever.runs.search("trial")] == ["failed"]


def test_a_run_goes_on_where_it_ended(ever: Everloop) -> None:
    with el.run("trial", platform=ever, parameters={"rate": 1}) as run:
        run.log_metric("loss", 0.5)
        run.checkpoint(7, {"weights": b"seven"})
    with el.run(resume=run.id, platform=ever) as again:
        found = again.latest_checkpoint()
        again.log_metric("loss", 0.25)
    assert found is not None
    assert (found.step, found.files["weights"].read_bytes()) == (7, b"seven")
    assert [(point.step, point.value) for point in ever.runs.history(run.id, "loss")] == [(0, 0.5), (1, 0.25)]
    assert (ever.runs.get(run.id).status, ever.runs.get(run.id).parameters) == ("finished", {"rate": "1"})


def test_nobody_else_can_record_a_run_that_is_being_recorded(ever: Everloop) -> None:
    with el.run("trial", platform=ever) as run, pytest.raises(Conflict, match="being recorded"):
        el.run(resume=run.id, platform=ever).start()


def test_a_worker_joins_the_run_that_its_environment_names(
    ever: Everloop, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with el.run("trial", platform=ever) as run:
        variables = run.variables
    assert variables == {"EVERLOOP_RUN_ID": run.id, "EVERLOOP_HOME": str(home), "EVERLOOP_PROJECT": "default"}


def test_in_the_same_process_a_pickled_run_is_the_run(ever: Everloop) -> None:
    with el.run("trial", platform=ever) as run:
        assert pickle.loads(pickle.dumps(run)) is run


def test_a_run_inside_of_another_ran_in_what_that_did(ever: Everloop) -> None:
    with el.run("outer", platform=ever) as outer:
        outer.sync()
        with el.run("inner", platform=ever) as inner:
            pass
    first, second = ever.runs.get(outer.id), ever.runs.get(inner.id)
    assert first.environment
    assert (second.environment, second.code) == (first.environment, first.code)
