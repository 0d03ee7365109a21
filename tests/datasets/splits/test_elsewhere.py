"""Subjects in tables that are elsewhere, in rows that were set aside, and as every type of column holds them."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from everloop.app.platform import Platform
from everloop.catalog.session import Session
from everloop.datasets.content import read_table, resolve
from everloop.datasets.entities import ColumnProfile, Profile, Snapshot
from everloop.datasets.quality.expectations import InRange
from everloop.datasets.splits.entities import ErasureReport, Sighting, Subject, SubjectReport
from everloop.datasets.splits.finder import SubjectFinder
from everloop.datasets.splits.subjects import _may_hold, matching
from everloop.kernel.errors import NotFound
from tests.datasets.splits.conftest import split


def subject(platform: Platform, name: str, value: str = "D3") -> SubjectReport:
    found: SubjectReport = platform.call("datasets.subject", {"name": name, "column": "driver", "value": value})
    return found


def erase(platform: Platform, name: str, *also: str) -> ErasureReport:
    arguments = {"name": name, "column": "driver", "value": "D3", "also": also, "dry_run": False}
    report: ErasureReport = platform.call("datasets.erase_subject", arguments)
    return report


def held(report: SubjectReport) -> dict[str, int]:
    return {holding.snapshot.partition("/")[2]: holding.rows for holding in report.holdings}


class TestTablesElsewhere:
    @pytest.fixture
    def shifts(self, platform: Platform, tmp_path: Path) -> Path:
        """A Parquet file outside, registered as `shifts`."""
        path = tmp_path / "shifts.parquet"
        pq.write_table(pa.table({"driver": ["D1", "D3", "D3"], "hours": [1, 2, 3]}), path)
        platform.call("datasets.register", {"name": "shifts", "url": str(path), "format": "parquet"})
        return path

    def test_are_searched_and_left_as_they_are(self, platform: Platform, shifts: Path) -> None:
        before = shifts.read_bytes()
        report = erase(platform, "shifts")
        assert report.erased == ()
        assert held(report.remaining) == {"shifts@1": 2}
        assert shifts.read_bytes() == before

    def test_are_left_as_they_are_even_when_named(self, platform: Platform, source: Snapshot, shifts: Path) -> None:
        report = erase(platform, "rides", "shifts")
        assert [each.before for each in report.erased] == ["dataset:default/rides@1"]
        assert held(report.remaining)["shifts@1"] == 2

    def test_lose_a_subject_in_what_was_derived_from_them(self, platform: Platform, shifts: Path) -> None:
        sql = "SELECT driver, sum(hours) AS hours FROM shifts GROUP BY driver ORDER BY driver"
        platform.call("datasets.derive", {"name": "totals", "sql": sql, "inputs": ["shifts"]})
        assert [each.before for each in erase(platform, "shifts").erased] == ["dataset:default/totals@1"]
        session = platform.session()
        assert read_table(session, resolve(session, "totals"))["driver"].to_pylist() == ["D1"]

    def test_that_cannot_be_read_are_unsure_and_stop_no_erasure(
        self, platform: Platform, source: Snapshot, shifts: Path
    ) -> None:
        shifts.unlink()
        report = erase(platform, "rides")
        assert len(report.erased) == 1
        assert report.remaining.unsure == ("dataset:default/shifts@1",)

    def test_have_texts_with_a_dictionary(self, platform: Platform, tmp_path: Path) -> None:
        path = tmp_path / "coded.parquet"
        pq.write_table(pa.table({"driver": pa.array(["D3", "D1", "D3"]).dictionary_encode()}), path)
        platform.call("datasets.register", {"name": "coded", "url": str(path), "format": "parquet"})
        assert held(subject(platform, "coded")) == {"coded@1": 2}


class TestRowsSetAside:
    @pytest.fixture
    def gated(self, platform: Platform) -> Platform:
        """A platform on which `rides` sets rows aside that were not paid."""
        declared = {"dataset": "rides", "expectations": [InRange("paid", 0)], "gates": ["commit"]}
        platform.call("datasets.apply_suites", {"declared": [declared | {"on_failure": "quarantine"}]})
        digest = platform.resources.store.put(b"driver,paid\nD3,-1\nD3,5\nD4,-2\nD5,1\n")
        platform.call("datasets.commit", {"name": "rides", "digest": digest, "format": "csv"})
        return platform

    def test_are_found_from_either_side(self, gated: Platform) -> None:
        both = {"rides@1": 1, "rides.quarantine@1": 1}
        assert held(subject(gated, "rides")) == held(subject(gated, "rides.quarantine")) == both

    def test_are_related(self, gated: Platform) -> None:
        assert all(holding.related for holding in subject(gated, "rides").holdings)

    def test_are_erased_from_either_side(self, gated: Platform) -> None:
        assert {each.before for each in erase(gated, "rides.quarantine").erased} == {
            "dataset:default/rides@1",
            "dataset:default/rides.quarantine@1",
        }

    def test_keep_their_reasons_when_one_of_them_goes(self, gated: Platform) -> None:
        erase(gated, "rides")
        session = gated.session()
        left = read_table(session, resolve(session, "rides.quarantine")).to_pylist()
        assert left == [{"driver": "D4", "paid": -2, "_reasons": "paid is at least 0"}]


class TestSightings:
    class Log:
        """A log that has seen one driver."""

        def find(self, session: Session, subject: Subject) -> list[Sighting]:
            return [Sighting("log:default/rides", 2, "two lines")] if subject.value == "D3" else []

    def test_of_every_log_are_told(self, platform: Platform, source: Snapshot) -> None:
        platform.resources.ports.provide(SubjectFinder, self.Log, "a test")
        assert subject(platform, "rides").sightings == (Sighting("log:default/rides", 2, "two lines"),)
        assert subject(platform, "rides", "D4").sightings == ()


VALUES: list[tuple[pa.DataType, list[Any], str]] = [
    (pa.int64(), [1, 7, 7], "7"),
    (pa.uint8(), [1, 7, 7], "7"),
    (pa.float64(), [1.0, 7.5, 7.5], "7.5"),
    (pa.bool_(), [False, True, True], "true"),
    (pa.string(), ["a", "7", "7"], "7"),
    (pa.large_string(), ["a", "é", "é"], "é"),
    (pa.binary(), [b"a", b"7", b"7"], "7"),
    (pa.decimal128(9, 2), [Decimal("1"), Decimal("7.50"), Decimal("7.50")], "7.50"),
    (pa.date32(), [date(2013, 1, 1), date(2013, 1, 2), date(2013, 1, 2)], "2013-01-02"),
    (pa.timestamp("us", "UTC"), [None, *[datetime(2013, 1, 2, tzinfo=UTC)] * 2], "2013-01-02T00:00:00Z"),
    (pa.dictionary(pa.int32(), pa.string()), ["a", "7", "7"], "7"),
]


class TestMatching:
    @pytest.mark.parametrize(("kind", "values", "asked"), VALUES, ids=[str(kind) for kind, _, _ in VALUES])
    def test_a_value_is_read_as_its_column_is(self, kind: pa.DataType, values: list[Any], asked: str) -> None:
        mask = matching(pa.table({"x": pa.array(values, kind)}), Subject("x", asked))
        assert mask is not None
        assert mask.tolist() == [False, True, True]

    @pytest.mark.parametrize(
        ("kind", "asked"),
        [
            (pa.int8(), "999"),
            (pa.int64(), "7.5"),
            (pa.int64(), "seven"),
            (pa.date32(), "soon"),
            (pa.list_(pa.int8()), "7"),
        ],
    )
    def test_a_type_that_can_hold_no_such_value_has_none(self, kind: pa.DataType, asked: str) -> None:
        assert matching(pa.table({"x": pa.array([None], kind)}), Subject("x", asked)) is None

    def test_what_is_missing_is_nobody(self) -> None:
        mask = matching(pa.table({"x": pa.array([None, ""], pa.string())}), Subject("x", ""))
        assert mask is not None
        assert mask.tolist() == [False, True]

    def test_of_no_rows_none_match(self) -> None:
        mask = matching(pa.table({"x": pa.chunked_array([], pa.string())}), Subject("x", "a"))
        assert mask is not None
        assert len(mask) == 0


def profile(kind: str, low: float | str | None, high: float | str | None) -> Profile:
    """The profile of a table with one column."""
    return Profile(9, (ColumnProfile("x", kind, 9, 0, 3, low, high, None, None, (), ()),))


class TestWhatProfilesTell:
    @given(st.lists(st.integers(-(2**63), 2**63 - 1), min_size=1), st.data())
    def test_no_number_that_is_there_is_ruled_out(self, values: list[int], data: st.DataObject) -> None:
        asked = data.draw(st.sampled_from(values))
        assert _may_hold(profile("int64", float(min(values)), float(max(values))), Subject("x", str(asked)))

    @given(st.lists(st.text(max_size=6), min_size=1), st.integers(1, 3), st.data())
    def test_no_text_that_is_there_is_ruled_out_by_bounds_that_were_cut(
        self, values: list[str], kept: int, data: st.DataObject
    ) -> None:
        asked = data.draw(st.sampled_from(values))
        assert _may_hold(profile("string", min(values)[:kept], max(values)[:kept]), Subject("x", asked))

    @pytest.mark.parametrize(
        ("kind", "low", "high", "asked", "may"),
        [
            *(("int64", 1, 9, "10", False), ("int64", 1, 9, "nine", False), ("int64", 1, 9, "5", True)),
            *(("string", "b", "d", "a", False), ("string", "b", "d", "e", False), ("string", "b", "d", "dz", True)),
            *(
                ("float64", 1.0, 9.0, "10", True),
                ("int64", None, None, "10", True),
                ("date32[day]", "a", "b", "z", True),
            ),
        ],
    )
    def test_what_is_beyond_its_bounds_is_not_there(
        self, kind: str, low: float | str | None, high: float | str | None, asked: str, may: bool
    ) -> None:
        assert _may_hold(profile(kind, low, high), Subject("x", asked)) is may

    def test_a_column_that_has_no_profile_may_hold_anything(self) -> None:
        assert _may_hold(profile("int64", 1, 2), Subject("y", "5"))


class TestPurges:
    @pytest.fixture
    def purged(self, platform: Platform, source: Snapshot) -> Iterator[Platform]:
        """A platform on which the first version of `rides` was given up."""
        erase(platform, "rides")
        platform.call("datasets.purge", {"name": "rides", "version": 1, "reason": "asked"})
        return platform

    def test_cannot_be_read_split_or_given_up_again(self, purged: Platform) -> None:
        from everloop.datasets.splits.entities import RandomSplit

        for verb, more in (("purge", {"version": 1, "reason": "x"}), ("split", {"strategy": RandomSplit(), "at": "1"})):
            with pytest.raises(NotFound, match="was purged"):
                purged.call(f"datasets.{verb}", {"name": "rides", **more})

    def test_are_asked_no_more(self, purged: Platform) -> None:
        report = subject(purged, "rides")
        assert (report.snapshots, report.holdings) == (1, ())

    def test_of_a_version_that_never_was_are_refused(self, purged: Platform) -> None:
        with pytest.raises(NotFound):
            purged.call("datasets.purge", {"name": "rides", "version": 9, "reason": "x"})

    def test_of_a_part_free_only_its_own_bytes(self, platform: Platform, source: Snapshot) -> None:
        from everloop.datasets.splits.entities import RandomSplit

        split(platform, RandomSplit())
        erase(platform, "rides")
        found = platform.call("datasets.purge", {"name": "rides.train", "version": 1, "reason": "x"})
        assert found.bytes == 0
        assert "dataset:default/rides@1" in found.kept_by
        session = platform.session()
        assert np.count_nonzero(read_table(session, resolve(session, "rides@1"))["id"]) == 199
