"""The parts of `everloop demo` that can be held to their sentences without a year of flights (that is in tests/e2e)."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from everloop.app.platform import open_platform
from everloop.app.settings import load
from everloop.cli.demo.children import Child
from everloop.cli.demo.journey import alone, prepare
from everloop.cli.demo.narrator import Narrator
from everloop.cli.demo.replay import TICK, Asker, Known, Moment, Replay
from everloop.kernel.clock import SharedClock
from everloop.kernel.errors import Conflict, Misconfigured
from everloop.loop.entities import TickReport
from tests.cli.test_processes import until

BEGINS = datetime(2013, 3, 1, 5, tzinfo=UTC)


class Nothing:
    """A world in which nothing is asked."""

    begins = BEGINS

    def hours(self, since: datetime) -> Iterator[Moment]:
        return iter(())

    def known(self, after: datetime, until: datetime) -> Known:
        class Empty:
            keys: list[str] = []
            values: list[float] = []
            at: list[int] = []

        return Empty()


class Ticks:
    """Stands where the platform does, and writes down when it ticks."""

    def __init__(self, clock: SharedClock) -> None:
        self.clock = clock
        self.at: list[datetime] = []

    def call(self, usecase: str, arguments: object) -> TickReport:
        self.at.append(self.clock.now())
        return TickReport("delay", self.clock.now())


@pytest.mark.parametrize(
    ("stands", "first"), [(timedelta(0), 1), (timedelta(hours=7), 2), (timedelta(hours=12), 2)], ids=str
)
def test_a_replay_that_goes_on_ticks_at_the_moments_of_one_that_began_there(
    tmp_path: Path, stands: timedelta, first: int
) -> None:
    clock = SharedClock(tmp_path / "clock")
    clock.advance(BEGINS + stands)
    ticks = Ticks(clock)
    child = Child("endpoint", ["serve", "delay"], 1, tmp_path / "log", {})
    Replay(ticks, clock, Asker(child, "delay"), Narrator()).settle(Nothing(), "delay", BEGINS + 4 * TICK)  # type: ignore[arg-type]  # A platform that only ticks.
    assert ticks.at == [BEGINS + number * TICK for number in range(first, 5)]


def test_two_demos_do_not_live_in_one_home(tmp_path: Path) -> None:
    with alone(tmp_path), pytest.raises(Conflict, match="A demo is running"), alone(tmp_path):
        pass
    with alone(tmp_path):
        pass


def test_a_home_of_another_platform_is_left_alone(home: Path) -> None:
    home.mkdir()
    (home / "catalog.db").touch()
    with pytest.raises(Misconfigured, match="another platform"):
        prepare(home, 1)
    assert [file.name for file in home.iterdir()] == ["catalog.db"]


def test_a_demo_does_not_change_its_length(home: Path) -> None:
    prepare(home, 1)
    prepare(home, 1)
    with pytest.raises(Misconfigured, match="1 months into the year, not 2"):
        prepare(home, 2)


def test_processes_that_work_in_a_home_one_after_the_other_make_different_ids(home: Path) -> None:
    prepare(home, 1)
    made = []
    for _ in range(2):
        platform = open_platform(load({"home": str(home)}, environment={}, folder=home))
        made.append(platform.call("runs.start", {"experiment": "fit"}).id)
        platform.close()
    assert made[0] != made[1]


@pytest.mark.slow
def test_a_child_ends_when_the_demo_is_killed(tmp_path: Path) -> None:
    code = (
        "import os, sys, time; from pathlib import Path; from everloop.cli.demo.children import Child;"
        "Child('server', ['server', '--home', sys.argv[1]], 0, Path(sys.argv[2]), os.environ).start(); time.sleep(60)"
    )
    demo = subprocess.Popen([sys.executable, "-c", code, str(tmp_path / "home"), str(tmp_path / "log")])
    children = Path(f"/proc/{demo.pid}/task/{demo.pid}/children")
    (child,) = until(lambda: children.read_text().split())
    until(lambda: "http" in (tmp_path / "log").read_text())
    demo.send_signal(signal.SIGKILL)
    demo.wait()
    until(lambda: not Path(f"/proc/{child}").exists() or "zombie" in Path(f"/proc/{child}/status").read_text())
