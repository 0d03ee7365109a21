"""What supervisors write down about their workers."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path

from everloop.app.doctor import examine
from everloop.app.settings import load
from everloop.app.workers import ServingStatus, WorkerStatus, forget_status, serving_statuses, write_status


def status(pid: int, *states: str, **more: object) -> ServingStatus:
    at = datetime(2026, 1, 1, tzinfo=UTC)
    workers = tuple(WorkerStatus(1, state, 50, at) for state in states)  # type: ignore[arg-type]
    return ServingStatus("delay", "http://127.0.0.1:1", pid, 2, workers, **more)  # type: ignore[arg-type]


def test_what_was_written_is_read_until_it_is_forgotten(tmp_path: Path) -> None:
    mine = status(os.getpid(), "ready", "starting")
    write_status(tmp_path, mine)
    assert serving_statuses(tmp_path) == [mine]
    assert mine.ready == 1
    forget_status(tmp_path, os.getpid())
    assert serving_statuses(tmp_path) == []


def test_a_supervisor_that_was_killed_is_passed_over(tmp_path: Path) -> None:
    pid = os.fork()
    if not pid:
        os._exit(0)
    os.waitpid(pid, 0)
    write_status(tmp_path, status(pid, "ready"))
    assert serving_statuses(tmp_path) == []


def test_the_doctor_tells_of_workers_that_are_missing_and_of_models_in_quarantine(tmp_path: Path) -> None:
    settings = load({"home": str(tmp_path)}, environment={}, folder=tmp_path)
    told = []
    for one in (status(os.getpid(), "ready"), status(os.getpid(), "ready", "ready", quarantined={"3f": "It crashed."})):
        write_status(tmp_path, one)
        told += [(found.state, found.message) for found in examine(settings) if found.name == "workers"]
    assert [state for state, _ in told] == ["warning", "broken"]
    assert "1 of 2 workers of delay" in told[0][1]
    assert "It crashed." in told[1][1]
