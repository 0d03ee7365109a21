"""The world outside: it asks about each flight once and tells each delay once, from wherever it goes on."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pyarrow as pa
import pytest
from flights.training import LABEL_DELAY
from flights.world import FIRST_DAY, World

import everloop as el

CUTS = [FIRST_DAY + timedelta(hours=hours) for hours in (0, 4, 29, 30, 31.5, 100)]
EVER = datetime(2015, 1, 1, tzinfo=UTC)


@pytest.fixture
def world(schedule: pa.Table) -> World:
    """The first days of March."""
    return World(schedule, months=1)


def asked(world: World, since: datetime, before: datetime = EVER) -> list[str]:
    """The flights that are asked about in a time, in order."""
    return [str(flight) for hour in world.hours(since) if hour.at < before for flight in hour.request["flight_id"]]


def test_only_the_flights_of_its_months_are_asked_about(world: World, schedule: pa.Table) -> None:
    march = schedule.filter(pa.compute.equal(schedule["month"], 3))
    assert asked(world, FIRST_DAY) == march["flight_id"].to_pylist()
    assert world.flights == march.num_rows
    assert set(world.month_of.values()) == {3}


@pytest.mark.parametrize("cut", CUTS, ids=str)
def test_one_that_goes_on_at_a_moment_asks_about_the_rest_and_nothing_twice(world: World, cut: datetime) -> None:
    before, after = asked(world, FIRST_DAY, cut), asked(world, cut)
    assert before + after == asked(world, FIRST_DAY)
    assert world.asked_before(cut) == len(before)


@pytest.mark.parametrize("cut", CUTS, ids=str)
def test_delays_that_become_known_are_told_once_whatever_the_steps(world: World, cut: datetime) -> None:
    before, after, all_of_them = world.known(FIRST_DAY, cut), world.known(cut, EVER), world.known(FIRST_DAY, EVER)
    assert before.keys + after.keys == all_of_them.keys
    assert all(at <= cut.timestamp() * 1e6 for at in before.at)
    assert len(set(all_of_them.keys)) == len(all_of_them.keys)


def test_a_delay_is_told_when_the_plane_has_landed_and_it_was_reported(world: World, schedule: pa.Table) -> None:
    landed = dict(zip(schedule["flight_id"].to_pylist(), schedule["landed_at"].to_pylist(), strict=True))
    told = world.known(FIRST_DAY, EVER)
    late = [datetime.fromtimestamp(at / 1e6, UTC) for at in told.at]
    assert late == [landed[key] + LABEL_DELAY for key in told.keys]


@pytest.mark.parametrize(
    ("months", "ends"), [(1, "2013-04-01T04:00"), (9, "2013-12-01T05:00"), (10, "2014-01-01T05:00")]
)
def test_its_months_end_at_midnight_in_new_york(schedule: pa.Table, months: int, ends: str) -> None:
    assert World(schedule, months).ends == datetime.fromisoformat(f"{ends}+00:00")


@pytest.mark.slow
def test_every_flight_from_march_to_december_is_asked_about(year: el.Everloop) -> None:
    with year.session().activate():
        world = World(el.read_table(el.snapshot("schedule")))
    flights = asked(world, FIRST_DAY)
    assert world.flights == len(flights) == len(set(flights)) == 284_821
    assert max(hour.at for hour in world.hours(FIRST_DAY)) < world.ends
