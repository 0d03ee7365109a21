"""Weights: parts of the traffic."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from everloop.packaging.manifests.weights import WHOLE, millionths, reduced

SHARES = st.lists(st.integers(0, 1000), min_size=1, max_size=6).filter(any)


@given(SHARES)
def test_weights_are_the_whole_together_whatever_was_rounded(shares: list[int]) -> None:
    weights = millionths([100 * share / sum(shares) for share in shares])
    assert sum(weights) == WHOLE
    assert all(0 <= weight <= WHOLE for weight in weights)


@given(SHARES)
def test_a_smaller_number_says_the_same_share(shares: list[int]) -> None:
    weights = millionths([100 * share / sum(shares) for share in shares])
    small = reduced(weights)
    assert sum(small) in (100, WHOLE)
    assert [part * (WHOLE // sum(small)) for part in small] == weights


def test_thirds_stay_thirds() -> None:
    assert millionths([100 / 3] * 3) == [333_334, 333_333, 333_333]
