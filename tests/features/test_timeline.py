"""A view's rows clustered by entity and time."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from everloop.catalog.session import Session
from everloop.datasets.content import write_table
from everloop.features.entities import Entity, Feature, FeatureView
from everloop.features.timeline import BEFORE_ALL, Timeline, floats, span_micros, timeline, times
from everloop.kernel.clock import micros
from everloop.kernel.errors import InvalidInput
from tests.examples import examples
from tests.features.worlds import World, moment, source_table, worlds

ENTITY = Entity("place", ("place",))
PLAIN = (Feature("value", "value"),)


def same_values(known: Timeline, code: int, one: int, two: int) -> bool:
    """Whether an entity has the same row and values at two moments, however old."""
    codes = np.array([code, code])
    stamps, columns = known.known(codes, np.array([one, two]))
    return bool(stamps[0] == stamps[1]) and all(np.array_equal(c[:1], c[1:], equal_nan=True) for c in columns)


@settings(max_examples=examples(200), deadline=None)
@given(worlds(), st.integers(0, 20), st.integers(0, 20))
def test_whoever_is_not_among_the_moved_has_the_same_values(world: World, one: int, two: int) -> None:
    known = Timeline(world.view, source_table(world.source))
    after, until = sorted((micros(moment(one)), micros(moment(two))))
    moved = set(known.moved(after, until).tolist())
    for code in set(range(known.keys.count)) - moved:
        assert same_values(known, code, after, until)


@settings(max_examples=examples(100), deadline=None)
@given(worlds(), st.integers(0, 20))
def test_from_the_beginning_everybody_known_has_moved(world: World, minute: int) -> None:
    known = Timeline(world.view, source_table(world.source))
    at = micros(moment(minute))
    moved = set(known.moved(BEFORE_ALL, at).tolist())
    stamps, _ = known.known(np.arange(known.keys.count), np.full(known.keys.count, at))
    assert moved >= set(np.flatnonzero(stamps != BEFORE_ALL).tolist())


@settings(max_examples=examples(60), deadline=None)
@given(worlds())
def test_the_order_of_questions_changes_no_answer(world: World) -> None:
    known = Timeline(world.view, source_table(world.source))
    count = known.keys.count
    codes, at = np.repeat(np.arange(count), 13), np.tile([micros(moment(minute)) for minute in range(13)], count)
    shuffled = np.random.default_rng(len(world.source)).permutation(len(codes))
    straight = known.join(codes, at)
    mixed = known.join(codes[shuffled], at[shuffled])
    for one, two in zip(straight, mixed, strict=True):
        assert one[shuffled].tobytes() == two.tobytes()


def test_a_source_without_rows_knows_nobody() -> None:
    view = FeatureView("v", ENTITY, "source", "happened", PLAIN)
    known = Timeline(view, source_table([]))
    assert known.keys.count == 0
    assert known.moved(BEFORE_ALL, 0).tolist() == []
    assert np.isnan(known.join(np.array([-1, -2]), np.array([0, 0]))[0]).all()


def test_a_snapshot_is_sorted_once_and_threads_share_it(session: Session) -> None:
    view = FeatureView("v", ENTITY, "source", "happened", PLAIN)
    snapshot = write_table(session, "source", source_table([{"place": "a", "happened": moment(1), "value": 1.0}]))
    first = timeline(session, view, snapshot)
    with ThreadPoolExecutor(4) as pool:
        assert all(found is first for found in pool.map(lambda _: timeline(session, view, snapshot), range(16)))


def test_missing_numbers_are_nan_and_booleans_are_numbers() -> None:
    for column in (pa.array([1, None]), pa.array([1.0, None]), pa.array([True, None]), pa.array([1.0, float("nan")])):
        assert np.array_equal(floats(pa.chunked_array([column])), [1.0, np.nan], equal_nan=True)
    assert np.isnan(floats(pa.chunked_array([pa.nulls(2)]))).all()


def test_times_are_microseconds_whatever_their_unit_and_zone() -> None:
    expected = micros(moment(0))
    naive = moment(0).replace(tzinfo=None)
    kinds = [pa.timestamp(unit, zone) for unit in ("s", "ms", "us", "ns") for zone in (None, "UTC", "Asia/Tokyo")]
    for kind in [*kinds, pa.date32(), pa.date64()]:
        zoned = moment(0) if pa.types.is_timestamp(kind) and kind.tz else naive
        stamps, present = times(pa.chunked_array([pa.array([zoned, None], kind)]), "t")
        assert (stamps[0], present.tolist()) == (expected, [True, False])


def test_whole_numbers_are_not_guessed_to_be_times() -> None:
    with pytest.raises(InvalidInput, match="'t' has type int64, not times"):
        times(pa.chunked_array([pa.array([1])]), "t")


def test_a_span_beyond_all_times_is_cut() -> None:
    assert span_micros(timedelta(hours=1)) == 3_600_000_000
    assert 0 < span_micros(timedelta.max) < np.iinfo(np.int64).max // 2


def test_times_finer_than_a_microsecond_are_refused_with_a_remedy() -> None:
    fine = pa.chunked_array([pa.array([1_500], pa.timestamp("ns", "UTC"))])
    with pytest.raises(InvalidInput, match="'at' has times finer than a microsecond") as caught:
        times(fine, "at")
    assert caught.value.problem.hint == "Round them up."


def test_whole_microseconds_in_a_finer_unit_are_fine() -> None:
    whole = pa.chunked_array([pa.array([2_000, None], pa.timestamp("ns", "UTC"))])
    micros, present = times(whole, "at")
    assert (micros.tolist(), present.tolist()) == ([2, 0], [True, False])
