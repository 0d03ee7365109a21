"""Policies compared on the same history."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from everloop.kernel.errors import InvalidInput, StepFailed
from everloop.loop import declare as el
from everloop.loop.entities import SimulationReport
from everloop.loop.simulation import span_of
from tests.loop.world import FLIP, OPENING, World

END = datetime(2026, 2, 8, tzinfo=UTC)


def simulated(world: World, *policies: str, **arguments: object) -> SimulationReport:
    span = {"start": OPENING, "end": END}
    return world.call("loops.simulate", name="late", policies=policies, **(span | arguments))


def test_a_policy_that_never_retrains_suffers_when_the_world_changes(world: World) -> None:
    report = simulated(world, "never")
    (never,) = report.policies
    by_month = {month.month: month.roc_auc for month in report.months}
    assert (never.retrains, never.n) == (0, 23 * 200)
    assert by_month["2026-01"] > by_month["2026-02"] + 0.3


@pytest.mark.slow
def test_a_schedule_retrains_as_often_as_it_says_and_does_better(world: World) -> None:
    never, weekly = simulated(world, "never", "every 4d").policies
    assert weekly.retrains == 5
    assert weekly.roc_auc > never.roc_auc
    assert weekly.log_loss < never.log_loss


def test_the_loops_own_policy_retrains_when_its_trigger_fires(world: World) -> None:
    report = simulated(world, "loop")
    assert {retrain.trigger for retrain in report.retrains} == {"performance"}
    assert all(retrain.at > FLIP for retrain in report.retrains)
    assert report.policies[0].promoted == 1


def test_a_policy_on_drift_sees_what_the_monitor_would(world: World) -> None:
    world.apply(triggers=(el.drift(impact=0.001, windows=1),))
    assert simulated(world, "drift").policies[0].policy == "drift"


@pytest.mark.slow
def test_a_candidate_that_the_gates_stop_changes_nothing(world: World) -> None:
    world.apply(gates=(el.tests("nowhere"),))
    report = simulated(world, "never", "every 4d")
    never, schedule = report.policies
    assert (schedule.promoted, schedule.roc_auc) == (0, never.roc_auc)
    assert "There is no module 'nowhere'" in report.retrains[0].message


@pytest.mark.slow
def test_a_promoted_challenger_takes_over_when_its_rollout_would_have_ended(world: World) -> None:
    assert span_of(el.Canary([5, 25, 50], hold="6h")) == timedelta(hours=18)
    slow = el.Canary([50], hold="60d")
    world.apply(rollout=slow)
    never, schedule = simulated(world, "never", "every 4d").policies
    assert schedule.promoted > 0
    assert schedule.roc_auc == never.roc_auc


@pytest.mark.slow
def test_nothing_is_registered_or_served(world: World) -> None:
    simulated(world, "loop")
    assert world.call("models.list") == []
    assert world.call("endpoints.list") == []
    assert world.candidates() == []


@pytest.mark.slow
def test_the_same_simulation_again_gives_the_same_and_trains_nothing(world: World) -> None:
    first, again = simulated(world, "every 4d"), simulated(world, "every 4d")
    assert first.months == again.months
    assert world.call("pipelines.executions", limit=1)[0].executed == []


def test_months_are_those_of_the_time_zone(world: World) -> None:
    here = simulated(world, "never")
    there = simulated(world, "never", timezone="Pacific/Kiritimati")
    assert [month.n for month in here.months] == [16 * 200, 7 * 200]
    assert [month.n for month in there.months] == [16 * 200 - 100, 7 * 200 + 100]


@pytest.mark.slow
def test_what_the_loop_does_the_simulation_foretells(world: World) -> None:
    foretold = simulated(world, "loop").retrains[0]
    world.tick()
    world.live(40)
    lived = next(one for one in world.candidates()[::-1] if one.trigger != "first")
    assert lived.trigger == foretold.trigger == "performance"
    assert abs(lived.created - foretold.at) <= timedelta(days=1)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"end": OPENING}, "is not after the start"),
        ({"timezone": "Mars/Olympus"}, "no time zone 'Mars/Olympus'"),
        ({"start": datetime(2027, 1, 1, tzinfo=UTC), "end": datetime(2027, 2, 1, tzinfo=UTC)}, "Nothing was asked"),
    ],
)
def test_a_span_that_cannot_be_is_refused(world: World, arguments: dict[str, object], said: str) -> None:
    with pytest.raises(InvalidInput, match=said):
        simulated(world, "never", **arguments)


def test_an_unknown_policy_is_refused_before_anything_is_trained(world: World) -> None:
    with pytest.raises(InvalidInput, match="no policy 'sometimes'"):
        simulated(world, "never", "sometimes")
    assert world.call("pipelines.executions") == []


def test_a_label_without_a_source_has_no_history(world: World) -> None:
    world.apply(label=el.Label("late", key="parcel"))
    with pytest.raises(InvalidInput, match="names no source"):
        simulated(world, "never")


def test_a_label_may_be_an_expression(world: World) -> None:
    world.apply(label=el.Label("late > 0.5 AND depot = 'north'", source="parcels", at="at"))
    assert simulated(world, "never").policies[0].n == 23 * 200


def test_a_first_model_that_cannot_be_trained_is_told(world: World) -> None:
    world.apply(pipeline="fit_nothing")
    with pytest.raises(StepFailed, match="there is nothing before 2026"):
        simulated(world, "never")
