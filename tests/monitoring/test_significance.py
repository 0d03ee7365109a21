"""P-values are those of the F distribution, and nulls learn what chunks of time vary by themselves."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from everloop.monitoring.significance import f_survival, independent_share, learn, p_value


@given(st.floats(0.01, 200), st.floats(0.5, 30), st.floats(1, 2000))
def test_the_survival_function_is_that_of_scipy(value: float, above: float, below: float) -> None:
    assert f_survival(value, above, below) == pytest.approx(stats.f.sf(value, above, below), rel=1e-5, abs=1e-100)


@pytest.mark.parametrize("chunks", [10, 60])
def test_p_values_are_uniform_over_references_though_rows_of_a_chunk_are_alike(chunks: int) -> None:
    random = np.random.default_rng(1)
    found = []
    for _ in range(200):
        values = random.normal(0, 3, chunks + 30) ** 2
        null = learn([(value, 100.0) for value in values[:chunks]], base=1.0)
        found += [p_value(null, value, 100.0) for value in values[chunks:]]
    for level in (0.01, 0.05, 0.5):
        assert np.mean(np.array(found) < level) == pytest.approx(level, rel=0.3)


def test_larger_windows_are_expected_to_differ_more() -> None:
    null = learn([(9.0 + n % 2, 100.0) for n in range(20)], base=1.0)
    assert p_value(null, 40.0, 100.0) < p_value(null, 40.0, 500.0)


def test_a_null_is_never_narrower_than_independence() -> None:
    null = learn([(0.1, 100.0), (0.2, 100.0), (0.1, 100.0)], base=5.0)
    assert (null.base, null.excess, null.freedom) == (5.0, 0.0, 5.0)


def test_with_hardly_any_chunks_only_gross_changes_are_surprising() -> None:
    null = learn([], base=1.0)
    assert p_value(null, 12.0, 100.0) > 0.01 > p_value(null, 1e6, 100.0)


def test_chunks_that_follow_their_neighbours_count_less() -> None:
    random = np.random.default_rng(2)
    level, steady = 0.0, []
    for _ in range(400):
        level = 0.9 * level + random.normal()
        steady.append(level**2)
    assert independent_share(np.array(steady)) < 0.25
    assert independent_share(random.chisquare(1, 400)) > 0.7
    assert independent_share(np.ones(10)) == 1.0
