"""The way back."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from everloop.kernel.errors import Refused
from everloop.loop.watch import Watch
from everloop.rollouts.entities import Evidence, Rollout
from tests.loop.conftest import lived
from tests.loop.world import World


@pytest.fixture(scope="module")
def promoted(first_day: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home in which the toy's loop has its second champion."""
    home = tmp_path_factory.mktemp("promoted") / "home"
    with lived(first_day, home) as world:
        world.until("promoted")
        world.live(1)
    return home


@pytest.fixture
def second(promoted: Path, tmp_path: Path) -> Iterator[World]:
    """The toy's loop with its second champion."""
    with lived(promoted, tmp_path / "second") as world:
        yield world


def back(world: World, reason: str = "complaints") -> None:
    world.call("loops.rollback", name="late", reason=reason)


def test_alias_and_traffic_go_back_to_the_champion_before(second: World) -> None:
    back(second)
    assert (second.champion(), second.served()) == (1, {1: 100.0})
    assert (second.candidates()[0].status, second.candidates()[0].outcome) == ("rolled_back", "complaints")


def test_a_way_back_is_one_transaction(second: World) -> None:
    assert second.roll_back_until_killed(1)
    assert (second.champion(), second.served()) == (2, {2: 100.0})
    assert not second.roll_back_until_killed(2)
    assert (second.champion(), second.served()) == (1, {1: 100.0})


def test_what_was_taken_back_is_rejected_with_the_reason(second: World) -> None:
    back(second)
    decision = second.call("models.approvals", name="late", version=2)[0]
    assert (decision.decision, decision.reason) == ("rejected", "complaints")
    assert second.events()[-1] == "loops.champion_rolled_back"


def test_windows_are_compared_with_the_old_champion_again(second: World) -> None:
    back(second)
    second.live(1)
    assert second.call("monitors.references", endpoint="late")[-1].model_version == 1


def test_a_rollout_that_runs_is_stopped_and_the_champion_stays(second: World) -> None:
    second.call("loops.propose", name="late", skip_gates=True)
    second.tick()
    back(second, "not on a Friday")
    assert (second.candidates()[0].status, second.champion(), second.served()) == ("rolled_back", 2, {2: 100.0})
    assert second.call("rollouts.active", endpoint="late") is None


def test_a_candidate_that_has_met_nobody_is_refused(second: World) -> None:
    second.call("loops.propose", name="late")
    back(second, "changed my mind")
    assert (second.candidates()[0].status, second.candidates()[0].outcome) == ("refused", "changed my mind")


def test_the_first_champion_has_nothing_to_go_back_to(second: World) -> None:
    back(second)
    with pytest.raises(Refused, match="no earlier champion"):
        back(second)


def test_a_rollout_that_is_taken_back_while_the_controller_judges_it_ends_quietly(
    second: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    second.call("loops.propose", name="late", skip_gates=True)
    second.until("rolling_out")
    weigh = Watch.evidence

    def meanwhile(watch: Watch, rollout: Rollout) -> Evidence:
        back(second)
        return weigh(watch, rollout)

    monkeypatch.setattr(Watch, "evidence", meanwhile)
    second.tick()
    assert second.candidates()[0].status == "rolled_back"
