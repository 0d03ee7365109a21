"""What one can do with data, through the front door."""

from __future__ import annotations

import io
from datetime import UTC, datetime

import msgspec
import pyarrow as pa
import pyarrow.ipc as ipc
import pyarrow.parquet as pq
import pytest

from everloop.app.platform import Platform
from everloop.catalog import lineage
from everloop.datasets.entities import Dataset, Profile, Snapshot, SnapshotDiff
from everloop.datasets.quality.entities import CheckReport
from everloop.datasets.quality.expectations import Expectation
from everloop.kernel.errors import InvalidInput, NotFound
from everloop.store.service import digest_of
from tests.datasets.conftest import FLIGHTS, PLANES, commit

EXPECTATIONS = [
    {"type": "not_null", "column": "tailnum", "mostly": 0.7},
    {"type": "not_null", "column": "dep_delay"},
    {"type": "in_range", "column": "dep_delay", "minimum": -60, "maximum": 600},
    {"type": "unique", "columns": ["flight", "time_hour"]},
    {"type": "one_of", "column": "origin", "values": ["EWR", "JFK", "LGA"]},
    {"type": "matches", "column": "tailnum", "pattern": "N[0-9]+"},
    {"type": "references", "columns": ["tailnum"], "dataset": "planes", "keys": ["tailnum"]},
    {"type": "row_count", "minimum": 1},
]


def as_bytes(table: pa.Table, format: str) -> bytes:
    sink = io.BytesIO()
    if format == "parquet":
        pq.write_table(table, sink)
    else:
        with (ipc.new_file if format == "file" else ipc.new_stream)(sink, table.schema) as writer:
            writer.write_table(table)
    return sink.getvalue()


class TestCommit:
    def test_a_csv_file_becomes_a_snapshot(self, flights: Snapshot) -> None:
        assert (flights.version, flights.rows) == (1, 5)
        assert {column.name: (column.type, column.nullable) for column in flights.columns} == {
            "flight": ("int64", False),
            "tailnum": ("string", True),
            "origin": ("string", False),
            "dep_delay": ("int64", True),
            "time_hour": ("timestamp[us, tz=UTC]", False),
        }

    @pytest.mark.parametrize(("kind", "format"), [("parquet", "parquet"), ("file", "arrow"), ("stream", "arrow")])
    def test_parquet_and_arrow_hold_the_same_table_as_csv(self, platform: Platform, kind: str, format: str) -> None:
        table = pa.table({"tailnum": ["N100", "N101"], "seats": [55, 182]})
        first = commit(platform, "planes", PLANES)
        assert commit(platform, "planes", as_bytes(table, kind), format) == first  # type: ignore[arg-type]  # A Format.

    def test_committing_again_gives_the_same_version_and_no_event(self, platform: Platform, flights: Snapshot) -> None:
        before = len(platform.call("audit.entries", {}))
        assert commit(platform, "flights", FLIGHTS) == flights
        assert len(platform.call("audit.entries", {})) == before

    def test_a_commit_is_an_event(self, platform: Platform, flights: Snapshot) -> None:
        (entry,) = platform.call("audit.entries", {"kind": "datasets."})
        assert (entry.subject, entry.event["digest"]) == ("dataset:default/flights@1", flights.digest)
        assert entry.event["rows"] == 5

    @pytest.mark.parametrize("format", ["csv", "parquet", "arrow"])
    def test_bytes_of_another_format_are_refused_and_nothing_is_kept(self, platform: Platform, format: str) -> None:
        with pytest.raises(InvalidInput):
            commit(platform, "flights", b"PAR1\0\0garbage\xff\n\n\n1,2\n", format)  # type: ignore[arg-type]  # A Format.
        assert platform.call("datasets.list", {}) == []

    def test_bytes_that_are_not_in_the_store_are_not_found(self, platform: Platform) -> None:
        with pytest.raises(NotFound, match="no object"):
            platform.call("datasets.commit", {"name": "x", "digest": digest_of(b"never"), "format": "csv"})

    @pytest.mark.parametrize("name", ["", "with space", "../up", "a" * 200, "a/b"])
    def test_a_name_that_is_none_is_refused(self, platform: Platform, name: str) -> None:
        with pytest.raises(InvalidInput):
            commit(platform, name, PLANES)


