"""The point-in-time join."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from everloop.catalog.session import Session
from everloop.datasets.content import write_table
from everloop.features.declare import Entity, FeatureService, FeatureView, table, window
from everloop.features.entities import FeatureView as View
from everloop.features.pointintime import join, joined
from everloop.features.service import apply, pin
from everloop.features.timeline import Timeline
from everloop.kernel.errors import InvalidInput
from tests.examples import examples
from tests.features.reference import Row, slow_join
from tests.features.worlds import ROWS, World, moment, rows_table, source_table, worlds

PLACE = Entity("place", keys=["place"])


def view_of(ttl: str | None = None, available_after: str = "0s", timestamp: str = "happened") -> View:
    """A view with the plain value."""
    return FeatureView(
        "v",
        entity=PLACE,
        source=table("source"),
        timestamp=timestamp,
        ttl=ttl,
        available_after=available_after,
        features=lambda t: [t.value],
    )


def seen(minute: float | None, value: float | None, place: str | None = "a") -> Row:
    """A row of a source."""
    happened = None if minute is None else moment(minute)
    return {"place": place, "line": 1, "happened": happened, "value": value}


def values_at(view: View, source: list[Row], *asked: float, place: str | None = "a") -> list[float | None]:
    """The first feature's value for a place at some minutes."""
    rows = rows_table([{"row": 0, "at": moment(minute), "place": place, "line": 1} for minute in asked])
    found = joined(rows, "at", [Timeline(view, source_table(source))])
    values: list[float | None] = found[found.num_columns - 1].to_pylist()
    return values


def numbers(values: Iterable[float | None]) -> list[float]:
    """Values with NaN for None, as pytest.approx compares them."""
    return [float("nan") if value is None else value for value in values]


@settings(max_examples=examples(300), deadline=None)
@given(worlds())
def test_it_is_what_looking_at_every_row_would_give(world: World) -> None:
    found = joined(rows_table(world.rows), "at", [Timeline(world.view, source_table(world.source))])
    expected = slow_join(world.rows, "at", world.view, world.source)
    names = [f"v.{feature.name}" for feature in world.view.features]
    for got, want in zip(found.select(names).to_pylist(), expected, strict=True):
        assert list(got) == list(want)
        assert numbers(got.values()) == pytest.approx(numbers(want.values()), rel=1e-9, abs=1e-7, nan_ok=True)


@settings(max_examples=examples(100), deadline=None)
@given(worlds())
def test_every_row_comes_back_once_in_its_place_and_unchanged(world: World) -> None:
    rows = rows_table(world.rows)
    found = joined(rows, "at", [Timeline(world.view, source_table(world.source))])
    assert found.select(ROWS.names).equals(rows)


@settings(max_examples=examples(100), deadline=None)
@given(worlds(), st.integers(0, 12))
def test_what_is_known_only_later_changes_nothing(world: World, minute: int) -> None:
    now = moment(minute)
    rows = rows_table([{**row, "at": now} for row in world.rows])
    view = world.view
    if not view.timestamp:
        return
    past = [row for row in world.source if row["happened"] is None or row["happened"] + view.available_after <= now]
    whole = joined(rows, "at", [Timeline(view, source_table(world.source))])
    until_now = joined(rows, "at", [Timeline(view, source_table(past))])
    for name in whole.column_names[4:]:
        expected = numbers(until_now[name].to_pylist())
        assert numbers(whole[name].to_pylist()) == pytest.approx(expected, rel=1e-9, abs=1e-7, nan_ok=True)


def test_a_planted_leak_stays_shut_until_the_value_is_known() -> None:
    # The arrival delay is stamped with the departure, but nobody knows it before the flight has landed.
    source = [seen(0, 5.0), seen(60, 999.0)]
    honest, leaking = view_of(available_after="3h"), view_of()
    assert values_at(leaking, source, 61) == [999.0]
    assert values_at(honest, source, 61, 179, 180, 239, 240) == [None, None, 5.0, 5.0, 999.0]


def test_windows_do_not_leak_either() -> None:
    view = FeatureView(
        "v",
        entity=PLACE,
        source="source",
        timestamp="happened",
        available_after="10m",
        features=lambda t: [window(t.value.sum(), "30m")],
    )
    assert values_at(view, [seen(0, 1.0), seen(5, 2.0)], 9, 10, 14, 15, 29, 30, 35) == [
        None,
        1.0,
        1.0,
        3.0,
        3.0,
        2.0,
        None,
    ]


def test_an_equal_time_is_visible() -> None:
    assert values_at(view_of(), [seen(5, 1.0)], 4, 5) == [None, 1.0]


def test_a_row_exactly_as_old_as_the_ttl_still_counts() -> None:
    edge = 5 + 3 * 60
    assert values_at(view_of(ttl="3h"), [seen(5, 1.0)], edge, edge + 1 / 60_000_000) == [1.0, None]


def test_the_ttl_counts_from_the_timestamp_not_from_when_it_was_known() -> None:
    assert values_at(view_of(ttl="3h", available_after="1h"), [seen(0, 1.0)], 59, 60, 180, 181) == [
        None,
        1.0,
        1.0,
        None,
    ]


