"""The replay: it ticks at the same simulated moments, however often it was interrupted."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from everloop.cli.demo.children import Child
from everloop.cli.demo.narrator import Narrator
from everloop.cli.demo.replay import TICK, Ahead, Asker, Known, Moment, Replay
from everloop.kernel.clock import SharedClock
from everloop.loop.entities import TickReport

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


class Told:
    """A moment at which nothing is asked."""

    def __init__(self, number: int) -> None:
        self.at = BEGINS + timedelta(hours=number)
        self.request: dict[str, list[str | None] | list[float]] = {}


class Making:
    """Stands where the materializer does, and writes down for which moments it made changes."""

    def __init__(self) -> None:
        self.made: list[datetime] = []

    def changes(self, until: datetime) -> str:
        self.made.append(until)
        return f"{until:%H}"


def test_the_next_moment_is_made_ready_once_while_the_endpoint_answers() -> None:
    moments, making = [Told(0), Told(1), Told(2)], Making()
    ahead = Ahead(moments, making)  # type: ignore[arg-type]  # A materializer that only writes down.
    seen = []
    for moment, changes in ahead:
        assert making.made[-1] == moment.at
        ahead.prepare()
        ahead.prepare()
        seen.append(changes)
    assert seen == ["05", "06", "07"]
    assert making.made == [moment.at for moment in moments]
