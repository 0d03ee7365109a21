"""Logged points as columns."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from everloop.sdk.recording import columns
from everloop.sdk.recording.columns import Columns, Point
from everloop.tracking.points import metric_points

keys = st.sampled_from(["loss", "auc", "f1"])
steps = st.none() | st.integers(-5, 5) | st.integers(-(1 << 63), (1 << 63) - 2)
points = st.lists(st.tuples(keys, st.floats(allow_nan=False), steps, st.floats(0, 2e9)), max_size=30)


def made(logged: list[Point], cuts: int = 1) -> list[tuple[str, float | None, int]]:
    """The points of columns that are made in one or several goes."""
    told = Columns(lambda key, why: None)
    parts = [logged[at::] if cuts == 1 else logged[at : at + cuts] for at in range(0, len(logged), max(cuts, 1))]
    parts = [logged] if cuts == 1 else parts
    found = [point for part in parts if part for segment in told.of(part) for point in metric_points(segment)]
    return [(point.key, point.value, point.step) for point in found]


@given(points)
def test_nothing_is_lost_and_the_order_stays(logged: list[Point]) -> None:
    assert [(key, value) for key, value, _ in made(logged)] == [(key, value) for key, value, _, _ in logged]


@given(points, st.integers(2, 7))
def test_it_does_not_matter_when_the_thread_looks(logged: list[Point], cut: int) -> None:
    assert made(logged, cut) == made(logged)


@given(points)
def test_a_step_that_nobody_gave_is_the_next_of_its_key(logged: list[Point]) -> None:
    following: dict[str, int] = {}
    for (key, _, step, _), (_, _, found) in zip(logged, made(logged), strict=True):
        assert found == (following.get(key, 0) if step is None else step)
        following[key] = found + 1


def test_bad_points_are_left_out_and_told_and_good_ones_stay() -> None:
    told: list[str] = []
    found = Columns(lambda key, why: told.append(key))
    bad: list[Point] = [("", 1.0, 0, 0.0), ("a", 1.0, 1 << 63, 0.0), ("b", 1.0, "x", 0.0)]  # type: ignore[list-item]
    good: list[Point] = [("loss", 1.0, None, 0.0), ("loss", 2.0, None, 0.0)]
    segments = list(found.of([good[0], *bad, good[1]]))
    assert [(point.key, point.step) for point in metric_points(segments[0])] == [("loss", 0), ("loss", 1)]
    assert told == ["", "a", "b"]


def test_nothing_but_bad_points_makes_no_segment() -> None:
    assert list(Columns(lambda key, why: None).of([("", 1.0, 0, 0.0)])) == []


def test_counting_goes_on_from_where_an_earlier_process_stopped() -> None:
    found = Columns(lambda key, why: None)
    found.go_on({"loss": 7})
    assert [point.step for segment in found.of([("loss", 1.0, None, 0.0)]) for point in metric_points(segment)] == [7]


def test_more_keys_than_a_segment_can_name_make_several() -> None:
    logged: list[Point] = [(f"k{number}", 1.0, 0, 0.0) for number in range(columns._PART + 1)]
    assert [len(segment) for segment in Columns(lambda key, why: None).of(logged)] == [columns._PART, 1]


def test_what_is_remembered_for_a_small_line_stays_small() -> None:
    found = Columns(lambda key, why: None)
    for value in range(10_000):
        list(found.of([("loss", float(value), None, 0.0)]))
    assert len(found.recent["loss"]) <= 240
    assert found.recent["loss"][-1] == 9_999.0
