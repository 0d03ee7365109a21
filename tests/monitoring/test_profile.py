"""Profiles count every value in one bin, and add up."""

from __future__ import annotations

import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from everloop.monitoring.entities import FeatureReference
from everloop.monitoring.profile import CATEGORIES, bins_for, codes, profile

number = st.floats(-1e6, 1e6) | st.just(math.nan) | st.just(math.inf) | st.just(-math.inf)
numbers = st.lists(number, min_size=1, max_size=60).map(lambda values: np.array(values, float))
words = st.lists(st.sampled_from(["AA", "DL", None]), min_size=1, max_size=30).map(lambda v: np.array(v, object))


def reference(values: np.ndarray) -> FeatureReference:
    return FeatureReference("x", bins_for(values), (), 0.0, 1.0, -5.0, 5.0, {})


@given(numbers, numbers, numbers)
def test_profiles_of_parts_add_up_to_the_profile_of_the_whole(
    base: np.ndarray, first: np.ndarray, second: np.ndarray
) -> None:
    feature = reference(base)
    merged = profile(feature, first)
    merged.merge(profile(feature, second))
    whole = profile(feature, np.concatenate([first, second]))
    assert merged.counts.tolist() == whole.counts.tolist()
    assert math.isclose(merged.total, whole.total, abs_tol=1e-6)


@given(numbers | words)
def test_every_value_is_in_one_bin_and_missing_ones_in_the_last(values: np.ndarray) -> None:
    found = profile(reference(values), values)
    missing = sum(value is None or value != value for value in values)
    assert (found.rows, found.missing) == (len(values), missing)


def test_few_distinct_numbers_have_a_bin_each_and_one_for_what_lies_below_and_above() -> None:
    bins = bins_for(np.array([1.0, 2.0, 4.0] * 9))
    assert codes(bins, np.array([0.0, 1.0, 2.0, 4.0, 9.0, np.nan])).tolist() == [0, 1, 2, 3, 4, 5]


def test_many_numbers_have_even_bins_in_the_bulk_and_thin_ones_in_the_tails() -> None:
    values = np.random.default_rng(1).normal(size=10_000)
    counts = profile(reference(values), values).counts
    assert counts[0] == 50
    assert counts[7] == 1000


def test_rare_categories_share_a_bin_with_new_ones() -> None:
    names = [f"c{number:03d}" for number in range(60) for _ in range(60 - number)]
    bins = bins_for(np.array(names, dtype=object))
    assert len(bins.categories) == CATEGORIES
    seen = codes(bins, np.array(["c000", "c059", "new", None], dtype=object))
    assert seen.tolist()[1:] == [CATEGORIES, CATEGORIES, CATEGORIES + 1]


def test_a_feature_without_any_value_still_has_bins() -> None:
    assert codes(bins_for(np.array([np.nan, np.nan])), np.array([np.nan, 3.0])).tolist() == [1, 0]
