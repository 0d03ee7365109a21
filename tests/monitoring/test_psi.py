"""Distances between histograms."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import wasserstein_distance

from everloop.monitoring.psi import freeman_tukey, psi, transported

counts = st.lists(st.integers(0, 500), min_size=4, max_size=4).map(lambda c: np.array([c[0] + 1, *c[1:]], float))


@given(counts, counts)
def test_distances_are_never_negative_and_nought_for_the_same(first: np.ndarray, second: np.ndarray) -> None:
    assert psi(first, first) == pytest.approx(0, abs=1e-12)
    assert freeman_tukey(first, first) == pytest.approx(0, abs=1e-12)
    assert min(psi(first, second), freeman_tukey(first, second)) >= 0


def test_the_psi_is_its_textbook_sum_on_many_rows() -> None:
    p, q = np.array([0.25, 0.75]), np.array([0.5, 0.5])
    assert psi(p * 1e9, q * 1e9) == pytest.approx(float(((q - p) * np.log(q / p)).sum()))


def test_the_statistic_of_equal_distributions_is_a_chi_square() -> None:
    random = np.random.default_rng(1)
    shares = np.array([0.4, 0.3, 0.2, 0.1])
    seen = [freeman_tukey(random.multinomial(5000, shares), random.multinomial(800, shares)) for _ in range(2000)]
    assert np.mean(seen) == pytest.approx(3, rel=0.1)
    assert np.quantile(seen, 0.95) == pytest.approx(7.81, rel=0.1)


def test_bins_that_the_reference_never_saw_count_and_do_no_harm() -> None:
    value = freeman_tukey(np.array([1000.0, 0.0]), np.array([190.0, 10.0]))
    assert 10 < value < 100


@given(counts, counts, st.lists(st.floats(-2, 2), min_size=4, max_size=4))
def test_the_mass_moved_is_the_wasserstein_distance_along_the_curve(
    first: np.ndarray, second: np.ndarray, curve: list[float]
) -> None:
    expected = wasserstein_distance(curve, curve, first, second)
    assert transported(first, second, np.array(curve)) == pytest.approx(expected, abs=1e-9)


def test_a_shift_between_bins_that_the_model_treats_alike_costs_nothing() -> None:
    assert transported(np.array([10.0, 90.0]), np.array([90.0, 10.0]), np.array([0.3, 0.3])) == 0
