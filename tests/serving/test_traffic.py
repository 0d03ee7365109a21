"""Traffic: sticky, monotone, fair, and moved by as few keys as possible."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from everloop.kernel.errors import InvalidInput
from everloop.serving.entities import Share, Span
from everloop.serving.traffic import WHOLE, Split, allocate, check, position, salt_of

KEYS = [f"flight-{number}" for number in range(20_000)]


def ramp(percent: float, before: tuple[Span, ...] = ()) -> tuple[Span, ...]:
    return allocate([Share(1, 100 - percent), Share(2, percent, "canary")], before)


def met(allocation: tuple[Span, ...], deployment: int, endpoint: str = "delay") -> set[str]:
    assigned = Split(endpoint, allocation).assign(KEYS)
    return {key for key, found in zip(KEYS, assigned, strict=True) if found == deployment}


def test_the_same_key_always_meets_the_same_deployment() -> None:
    allocation = ramp(30)
    assert Split("delay", allocation).assign(KEYS) == Split("delay", allocation).assign(KEYS)


@pytest.mark.parametrize("percent", [1, 5, 25, 50, 90])
def test_a_share_gets_its_part_of_the_keys(percent: float) -> None:
    share = len(met(ramp(percent), 2)) / len(KEYS)
    assert share == pytest.approx(percent / 100, abs=4 * (percent / 100 * (1 - percent / 100) / len(KEYS)) ** 0.5)


def test_who_met_the_canary_at_5_percent_still_meets_it_at_25_and_50() -> None:
    first = ramp(5)
    second = ramp(25, first)
    third = ramp(50, second)
    assert met(first, 2) < met(second, 2) < met(third, 2)


def test_promotion_moves_nobody_who_met_the_challenger() -> None:
    half = ramp(50)
    promoted = allocate([Share(2, 100)], half)
    assert promoted == (Span(0, WHOLE, 2),)


def test_positions_are_uniform() -> None:
    tenths = [0] * 10
    for key in KEYS:
        tenths[position(salt_of("delay"), key) * 10 // WHOLE] += 1
    expected = len(KEYS) / 10
    chi_squared = sum((count - expected) ** 2 / expected for count in tenths)
    assert chi_squared < 27.9  # the 0.999 quantile for 9 degrees of freedom


def test_two_endpoints_assign_independently() -> None:
    here, there = met(ramp(50), 2, "delay"), met(ramp(50), 2, "price")
    assert len(here & there) / len(KEYS) == pytest.approx(0.25, abs=0.02)


def test_the_chance_of_a_deployment_is_its_share() -> None:
    split = Split("delay", ramp(25, ramp(5)))
    assert (split.chance(1), split.chance(2), split.chance(9)) == (0.75, 0.25, 0.0)


def test_a_single_deployment_needs_no_hashing() -> None:
    assert Split("delay", allocate([Share(3, 100)])).assign(["a", "b"]) == [3, 3]


def test_keys_may_hold_any_characters() -> None:
    assert set(Split("delay", ramp(50)).assign(["", "ü", "\0", "🛫", "x" * 10_000])) <= {1, 2}


@st.composite
def shares(draw: st.DrawFn) -> list[Share]:
    weights = draw(st.lists(st.integers(0, 1000), min_size=1, max_size=5).filter(any))
    percents = [100 * weight / sum(weights) for weight in weights]
    return [Share(n, p, "canary" if n else "stable") for n, p in enumerate(percents)]


@settings(deadline=None)
@given(st.lists(shares(), min_size=1, max_size=6))
def test_an_allocation_covers_every_key_once_whatever_came_before(history: list[list[Share]]) -> None:
    allocation: tuple[Span, ...] = ()
    for wanted in history:
        allocation = allocate(wanted, allocation)
        assert [span.start for span in allocation] == [0, *(span.stop for span in allocation[:-1])]
        assert allocation[-1].stop == WHOLE
        for share in wanted:
            width = sum(span.stop - span.start for span in allocation if span.deployment == share.deployment)
            assert width == pytest.approx(share.percent * WHOLE / 100, abs=len(wanted))


@settings(deadline=None)
@given(shares(), shares())
def test_growing_deployments_lose_no_key_and_shrinking_ones_win_none(before: list[Share], after: list[Share]) -> None:
    first = allocate(before)
    second = allocate(after, first)
    for share in after:
        had, has = _keys(first, share.deployment), _keys(second, share.deployment)
        assert had <= has or has <= had


def _keys(allocation: tuple[Span, ...], deployment: int) -> set[int]:
    """Sampled millionths that a deployment has."""
    split = [(span.start, span.stop) for span in allocation if span.deployment == deployment]
    return {at for at in range(0, WHOLE, 997) if any(start <= at < stop for start, stop in split)}


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        ([Share(1, 50)], "100"),
        ([Share(1, 60), Share(2, 50, "canary")], "110"),
        ([Share(1, 120), Share(2, -20, "canary")], "-20"),
        ([Share(1, 50), Share(1, 50, "canary")], "more than one share"),
        ([Share(1, 50), Share(2, 50)], "2 stable"),
        ([Share(1, 100, "canary")], "0 stable"),
        ([Share(1, float("nan"))], "nan"),
        ([], "0 stable"),
    ],
)
def test_shares_that_do_not_divide_the_traffic_are_refused(wrong: list[Share], why: str) -> None:
    with pytest.raises(InvalidInput, match=why):
        check(wrong)


def test_a_shadow_counts_for_nothing() -> None:
    mirrored = [Share(1, 100), Share(2, 100, "shadow")]
    check(mirrored)
    assert allocate(mirrored) == (Span(0, WHOLE, 1),)
