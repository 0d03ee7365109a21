"""Split-conformal margins: they cover as often as they say, whatever the residuals are."""

from __future__ import annotations

from math import ceil, inf

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from everloop.registry.calibration.conformal import margin_of

residual_lists = st.lists(st.floats(0, 1e6), min_size=1, max_size=60)
alphas = st.sampled_from([0.01, 0.05, 0.1, 0.2, 0.5, 0.9])


@given(residual_lists, alphas)
def test_of_exchangeable_rows_the_one_left_out_is_covered_often_enough(residuals: list[float], alpha: float) -> None:
    """Each of n + 1 rows is as likely to be the new one: at least the part 1 - alpha of them must be covered."""
    rows = np.array(residuals)
    covered = sum(
        rows[new] <= margin_of(np.delete(rows, new), np.zeros(len(rows) - 1), alpha) for new in range(len(rows))
    )
    assert covered >= (1 - alpha) * len(rows) - 1e-9


@given(residual_lists, alphas)
def test_the_margin_is_the_residual_of_its_rank(residuals: list[float], alpha: float) -> None:
    rank = ceil(round((len(residuals) + 1) * (1 - alpha), 9))
    expected = sorted(residuals)[rank - 1] if rank <= len(residuals) else inf
    assert margin_of(np.array(residuals), np.zeros(len(residuals)), alpha) == expected


def test_nine_rows_say_something_about_nine_of_ten_and_eight_do_not() -> None:
    assert margin_of(np.arange(9.0), np.zeros(9), 0.1) == 8.0
    assert margin_of(np.arange(8.0), np.zeros(8), 0.1) == inf


@pytest.mark.parametrize("alpha", [0.05, 0.1, 0.3])
@pytest.mark.parametrize("noise", ["normal", "standard_cauchy", "lognormal"])
def test_fresh_rows_are_covered_whatever_the_noise_is(noise: str, alpha: float) -> None:
    random = np.random.default_rng(3)
    draw = getattr(random, noise)
    found = []
    for _ in range(60):
        margin = margin_of(draw(size=200), np.zeros(200), alpha)
        found.append(float((np.abs(draw(size=500)) <= margin).mean()))
    assert np.mean(found) >= 1 - alpha - 0.01
