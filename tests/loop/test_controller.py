"""What happens to a loop from moment to moment."""

from __future__ import annotations

from datetime import timedelta

import pytest

from everloop.loop import declare as el
from tests.loop.world import FLIP, World

pytestmark = pytest.mark.slow


def planted(world: World, pipeline: str = "fit_backwards", **arguments: object) -> None:
    """Propose a candidate by hand and let the controller take it up."""
    world.call("loops.propose", name="late", pipeline=pipeline, **arguments)
    world.tick()


def test_a_loop_without_a_champion_makes_examines_and_serves_the_first_one(world: World) -> None:
    report = world.tick()
    assert report.candidate is not None
    assert (report.trigger, report.candidate.status, report.candidate.version) == ("first", "promoted", 1)
    assert [gate.passed for gate in report.candidate.gates] == [True, True, True]
    assert (world.champion(), world.served()) == (1, {1: 100.0})


def test_the_endpoint_waits_for_labels_as_long_as_the_loop_says(world: World) -> None:
    world.tick()
    assert world.call("monitors.definition", endpoint="late").labels_within == timedelta(hours=12)


def test_windows_are_compared_with_the_champions_own_holdout(world: World) -> None:
    world.tick()
    (reference,) = world.call("monitors.references", endpoint="late")
    assert (reference.model_version, reference.rows) == (1, 300)


def test_a_tick_that_finds_nothing_to_do_writes_nothing(running: World) -> None:
    before = running.events()
    report = running.tick()
    assert (report.candidate, report.actions, running.events()) == (None, (), before)


@pytest.mark.slow
def test_while_all_is_well_windows_are_reported_and_no_trigger_fires(world: World) -> None:
    world.tick()
    reports = world.live(20)
    assert sum(report.predictions for report in reports) == 20 * 50
    assert len(world.call("monitors.reports", endpoint="late")) == 5
    assert [report.trigger for report in reports if report.trigger] == []


def test_when_the_world_changes_the_loop_retrains_rolls_out_and_promotes(running: World) -> None:
    running.live(24)
    proposed = running.candidates()[0]
    assert (proposed.trigger, proposed.created > FLIP) == ("performance", True)
    promoted = running.until("promoted")
    assert promoted.units > 0
    assert (running.champion(), running.served()) == (promoted.version, {promoted.version: 100.0})


@pytest.mark.slow
def test_a_new_champion_brings_its_own_reference(running: World) -> None:
    running.live(24)
    promoted = running.until("promoted")
    assert running.call("monitors.references", endpoint="late")[-1].model_version == promoted.version


@pytest.mark.slow
def test_a_loop_that_cools_down_says_so_and_waits(running: World) -> None:
    running.apply(limits=el.Limits(cooldown="30d"))
    reports = running.live(60)
    assert sum(one.trigger == "performance" for one in running.candidates()) == 1
    assert any("Cooling down until" in report.held_back for report in reports)


def test_a_schedule_fires_without_a_window_having_ended(running: World) -> None:
    running.apply(triggers=(el.every("4d"),))
    reports = running.live(5)
    assert [report.trigger for report in reports if report.trigger] == ["schedule"]


@pytest.mark.slow
def test_a_dataset_that_has_grown_makes_a_candidate(running: World) -> None:
    running.apply(triggers=(el.new_data("parcels", rows=1),))
    assert running.tick().candidate is None
    running.grow("parcels")
    assert running.tick().trigger == "new data"


def test_a_bad_candidate_is_refused_by_a_gate_with_no_unit_and_rejected_in_the_registry(running: World) -> None:
    planted(running)
    refused = running.candidates()[0]
    assert (refused.status, refused.units, running.served()) == ("refused", 0, {1: 100.0})
    assert "not better" in refused.outcome
    assert running.call("models.approvals", name="late", version=refused.version)[0].decision == "rejected"


def test_a_bad_candidate_whose_gates_were_skipped_is_stopped_by_the_canary(running: World) -> None:
    planted(running, skip_gates=True)
    stopped = running.until("rolled_back")
    assert 0 < stopped.units < 60
    assert "log_loss" in stopped.outcome
    assert (running.champion(), running.served()) == (1, {1: 100.0})


