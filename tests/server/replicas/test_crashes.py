"""Crashes: how many are too many, and how long to wait after one."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from everloop.server.replicas.crashes import LONGEST_WAIT, YOUNG_SECONDS, Backoff, Crashes


@given(st.lists(st.floats(0, 50), min_size=1, max_size=40), st.integers(1, 6), st.floats(1, 60))
def test_a_model_is_blamed_when_so_many_deaths_lie_in_a_window(gaps: list[float], most: int, window: float) -> None:
    crashes, now, deaths = Crashes(most, window), 100.0, list[float]()
    for gap in gaps:
        now += gap
        deaths.append(now)
        assert crashes.blame("m", now) == (sum(death > now - window for death in deaths) >= most)


def test_models_are_blamed_each_for_its_own_deaths() -> None:
    crashes = Crashes(2, 60)
    assert [crashes.blame(model, 1.0) for model in ("a", "b", "a")] == [False, False, True]


def test_what_is_forgiven_is_counted_anew() -> None:
    crashes = Crashes(2, 60)
    crashes.blame("a", 1.0)
    crashes.forgive()
    assert not crashes.blame("a", 2.0)


def test_workers_that_die_young_are_followed_later_and_later() -> None:
    backoff, waits = Backoff(), []
    for _ in range(12):
        backoff.died(0.1, 5.0)
        waits.append(backoff.remaining(5.0))
    assert waits[0] == 0
    assert waits == sorted(waits)
    assert waits[-1] == LONGEST_WAIT


def test_a_worker_that_lived_long_is_followed_at_once() -> None:
    backoff = Backoff()
    for _ in range(5):
        backoff.died(0.1, 5.0)
    backoff.died(YOUNG_SECONDS, 50.0)
    assert backoff.remaining(50.0) == 0
