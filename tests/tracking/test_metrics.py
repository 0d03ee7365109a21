"""Blocks of metric points, and which point is the latest."""

from __future__ import annotations

import math
from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from everloop.kernel.clock import EPOCH
from everloop.tracking.entities import MetricPoint
from everloop.tracking.metrics import latest, pack, unpack

POINTS = st.lists(
    st.builds(
        MetricPoint,
        st.just("a"),
        st.floats(),
        st.integers(-(1 << 63), (1 << 63) - 1),
        st.integers(0, 1 << 50).map(lambda micros: EPOCH + timedelta(microseconds=micros)),
    ),
    min_size=1,
)


@given(POINTS)
def test_a_block_gives_back_its_points(points: list[MetricPoint]) -> None:
    assert repr(unpack("a", len(points), pack(points))) == repr(points)


@given(POINTS)
def test_a_point_takes_24_bytes(points: list[MetricPoint]) -> None:
    assert len(pack(points)) == 24 * len(points)


@given(POINTS, st.randoms())
def test_the_latest_point_does_not_depend_on_the_order_of_logging(points: list[MetricPoint], random: object) -> None:
    shuffled = list(points)
    random.shuffle(shuffled)  # type: ignore[attr-defined]  # what Hypothesis hands out is a Random
    first, second = latest(points), latest(shuffled)
    assert (first.step, first.at) == (second.step, second.at)
    assert first.value == second.value or (math.isnan(first.value or 0) and math.isnan(second.value or 0))


def test_a_number_wins_over_not_a_number_at_the_same_moment() -> None:
    assert latest([MetricPoint("a", math.nan), MetricPoint("a", -1.0)]).value == -1.0


def test_what_json_could_not_carry_is_not_a_number() -> None:
    assert math.isnan(unpack("a", 1, pack([MetricPoint("a", None)]))[0].value or 0)