class TestLooking:
    def test_datasets_are_listed_by_name_with_their_newest_version(
        self, platform: Platform, flights: Snapshot, planes: Snapshot
    ) -> None:
        commit(platform, "flights", FLIGHTS + FLIGHTS.splitlines()[1] + b"\n")
        found: list[Dataset] = platform.call("datasets.list", {})
        assert [(dataset.name, dataset.latest) for dataset in found] == [("flights", 2), ("planes", 1)]

    def test_versions_are_logged_newest_first(self, platform: Platform, planes: Snapshot) -> None:
        second = commit(platform, "planes", PLANES + b"N102,9\n", note="one more")
        assert platform.call("datasets.log", {"name": "planes"}) == [second, planes]
        assert platform.call("datasets.get", {"name": "planes"}) == second
        assert platform.call("datasets.get", {"name": "planes", "version": 1}) == planes

    def test_a_profile_says_what_each_column_holds(self, platform: Platform, flights: Snapshot) -> None:
        profile: Profile = platform.call("datasets.profile", {"name": "flights"})
        columns = {column.name: column for column in profile.columns}
        assert profile.rows == 5
        assert (columns["dep_delay"].nulls, columns["dep_delay"].maximum, columns["dep_delay"].mean) == (1, 900, 223)
        assert (columns["tailnum"].nulls, columns["tailnum"].distinct, columns["tailnum"].top[0]) == (1, 3, ("N999", 2))

    def test_a_profile_belongs_to_its_version(self, platform: Platform, planes: Snapshot) -> None:
        commit(platform, "planes", PLANES + b"N102,9\n")
        rows = [platform.call("datasets.profile", {"name": "planes", "version": v}).rows for v in (1, 2, 0)]
        assert rows == [2, 3, 3]

    def test_a_preview_is_json(self, platform: Platform, flights: Snapshot) -> None:
        rows = platform.call("datasets.preview", {"name": "flights", "limit": 2})
        assert rows[1]["dep_delay"] is None
        assert rows[0]["time_hour"] == "2013-01-01T10:00:00.000000Z"
        assert msgspec.json.decode(msgspec.json.encode(rows)) == rows

    @pytest.mark.parametrize(("limit", "rows"), [(0, 0), (-3, 0), (3, 3), (10_000, 5)])
    def test_a_preview_is_bounded(self, platform: Platform, flights: Snapshot, limit: int, rows: int) -> None:
        assert len(platform.call("datasets.preview", {"name": "flights", "limit": limit})) == rows

    @pytest.mark.parametrize("usecase", ["get", "log", "profile", "preview", "checks", "check", "expectations"])
    def test_what_is_not_there_is_not_found(self, platform: Platform, usecase: str) -> None:
        with pytest.raises(NotFound):
            platform.call(f"datasets.{usecase}", {"name": "nothing"})

    def test_a_diff_names_columns_that_came_went_and_changed(self, platform: Platform, planes: Snapshot) -> None:
        commit(platform, "planes", b"tailnum,seats,engine\nN100,many,jet\n", evolve="any")
        found: SnapshotDiff = platform.call("datasets.diff", {"name": "planes", "before": 1})
        assert (found.added, found.removed, found.rows_before, found.rows_after) == (("engine",), (), 2, 1)
        assert found.changed == (("seats", "int64", "string"),)
        assert platform.call("datasets.diff", {"name": "planes", "before": 2, "after": 1}).removed == ("engine",)

    def test_a_version_does_not_differ_from_itself(self, platform: Platform, planes: Snapshot) -> None:
        found = platform.call("datasets.diff", {"name": "planes", "before": 1, "after": 1})
        assert found.same_content
        assert (found.added, found.removed, found.changed) == ((), (), ())


class TestDerive:
    SQL = "SELECT origin, count(*) AS n FROM flights JOIN planes USING (tailnum) GROUP BY origin ORDER BY origin"

    def derive(self, platform: Platform, sql: str, *inputs: str) -> Snapshot:
        found: Snapshot = platform.call("datasets.derive", {"name": "derived", "sql": sql, "inputs": list(inputs)})
        return found

    def test_a_query_becomes_a_snapshot_that_knows_its_parents(
        self, platform: Platform, flights: Snapshot, planes: Snapshot
    ) -> None:
        derived = self.derive(platform, self.SQL, "flights", "planes@1")
        assert derived.parents == ("dataset:default/flights@1", "dataset:default/planes@1")
        assert derived.note == self.SQL
        assert platform.call("datasets.preview", {"name": "derived"}) == [
            {"origin": "EWR", "n": 1},
            {"origin": "JFK", "n": 1},
        ]
        with platform.session().begin(write=False) as unit:
            nodes = lineage.graph(unit, "dataset:default/flights@1", "downstream", 5).nodes
        assert "dataset:default/derived@1" in nodes

    def test_deriving_again_gives_the_same_version(self, platform: Platform, flights: Snapshot) -> None:
        sql = "SELECT origin, avg(dep_delay) AS delay FROM flights GROUP BY origin"
        assert self.derive(platform, sql, "flights") == self.derive(platform, sql, "flights@1")

    @pytest.mark.parametrize(
        ("sql", "inputs"),
        [
            ("SELEC", ["flights"]),
            ("SELECT * FROM planes", ["flights"]),
            ("SELECT 1 AS a, 2 AS a FROM flights", ["flights@-1"]),
            ("SELECT * FROM flights", ["flights", "flights@1"]),
            ("SELECT * FROM read_csv('/etc/passwd')", []),
        ],
    )
    def test_what_cannot_run_is_refused_and_nothing_is_kept(
        self, platform: Platform, flights: Snapshot, planes: Snapshot, sql: str, inputs: list[str]
    ) -> None:
        with pytest.raises(InvalidInput):
            self.derive(platform, sql, *inputs)
        assert [dataset.name for dataset in platform.call("datasets.list", {})] == ["flights", "planes"]

    def test_an_input_that_is_not_there_is_not_found(self, platform: Platform) -> None:
        with pytest.raises(NotFound, match="nothing"):
            self.derive(platform, "SELECT 1", "nothing")


