"""Logging from the code of a step."""

from __future__ import annotations

from pathlib import Path

import pytest

from everloop.app.platform import Platform
from everloop.catalog.session import Session
from everloop.kernel.errors import Conflict, NotFound
from everloop.tracking import active
from everloop.tracking.recording import recording


@pytest.fixture
def idle(platform: Platform) -> Session:
    return platform.session()


@pytest.fixture
def run(platform: Platform) -> str:
    found: str = platform.call("runs.start", {"experiment": "trial"}).id
    return found


def test_what_is_logged_is_written_at_the_end_in_one_transaction(platform: Platform, idle: Session, run: str) -> None:
    with idle.activate(), recording(idle, run):
        active.log_metrics({"auc": 0.7, "loss": 0.3}, step=2)
        active.log_parameters({"rate": 0.1, "deep": True})
        active.log_artifact("a.txt", b"hello")
        assert active.active_run() == run
        assert platform.call("runs.get", {"id": run}).metrics == {}
    found = platform.call("runs.get", {"id": run})
    assert found.metrics == {"auc": 0.7, "loss": 0.3}
    assert found.parameters == {"deep": "True", "rate": "0.1"}
    assert [artifact.path for artifact in platform.call("runs.artifacts", {"id": run})] == ["a.txt"]


def test_what_was_logged_before_an_error_is_written(platform: Platform, idle: Session, run: str) -> None:
    def half_way() -> None:
        with idle.activate(), recording(idle, run):
            active.log_metric("auc", 1 / 2)
            active.log_metric("loss", 1 / 0)

    with pytest.raises(ZeroDivisionError):
        half_way()
    assert platform.call("runs.get", {"id": run}).metrics == {"auc": 0.5}


def test_a_file_can_be_logged_by_its_path(platform: Platform, idle: Session, run: str, tmp_path: Path) -> None:
    (tmp_path / "plot.svg").write_bytes(b"<svg/>")
    with idle.activate(), recording(idle, run):
        made = active.log_artifact("plots/plot.svg", tmp_path / "plot.svg")
    assert idle.store.get(made.digest) == b"<svg/>"


def test_a_parameter_is_logged_once(idle: Session, run: str) -> None:
    with idle.activate(), recording(idle, run):
        active.log_parameter("rate", 0.1)
        active.log_parameter("rate", "0.1")
        with pytest.raises(Conflict, match=r"cannot become '0\.2'"):
            active.log_parameter("rate", 0.2)


def test_an_empty_recording_writes_nothing(platform: Platform, idle: Session, run: str) -> None:
    before = len(platform.call("audit.entries", {}))
    with recording(idle, run):
        pass
    assert len(platform.call("audit.entries", {})) == before


def test_logging_outside_of_a_step_says_what_to_do() -> None:
    with pytest.raises(NotFound, match="No run is active here"):
        active.log_metric("auc", 0.7)
