"""What is new in a series, and what is its latest point."""

from __future__ import annotations

import math
from collections import Counter
from typing import TYPE_CHECKING

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from everloop.kernel.clock import from_micros
from everloop.tracking.entities import MetricPoint
from everloop.tracking.imports.series import latest_of, new_in, same
from everloop.tracking.points import latest

if TYPE_CHECKING:
    from everloop.tracking.points import Columns

Points = list[tuple[int, int, float]]
points = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3), st.sampled_from([0.0, 1.5, math.inf, math.nan])))


def columns(of: Points) -> Columns:
    """Points as columns."""
    return (
        np.array([it[0] for it in of], np.int64),
        np.array([it[1] for it in of], np.int64),
        np.array([it[2] for it in of], np.float64),
    )


def counted(of: Columns) -> Counter[tuple[int, int, str]]:
    """How often each point is there."""
    return Counter((int(s), int(a), str(v)) for s, a, v in zip(*of, strict=True))


@given(points, points)
def test_with_what_is_new_there_is_each_point_as_often_as_in_either(there: Points, here: Points) -> None:
    fresh = new_in(columns(there), columns(here))
    assert counted(fresh) + counted(columns(here)) == counted(columns(there)) | counted(columns(here))


@given(points.filter(bool))
def test_the_latest_point_is_the_one_that_tracking_picks(of: Points) -> None:
    found = latest_of(columns(of))
    expected = latest(MetricPoint("key", value, step, from_micros(at)) for step, at, value in of)
    assert (found.step, str(found.value), found.points) == (expected.step, str(expected.value), len(of))


@given(points, points)
def test_series_are_the_same_only_where_every_point_is(one: Points, other: Points) -> None:
    alike = [str(it) for it in one] == [str(it) for it in other]
    assert same(columns(one), columns(other)) == alike