class TestChecks:
    def expect(self, platform: Platform, *expectations: dict[str, object]) -> None:
        platform.call("datasets.expect", {"name": "flights", "expectations": expectations})

    def check(self, platform: Platform, version: int = 0) -> CheckReport:
        report: CheckReport = platform.call("datasets.check", {"name": "flights", "version": version})
        return report

    def test_everything_that_is_wrong_is_found(self, platform: Platform, flights: Snapshot, planes: Snapshot) -> None:
        self.expect(platform, *EXPECTATIONS)
        report = self.check(platform)
        assert [result.failures for result in report.results] == [1, 1, 1, 1, 0, 0, 2, 0]
        assert [result.passed for result in report.results] == [True, False, False, False, True, True, False, True]
        assert report.results[6].sample == ("N999",)
        assert not report.passed

    def test_a_warning_does_not_fail_the_report(self, platform: Platform, flights: Snapshot) -> None:
        self.expect(platform, {"type": "not_null", "column": "dep_delay", "severity": "warning"})
        report = self.check(platform)
        assert (report.passed, report.results[0].passed) == (True, False)

    def test_expectations_are_replaced(self, platform: Platform, flights: Snapshot) -> None:
        self.expect(platform, *EXPECTATIONS[:3])
        self.expect(platform, {"type": "row_count", "minimum": 5})
        suite = platform.call("datasets.expectations", {"name": "flights"})
        assert len(suite.expectations) == 1
        assert self.check(platform).passed

    def test_reports_are_kept_newest_first_and_in_the_ledger(self, platform: Platform, flights: Snapshot) -> None:
        self.expect(platform, {"type": "row_count", "minimum": 6})
        failed = self.check(platform)
        self.expect(platform, {"type": "row_count", "minimum": 5})
        passed = self.check(platform)
        assert platform.call("datasets.checks", {"name": "flights"}) == [passed, failed]
        events = platform.call("audit.entries", {"kind": "datasets.snapshot_checked"})
        assert [entry.event["passed"] for entry in events] == [True, False]

    def test_an_older_version_can_be_checked(self, platform: Platform, flights: Snapshot) -> None:
        commit(platform, "flights", FLIGHTS + FLIGHTS.splitlines()[1] + b"\n")
        self.expect(platform, {"type": "row_count", "minimum": 6})
        assert (self.check(platform, 1).passed, self.check(platform).passed) == (False, True)

    def test_a_version_that_lost_a_column_fails_what_was_expected_of_it(
        self, platform: Platform, flights: Snapshot
    ) -> None:
        self.expect(platform, {"type": "not_null", "column": "dep_delay"})
        commit(platform, "flights", b"flight\n1\n", evolve="any")
        report = self.check(platform)
        assert (report.version, report.passed) == (2, False)
        assert report.results[0].observed == "NotNull speaks of dep_delay, which flights does not have."

    def test_a_dataset_to_refer_to_must_be_there(self, platform: Platform, flights: Snapshot) -> None:
        self.expect(platform, EXPECTATIONS[6])
        with pytest.raises(NotFound, match="planes"):
            self.check(platform)

    def test_a_key_to_refer_to_must_be_there(self, platform: Platform, flights: Snapshot, planes: Snapshot) -> None:
        self.expect(platform, EXPECTATIONS[6] | {"keys": ["registration"]})
        with pytest.raises(InvalidInput, match="no column registration"):
            self.check(platform)

    @pytest.mark.parametrize(
        "expectation", [{"type": "not_null"}, {"type": "guess"}, {"type": "not_null", "column": 3}]
    )
    def test_what_is_no_expectation_is_refused(
        self, platform: Platform, flights: Snapshot, expectation: dict[str, object]
    ) -> None:
        with pytest.raises(InvalidInput):
            self.expect(platform, expectation)

    def test_rows_alone_can_be_checked(self, platform: Platform, flights: Snapshot) -> None:
        self.expect(platform, EXPECTATIONS[7])
        assert self.check(platform).results[0].rows == 5


def test_expectations_travel_as_json() -> None:
    kinds = msgspec.convert(EXPECTATIONS, tuple[Expectation, ...])
    assert msgspec.json.decode(msgspec.json.encode(kinds), type=tuple[Expectation, ...]) == kinds


def test_times_of_snapshots_are_the_clocks(platform: Platform, flights: Snapshot) -> None:
    assert flights.created == datetime(2026, 1, 1, tzinfo=UTC)
