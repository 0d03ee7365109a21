"""Checking versions: what is reported, and what is not read again."""

from __future__ import annotations

import gzip
import io
from datetime import datetime, timedelta

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from everloop.app.platform import Platform
from everloop.catalog.session import Session
from everloop.datasets.content import commit_tree, write_table
from everloop.datasets.entities import Change, Snapshot
from everloop.datasets.quality.engine import CheckEngine, Measure, Measured, Part
from everloop.datasets.quality.entities import CheckReport
from everloop.datasets.quality.expectations import (
    Expectation,
    Freshness,
    InRange,
    LikeHistory,
    Matches,
    MeanInRange,
    NoRows,
    NotNull,
    References,
    SchemaMatches,
    Unique,
)
from everloop.kernel.clock import SimulatedClock
from everloop.kernel.errors import InvalidInput, NotFound
from everloop.store.entities import TreeEntry
from tests.conftest import START
from tests.datasets.conftest import FLIGHTS, commit

CODES = Matches("code", "[A-Z]{3}")


@pytest.fixture
def opened(platform: Platform) -> Session:
    """A session that has not begun."""
    return platform.session()


def checked(platform: Platform, name: str, *suite: Expectation, version: int = 0) -> CheckReport:
    report: CheckReport = platform.call("datasets.check", {"name": name, "version": version, "suite": suite})
    return report


def codes(first: int, rows: int = 50) -> pa.Table:
    numbers = range(first, first + rows)
    return pa.table({"id": list(numbers), "code": [f"{chr(65 + n % 26)}BC" for n in numbers]})


def parquet(table: pa.Table) -> bytes:
    sink = io.BytesIO()
    pq.write_table(table, sink)
    return sink.getvalue()


def folder(session: Session, files: dict[str, bytes]) -> Snapshot:
    """Files as the next version of the dataset `files`."""
    entries = [TreeEntry(path, session.store.put(data), len(data)) for path, data in files.items()]
    return commit_tree(session, "files", session.store.put_tree(entries), Change())


class TestReports:
    def test_for_what_is_known_already_no_engine_is_opened(self, platform: Platform, flights: Snapshot) -> None:
        def open_engine() -> CheckEngine:
            raise AssertionError("an engine was opened")

        platform.resources.ports.provide(CheckEngine, open_engine)
        assert checked(platform, "flights", NotNull("flight"), MeanInRange("dep_delay", -100, 1_000)).passed

    def test_another_suite_than_the_datasets_can_be_checked(self, platform: Platform, flights: Snapshot) -> None:
        report = checked(platform, "flights", NotNull("tailnum"), InRange("dep_delay", -10, 100))
        assert [result.failures for result in report.results] == [1, 1]
        assert report.results[1].sample == ("900",)
        assert report.results[1].at == (2,)
        with pytest.raises(NotFound, match="Nothing is expected"):
            platform.call("datasets.expectations", {"name": "flights"})

    def test_the_version_that_was_referred_to_is_told(
        self, platform: Platform, flights: Snapshot, planes: Snapshot
    ) -> None:
        (result,) = checked(platform, "flights", References(("tailnum",), "planes", ("tailnum",))).results
        assert (result.reference, result.at) == ("planes@1", (3,))

    def test_a_reference_that_gets_a_new_version_is_looked_up_again(
        self, platform: Platform, flights: Snapshot, planes: Snapshot
    ) -> None:
        asked = References(("tailnum",), "planes", ("tailnum",))
        assert not checked(platform, "flights", asked).passed
        commit(platform, "planes", b"tailnum,seats\nN100,55\nN101,182\nN999,1\n")
        assert checked(platform, "flights", asked).results[0].reference == "planes@2"
        assert checked(platform, "flights", asked).passed

    def test_age_is_measured_when_the_check_runs(
        self, platform: Platform, clock: SimulatedClock, opened: Session
    ) -> None:
        write_table(
            opened, "events", pa.table({"at": pa.array([START - timedelta(hours=1)], pa.timestamp("us", "UTC"))})
        )
        assert checked(platform, "events", Freshness("at", "2h")).passed
        clock.advance(START + timedelta(hours=2))
        assert not checked(platform, "events", Freshness("at", "2h")).passed

    def test_history_is_that_of_the_versions_before(self, platform: Platform, opened: Session) -> None:
        for rows in (100, 103, 98, 101, 30):
            write_table(opened, "codes", codes(rows, rows))
        asked = LikeHistory("rows"), LikeHistory("distinct", "id"), LikeHistory("mean", "id")
        assert [result.passed for result in checked(platform, "codes", *asked).results] == [False, False, False]
        assert checked(platform, "codes", *asked, version=4).passed  # With three before it, nothing is judged.

    def test_history_knows_versions_that_grew_by_appends(self, platform: Platform, opened: Session) -> None:
        write_table(opened, "codes", pa.table({"id": [1.0, 2.0], "code": ["ABC", "ABC"]}))
        for _ in range(4):
            append(platform, opened, pa.table({"id": [1.5], "code": ["ABC"]}))
        (result,) = checked(platform, "codes", LikeHistory("mean", "id")).results
        assert (result.passed, result.observed) == (True, "1.5; median 1.5 of 4, robust z 0.00")

    def test_a_schema_is_compared_with_an_earlier_version(self, platform: Platform, opened: Session) -> None:
        write_table(opened, "codes", codes(0))
        write_table(opened, "codes", codes(0).drop_columns(["id"]))
        report = checked(platform, "codes", SchemaMatches("codes@1"))
        assert (report.passed, report.results[0].observed) == (False, "no id int64")


