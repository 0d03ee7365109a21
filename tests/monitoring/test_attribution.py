"""Attribution drifts when the model leans on its features differently, whatever their ranking says."""

from __future__ import annotations

import numpy as np
import pytest

from everloop.monitoring.attribution import learn, shares, shift
from everloop.monitoring.detector import limits
from everloop.monitoring.entities import AttributionReference, AttributionShift, Budget

LIMIT = limits(Budget(), watched=6)


@pytest.fixture(scope="module")
def reference() -> tuple[AttributionReference, ...]:
    random = np.random.default_rng(1)
    return learn(("wind", "rain"), random.normal(0, (1.0, 0.2), (1500, 2)), np.repeat(np.arange(30), 50))


def judged(
    reference: tuple[AttributionReference, ...], given: np.ndarray, before: float = 0.0
) -> dict[str, AttributionShift]:
    share = shares(given)
    return {one.name: shift(one, given[:, n], share[n], before, LIMIT) for n, one in enumerate(reference)}


def test_shares_are_parts_of_all_attribution() -> None:
    assert shares(np.array([[3.0, -1.0], [-3.0, 1.0]])).tolist() == [0.75, 0.25]
    assert shares(np.zeros((3, 2))).tolist() == [0.0, 0.0]


def test_quiet_samples_do_not_alarm(reference: tuple[AttributionReference, ...]) -> None:
    random = np.random.default_rng(2)
    for _ in range(100):
        found = judged(reference, random.normal(0, (1.0, 0.2), (50, 2)))
        assert not any(one.drifted for one in found.values())


def test_a_feature_stuck_at_nought_is_found_though_the_ranking_stays(
    reference: tuple[AttributionReference, ...],
) -> None:
    given = np.random.default_rng(3).normal(0, (1.0, 0.2), (200, 2))
    given[:, 1] = 0.0
    found = judged(reference, given)
    assert found["rain"].drifted
    assert not found["wind"].drifted
    assert found["rain"].share == 0 < found["rain"].reference_share


def test_a_shift_of_the_mean_contribution_is_found(reference: tuple[AttributionReference, ...]) -> None:
    found = judged(reference, np.random.default_rng(4).normal((1.5, 0), (1.0, 0.2), (60, 2)))
    assert found["wind"].drifted
    assert found["wind"].mean == pytest.approx(1.5, abs=0.3)


def test_a_slight_shift_is_found_over_many_small_samples(reference: tuple[AttributionReference, ...]) -> None:
    random = np.random.default_rng(5)
    evidence, windows = 0.0, 0
    while windows < 60:
        windows += 1
        found = judged(reference, random.normal((1.0, 0), (1.0, 0.2), (12, 2)), evidence)["wind"]
        if found.drifted:
            break
        evidence = found.evidence
    assert 2 <= windows < 30


def test_a_feature_that_never_mattered_alarms_when_it_begins_to() -> None:
    reference = learn(("seats",), np.zeros((600, 1)), np.repeat(np.arange(20), 30))
    assert not judged(reference, np.zeros((12, 1)))["seats"].drifted
    assert judged(reference, np.full((12, 1), 0.5))["seats"].drifted
