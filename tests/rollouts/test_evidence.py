"""Evidence is what the logs say, however they are cut, and stops what must be stopped."""

from __future__ import annotations

import math

import numpy as np
import pytest

from everloop.rollouts.decision import decide, guard_key
from everloop.rollouts.entities import BetterOrEqual, BlueGreen, Canary, ErrorRate, Evidence, Guard, Shadow
from everloop.rollouts.evidence import EvidenceBuilder
from everloop.rollouts.sequential import Capital, coin_payoffs, log_loss, running_mean
from tests.rollouts.logs import (
    CHALLENGER,
    STABLE,
    START,
    Model,
    canary_day,
    constant,
    decent,
    inverted,
    labels,
    predictions,
    rollout,
)

LOSS = BetterOrEqual(metric="log_loss")
ERRORS = ErrorRate(limit=0.01)


def builder(*guards: Guard) -> EvidenceBuilder:
    return EvidenceBuilder(rollout(Canary(guards=guards)))


def days_until_stopped(model: Model, days: int, share: float = 0.05, seed: int = 1) -> int:
    """After how many days of 900 flights the canary is rolled back; 0 for never."""
    random = np.random.default_rng(seed)
    running = rollout(Canary(guards=(LOSS,)))
    gathered = EvidenceBuilder(running)
    for day in range(1, days + 1):
        told, known = canary_day(model, share, 900, random)
        gathered.predictions([told])
        gathered.labels([known])
        if decide(running, gathered.evidence(), START).action == "roll_back":
            return day
    return 0


def test_inverted_predictions_at_five_percent_are_stopped_on_the_first_day() -> None:
    assert [days_until_stopped(inverted, 2, seed=seed) for seed in range(10)] == [1] * 10


@pytest.mark.parametrize("value", [0.5, 0.9, 0.99])
def test_a_constant_prediction_at_five_percent_is_stopped_within_two_days(value: float) -> None:
    assert all(days_until_stopped(constant(value), 2, seed=seed) in (1, 2) for seed in range(10))


@pytest.mark.slow
def test_a_fair_challenger_is_not_stopped_in_two_weeks() -> None:
    stopped = [bool(days_until_stopped(decent, 14, share=0.25, seed=seed)) for seed in range(20)]
    assert sum(stopped) <= 1


def test_each_version_is_counted_by_what_really_served() -> None:
    gathered = builder(LOSS)
    gathered.predictions([predictions(("a", STABLE, 0.95, 0.2), ("b", CHALLENGER, 0.05, 0.3), ("c", 7, 0.0, 0.9))])
    gathered.labels([labels(("a", 0.0), ("b", 1.0), ("c", 1.0), ("unknown", 1.0))])
    found = gathered.evidence()
    assert (found.stable.units, found.challenger.units) == (1, 1)
    assert found.stable.losses == pytest.approx({"log_loss": -math.log(0.8), "brier": 0.04})
    assert found.challenger.losses == pytest.approx({"log_loss": -math.log(0.3), "brier": 0.49})


def test_the_test_is_the_game_on_the_coin_that_the_log_tells_of() -> None:
    gathered = builder(LOSS)
    rows = [
        ("a", STABLE, 0.95, 0.2),
        ("b", CHALLENGER, 0.05, 0.9),
        ("c", CHALLENGER, 0.25, 0.8),
        ("d", STABLE, 0.75, 0.1),
    ]
    gathered.predictions([predictions(*rows)])
    gathered.labels([labels(*((key, 0.0) for key, *_ in rows))])
    loss = log_loss(np.array([0.2, 0.9, 0.8, 0.1]), np.zeros(4))
    met = np.array([False, True, True, False])
    by_hand = Capital()
    baseline = running_mean(loss, ~met, 0.1, 1.0)
    by_hand.bet(coin_payoffs(loss, met, np.array([0.05, 0.05, 0.25, 0.25]), baseline))
    assert gathered.evidence().peaks[guard_key(LOSS)] == pytest.approx(by_hand.log_peak)
    assert by_hand.log_peak > 0.5


def test_a_unit_counts_once_with_its_first_prediction_and_its_first_label() -> None:
    gathered = builder(LOSS)
    gathered.predictions([predictions(("a", STABLE, 0.95, 0.2)), predictions(("a", CHALLENGER, 0.25, 0.9))])
    gathered.labels([labels(("a", 0.0), ("a", 1.0))])
    gathered.labels([labels(("a", 1.0))])
    found = gathered.evidence()
    assert (found.stable.labels, found.challenger.units) == (1, 0)
    assert found.stable.losses["brier"] == pytest.approx(0.04)


def test_a_label_that_comes_before_its_prediction_waits_for_it() -> None:
    gathered = builder(LOSS)
    gathered.labels([labels(("a", 1.0))])
    gathered.predictions([predictions(("a", CHALLENGER, 0.05, 0.3))])
    assert gathered.evidence().challenger.labels == 1