def test_a_candidate_whose_training_fails_is_refused_with_the_users_own_error(running: World) -> None:
    planted(running, "fit_nothing")
    refused = running.candidates()[0]
    assert (refused.status, refused.version) == ("refused", 0)
    assert "ValueError: there is nothing before 2026" in refused.outcome


def test_a_candidate_that_is_no_model_is_refused(running: World) -> None:
    planted(running, "count")
    assert "gave no model" in running.candidates()[0].outcome


def test_a_candidate_of_a_pipeline_that_is_unknown_is_refused(running: World) -> None:
    planted(running, "fit_tomorrow")
    assert "There is no pipeline 'fit_tomorrow'" in running.candidates()[0].outcome


@pytest.mark.slow
def test_an_execution_can_be_made_a_candidate(running: World) -> None:
    execution = running.call("pipelines.run", name="fit", arguments={"until": running.clock.now().isoformat()})
    running.call("loops.propose", name="late", execution=execution.id, skip_gates=True)
    running.tick()
    assert running.candidates()[0].execution == execution.id
    assert running.until("promoted").version == 2


def test_a_first_model_that_cannot_be_made_is_tried_again_a_day_later(world: World) -> None:
    world.apply(pipeline="fit_nothing")
    assert world.tick().candidate.status == "refused"
    assert "the next try is at 2026-01-17" in world.tick().held_back
    world.apply(pipeline="fit")
    world.clock.advance(world.clock.now() + timedelta(days=1))
    assert world.tick().candidate.status == "promoted"


def test_a_rollout_that_somebody_aborts_ends_its_candidate(running: World) -> None:
    planted(running, "fit", skip_gates=True)
    running.call("rollouts.abort", id=running.candidates()[0].rollout, reason="not today")
    running.tick()
    assert (running.candidates()[0].status, running.candidates()[0].outcome) == ("rolled_back", "not today")


def test_a_rollout_that_cannot_begin_refuses_its_candidate(running: World) -> None:
    version = running.call("models.version", name="late", version=1)
    other = running.call("models.register", name="late", trained=version.trained)
    running.call("rollouts.start", endpoint="late", version=other.version, strategy=el.Canary())
    planted(running, "fit", skip_gates=True)
    assert "is running on 'late'" in running.candidates()[0].outcome


@pytest.mark.slow
def test_a_controller_that_is_restarted_every_time_comes_to_the_same(world: World, twin: World) -> None:
    for one in (world, twin):
        one.tick()
    for _ in range(50):
        world.live(1)
        twin.restart()
        twin.live(1)
    assert world.story() == twin.story()
    assert len(world.story()) > 2


def test_two_loops_do_not_share_what_they_remember(running: World) -> None:
    running.call("loops.apply", loop=el.Loop(name="other", model="other", pipeline="fit", label=el.Label("late")))
    report = running.call("loops.tick", name="other")
    assert report.candidate.model == "other"
    assert running.tick().candidate is None


def with_intervals(world: World, pipeline: str) -> None:
    """A champion whose answers have intervals, and another version by a pipeline of which nothing was measured."""
    world.apply(pipeline="fit_quantity", gates=())
    world.tick()
    world.call("models.calibrate", name="late", alpha=0.2)
    made = world.call("endpoints.deploy", name="late", configuration={"interval": 0.2})
    world.call("endpoints.set_traffic", name="late", shares=[{"deployment": made.revision, "percent": 100}])
    world.live(4)
    planted(world, pipeline, skip_gates=True)


def test_a_candidate_is_calibrated_before_it_meets_an_endpoint_that_answers_with_intervals(world: World) -> None:
    with_intervals(world, "fit_quantity")
    assert world.candidates()[0].status == "rolling_out"
    (measured,) = world.call("models.calibrations", name="late", version=2)
    assert measured.alpha == 0.2


def test_a_candidate_that_has_no_intervals_is_refused_with_the_reason(world: World) -> None:
    with_intervals(world, "fit")
    (candidate, _) = world.candidates()
    assert candidate.status == "refused"
    assert "0 or 1" in candidate.outcome
