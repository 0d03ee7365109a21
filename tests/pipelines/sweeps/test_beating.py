"""Signs of life: a trial elsewhere that takes long is not taken for dead, and one that says nothing is."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from threading import Event

import pytest

pytest.importorskip("optuna")

from optuna.study import StudyDirection
from sqlalchemy import select

from everloop.app.platform import Platform, open_platform
from everloop.app.settings import load
from everloop.catalog.session import Session
from everloop.kernel.clock import SimulatedClock
from everloop.pipelines.sweeps import worker
from everloop.pipelines.sweeps.beating import beating
from everloop.pipelines.sweeps.driving import drive
from everloop.pipelines.sweeps.storage import OptunaStorage
from everloop.pipelines.sweeps.tables import trials
from tests.pipelines.sweeps.made import X, created


@contextmanager
def elsewhere(platform: Platform, folder: Path) -> Iterator[Platform]:
    """The same catalog from a home of another machine, where nobody sees the leases of this one."""
    settings = {"home": str(folder), "database_url": f"sqlite:///{platform.resources.home}/catalog.db"}
    opened = open_platform(load(settings, environment={}, folder=folder.parent))
    opened.resources = replace(opened.resources, clock=platform.resources.clock)
    yield opened
    opened.close()


def test_a_trial_elsewhere_lives_for_as_long_as_its_process_says_so(
    platform: Platform, clock: SimulatedClock, tmp_path: Path
) -> None:
    here = OptunaStorage(platform.session())
    study = here.create_new_study([StudyDirection.MINIMIZE], "long")
    here.create_new_trial(study)
    with elsewhere(platform, tmp_path / "other") as other:
        there = OptunaStorage(other.session(project=platform.session().project))
        for _ in range(3):
            clock.advance(clock.now() + timedelta(seconds=50))
            here.beat(study)
        assert there.stale(study) == []
        clock.advance(clock.now() + timedelta(seconds=61))
        assert there.stale(study) == [0]
        assert here.stale(study) == []


def test_a_worker_says_that_it_lives_while_a_trial_runs(
    idle: Session, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker, "BEAT", 0.01)
    created(idle, folder, "bowl", trials=1, space=X)

    def patient(x: float) -> float:
        began, until = beat_of(idle), time.monotonic() + 30
        while beat_of(idle) == began and time.monotonic() < until:
            time.sleep(0.01)
        seen.append(beat_of(idle) > began)
        return x

    seen: list[bool] = []
    drive(idle, "bowl", patient)
    assert seen == [True]


def test_a_sign_that_fails_is_followed_by_the_next_one() -> None:
    tried, twice = [], Event()

    def failing() -> None:
        tried.append(len(tried))
        if len(tried) == 2:
            twice.set()
        raise OSError("the database is away")

    with beating(failing, every=0.001):
        assert twice.wait(30)


def beat_of(session: Session) -> datetime:
    """When the first trial's process last said that it lives."""
    with session.begin(write=False) as unit:
        return unit.scalars(select(trials.c.beat))[0]
