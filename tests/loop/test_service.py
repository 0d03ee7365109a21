"""What one can do with loops."""

from __future__ import annotations

import msgspec
import pytest

from everloop.app.platform import Platform
from everloop.governance.entities import Principal
from everloop.kernel.errors import Conflict, InvalidInput, NotFound, PermissionDenied
from everloop.loop import declare as el
from everloop.loop import service as loops
from everloop.loop.entities import BY_HAND, Every, Loop
from tests.loop.world import World


def test_a_loop_that_is_applied_can_be_had_back(platform: Platform, loop: Loop) -> None:
    applied = platform.call("loops.apply", {"loop": loop})
    assert platform.call("loops.get", {"name": "delay"}) == applied
    assert [one.name for one in platform.call("loops.list", {})] == ["delay"]


def test_who_may_not_deploy_may_not_change_what_guards_a_deployment(platform: Platform, loop: Loop) -> None:
    with pytest.raises(PermissionDenied, match="may not loops:deploy"):
        platform.call("loops.apply", {"loop": loop}, principal=Principal("ada", ("contributor",)))


def test_a_changed_loop_has_a_higher_revision_and_an_unchanged_one_has_not(platform: Platform, loop: Loop) -> None:
    first = platform.call("loops.apply", {"loop": loop})
    again = platform.call("loops.apply", {"loop": loop})
    changed = platform.call("loops.apply", {"loop": msgspec.structs.replace(loop, gates=(el.package_scan(),))})
    assert (first.revision, again.revision, changed.revision) == (1, 1, 2)


def test_each_change_of_a_loop_stands_in_the_ledger(platform: Platform, loop: Loop) -> None:
    platform.call("loops.apply", {"loop": loop})
    platform.call("loops.apply", {"loop": loop})
    (entry,) = platform.call("audit.entries", {"kind": "loops.applied"})
    assert entry.event["declaration"]["pipeline"] == "fit"


def test_a_loop_that_cannot_work_is_refused_at_any_door(platform: Platform, loop: Loop) -> None:
    from datetime import timedelta

    wrong = msgspec.to_builtins(msgspec.structs.replace(loop, triggers=(Every(period=timedelta(0)),)))
    with pytest.raises(InvalidInput, match="period above zero"):
        platform.call("loops.apply", {"loop": wrong})
    assert platform.call("loops.list", {}) == []


@pytest.mark.parametrize("use_case", ["get", "status", "candidates", "propose", "tick", "rollback"])
def test_an_unknown_loop_is_not_found(platform: Platform, use_case: str) -> None:
    arguments = {"name": "ghost"} | ({"reason": "x"} if use_case == "rollback" else {})
    with pytest.raises(NotFound, match="no loop 'ghost'"):
        platform.call(f"loops.{use_case}", arguments)


def test_a_proposal_by_hand_asks_for_the_loops_own_pipeline_with_what_is_known_now(world: World) -> None:
    candidate = world.call("loops.propose", name="late", reason="curiosity")
    assert (candidate.trigger, candidate.pipeline, candidate.reason) == (BY_HAND, "fit", "curiosity")
    assert candidate.arguments == {"until": world.clock.now().isoformat()}


def test_a_proposal_names_a_pipeline_or_an_execution(world: World) -> None:
    with pytest.raises(InvalidInput, match="Both an execution and a pipeline"):
        world.call("loops.propose", name="late", execution="x", pipeline="fit")


def test_a_second_proposal_waits_for_the_first(world: World) -> None:
    world.call("loops.propose", name="late")
    with pytest.raises(Conflict, match="is still proposed"):
        world.call("loops.propose", name="late")


def test_the_status_tells_how_a_loop_stands(world: World) -> None:
    world.tick()
    world.call("loops.propose", name="late", pipeline="fit_backwards")
    world.tick()
    status = world.call("loops.status", name="late")
    assert (status.champion, status.candidates, status.promoted, status.stopped) == (1, 2, 1, 1)
    assert (status.candidate, status.retrains_this_month, status.last_promotion) == (None, 0, world.clock.now())


def test_a_model_without_a_champion_has_none(platform: Platform) -> None:
    with platform.session().begin(write=False) as session:
        assert loops.champion_of(session, "ghost") is None
