"""A suggested suite always passes on the version that it was inferred from, says why, and is in force nowhere."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from everloop.app.platform import Platform
from everloop.catalog.session import Session
from everloop.datasets.content import commit_table, profile_of, read_table
from everloop.datasets.entities import Change, Snapshot
from everloop.datasets.quality.expectations import (
    Expectation,
    Freshness,
    HasTypes,
    InRange,
    Length,
    Matches,
    NotNull,
    OneOf,
    RowCount,
    Unique,
)
from everloop.datasets.quality.service import examine
from everloop.datasets.quality.suggestion import inferred, pattern_of, rounded, shapes, suggested
from everloop.datasets.quality.suitefile import read_suite
from everloop.kernel.errors import NotFound
from tests.examples import examples

ROWS = 100
START = datetime(2026, 1, 1, tzinfo=UTC)


def committed(session: Session, **columns: list[object]) -> Snapshot:
    return commit_table(session, "flights", pa.table(columns), Change())


def suggestions(session: Session, **columns: list[object]) -> tuple[Expectation, ...]:
    return read_suite(suggested(session, committed(session, **columns))).expectations


class TestWhatIsSuggested:
    def test_types_and_a_band_of_rows(self, session: Session) -> None:
        found = suggestions(session, delay=[1.5] * ROWS)
        assert found[:2] == (HasTypes({"delay": "float64"}), RowCount(50, 200, "warning"))

    def test_what_is_never_missing_and_what_sometimes_is(self, session: Session) -> None:
        found = suggestions(session, all=[1] * ROWS, some=[None, *[1] * 9] * 10)
        assert NotNull("all") in found
        assert NotNull("some", 0.84, "warning") in found

    def test_a_range_is_a_tenth_wider_and_does_not_cross_zero(self, session: Session) -> None:
        found = suggestions(session, delay=[*range(ROWS - 1), 5])
        assert InRange("delay", 0, 108, severity="warning") in found

    def test_a_key_is_unique_and_has_no_range(self, session: Session) -> None:
        found = suggestions(session, flight=list(range(ROWS)))
        assert Unique(("flight",)) in found
        assert not any(isinstance(one, InRange) for one in found)

    def test_few_values_are_a_set(self, session: Session) -> None:
        found = suggestions(session, origin=["EWR", "JFK"] * 50)
        assert OneOf("origin", ("EWR", "JFK"), severity="warning") in found

    def test_texts_of_one_shape_have_a_pattern_and_others_a_length(self, session: Session) -> None:
        found = suggestions(session, tail=[f"N{n}X" for n in range(ROWS)], note=[f"{'x ' * n}." for n in range(ROWS)])
        assert Matches("tail", "N[0-9]{1,2}X", severity="warning") in found
        assert Length("note", 1, 398, severity="warning") in found

    @pytest.mark.parametrize(("age", "within"), [(3, "6h"), (50, "5d"), (24 * 40, "")])
    def test_times_that_are_kept_up_are_to_stay_fresh(self, session: Session, age: int, within: str) -> None:
        newest = session.clock.now() - timedelta(hours=age)
        found = suggestions(session, at=[newest - timedelta(hours=n) for n in range(ROWS)])
        assert [one.within for one in found if isinstance(one, Freshness)] == ([within] if within else [])

    def test_each_has_its_reason_as_a_comment(self, session: Session) -> None:
        text = suggested(session, committed(session, origin=["EWR", "JFK"] * 50))
        assert "  # origin has only 2 different values in 100 rows.\n  - kind: one_of" in text


def test_nothing_is_in_force_by_being_suggested(platform: Platform) -> None:
    with platform.session().begin() as unit:
        committed(unit, delay=[1, 2])
    platform.call("datasets.suggest", {"name": "flights"})
    with pytest.raises(NotFound, match="Nothing is expected"):
        platform.call("datasets.expectations", {"name": "flights"})


CELLS = {
    "int64": st.none() | st.integers(-(2**40), 2**40) | st.integers(0, 3),
    "double": st.none() | st.floats(width=32),
    "string": st.none() | st.sampled_from(["EWR", "JFK"]) | st.text(max_size=6) | st.from_regex(r"\AN[0-9]{1,3}\Z"),
    "bool": st.none() | st.booleans(),
    "timestamp[us, tz=UTC]": st.none() | st.integers(0, 60 * 365 * 24).map(lambda h: START - timedelta(hours=h)),
}
KINDS = {
    "int64": pa.int64(),
    "double": pa.float64(),
    "string": pa.string(),
    "bool": pa.bool_(),
    "timestamp[us, tz=UTC]": pa.timestamp("us", "UTC"),
}


@st.composite
def tables(draw: st.DrawFn) -> pa.Table:
    rows = draw(st.integers(0, 30))
    names = draw(st.lists(st.sampled_from(sorted(CELLS)), min_size=1, max_size=3))
    columns = [draw(st.lists(CELLS[name], min_size=rows, max_size=rows)) for name in names]
    arrays = [pa.array(column, KINDS[name]) for name, column in zip(names, columns, strict=True)]
    return pa.table(arrays, names=[f"c{place}" for place in range(len(names))])


@settings(max_examples=examples(60), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(tables())
def test_every_inference_holds_for_the_version_that_it_is_from(session: Session, table: pa.Table) -> None:
    snapshot = commit_table(session, "flights", table, Change())
    profile, rows = profile_of(session, snapshot), read_table(session, snapshot)
    found = [one.expectation for one in (*inferred(profile, session.clock.now()), *shapes(profile, rows))]
    assert [result for result in examine(session, "flights", rows, found) if not result.passed] == []


@given(st.floats(-1e9, 1e9), st.floats(1e-6, 1e9))
def test_a_rounded_end_is_never_inside_and_hardly_farther_out(value: float, margin: float) -> None:
    assert value - margin <= rounded(value, margin, up=False) <= value <= rounded(value, margin, up=True)
    assert rounded(value, margin, up=True) <= value + margin


@pytest.mark.parametrize(
    ("texts", "pattern"),
    [
        (["N101", "N9"], "N[0-9]{1,3}"),
        (["a-1", "b-2"], "[a-z]-[0-9]"),
        (["same", "same"], "same"),
        (["1.5", "2.5"], r"[0-9]\.5"),
        (["N1", "1N"], ""),
        ([], ""),
    ],
)
def test_a_shape_is_told_as_a_pattern(texts: list[str], pattern: str) -> None:
    assert pattern_of(texts) == pattern
