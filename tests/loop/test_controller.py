"""What happens to a loop from moment to moment."""

from __future__ import annotations

from tests.loop.world import FLIP, World


def test_a_loop_without_a_champion_makes_examines_and_serves_the_first_one(world: World) -> None:
    report = world.tick()
    assert report.candidate is not None
    assert (report.trigger, report.candidate.status, report.candidate.version) == ("first", "promoted", 1)
    assert [gate.passed for gate in report.candidate.gates] == [True, True, True]
    assert (world.champion(), world.served()) == (1, {1: 100.0})


def test_a_tick_that_finds_nothing_to_do_writes_nothing(world: World) -> None:
    world.tick()
    before = world.events()
    report = world.tick()
    assert (report.candidate, report.actions, world.events()) == (None, (), before)


def test_while_all_is_well_no_trigger_fires(world: World) -> None:
    world.tick()
    reports = world.live(20)
    assert sum(report.predictions for report in reports) == 20 * 50
    assert sum(report.windows for report in reports) > 4
    assert [report.trigger for report in reports if report.trigger] == []


def test_when_the_world_changes_the_loop_retrains_rolls_out_and_promotes(world: World) -> None:
    world.tick()
    while len(world.candidates()) == 1:
        world.live(1)
    proposed = world.candidates()[0]
    assert (proposed.trigger, proposed.created > FLIP) == ("performance", True)
    world.live(60)
    assert world.champion() > 1
