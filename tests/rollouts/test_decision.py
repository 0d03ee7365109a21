"""What happens next follows from strategy, progress and evidence alone."""

from __future__ import annotations

import math
from datetime import timedelta

import pytest
from msgspec.structs import replace

from everloop.rollouts.decision import decide, guard_key, judge, percents, shares
from everloop.rollouts.entities import BetterOrEqual, BlueGreen, Canary, ErrorRate, MinimumLabels, Shadow, Strategy
from everloop.serving.traffic import check
from tests.rollouts.conftest import evidence
from tests.rollouts.logs import START, rollout

HOUR = timedelta(hours=1)
LOSS = BetterOrEqual(metric="brier", alpha=0.05, labels=20)


def test_a_step_holds_until_its_time_is_over() -> None:
    running = rollout(Canary(hold=6 * HOUR))
    assert decide(running, evidence(), START + 5 * HOUR).action == "hold"
    assert decide(running, evidence(), START + 6 * HOUR).action == "advance"


def test_the_last_step_promotes() -> None:
    running = replace(rollout(Canary(steps=(5.0, 50.0))), step=1)
    assert decide(running, evidence(), START + 6 * HOUR).action == "promote"


def test_a_guard_that_objects_stops_the_rollout_at_once() -> None:
    found = evidence(30, **{guard_key(LOSS): -math.log(0.05)})
    decision = decide(rollout(Canary(guards=(LOSS,))), found, START)
    assert decision.action == "roll_back"
    assert "brier is 0.1000 against 0.1000" in decision.reason


def test_a_guard_that_almost_objects_does_not_stop_it() -> None:
    found = evidence(30, **{guard_key(LOSS): -math.log(0.051)})
    assert decide(rollout(Canary(guards=(LOSS,))), found, START + 6 * HOUR).action == "advance"


def test_the_loss_waits_for_labels_of_both_versions() -> None:
    running = rollout(Canary(guards=(LOSS,)))
    assert decide(running, evidence(19), START + 60 * HOUR).action == "hold"
    assert decide(running, evidence(20), START + 60 * HOUR).action == "advance"


def test_minimum_labels_are_counted_from_the_beginning_of_the_step() -> None:
    running = replace(rollout(Canary(guards=(MinimumLabels(n=10),))), step_labels=15)
    assert judge(MinimumLabels(n=10), running, evidence(24)).stance == "wait"
    assert judge(MinimumLabels(n=10), running, evidence(25)).stance == "go"


def test_one_objection_outweighs_all_who_wait() -> None:
    guard = ErrorRate(limit=0.01)
    running = rollout(Canary(guards=(MinimumLabels(n=10), LOSS, guard)))
    decision = decide(running, evidence(0, **{guard_key(guard): 9.0}), START)
    assert decision.action == "roll_back"
    assert [verdict.stance for verdict in decision.verdicts] == ["wait", "wait", "stop"]


def test_the_same_guard_with_other_limits_has_another_key() -> None:
    assert guard_key(ErrorRate(limit=0.01)) != guard_key(ErrorRate(limit=0.02))


@pytest.mark.parametrize("strategy", [Canary(), Canary(steps=(50.0, 100.0)), BlueGreen(), Shadow()])
def test_every_step_of_every_strategy_divides_all_of_the_traffic(strategy: Strategy) -> None:
    for step, percent in enumerate(percents(strategy)):
        given = shares(strategy, step, stable=1, challenger=2)
        check(given)
        assert sum(s.percent for s in given if s.deployment == 2 and s.role != "shadow") == percent


def test_the_stable_version_goes_on_in_the_shadow_of_a_blue_green_rollout() -> None:
    assert [(s.deployment, s.role) for s in shares(BlueGreen(), 0, 1, 2)] == [(2, "stable"), (1, "shadow")]