class TestWhatIsKnown:
    def test_the_profile_of_a_commit_answers_without_reading(self, platform: Platform, opened: Session) -> None:
        write_table(opened, "codes", codes(0))
        report = checked(platform, "codes", NotNull("code"), InRange("id", 0, 49), MeanInRange("id", 24, 25))
        assert (report.passed, report.parts, report.read) == (True, 1, 0)

    def test_a_second_check_reads_nothing(self, platform: Platform, opened: Session) -> None:
        write_table(opened, "codes", codes(0))
        suite = CODES, Unique(("id",)), NoRows("SELECT * FROM codes WHERE id < 0")
        first, second = checked(platform, "codes", *suite), checked(platform, "codes", *suite)
        assert (first.read, second.read) == (1, 0)
        assert [one.passed for one in first.results] == [one.passed for one in second.results] == [True] * 3

    def test_another_threshold_reads_nothing_either(self, platform: Platform, opened: Session) -> None:
        write_table(opened, "codes", codes(0))
        checked(platform, "codes", CODES)
        assert checked(platform, "codes", Matches("code", CODES.pattern, 0.5, "warning")).read == 0

    def test_what_fails_is_looked_up_again_for_its_sample(self, platform: Platform, opened: Session) -> None:
        write_table(opened, "codes", pa.table({"code": ["ABC", "x", "y"]}))
        results = [checked(platform, "codes", CODES).results[0] for _ in range(2)]
        assert [(one.failures, one.sample, one.at) for one in results] == [(2, ("x", "y"), (1, 2))] * 2

    def test_no_value_of_a_row_is_kept_with_the_figures(self, platform: Platform, opened: Session) -> None:
        write_table(opened, "codes", pa.table({"code": ["ABC", "secret"]}))
        checked(platform, "codes", CODES, Unique(("code",)))
        with opened.begin(write=False) as unit:
            kept = unit.connection.exec_driver_sql("SELECT figure FROM check_figures").scalars().all()
        assert kept
        assert not any("secret" in figure for figure in kept)


