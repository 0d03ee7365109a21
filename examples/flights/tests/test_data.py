"""The data: what is derived from the raw flights, and when a delay is known."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from flights.data import DERIVED, EXPECTATIONS
from flights.training import LABEL_DELAY

import everloop as el


def test_each_flight_is_asked_about_once_two_hours_before_its_hour(schedule: pa.Table) -> None:
    flights = el.read_table(el.snapshot("flights"))
    assert schedule.num_rows == flights.num_rows == len(pc.unique(schedule["flight_id"]))
    hours = pc.subtract(flights["time_hour"].cast(pa.timestamp("us", "UTC")), pa.scalar(LABEL_DELAY * 2 / 3))
    assert sorted(hours.to_pylist()) == schedule["predicted_at"].to_pylist()


def test_a_delay_is_known_when_the_plane_has_landed_and_never_when_it_is_asked_about(schedule: pa.Table) -> None:
    landed = schedule.filter(pc.and_(pc.is_valid(schedule["late"]), pc.is_valid(schedule["landed_at"])))
    assert landed.num_rows > 0.9 * schedule.num_rows
    assert pc.all(pc.greater(landed["landed_at"], landed["predicted_at"])).as_py()


def test_what_did_not_happen_is_in_no_source_of_delays(schedule: pa.Table) -> None:
    flights = el.read_table(el.snapshot("flights"))
    departed = flights.num_rows - flights["dep_delay"].null_count
    landed = flights.num_rows - flights["arr_delay"].null_count
    assert el.snapshot("departures").rows == departed < flights.num_rows
    assert el.snapshot("landings").rows == landed < departed


@pytest.mark.slow
class TestTheYear:
    def test_it_is_whole(self, year: el.Everloop) -> None:
        rows = {name: year.datasets.get(name).rows for name in ("flights", "weather", "planes", *DERIVED)}
        assert rows == {
            "flights": 336_776,
            "weather": 26_115,
            "planes": 3_322,
            "schedule": 336_776,
            "departures": 328_521,
            "landings": 327_346,
        }

    def test_it_is_ingested_a_second_time_without_a_twin(self, year: el.Everloop) -> None:
        raw = year.get_object(year.datasets.get("planes").digest)
        assert year.datasets.commit("planes", year.put(raw), "parquet").version == 1
        assert year.datasets.derive("schedule", DERIVED["schedule"], ("flights",)).version == 1

    @pytest.mark.parametrize("name", EXPECTATIONS)
    def test_its_faults_are_those_that_are_known(self, year: el.Everloop, name: str) -> None:
        report = year.datasets.check(name)
        faults = {type(one.expectation).__name__: one.failures for one in report.results if not one.passed}
        assert faults == {"flights": {"NotNull": 9_430, "References": 50_094}, "weather": {"InRange": 1}}.get(name, {})
        assert all(one.passed or one.expectation.severity == "warning" for one in report.results)
