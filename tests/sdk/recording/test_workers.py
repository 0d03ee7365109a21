"""Many processes that log to one run: each has a journal, and the process that began the run ships them all."""

from __future__ import annotations

import multiprocessing
import os
from pathlib import Path

import pytest

import everloop as el
from everloop.sdk.platform import Everloop
from everloop.sdk.recording.run import Run
from tests.sdk.recording.conftest import trainer


def log(run: Run, worker: int) -> None:
    for step in range(100):
        run.log_metric(f"worker/{worker}", step)
    run.set_tag(f"worker/{worker}", "done")


def log_to_the_active(worker: int) -> None:
    for step in range(100):
        el.log_metric(f"worker/{worker}", step)


def check(ever: Everloop, run: Run) -> None:
    for worker in range(2):
        points = ever.runs.history(run.id, f"worker/{worker}")
        assert [point.step for point in points] == list(range(100))


@pytest.mark.slow
@pytest.mark.parametrize("way", ["fork", "spawn"])
def test_workers_of_multiprocessing_log_to_the_run_that_they_are_handed(ever: Everloop, way: str) -> None:
    context = multiprocessing.get_context(way)
    with el.run("trial", platform=ever) as run:
        workers = [context.Process(target=log, args=(run, worker)) for worker in range(2)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        run.log_metric("parent", 1.0)
    check(ever, run)
    assert ever.runs.get(run.id).tags == {"worker/0": "done", "worker/1": "done"}
    assert ever.runs.get(run.id).status == "finished"


@pytest.mark.slow
def test_forked_workers_find_the_active_run(ever: Everloop, home: Path) -> None:
    context = multiprocessing.get_context("fork")
    with el.run("trial", platform=ever) as run, context.Pool(2) as pool:
        pool.map(log_to_the_active, range(2))
        pool.close()
        pool.join()
    check(ever, run)
    assert list((home / "journals").iterdir()) == []


def test_what_the_parent_had_logged_before_a_fork_is_there_once(ever: Everloop) -> None:
    with el.run("trial", platform=ever) as run:
        for _ in range(50):
            run.log_metric("loss", 0.5)
        child = os.fork()
        if child == 0:
            run.log_metric("child", 1.0)
            run.finish()
            os._exit(0)
        assert os.waitpid(child, 0)[1] == 0
    assert len(ever.runs.history(run.id, "loss")) == 50
    assert len(ever.runs.history(run.id, "child")) == 1


@pytest.mark.slow
def test_what_a_killed_worker_had_flushed_is_there(ever: Everloop) -> None:
    with el.run("trial", platform=ever) as run:
        child = os.fork()
        if child == 0:
            run.log_metric("child", 1.0)
            run.flush()
            os.kill(os.getpid(), 9)
        os.waitpid(child, 0)
    assert len(ever.runs.history(run.id, "child")) == 1


@pytest.mark.slow
def test_a_process_joins_by_its_environment_and_does_not_end_the_run(ever: Everloop, home: Path) -> None:
    with el.run("trial", platform=ever) as run:
        body = "with el.run('other') as run:\n    el.log_metric('worker', 1.0)\nprint(run.id)"
        out, problems = trainer(home, body, **run.variables).communicate(timeout=60)
        assert (out.strip(), problems) == (run.id, "")
        run.log_metric("parent", 1.0)
    assert ever.runs.get(run.id).metrics == {"parent": 1.0, "worker": 1.0}
