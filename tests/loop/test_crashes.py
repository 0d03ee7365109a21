"""A controller that is killed at any point goes on where it was: nothing is lost, nothing happens twice."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.loop.conftest import lived, opened_at
from tests.loop.world import World


@pytest.mark.slow
def test_a_first_champion_is_made_once_wherever_the_controller_is_killed(opening: Path, tmp_path: Path) -> None:
    killed = 0
    while True:
        world = opened_at(shutil.copytree(opening, tmp_path / str(killed)))
        if not world.tick_until_killed(killed + 1):
            break
        world.tick()
        (candidate,) = world.candidates()
        assert candidate.status == "promoted", killed
        assert [version.version for version in world.call("models.versions", name="late")] == [1]
        assert (world.champion(), world.served()) == (1, {1: 100.0})
        assert world.call("monitors.references", endpoint="late")[-1].model_version == 1
        assert world.call("audit.verify").intact
        world.close()
        killed += 1
    assert killed > 10


@pytest.fixture(scope="module")
def last_step(first_day: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home in which a candidate stands at the last step of its rollout, and is to be promoted with the next tick."""
    home = tmp_path_factory.mktemp("last") / "home"
    with lived(first_day, home) as world:
        while world.served().get(2) != 50.0:
            world.live(1)
        world.live_without_tick(1)
    return home


@pytest.mark.parametrize("writes", range(1, 5))
@pytest.mark.slow
def test_a_promotion_moves_alias_and_traffic_or_neither(last_step: Path, tmp_path: Path, writes: int) -> None:
    with lived(last_step, tmp_path / "home") as world:
        died = world.tick_until_killed(writes)
        promoted = world.candidates()[0].status == "promoted"
        assert (world.champion(), world.served()) == ((2, {2: 100.0}) if promoted else (1, {1: 50.0, 2: 50.0}))
        assert died or promoted
        world.live(2)
        assert (world.candidates()[0].status, world.champion(), world.served()) == ("promoted", 2, {2: 100.0})


def test_windows_whose_report_was_lost_are_reported_by_the_next_controller(world: World) -> None:
    world.tick()
    world.live(3)
    world.look_and_die()
    world.live(6)
    starts = [report.start for report in world.call("monitors.reports", endpoint="late")]
    assert len(starts) == len(set(starts)) == 3
