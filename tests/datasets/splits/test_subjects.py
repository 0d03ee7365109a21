"""A subject is found wherever its rows went: versions, branches, parts, layers, copies, and what was made of them."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from everloop.app.platform import Platform
from everloop.catalog.lineage import link
from everloop.datasets import parquet
from everloop.datasets.content import write_table
from everloop.datasets.entities import Snapshot
from everloop.datasets.splits.entities import GroupedSplit, RandomSplit, SubjectReport
from everloop.datasets.splits.subjects import ranges_of
from everloop.kernel.errors import InvalidInput, NotFound
from tests.datasets.splits.conftest import delete_driver, rides, split
from tests.examples import examples

D3 = rides()["driver"].to_pylist().count("D3")


def subject(platform: Platform, value: str = "D3", column: str = "driver", name: str = "rides") -> SubjectReport:
    found: SubjectReport = platform.call("datasets.subject", {"name": name, "column": column, "value": value})
    return found


def held(report: SubjectReport) -> dict[str, int]:
    return {holding.snapshot.partition("/")[2]: holding.rows for holding in report.holdings}


class TestVersions:
    def test_every_version_that_holds_rows_is_named(self, platform: Platform, source: Snapshot) -> None:
        write_table(platform.session(), "rides", rides(100))
        without = rides().filter(pa.array([driver != "D3" for driver in rides()["driver"].to_pylist()]))
        write_table(platform.session(), "rides", without)
        assert held(subject(platform)) == {"rides@1": D3, "rides@2": rides(100)["driver"].to_pylist().count("D3")}

    def test_rows_are_told_by_file_and_range(self, platform: Platform) -> None:
        table = pa.table({"driver": ["a", "b", "b", "a", "b"]})
        made = write_table(platform.session(), "rides", table)
        (holding,) = subject(platform, "b").holdings
        (place,) = holding.places
        assert (place.file, place.bytes, place.rows, place.ranges) == (made.digest, made.bytes, 3, ((1, 2), (4, 4)))

    def test_branches_that_stand_at_a_version_are_told(self, platform: Platform, source: Snapshot) -> None:
        platform.call("datasets.branch", {"name": "rides", "branch": "clean"})
        assert subject(platform).holdings[0].heads == ("main", "clean")

    @pytest.mark.parametrize(
        ("column", "value", "rows"), [("id", "7", 1), ("city", "C", 20), ("at", "2013-03-01T12:00:00Z", 1)]
    )
    def test_a_value_is_read_as_its_column_is(
        self, platform: Platform, source: Snapshot, column: str, value: str, rows: int
    ) -> None:
        assert held(subject(platform, value, column)) == {"rides@1": rows}

    def test_a_stranger_is_found_nowhere(self, platform: Platform, source: Snapshot) -> None:
        report = subject(platform, "nobody")
        assert (report.holdings, report.made, report.sightings, report.snapshots) == ((), (), (), 1)

    @pytest.mark.parametrize(("column", "value"), [("driver", "zzz"), ("driver", "A"), ("id", "-1"), ("id", "many")])
    def test_profiles_tell_what_cannot_be(
        self, platform: Platform, source: Snapshot, monkeypatch: pytest.MonkeyPatch, column: str, value: str
    ) -> None:
        monkeypatch.setattr(parquet, "read", lambda *_: pytest.fail("a file was read"))
        assert subject(platform, value, column).pruned == 1

    def test_a_file_is_read_once_however_many_versions_share_it(
        self, platform: Platform, source: Snapshot, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        split(platform, GroupedSplit(("driver",)))
        read, calls = parquet.read, []

        def counted(*given: object) -> pa.Table:
            calls.append(given)
            return read(*given)  # type: ignore[arg-type]  # Whatever it is called with.

        monkeypatch.setattr(parquet, "read", counted)
        subject(platform)
        assert len(calls) == 1

    def test_an_unknown_dataset_or_column_is_said(self, platform: Platform, source: Snapshot) -> None:
        with pytest.raises(NotFound, match="no dataset 'x'"):
            subject(platform, name="x")
        with pytest.raises(InvalidInput, match="No version of 'rides' has a column 'x'"):
            subject(platform, column="x")


class TestElsewhere:
    def test_parts_of_splits_are_told_with_their_own_rows(self, platform: Platform, source: Snapshot) -> None:
        split(platform, GroupedSplit(("driver",)))
        found = held(subject(platform))
        assert found["rides.train@1"] + found["rides.test@1"] == D3
        assert min(found["rides.train@1"], found["rides.test@1"]) == 0

    def test_a_part_without_rows_still_keeps_the_file_that_has_them(self, platform: Platform, source: Snapshot) -> None:
        split(platform, GroupedSplit(("driver",)))
        files = {place.file for holding in subject(platform).holdings for place in holding.places}
        assert files == {source.digest}

    def test_rows_that_a_layer_deleted_are_found_in_the_file_below(self, platform: Platform, source: Snapshot) -> None:
        delete_driver(platform, "D3")
        newest = subject(platform).holdings[-1]
        assert (newest.snapshot, newest.rows) == ("dataset:default/rides@2", 0)
        assert sum(place.rows for place in newest.places) == D3

    def test_another_dataset_with_the_column_is_told_as_unrelated(self, platform: Platform, source: Snapshot) -> None:
        write_table(platform.session(), "staff", pa.table({"driver": ["D3", "D4"]}))
        related = {holding.snapshot: holding.related for holding in subject(platform).holdings}
        assert related == {"dataset:default/rides@1": True, "dataset:default/staff@1": False}

    def test_what_was_derived_without_the_column_is_unsure(self, platform: Platform, source: Snapshot) -> None:
        platform.call(
            "datasets.derive",
            {
                "name": "totals",
                "sql": "SELECT city, count(*) n FROM rides GROUP BY city ORDER BY city",
                "inputs": ["rides"],
            },
        )
        assert subject(platform).unsure == ("dataset:default/totals@1",)
        assert subject(platform, "nobody").unsure == ()

    def test_what_was_made_of_a_version_is_told(self, platform: Platform, source: Snapshot) -> None:
        with platform.session().begin() as unit:
            link(unit, "run:default/1", "dataset:default/rides@1", "used")
            link(unit, "model:default/tips@1", "run:default/1", "made_by")
        made = [(each.urn, each.of) for each in subject(platform).made]
        assert made == [
            ("model:default/tips@1", "dataset:default/rides@1"),
            ("run:default/1", "dataset:default/rides@1"),
        ]

    def test_what_was_made_of_a_clean_version_is_not_told(self, platform: Platform, source: Snapshot) -> None:
        session = platform.session()
        clean = pa.table({"driver": ["D1"]})
        write_table(session, "few", clean, parents=["dataset:default/rides@1"])
        with session.begin() as unit:
            link(unit, "model:default/tips@1", "dataset:default/few@1", "used")
        assert subject(platform).made == ()

    def test_a_table_that_is_elsewhere_is_read_where_it_is(
        self, platform: Platform, source: Snapshot, tmp_path: Path
    ) -> None:
        pq.write_table(pa.table({"driver": ["D1", "D3", "D3"]}), tmp_path / "shifts.parquet")
        place = {"name": "shifts", "url": str(tmp_path / "shifts.parquet"), "format": "parquet"}
        platform.call("datasets.register", place)
        assert held(subject(platform))["shifts@1"] == 2
        (tmp_path / "shifts.parquet").unlink()
        assert subject(platform).unsure == ("dataset:default/shifts@1",)

    def test_other_projects_are_left_alone(self, platform: Platform, source: Snapshot) -> None:
        write_table(platform.session(project="other"), "rides", rides())
        assert list(held(subject(platform))) == ["rides@1"]


@settings(max_examples=examples(60), deadline=None)
@given(st.sets(st.integers(0, 60)))
def test_ranges_hold_exactly_the_numbers(numbers: set[int]) -> None:
    found = ranges_of(np.array(sorted(numbers), dtype=np.int64), most=100)
    assert {n for first, last in found for n in range(first, last + 1)} == numbers
    assert all(after - before > 1 for (_, before), (after, _) in pairwise(found))


def test_only_the_first_ranges_are_told() -> None:
    assert len(ranges_of(np.arange(0, 1000, 2))) == 20


def test_a_split_of_rows_has_the_subject_on_both_sides(platform: Platform, source: Snapshot) -> None:
    split(platform, RandomSplit((("a", 0.5), ("b", 0.5))))
    found = held(subject(platform))
    assert min(found["rides.a@1"], found["rides.b@1"]) > 0
