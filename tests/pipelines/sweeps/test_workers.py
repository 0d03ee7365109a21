"""Sweeps with several processes: which die, are killed with their driver, and never do a thing twice."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from everloop.app.platform import Platform, open_platform
from everloop.app.settings import load
from everloop.catalog.session import Session
from everloop.kernel.errors import Conflict, StepFailed, Unavailable
from everloop.pipelines.sweeps import service
from everloop.pipelines.sweeps.entities import Search
from everloop.tracking import service as tracking
from tests.pipelines.sweeps.made import X, created, swept, trials_of
from tests.servers import postgresql

pytestmark = [pytest.mark.slow, pytest.mark.timeout(170)]


@pytest.fixture(params=["sqlite", "postgresql"])
def anywhere(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Platform]:
    """A platform on either database."""
    settings = {"home": str(tmp_path / "home"), "project": "shop"}
    if request.param == "sqlite":
        opened = open_platform(load(settings, environment={}, folder=tmp_path))
        yield opened
        opened.close()
        return
    pytest.importorskip("psycopg")
    with postgresql() as url:
        settings["database_url"] = f"{url}/postgres"
        opened = open_platform(load(settings, environment={}, folder=tmp_path))
        yield opened
        opened.close()


def test_two_workers_share_the_trials_and_no_number_is_given_twice(anywhere: Platform, folder: Path) -> None:
    session = anywhere.session()
    sweep = swept(session, folder, "slow", trials=12, workers=2, executor="processes")
    assert sweep.counts == {"complete": 12}
    trials = trials_of(session, "slow")
    assert [trial.number for trial in trials] == list(range(12))
    assert len({trial.run for trial in trials}) == 12
    assert len({trial.parameters["x"] for trial in trials}) == 12


def test_a_trial_whose_worker_is_killed_is_tried_again(idle: Session, folder: Path) -> None:
    sweep = swept(idle, folder, "dies", trials=6, workers=2, executor="processes", retries=1)
    assert sweep.counts == {"complete": 6, "killed": 1}
    (again,) = [trial for trial in trials_of(idle, "dies") if trial.retried is not None]
    killed = trials_of(idle, "dies")[2]
    assert (again.retried, killed.status) == (2, "killed")
    assert again.parameters == killed.parameters
    with idle.begin(write=False) as unit:
        assert tracking.get(unit, killed.run).status == "killed"


def test_a_trial_whose_worker_is_killed_counts_where_nobody_asked_for_another(idle: Session, folder: Path) -> None:
    sweep = swept(idle, folder, "dies", trials=6, workers=1, executor="processes")
    assert sweep.counts == {"complete": 5, "killed": 1}


def test_workers_that_always_die_fail_the_sweep(idle: Session, folder: Path) -> None:
    with pytest.raises(StepFailed, match="workers of sweep always_dies died"):
        swept(idle, folder, "always_dies", trials=50, workers=1, executor="processes")
    assert service.get(idle, "always_dies").status == "failed"


def test_an_error_in_a_worker_ends_all_of_them(idle: Session, folder: Path) -> None:
    with pytest.raises(StepFailed, match="NameError"):
        swept(idle, folder, "typo", space=X, trials=500, workers=2, executor="processes")
    assert service.get(idle, "typo").counts["failed"] <= 7


def test_asynchronous_halving_prunes_with_two_workers(idle: Session, folder: Path) -> None:
    search = Search("random", pruner="asha", seed=1)
    sweep = swept(idle, folder, "staged", trials=24, workers=2, executor="processes", search=search)
    assert sum(sweep.counts.values()) == 24
    assert sweep.counts["pruned"] > 0


@pytest.mark.parametrize("workers", [1, 2])
def test_a_sweep_whose_driver_is_killed_goes_on_where_it_was(idle: Session, folder: Path, workers: int) -> None:
    created(idle, folder, "slow", trials=10, workers=workers, executor="local" if workers == 1 else "processes")
    driver = _driver(idle, folder)
    _wait_for(idle, ended=3)
    os.killpg(driver.pid, signal.SIGKILL)
    driver.wait()
    before = {trial.number: trial for trial in trials_of(idle, "slow") if trial.status == "complete"}
    assert service.get(idle, "slow").status == "killed"
    sweep = service.resume(idle, "slow")
    after = trials_of(idle, "slow")
    assert len(after) == 10
    assert {number: after[number] for number in before} == before
    assert sweep.counts.get("killed", 0) <= workers
    assert sweep.counts["complete"] + sweep.counts.get("killed", 0) == 10


def test_a_sweep_has_one_driver_and_can_be_stopped(idle: Session, folder: Path) -> None:
    created(idle, folder, "slow", trials=500)
    driver = _driver(idle, folder)
    _wait_for(idle, ended=1)
    with pytest.raises(Conflict, match="driven by another process"):
        service.resume(idle, "slow")
    with idle.begin() as unit:
        service.stop(unit, "slow")
    assert driver.wait(timeout=60) == 0
    sweep = service.get(idle, "slow")
    assert sweep.status == "finished"
    assert sum(sweep.counts.values()) < 500


def test_ray_runs_the_workers(idle: Session, folder: Path) -> None:
    ray = pytest.importorskip("ray")
    try:
        sweep = swept(idle, folder, "slow", trials=4, workers=2, executor="ray")
    except Unavailable as error:
        pytest.skip(f"a local Ray does not start on this machine: {error}")
    assert sweep.counts == {"complete": 4}
    assert not ray.is_initialized()


def _driver(session: Session, folder: Path) -> subprocess.Popen[bytes]:
    """Another process that drives the sweep `slow`, with all of its own in one group."""
    command = [sys.executable, "-c", "from everloop.cli.main import main; main()", "sweeps", "resume", "slow"]
    variables = os.environ | {"EVERLOOP_HOME": str(session.home), "EVERLOOP_PROJECT": session.project}
    return subprocess.Popen(command, env=variables, cwd=folder, start_new_session=True, stdout=subprocess.DEVNULL)


def _wait_for(session: Session, ended: int) -> None:
    until = time.monotonic() + 60
    while service.get(session, "slow").counts.get("complete", 0) < ended:
        assert time.monotonic() < until, "no trial came to its end"
        time.sleep(0.05)