def test_of_equal_times_the_last_row_of_the_source_wins() -> None:
    assert values_at(view_of(), [seen(5, 1.0), seen(2, 9.0), seen(5, 3.0), seen(5, 2.0)], 5) == [2.0]


def test_a_missing_value_wins_over_an_older_one_that_is_there() -> None:
    assert values_at(view_of(), [seen(1, 1.0), seen(2, None)], 3) == [None]


def test_missing_keys_join_nothing_not_even_each_other() -> None:
    assert values_at(view_of(), [seen(1, 1.0, place=None)], 3, place=None) == [None]


def test_a_row_without_a_timestamp_is_never_seen() -> None:
    assert values_at(view_of(), [seen(None, 1.0)], 3) == [None]


def test_without_a_timestamp_values_hold_for_all_times() -> None:
    assert values_at(view_of(timestamp=""), [seen(9, 1.0), seen(3, 2.0)], -1e9, 5) == [2.0, 2.0]


def test_joined_texts_are_never_taken_for_keys() -> None:
    view = FeatureView(
        "v",
        entity=Entity("pair", keys=["one", "two"]),
        source="source",
        features=lambda t: [t.value],
    )
    known = Timeline(view, pa.table({"one": ["a", "a_b"], "two": ["b_c", "c"], "value": [1.0, 2.0]}))
    rows = pa.table({"at": [moment(0), moment(0)], "one": ["a_b", "a"], "two": ["c", "b_c"]})
    assert joined(rows, "at", [known])["v.value"].to_pylist() == [2.0, 1.0]


def test_keys_and_times_join_by_value_whatever_their_arrow_types() -> None:
    view = FeatureView("v", entity=Entity("n", keys=["n"]), source="s", timestamp="t", features=lambda t: [t.value])
    stamps = pa.array([moment(0).replace(tzinfo=None)], pa.timestamp("s"))
    known = Timeline(view, pa.table({"n": pa.array([7], pa.int16()), "t": stamps, "value": [True]}))
    asked = pa.array([moment(1)], pa.timestamp("ns", "America/New_York"))
    for kind in (pa.int64(), pa.uint8(), pa.float64()):
        rows = pa.table({"n": pa.array([7], kind), "at": asked})
        assert joined(rows, "at", [known])["v.value"].to_pylist() == [1.0]
    texts = pa.table({"n": ["7"], "at": asked})
    with pytest.raises(InvalidInput, match="'n' has type string"):
        joined(texts, "at", [known])


def test_dictionary_keys_are_read_as_their_texts() -> None:
    source = source_table([seen(0, 1.0)])
    at = source.schema.get_field_index("place")
    encoded = source.set_column(at, "place", source["place"].dictionary_encode())
    rows = pa.table({"at": [moment(0)], "place": pa.array(["a"]).dictionary_encode()})
    assert joined(rows, "at", [Timeline(view_of(), encoded)])["v.value"].to_pylist() == [1.0]


def test_times_finer_than_a_microsecond_are_refused_rather_than_rounded() -> None:
    rows = pa.table({"at": pa.array([1], pa.timestamp("ns", "UTC")), "place": ["a"]})
    with pytest.raises(InvalidInput, match="finer than a microsecond"):
        joined(rows, "at", [Timeline(view_of(), source_table([]))])


def test_it_says_which_column_the_rows_lack() -> None:
    known = Timeline(view_of(), source_table([]))
    with pytest.raises(InvalidInput, match=r"no column 'when'.*They have row, at, place, line"):
        joined(rows_table([]), "when", [known])
    with pytest.raises(InvalidInput, match="no key column 'place'"):
        joined(rows_table([]).drop_columns("place"), "at", [known])
    with pytest.raises(InvalidInput, match="'row' has type int64, not times"):
        joined(rows_table([]), "row", [known])


def test_a_column_is_never_overwritten() -> None:
    known = Timeline(view_of(), source_table([]))
    with pytest.raises(InvalidInput, match=r"have a column 'v.value' already"):
        joined(rows_table([]), "at", [known, known])


def test_it_reads_the_pinned_snapshots_and_no_newer_ones(session: Session) -> None:
    write_table(session, "source", source_table([seen(0, 1.0)]))
    apply(session, (FeatureService("s", views=[view_of()]),))
    pinned = pin(session, "s")
    write_table(session, "source", source_table([seen(0, 2.0)]))
    rows = rows_table([{"row": 1, "at": moment(1), "place": "a", "line": 1}])
    assert join(session, rows, "at", pinned)["v.value"].to_pylist() == [1.0]
    assert join(session, rows, "at", pin(session, "s"))["v.value"].to_pylist() == [2.0]


def test_a_ttl_longer_than_time_itself_is_a_ttl() -> None:
    view = View("v", PLACE, "source", "happened", view_of().features, ttl=timedelta.max)
    assert values_at(view, [seen(0, 1.0)], 1e9) == [1.0]
