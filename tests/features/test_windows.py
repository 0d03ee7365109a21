"""Windows by aligned blocks."""

from __future__ import annotations

import math
import statistics

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from everloop.features.windows import MERGES, Blocks, Floats, Integers, last_present
from tests.examples import examples

numbers = st.floats(-1e9, 1e9) | st.just(math.nan)
lists = st.lists(numbers, max_size=70)


def every_window(count: int) -> tuple[Integers, Integers]:
    """The starts and ends of all windows over so many rows."""
    pairs = [(start, end) for start in range(count + 1) for end in range(start, count + 1)]
    return np.array([start for start, _ in pairs]), np.array([end for _, end in pairs])


def over_all(values: list[float], aggregation: str) -> list[tuple[list[float], float]]:
    """Each window's values that are there, and what the blocks say of it."""
    starts, ends = every_window(len(values))
    found = Blocks(np.array(values, dtype=np.float64), MERGES[aggregation]).over(starts, ends)
    kept = [[v for v in values[a:b] if not math.isnan(v)] for a, b in zip(starts, ends, strict=True)]
    return list(zip(kept, found.tolist(), strict=True))


@settings(max_examples=examples(40), deadline=None)
@given(lists)
def test_sums_are_as_exact_as_a_double_can_be(values: list[float]) -> None:
    for kept, found in over_all(values, "sum"):
        if not kept:
            assert math.isnan(found)
            continue
        exact = math.fsum(kept)
        assert abs(found - exact) <= max(math.ulp(exact), 1e-30 * sum(map(abs, kept)))


@settings(max_examples=examples(40), deadline=None)
@given(lists)
def test_extremes_are_exact(values: list[float]) -> None:
    for name, pick in (("min", min), ("max", max)):
        for kept, found in over_all(values, name):
            assert math.isnan(found) if not kept else found == pick(kept)


@settings(max_examples=examples(20), deadline=None)
@given(lists)
def test_deviations_are_those_of_the_statistics_module(values: list[float]) -> None:
    for kept, found in over_all(values[:30], "std"):
        expected = statistics.stdev(kept) if len(kept) > 1 else math.nan
        assert found == pytest.approx(expected, rel=1e-7, abs=1e-5, nan_ok=True)


def test_a_huge_value_that_has_left_the_window_leaves_nothing_behind() -> None:
    # A difference of running totals gives 0 here.
    values = np.array([1e300, 1.0, 2.0, -1e300, 3.0])
    found = Blocks(values, MERGES["sum"]).over(np.array([1, 0, 1]), np.array([3, 4, 5]))
    assert found.tolist() == [3.0, 3.0, -1e300]


def test_small_values_are_not_lost_beside_large_ones() -> None:
    values = np.array([1e16, 1.0, 1.0, -1e16] * 1000)
    assert Blocks(values, MERGES["sum"]).over(np.array([0]), np.array([4000])).tolist() == [2000.0]


def test_an_infinity_touches_only_the_windows_that_it_is_in() -> None:
    values = np.array([1.0, math.inf, 2.0, 3.0])
    found = Blocks(values, MERGES["mean"]).over(np.array([0, 2, 0]), np.array([1, 4, 4]))
    assert found.tolist() == [1.0, 2.5, math.inf]


def test_the_share_is_of_values_that_are_not_zero() -> None:
    values = np.array([0.0, 2.0, math.nan, -1.0, 0.0])
    assert Blocks(values, MERGES["share"]).over(np.array([0]), np.array([5])).tolist() == [0.5]


@settings(max_examples=examples(50), deadline=None)
@given(lists, st.sampled_from(sorted(MERGES)))
def test_a_window_is_the_same_bits_alone_and_among_others(values: list[float], aggregation: str) -> None:
    starts, ends = every_window(min(len(values), 12))
    blocks = Blocks(np.array(values, dtype=np.float64), MERGES[aggregation])
    alone = np.concatenate([blocks.over(starts[at : at + 1], ends[at : at + 1]) for at in range(len(starts))])
    assert blocks.over(starts, ends).tobytes() == alone.tobytes()


@settings(max_examples=examples(50), deadline=None)
@given(lists)
def test_the_last_value_is_the_newest_one_that_is_there(values: list[float]) -> None:
    starts, ends = every_window(len(values))
    array: Floats = np.array(values, dtype=np.float64)
    for start, end, found in zip(starts, ends, last_present(array, starts, ends), strict=True):
        kept = [value for value in values[start:end] if not math.isnan(value)]
        assert math.isnan(found) if not kept else found == kept[-1]
