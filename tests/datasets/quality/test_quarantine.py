"""Rows that fail are set aside with their reasons; nothing is lost on the way."""

from __future__ import annotations

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from everloop.app.platform import Platform
from everloop.catalog.session import Session
from everloop.datasets.content import commit_table, read_table, snapshot_of
from everloop.datasets.entities import Change, Snapshot
from everloop.datasets.quality.expectations import (
    Expectation,
    Increasing,
    InRange,
    MeanInRange,
    NotNull,
    OneOf,
    References,
    RowCount,
    Unique,
)
from everloop.datasets.quality.quarantine import REASONS, split_rows
from everloop.datasets.quality.suites.entities import Quarantined
from everloop.kernel.errors import NotFound, Refused
from tests.datasets.conftest import FLIGHTS, commit
from tests.examples import examples

SUITE: tuple[Expectation, ...] = (NotNull("tailnum"), InRange("dep_delay", -60, 500), Unique(("flight",)))


def expect(platform: Platform, *expectations: Expectation) -> None:
    platform.call("datasets.expect", {"name": "flights", "expectations": expectations})


def rows(platform: Platform, snapshot: Snapshot) -> list[dict[str, object]]:
    found: list[dict[str, object]] = read_table(platform.session(), snapshot).to_pylist()
    return found


class TestAVersion:
    def test_it_is_split_into_rows_that_pass_and_rows_that_fail(self, platform: Platform, flights: Snapshot) -> None:
        expect(platform, *SUITE)
        made: Quarantined = platform.call("datasets.quarantine", {"name": "flights"})
        assert made.clean is not None
        assert made.quarantined is not None
        assert [row["flight"] for row in rows(platform, made.clean)] == [1, 2, 4]
        assert [row["flight"] for row in rows(platform, made.quarantined)] == [3, 4]
        assert (made.clean.version, made.quarantined.dataset) == (2, "flights.quarantine")

    def test_each_row_tells_why_it_was_set_aside(self, platform: Platform, flights: Snapshot) -> None:
        expect(platform, *SUITE)
        made: Quarantined = platform.call("datasets.quarantine", {"name": "flights"})
        assert made.quarantined is not None
        assert [row[REASONS] for row in rows(platform, made.quarantined)] == [
            "tailnum is never missing; dep_delay is from -60 to 500",
            "no two rows agree in flight",
        ]

    def test_what_passes_passes_now(self, platform: Platform, flights: Snapshot) -> None:
        expect(platform, *SUITE)
        platform.call("datasets.quarantine", {"name": "flights"})
        assert platform.call("datasets.check", {"name": "flights"}).passed

    def test_both_parts_are_traced_to_the_version(self, platform: Platform, flights: Snapshot) -> None:
        expect(platform, *SUITE)
        made: Quarantined = platform.call("datasets.quarantine", {"name": "flights"})
        assert made.clean is not None
        assert made.quarantined is not None
        assert made.clean.parents == made.quarantined.parents == ("dataset:default/flights@1",)

    def test_where_no_row_fails_nothing_is_made(self, platform: Platform, flights: Snapshot) -> None:
        expect(platform, NotNull("flight"))
        made: Quarantined = platform.call("datasets.quarantine", {"name": "flights"})
        assert (made.clean, made.quarantined) == (flights, None)

    def test_warnings_and_shares_that_are_met_set_no_row_aside(self, platform: Platform, flights: Snapshot) -> None:
        expect(platform, NotNull("tailnum", severity="warning"), NotNull("dep_delay", 0.5))
        made: Quarantined = platform.call("datasets.quarantine", {"name": "flights"})
        assert made.quarantined is None

    def test_nothing_is_made_when_the_rest_would_fail_as_a_whole(self, platform: Platform, flights: Snapshot) -> None:
        expect(platform, *SUITE, RowCount(5))
        with pytest.raises(Refused, match="there are at least 5 rows"):
            platform.call("datasets.quarantine", {"name": "flights"})
        assert [each.name for each in platform.call("datasets.list", {})] == ["flights"]

    def test_without_expectations_there_is_nothing_to_fail(self, platform: Platform, flights: Snapshot) -> None:
        with pytest.raises(NotFound, match="Nothing is expected"):
            platform.call("datasets.quarantine", {"name": "flights"})


