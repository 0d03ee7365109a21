"""The demo's home: made so that it can be gone on with, and never in the way of another."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from everloop.app.platform import open_platform
from everloop.app.settings import load
from everloop.cli.demo.journey import alone, prepare
from everloop.kernel.clock import SharedClock
from everloop.kernel.errors import Conflict, Misconfigured


def test_a_home_of_the_demo_says_that_its_clock_is_shared_and_which_project_it_is(home: Path) -> None:
    prepare(home, 10)
    values = load({"home": str(home)}, environment={}, folder=home).values
    assert (values.project, values.clock) == ("flights", "shared")


def test_its_clock_stands_where_it_was_left_for_every_process(home: Path) -> None:
    prepare(home, 10)
    platform = open_platform(load({"home": str(home)}, environment={}, folder=home))
    clock = platform.resources.clock
    assert isinstance(clock, SharedClock)
    clock.advance(datetime(2013, 5, 1, tzinfo=UTC))
    platform.close()
    again = open_platform(load({"home": str(home)}, environment={}, folder=home))
    assert again.resources.clock.now() == datetime(2013, 5, 1, tzinfo=UTC)
    again.close()


def test_the_home_of_another_platform_is_left_alone(home: Path) -> None:
    open_platform(load({"home": str(home)}, environment={}, folder=home.parent)).close()
    before = sorted(path.name for path in home.iterdir())
    with pytest.raises(Misconfigured, match="another platform"):
        prepare(home, 10)
    assert sorted(path.name for path in home.iterdir()) == before


def test_a_demo_is_not_gone_on_with_at_another_length(home: Path) -> None:
    prepare(home, 2)
    prepare(home, 2)
    with pytest.raises(Misconfigured, match="2 months into the year, not 3"):
        prepare(home, 3)


def test_two_demos_do_not_live_in_one_home(tmp_path: Path) -> None:
    with alone(tmp_path), pytest.raises(Conflict, match="A demo is running"), alone(tmp_path):
        pass
    with alone(tmp_path):
        pass


def test_a_home_that_cannot_be_made_is_said_so(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(Misconfigured, match="cannot be made"):
        prepare(tmp_path / "file", 1)


def test_processes_that_work_in_a_home_one_after_the_other_make_different_ids(home: Path) -> None:
    prepare(home, 1)
    made = []
    for _ in range(2):
        platform = open_platform(load({"home": str(home)}, environment={}, folder=home))
        made.append(platform.call("runs.start", {"experiment": "fit"}).id)
        platform.close()
    assert made[0] != made[1]
