"""Smoothing: averages that do not start at zero, and skip what is no number."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from everloop.tracking.series.smoothing import exponential, time_weighted

VALUES = st.lists(st.floats(-1e6, 1e6) | st.none(), max_size=30)
WEIGHT = st.floats(0, 0.99)


@given(VALUES, WEIGHT)
def test_an_average_lies_between_the_least_and_the_largest_value(values: list[float | None], weight: float) -> None:
    known = [value for value in values if value is not None]
    for smoothed in (exponential(values, weight), time_weighted(range(len(values)), values, weight)):
        assert [value is None for value in smoothed] == [value is None for value in values]
        for value in smoothed:
            assert value is None or min(known) - 1e-3 <= value <= max(known) + 1e-3


@given(st.floats(-10, 10), st.integers(1, 20), WEIGHT)
def test_a_constant_stays_what_it_is_from_the_start(value: float, count: int, weight: float) -> None:
    for smoothed in (exponential([value] * count, weight), time_weighted(range(count), [value] * count, weight)):
        assert all(math.isclose(got or 0.0, value, rel_tol=1e-9, abs_tol=1e-9) for got in smoothed)


@given(VALUES)
def test_no_weight_changes_nothing(values: list[float | None]) -> None:
    assert exponential(values, 0.0) == values


def test_the_average_is_the_one_that_tensorboard_draws() -> None:
    assert exponential([0.0, 1.0, 1.0], 0.5) == pytest.approx([0.0, 2 / 3, 6 / 7])


def test_the_whole_weight_does_not_divide_by_zero() -> None:
    assert exponential([3.0, 5.0], 1.0) == [3.0, 5.0]


def test_what_is_further_away_counts_less() -> None:
    near, far = (time_weighted([0, place, 100], [0.0, 1.0, 1.0], 0.9)[1] for place in (1, 50))
    assert (near or 0) < (far or 0)


def test_the_curve_does_not_depend_on_how_densely_it_was_logged() -> None:
    few = time_weighted([0, 50, 100], [0.0, 1.0, 1.0], 0.99)
    many = time_weighted([0, 50, 50, 50, 100], [0.0, 1.0, 1.0, 1.0, 1.0], 0.99)
    assert (many[-1] or 0) > (few[-1] or 0) > 0.9


def test_nothing_is_smoothed_to_nothing() -> None:
    assert exponential([], 0.5) == time_weighted([], [], 0.5) == []