def test_predictions_from_before_the_rollout_do_not_count() -> None:
    gathered = builder(LOSS)
    gathered.predictions([predictions(("a", STABLE, 1.0, 0.2), second=-1)])
    assert gathered.evidence().stable.units == 0


def test_a_prediction_without_a_key_is_a_unit_under_its_id() -> None:
    gathered = builder(LOSS)
    gathered.predictions([predictions(("", CHALLENGER, 0.05, 0.3))])
    gathered.labels([labels((f"-{CHALLENGER}", 1.0))])
    assert gathered.evidence().challenger.labels == 1


def test_shadows_do_not_count_in_a_canary() -> None:
    gathered = builder(LOSS)
    gathered.predictions([predictions(("a", CHALLENGER, 0.0, 0.3), role="shadow")])
    assert gathered.evidence().challenger.units == 0


def test_evidence_rebuilt_from_the_logs_is_the_same() -> None:
    random = np.random.default_rng(3)
    days = [canary_day(decent, 0.2, 200, random) for _ in range(3)]
    live, rebuilt = builder(LOSS, ERRORS), builder(LOSS, ERRORS)
    for told, known in days:
        for row in range(0, 200, 50):
            live.predictions([told.slice(row, 50)])
        for row in range(200):
            live.labels([known.slice(row, 1)])
    rebuilt.predictions([told for told, _ in days])
    rebuilt.labels([known for _, known in days])
    first, second = live.evidence(), rebuilt.evidence()
    assert first.peaks == pytest.approx(second.peaks, abs=1e-9)
    assert first.challenger.losses == pytest.approx(second.challenger.losses, abs=1e-12)
    assert (first.challenger.units, first.stable.labels) == (second.challenger.units, second.stable.labels)


def errors(challenger: float, stable: float, units: int, seed: int = 1) -> Evidence:
    """Evidence of a canary at 5 % whose versions fail at these rates."""
    random = np.random.default_rng(seed)
    gathered = builder(ERRORS)
    rows = []
    for number in range(units):
        met = random.random() < 0.05
        failed = random.random() < (challenger if met else stable)
        output = math.nan if failed else 0.2
        rows.append((str(number), CHALLENGER if met else STABLE, 0.05 if met else 0.95, output))
    gathered.predictions([predictions(*rows)])
    return gathered.evidence()


def test_a_challenger_that_fails_half_of_the_time_is_stopped_after_a_few_users() -> None:
    running = rollout(Canary(guards=(ERRORS,)))
    stopped = [decide(running, errors(0.5, 0.005, 400, seed), START).action == "roll_back" for seed in range(10)]
    assert all(stopped)


@pytest.mark.slow
def test_a_challenger_that_fails_as_often_as_the_stable_version_is_kept_though_both_are_over_the_limit() -> None:
    running = rollout(Canary(guards=(ERRORS,)))
    stopped = [decide(running, errors(0.02, 0.02, 20_000, seed), START).action == "roll_back" for seed in range(5)]
    assert not any(stopped)


def test_failures_are_counted_and_have_no_loss() -> None:
    gathered = builder(ERRORS)
    gathered.predictions([predictions(("a", CHALLENGER, 0.05, math.nan), ("b", CHALLENGER, 0.05, 0.5))])
    gathered.labels([labels(("a", 1.0), ("b", 1.0))])
    found = gathered.evidence().challenger
    assert (found.units, found.errors, found.labels) == (2, 1, 1)


@pytest.mark.parametrize("strategy", [Shadow(guards=(LOSS,)), BlueGreen(guards=(LOSS,))])
def test_both_versions_on_the_same_units_are_compared_in_pairs(strategy: Shadow | BlueGreen) -> None:
    gathered = EvidenceBuilder(rollout(strategy))
    random = np.random.default_rng(5)
    for number in range(150):
        late = float(random.random() < 0.25)
        key = str(number)
        gathered.predictions([predictions((key, STABLE, 1.0, 0.25)), predictions((key, CHALLENGER, 1.0, 0.75))])
        gathered.labels([labels((key, late))])
    found = gathered.evidence()
    assert found.challenger.labels == found.stable.labels == 150
    assert decide(rollout(strategy), found, START).action == "roll_back"


def test_a_pair_waits_for_its_second_prediction() -> None:
    gathered = EvidenceBuilder(rollout(Shadow(guards=(LOSS,))))
    gathered.predictions([predictions(("a", STABLE, 1.0, 0.2))])
    gathered.labels([labels(("a", 0.0))])
    assert gathered.evidence().stable.labels == 0
    gathered.predictions([predictions(("a", CHALLENGER, 1.0, 0.3), role="shadow")])
    assert gathered.evidence().challenger.labels == gathered.evidence().stable.labels == 1


def test_guards_without_a_test_have_no_peak() -> None:
    assert list(builder(LOSS, ERRORS).evidence().peaks) == [guard_key(LOSS), guard_key(ERRORS)]