class TestACommit:
    def commit(self, platform: Platform, on_failure: str) -> Snapshot:
        digest = platform.resources.store.put(FLIGHTS)
        arguments = {"name": "flights", "digest": digest, "format": "csv", "on_failure": on_failure}
        made: Snapshot = platform.call("datasets.commit", arguments)
        return made

    @pytest.fixture(autouse=True)
    def suite(self, platform: Platform) -> None:
        declared = [{"dataset": "flights", "expectations": SUITE}]
        platform.call("datasets.apply_suites", {"declared": declared})

    def test_rows_that_fail_are_set_aside(self, platform: Platform) -> None:
        made = self.commit(platform, "quarantine")
        aside = snapshot_of(platform.session(), "flights.quarantine")
        assert (made.rows, aside.rows) == (3, 2)

    def test_the_rows_that_were_set_aside_can_be_traced_to_what_was_made_of_the_rest(self, platform: Platform) -> None:
        self.commit(platform, "quarantine")
        graph = platform.call("lineage.graph", {"urn": "dataset:default/flights@1"})
        assert "dataset:default/flights.quarantine@1" in graph.nodes

    def test_it_is_refused_with_what_was_found(self, platform: Platform) -> None:
        with pytest.raises(Refused, match=r"fails 3 of 3 expectations: tailnum is never missing: 1 of 5 rows fail"):
            self.commit(platform, "refuse")
        assert platform.call("datasets.list", {}) == []

    def test_it_is_kept_as_it_is(self, platform: Platform) -> None:
        assert self.commit(platform, "keep").rows == 5

    def test_without_a_gate_nothing_is_asked(self, platform: Platform) -> None:
        assert self.commit(platform, "").rows == 5

    def test_the_suite_decides_where_it_gates_commits(self, platform: Platform) -> None:
        platform.call("datasets.gate", {"name": "flights", "at": ["commit"], "on_failure": "quarantine"})
        assert self.commit(platform, "").rows == 3

    def test_where_no_row_passes_there_is_no_version(self, platform: Platform) -> None:
        platform.call(
            "datasets.apply_suites", {"declared": [{"dataset": "flights", "expectations": [OneOf("flight", (0,))]}]}
        )
        with pytest.raises(Refused, match="None of the 5 rows passes"):
            self.commit(platform, "quarantine")
        assert snapshot_of(platform.session(), "flights.quarantine").rows == 5


NUMBERS = st.lists(st.none() | st.integers(-3, 3), max_size=12)
ASKED: list[Expectation] = [
    NotNull("x"),
    InRange("x", -1, 1),
    OneOf("x", (0, 1)),
    Unique(("x",)),
    Unique(("x", "y")),
    Increasing("x"),
    MeanInRange("x", 0, 0.1),
    RowCount(3),
    References(("x",), "planes", ("seats",)),
    InRange("x", 0, 1, 0.5),
    NotNull("gone"),
]


@settings(max_examples=examples(60), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(NUMBERS, st.lists(st.sampled_from(ASKED), unique_by=str, max_size=4))
def test_rows_that_pass_and_rows_that_fail_are_together_all_rows(
    session: Session, values: list[int | None], asked: list[Expectation]
) -> None:
    commit_table(session, "planes", pa.table({"seats": [0, 2]}), Change())
    table = pa.table(
        {"x": pa.array(values, pa.int64()), "y": pa.array([n % 2 for n in range(len(values))], pa.int64())}
    )
    split = split_rows(session, "flights", table, asked)
    together = split.clean.to_pylist() + split.bad.select(["x", "y"]).to_pylist()
    assert sorted(together, key=str) == sorted(table.to_pylist(), key=str)
    assert all(split.bad[REASONS].to_pylist())


def test_a_column_of_the_same_name_is_left_alone(session: Session) -> None:
    split = split_rows(session, "flights", pa.table({REASONS: ["mine", None]}), [NotNull(REASONS)])
    assert split.bad.column_names == [REASONS, f"_{REASONS}"]


def test_a_quarantine_can_be_looked_into_and_grows_by_versions(platform: Platform, flights: Snapshot) -> None:
    expect(platform, *SUITE)
    platform.call("datasets.quarantine", {"name": "flights"})
    commit(platform, "flights", FLIGHTS.replace(b"900", b"901"))
    platform.call("datasets.quarantine", {"name": "flights"})
    assert platform.call("datasets.get", {"name": "flights.quarantine"}).version == 2
