"""The data: what is derived from the raw flights, and when a delay is known."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from flights.data import DERIVED, ingest
from flights.suites import suites
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
            "weather": 26_114,
            "planes": 3_322,
            "schedule": 336_776,
            "departures": 328_521,
            "landings": 327_346,
        }

    def test_each_month_is_a_version_that_stores_only_its_rows(self, year: el.Everloop) -> None:
        months = year.datasets.log("flights")[::-1]
        assert [month.note for month in months] == [f"2013-{month:02}" for month in range(1, 13)]
        assert all(month.layers[-1].added.bytes < 600_000 for month in months[1:] if month.layers[-1].added)
        assert [len(month.layers) for month in months] == [0, *range(2, 13)]

    def test_each_came_from_a_version_of_the_files(self, year: el.Everloop) -> None:
        july = year.datasets.get("flights", 7)
        assert july.parents == ("dataset:default/deliveries@10",)
        assert year.datasets.get("deliveries", 10).note.startswith("2013-07")

    def test_kilometres_are_refused_and_tagged_with_the_reason(self, year: el.Everloop) -> None:
        (tag,) = year.datasets.tags("deliveries")
        assert (tag.name, tag.version) == ("refused-9", 9)
        assert "fails 3 of 13 expectations" in tag.note
        assert "distance > 750 * air_time / 60" in tag.note

    def test_the_wind_of_a_broken_instrument_is_set_aside(self, year: el.Everloop) -> None:
        (row,) = year.datasets.preview("weather.quarantine")
        assert row["wind_speed"] == pytest.approx(1048.36)
        assert row["_reasons"] == "wind_speed is from 0 to 120"

    def test_only_what_is_wrong_in_the_registry_is_corrected(self, year: el.Everloop) -> None:
        changed = year.datasets.diff_rows("planes", 1, "corrected", keys=("tailnum",))
        assert (changed.added, changed.removed, changed.changed) == (0, 0, 557)
        assert changed.changed_cells["seats"] == changed.changed_cells["model"] == 40
        assert year.datasets.get("planes").base == (3, 2)

    def test_it_is_ingested_a_second_time_without_a_twin(self, year: el.Everloop) -> None:
        before = {one.name: one.latest for one in year.datasets.list()}
        ingest(str(year.session().home))
        assert {one.name: one.latest for one in year.datasets.list()} == before

    @pytest.mark.parametrize("name", [suite.dataset for suite in suites])
    def test_its_faults_are_those_that_are_known(self, year: el.Everloop, name: str) -> None:
        report = year.datasets.check(name)
        faults = {type(one.expectation).__name__: one.failures for one in report.results if not one.passed}
        known = {"flights": {"NotNull": 9_430, "References": 50_094, "Freshness": 1}}
        assert faults == known.get(name, {})
        assert all(one.passed or one.expectation.severity == "warning" for one in report.results)
