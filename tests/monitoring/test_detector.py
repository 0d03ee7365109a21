"""Evidence adds up over windows, at a known rate of false alarms."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.integrate import quad

from everloop.monitoring.detector import e_value_of, judge, limits
from everloop.monitoring.entities import Budget

LIMIT = limits(Budget(alpha=0.05, windows=100), watched=1)


def windows_until_alarm(p_values: list[float], share: float = 1.0) -> int:
    """After how many windows the detector alarms; 0 for never."""
    evidence = 0.0
    for number, p in enumerate(p_values, 1):
        verdict = judge([(p, share)], evidence, LIMIT)
        if verdict.drifted:
            return number
        evidence = verdict.evidence
    return 0


def test_an_e_value_is_one_on_average_when_nothing_has_changed() -> None:
    # Over p = exp(-x); what lies beyond x = 600 is worth 1/600.
    assert quad(lambda x: e_value_of(np.exp(-x)) * np.exp(-x), 0, 600, limit=500)[0] == pytest.approx(1, abs=0.003)
    assert np.mean([e_value_of(p) for p in np.random.default_rng(1).random(100_000)]) <= 1.05


@given(st.floats(1e-12, 1), st.floats(1e-12, 1))
def test_a_smaller_p_value_is_never_less_evidence(first: float, second: float) -> None:
    low, high = sorted((first, second))
    assert e_value_of(low) >= e_value_of(high) - 1e-6


def test_a_hundred_quiet_windows_alarm_in_at_most_five_percent() -> None:
    random = np.random.default_rng(3)
    assert sum(windows_until_alarm(random.random(100).tolist()) > 0 for _ in range(400)) / 400 <= 0.05


def test_a_gross_window_alarms_at_once_and_slight_ones_add_up() -> None:
    assert windows_until_alarm([1e-5]) == 1
    assert 3 <= windows_until_alarm([0.01] * 30) <= 10


def test_windows_that_are_alike_add_up_more_slowly() -> None:
    assert windows_until_alarm([0.01] * 100, share=0.2) > 3 * windows_until_alarm([0.01] * 100)


def test_the_alarm_ends_soon_after_the_trouble() -> None:
    evidence = 0.0
    for p in [1e-6] * 50:
        evidence = judge([(p, 1.0)], evidence, LIMIT).evidence
    quiet = 0
    while judge([(0.5, 1.0)], evidence, LIMIT).drifted:
        evidence = judge([(0.5, 1.0)], evidence, LIMIT).evidence
        quiet += 1
    assert quiet <= 10


def test_more_things_to_watch_make_each_alarm_harder() -> None:
    assert limits(Budget(), 50).evidence > limits(Budget(), 5).evidence


def test_the_tests_of_one_thing_are_corrected_for_their_number() -> None:
    edge = LIMIT.p_value * 0.9
    assert judge([(edge, 1.0)], 0.0, LIMIT).drifted
    assert not judge([(edge, 0.01), (0.5, 0.01), (0.5, 0.01)], 0.0, LIMIT).drifted


def test_a_window_without_tests_changes_nothing() -> None:
    assert judge([], 3.0, LIMIT).evidence == 3.0
