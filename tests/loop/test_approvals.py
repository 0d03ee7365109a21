"""A loop in a project where somebody else must approve what it promotes."""

from __future__ import annotations

import pytest

from everloop.governance.entities import Principal
from tests.loop.world import World

pytestmark = pytest.mark.slow
ANN = Principal("ann", ("owner",))


def guarded(world: World) -> None:
    """Have one other person approve each champion."""
    world.call("models.set_policy", policy={"aliases": ["champion"], "gates": []})


def decide(world: World, version: int, decision: str) -> None:
    """Decide about a version, as somebody who has not trained it."""
    given = {"name": "late", "version": version, "decision": decision, "reason": "I read the card."}
    world.platform.call("models.approve", given, principal=ANN)


def test_the_first_version_waits_for_an_approval_and_is_then_promoted(world: World) -> None:
    guarded(world)
    report = world.tick()
    assert report.candidate is not None
    assert report.candidate.status == "gated"
    assert "Version 1 waits" in report.actions[-1]
    assert world.call("endpoints.list") == []
    decide(world, 1, "approved")
    world.tick()
    assert (world.champion(), world.served()) == (1, {1: 100.0})


def test_a_policy_asks_for_gates_that_the_loop_itself_has_asked(world: World) -> None:
    world.call("models.set_policy", policy={"aliases": ["champion"], "approvals": 0, "gates": ["latency"]})
    world.tick()
    assert world.champion() == 1
    assert "latency" in {it.gate for it in world.call("models.gates", name="late", version=1) if it.passed}


def test_a_tick_that_waits_changes_nothing(world: World) -> None:
    guarded(world)
    world.tick()
    before = world.events()
    world.tick()
    assert world.events() == before


def test_somebodys_rejection_ends_a_rollout(running: World) -> None:
    guarded(running)
    candidate = running.until("rolling_out")
    decide(running, candidate.version, "rejected")
    running.tick()
    ended = running.candidates()[0]
    assert (ended.status, running.champion(), running.served()) == ("rolled_back", 1, {1: 100.0})
    assert "ann rejected it" in ended.outcome