class TestLayers:
    def test_rows_that_are_appended_are_the_only_ones_read(self, platform: Platform, opened: Session) -> None:
        write_table(opened, "codes", codes(0))
        checked(platform, "codes", CODES)
        append(platform, opened, codes(50, 5))
        before = checked(platform, "codes", CODES)
        append(platform, opened, codes(55, 5))
        after = checked(platform, "codes", CODES)
        assert (before.parts, after.parts, after.read) == (2, 3, 1)
        assert after.results[0].rows == 60

    def test_failing_rows_are_numbered_through_the_layers(self, platform: Platform, opened: Session) -> None:
        write_table(opened, "codes", codes(0))
        append(platform, opened, pa.table({"id": [50, 51], "code": ["ABC", "?"]}))
        (result,) = checked(platform, "codes", CODES).results
        assert (result.sample, result.at) == (("?",), (51,))


def append(platform: Platform, session: Session, rows: pa.Table) -> None:
    digest = session.store.put(parquet(rows))
    platform.call("datasets.append", {"name": "codes", "digest": digest, "format": "parquet"})


class TestFiles:
    def test_of_a_hundred_parts_the_one_that_changed_is_read(self, platform: Platform, opened: Session) -> None:
        files = {f"part-{n:03}.parquet": parquet(codes(50 * n)) for n in range(100)}
        folder(opened, files)
        first = checked(platform, "files", CODES, NotNull("id"), MeanInRange("id", 0))
        folder(opened, files | {"part-042.parquet": parquet(pa.table({"id": [1], "code": ["?"]}))})
        second = checked(platform, "files", CODES, NotNull("id"), MeanInRange("id", 0))
        assert (first.parts, first.read, second.parts, second.read) == (100, 100, 100, 1)
        assert (second.results[0].failures, second.results[0].at) == (1, (50 * 42,))
        assert second.results[0].rows == 50 * 99 + 1

    def test_lines_of_json_and_packed_text_are_tables_as_everywhere(self, platform: Platform, opened: Session) -> None:
        packed = gzip.compress(b"id,code\n1,abc\n")
        folder(opened, {"a.csv.gz": packed, "b.jsonl": b'{"id": 2, "code": "ABC"}\n'})
        assert checked(platform, "files", CODES).results[0].failures == 1

    def test_tables_of_several_formats_are_one(self, platform: Platform, opened: Session) -> None:
        folder(opened, {"a.parquet": parquet(codes(0)), "b.csv": b"id,code\n99,abc\n", "read.me": b"hello"})
        report = checked(platform, "files", CODES, Unique(("id",)))
        assert [(one.failures, one.rows) for one in report.results] == [(1, 51), (0, 51)]

    @pytest.mark.parametrize(
        ("files", "complaint"),
        [
            ({"read.me": b"hello"}, "no tables among its files"),
            ({"a.csv": b"x\n1\n", "b.csv": b"y\n1\n"}, "b.csv has other columns than a.csv"),
            ({"a.parquet": b"PAR0"}, "a.parquet is no table"),
        ],
    )
    def test_files_that_are_no_table_are_refused(
        self, platform: Platform, opened: Session, files: dict[str, bytes], complaint: str
    ) -> None:
        folder(opened, files)
        with pytest.raises(InvalidInput, match=complaint):
            checked(platform, "files", NotNull("x"))


class Counting:
    """An engine that counts the parts that it measures."""

    def __init__(self, engine: CheckEngine) -> None:
        self._engine = engine
        self.parts = 0

    def __getattr__(self, name: str) -> object:
        return getattr(self._engine, name)

    def measure(self, part: Part, measures: list[Measure]) -> list[Measured]:
        self.parts += 1
        return self._engine.measure(part, measures)


def test_a_suite_is_one_pass(platform: Platform, flights: Snapshot) -> None:
    engine = Counting(platform.resources.ports.get(CheckEngine))
    platform.resources.ports.provide(CheckEngine, lambda: engine)  # type: ignore[arg-type, return-value]  # It forwards the rest.
    checked(platform, "flights", Matches("tailnum", "N.*"), InRange("dep_delay", 0), InRange("flight", 2))
    assert engine.parts == 1


def test_times_of_reports_are_the_clocks(platform: Platform, flights: Snapshot) -> None:
    assert checked(platform, "flights", NotNull("flight")).at == datetime(2026, 1, 1, tzinfo=START.tzinfo)
    assert len(FLIGHTS.splitlines()) == 6
