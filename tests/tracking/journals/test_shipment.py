"""Shipping a run's journals to a platform: in order, again after each interruption, and past what is refused."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from everloop.app.destinations import Embedded
from everloop.app.platform import Platform
from everloop.kernel.errors import EverloopError, NotFound, Unavailable
from everloop.store.service import Store
from everloop.tracking.entities import MetricPoint, Run
from everloop.tracking.environment import capture
from everloop.tracking.journals import locks
from everloop.tracking.journals.journal import Journal, journals
from everloop.tracking.journals.records import Begun, Captured, Ended, Kept, Measured, Noted, Printed, Recorded
from everloop.tracking.journals.shipment import SHIPPING, SPOOL, NotYet, Shipment
from everloop.tracking.journals.sync import left_in, sync
from everloop.tracking.points import pack, points_of

RUN = "01a205a3b5458ef4d0f6d2e66152d98f"
PARENT = "01a205a3b5458ef4d0f6d2e66152d98e"
NOW = datetime(2025, 12, 31, tzinfo=UTC)
CAPTURED = Captured(capture({}), revision="abc", branch="trunk")


class Told(list[str]):
    """Warnings."""

    def __call__(self, about: str, message: str) -> None:
        self.append(message)


class Flaky:
    """A platform whose answers get lost: it does what it was asked to do, and who asked never learns."""

    def __init__(
        self, inner: Embedded, fails: Sequence[bool], error: EverloopError = Unavailable("The answer was lost.")
    ) -> None:
        self._inner = inner
        self._error = error
        self._fails = iter(fails)
        self.name = inner.name

    @property
    def store(self) -> Store:
        return self._inner.store

    def call(self, name: str, arguments: Mapping[str, object]) -> Any:
        return self._lossy(self._inner.call(name, arguments))

    def points(self, run: str, segments: Sequence[bytes], writer: str, sequence: int) -> None:
        self._lossy(self._inner.points(run, segments, writer, sequence))

    def files(self, run: str, digests: Mapping[str, str]) -> None:
        self._lossy(self._inner.files(run, digests))

    def close(self) -> None:
        pass

    def _lossy(self, answer: Any) -> Any:
        if next(self._fails, False):
            raise self._error
        return answer


@pytest.fixture
def destination(platform: Platform) -> Embedded:
    return Embedded(platform, "default")


def begun(run: str = RUN, parent: str = "", *, resumed: bool = False) -> Begun:
    return Begun(run, "default", "trial", "first", NOW, parent, resumed=resumed)


def measured(*values: float, start: int = 0) -> Measured:
    points = points_of([MetricPoint("loss", value, start + at, NOW) for at, value in enumerate(values)])
    return Measured(pack(points), len(values))


def write(folder: Path, *records: Recorded, writer: str = "01") -> None:
    """A journal whose process is gone."""
    journal = Journal(folder, writer)
    journal.append(records)
    journal.close()


def ship(folder: Path, destination: Embedded, told: Told | None = None) -> bool:
    locks.hold(folder / SHIPPING)
    try:
        return Shipment(folder, destination, told if told is not None else Told()).end()
    finally:
        locks.release(folder / SHIPPING)


def run_of(destination: Embedded, run: str = RUN) -> Run:
    found: Run = destination.call("runs.get", {"id": run})
    return found


def history(destination: Embedded) -> list[float | None]:
    return [point.value for point in destination.call("runs.history", {"id": RUN, "key": "loss"})]


def test_a_whole_run_arrives_with_its_own_times_and_code(tmp_path: Path, destination: Embedded) -> None:
    ended = NOW + timedelta(minutes=5)
    write(
        tmp_path / RUN, begun(), CAPTURED, measured(3, 2), Noted({"rate": "1"}, {"kind": "gbm"}), Ended("failed", ended)
    )
    assert ship(tmp_path / RUN, destination)
    found = run_of(destination)
    assert (found.status, found.started, found.ended, found.code.revision) == ("failed", NOW, ended, "abc")
    assert (found.parameters, found.tags, history(destination)) == ({"rate": "1"}, {"kind": "gbm"}, [3, 2])
    assert not (tmp_path / RUN).exists()


def test_one_that_left_no_word_was_killed(tmp_path: Path, destination: Embedded) -> None:
    write(tmp_path / RUN, begun(), measured(1))
    ship(tmp_path / RUN, destination)
    assert (run_of(destination).status, run_of(destination).ended) == ("killed", NOW)


def test_a_full_journal_goes_when_it_has_arrived_while_the_run_goes_on(tmp_path: Path, destination: Embedded) -> None:
    folder = tmp_path / RUN
    write(folder, begun(), CAPTURED, measured(1), writer="01")
    write(folder, measured(2, start=1), Printed("halfway\n"), writer="01_000001")
    alive = Journal(folder, "01_000002")
    alive.append([measured(3, start=2)])
    Shipment(folder, destination, Told()).ship()
    assert [journal.stem for journal in journals(folder)] == ["01", "01_000002"]
    assert history(destination) == [1, 2, 3]
    alive.close()
    assert ship(folder, destination)
    assert history(destination) == [1, 2, 3]
    assert [file.path for file in destination.call("runs.artifacts", {"id": RUN})] == ["console-01_000001.txt"]


def test_a_run_that_was_killed_ended_with_the_last_of_its_journals(tmp_path: Path, destination: Embedded) -> None:
    later = NOW + timedelta(minutes=1)
    last = Measured(pack(points_of([MetricPoint("loss", 2.0, 1, later)])), 1)
    write(tmp_path / RUN, begun(), CAPTURED, measured(1), writer="01")
    write(tmp_path / RUN, last, writer="01_000001")
    assert ship(tmp_path / RUN, destination)
    assert (run_of(destination).status, run_of(destination).ended) == ("killed", later)
    assert history(destination) == [1, 2]


@pytest.mark.parametrize("hours", [0, 3])
def test_one_that_was_killed_after_it_was_resumed_ended_with_its_last_process(
    tmp_path: Path, destination: Embedded, hours: int
) -> None:
    def logged(step: int, at: datetime) -> Measured:
        return Measured(pack(points_of([MetricPoint("loss", 1.0, step, at)])), 1)

    resumed, last = NOW + timedelta(hours=2), NOW + timedelta(hours=hours)
    write(tmp_path / RUN, begun(), CAPTURED, writer="01")
    write(tmp_path / RUN, logged(1, NOW + timedelta(hours=1)), writer="01_000001")
    again = Begun(RUN, "default", "trial", "first", resumed, resumed=True)
    write(tmp_path / RUN, again, *([logged(2, last)] if hours else []), writer="02")
    locks.hold(tmp_path / RUN / SHIPPING)
    shipment = Shipment(tmp_path / RUN, destination, Told())
    shipment.ship()
    shipment.end()
    assert (run_of(destination).status, run_of(destination).ended) == ("killed", max(resumed, last))


def test_a_machine_whose_clock_is_wrong_loses_its_times_only(tmp_path: Path, destination: Embedded) -> None:
    told, ahead = Told(), NOW + timedelta(days=4_000)
    wrong = Begun(RUN, "default", "trial", "first", ahead)
    write(tmp_path / RUN, wrong, CAPTURED, measured(1), Ended("finished", ahead))
    assert ship(tmp_path / RUN, destination, told)
    assert (run_of(destination).status, history(destination)) == ("finished", [1])
    assert "Set the clock" in told[0]


@given(st.lists(st.booleans(), max_size=12))
def test_however_often_an_answer_is_lost_everything_is_there_once(
    shared_platform: Platform, tmp_path_factory: pytest.TempPathFactory, fails: list[bool]
) -> None:
    inner = Embedded(shared_platform, "default")
    run = shared_platform.session().new_id()
    folder = tmp_path_factory.mktemp("flaky") / run
    write(folder, begun(run), CAPTURED, measured(1, 2), Noted({"rate": "1"}), writer="01")
    write(folder, measured(3, 4, start=2), writer="02")
    flaky = Flaky(inner, fails)
    for _ in range(len(fails) + 1):
        try:
            if Shipment(folder, flaky, Told()).end():
                break
        except Unavailable:
            continue
    points = inner.call("runs.history", {"id": run, "key": "loss"})
    assert sorted(point.value for point in points) == [1, 2, 3, 4]
    assert (run_of(inner, run).parameters, run_of(inner, run).status) == ({"rate": "1"}, "killed")


def test_a_worker_that_outlived_its_run_is_shipped_later(tmp_path: Path, destination: Embedded) -> None:
    ended = Ended("finished", NOW + timedelta(minutes=1))
    write(tmp_path / RUN, begun(), CAPTURED, measured(1), ended, writer="01")
    alive = Journal(tmp_path / RUN, "02")
    alive.append([measured(2, start=1)])
    assert not ship(tmp_path / RUN, destination)
    assert run_of(destination).status == "finished"
    alive.append([measured(3, start=2)])
    alive.close()
    assert [left.outcome for left in sync(tmp_path, destination, Told())] == ["sent"]
    assert history(destination) == [1, 2, 3]
    assert (run_of(destination).status, run_of(destination).ended) == ("finished", ended.at)


def test_one_parameter_that_is_refused_costs_no_other(tmp_path: Path, destination: Embedded) -> None:
    told = Told()
    write(tmp_path / RUN, begun(), CAPTURED, Noted({"rate": "1"}), writer="01")
    write(tmp_path / RUN, Noted({"rate": "2", "deep": "yes"}), measured(1), writer="02")
    ship(tmp_path / RUN, destination, told)
    assert run_of(destination).parameters == {"deep": "yes", "rate": "1"}
    assert history(destination) == [1]
    assert [("rate" in message, "cannot become" in message) for message in told] == [(True, True)]


def test_what_the_platform_fails_at_by_itself_is_never_left_out(tmp_path: Path, destination: Embedded) -> None:
    write(tmp_path / RUN, begun(), CAPTURED, measured(1, 2))
    broken = Flaky(destination, [False, True], EverloopError("An error of the server."))
    with pytest.raises(EverloopError, match="of the server"):
        Shipment(tmp_path / RUN, broken, Told()).ship()
    ship(tmp_path / RUN, destination)
    assert history(destination) == [1, 2]


def test_files_arrive_and_one_that_is_missing_is_named(tmp_path: Path, destination: Embedded) -> None:
    told = Told()
    digest = destination.store.put(b"hello")
    (tmp_path / RUN / SPOOL).mkdir(parents=True)
    (tmp_path / RUN / SPOOL / digest).write_bytes(b"hello")
    write(
        tmp_path / RUN, begun(), CAPTURED, Kept("a.txt", digest, 5), Kept("b.txt", digest, 5), Kept("gone", "0" * 64, 1)
    )
    ship(tmp_path / RUN, destination, told)
    paths = [artifact.path for artifact in destination.call("runs.artifacts", {"id": RUN})]
    assert (paths, ["The file gone" in message for message in told]) == (["a.txt", "b.txt"], [True])


def test_each_process_has_its_console(tmp_path: Path, destination: Embedded) -> None:
    write(tmp_path / RUN, begun(), CAPTURED, Printed("one\n"), Printed("two\n"), writer="01")
    write(tmp_path / RUN, Printed("worker\n"), writer="02")
    ship(tmp_path / RUN, destination)
    found = {artifact.path: artifact.digest for artifact in destination.call("runs.artifacts", {"id": RUN})}
    assert {path: destination.store.get(digest) for path, digest in found.items()} == {
        "console.txt": b"one\ntwo\n",
        "console-02.txt": b"worker\n",
    }


def test_a_run_goes_on_in_a_second_journal(tmp_path: Path, destination: Embedded) -> None:
    write(tmp_path / RUN, begun(), CAPTURED, measured(1), Ended("failed", NOW + timedelta(minutes=1)), writer="01")
    ship(tmp_path / RUN, destination)
    write(
        tmp_path / RUN,
        begun(resumed=True),
        measured(2, start=1),
        Ended("finished", NOW + timedelta(minutes=2)),
        writer="02",
    )
    ship(tmp_path / RUN, destination)
    assert (run_of(destination).status, history(destination)) == ("finished", [1, 2])


def test_one_that_was_ended_elsewhere_meanwhile_goes_on(tmp_path: Path, destination: Embedded) -> None:
    journal = Journal(tmp_path / RUN, "01")
    journal.append([begun(), CAPTURED, measured(1)])
    shipment = Shipment(tmp_path / RUN, destination, Told())
    shipment.ship()
    destination.call("runs.finish", {"id": RUN})
    journal.append([measured(2, start=1)])
    shipment.ship()
    assert (run_of(destination).status, history(destination)) == ("running", [1, 2])
    journal.close()


def test_a_child_waits_for_its_parent_and_needs_none_that_is_nowhere(tmp_path: Path, destination: Embedded) -> None:
    told = Told()
    write(tmp_path / PARENT, begun(PARENT), CAPTURED)
    write(tmp_path / RUN, begun(RUN, PARENT), CAPTURED)
    with pytest.raises(NotYet):
        ship(tmp_path / RUN, destination, told)
    assert [left.outcome for left in sync(tmp_path, destination, told)] == ["sent", "sent"]
    assert run_of(destination).parent == PARENT
    write(tmp_path / ("1" * 32), begun("1" * 32, "2" * 32), CAPTURED)
    ship(tmp_path / ("1" * 32), destination, told)
    assert "has no parent there" in told[-1]


def test_what_is_found_is_told_without_being_sent(tmp_path: Path, destination: Embedded) -> None:
    write(tmp_path / RUN, begun(), CAPTURED, measured(1, 2))
    (left,) = left_in(tmp_path)
    assert (left.run, left.experiment, left.points, left.status, left.outcome) == (RUN, "trial", 2, "killed", "left")
    with pytest.raises(NotFound):
        run_of(destination)
    assert (tmp_path / RUN).exists()


def test_what_cannot_be_sent_stays(tmp_path: Path, destination: Embedded) -> None:
    destination.call("experiments.create", {"name": "trial"})
    destination.call("experiments.delete", {"name": "trial"})
    write(tmp_path / RUN, begun(), CAPTURED, measured(1))
    (left,) = sync(tmp_path, destination, Told())
    assert (left.outcome, "deleted" in left.problem, (tmp_path / RUN).exists()) == ("failed", True, True)
    destination.call("experiments.restore", {"name": "trial"})
    assert [left.outcome for left in sync(tmp_path, destination, Told())] == ["sent"]
    assert history(destination) == [1]


def test_errors_of_the_platform_are_those_of_everloop(tmp_path: Path, destination: Embedded) -> None:
    write(tmp_path / RUN, begun(resumed=True), measured(1))
    with pytest.raises(EverloopError, match="There is no run"):
        ship(tmp_path / RUN, destination)
