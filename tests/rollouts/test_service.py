"""A rollout moves traffic, history and ledger together, or not at all."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta

import pytest

from everloop.app.platform import Platform
from everloop.catalog import lineage
from everloop.catalog.session import Session
from everloop.kernel.clock import SimulatedClock
from everloop.kernel.errors import Conflict, InvalidInput, NotFound
from everloop.rollouts import service as rollouts
from everloop.rollouts.decision import guard_key
from everloop.rollouts.entities import BetterOrEqual, BlueGreen, Canary, MinimumLabels, Rollout, Shadow
from everloop.serving import service as endpoints
from everloop.serving.entities import Share
from tests.rollouts.conftest import evidence

Start = Callable[..., Rollout]
LOSS = BetterOrEqual(labels=1)
BAD = evidence(50, **{guard_key(LOSS): 12.0})


def traffic(session: Session) -> list[tuple[int, float, str]]:
    return [(s.deployment, s.percent, s.role) for s in endpoints.get(session, "delay").traffic]


def test_a_canary_begins_with_its_first_percentage(session: Session, start: Start) -> None:
    rollout = start(Canary(steps=(5.0, 50.0)))
    assert traffic(session) == [(1, 95.0, "stable"), (2, 5.0, "canary")]
    assert rollouts.active(session, "delay") == rollout


def test_a_fair_canary_walks_through_its_steps_to_all_traffic(
    session: Session, start: Start, clock: SimulatedClock
) -> None:
    rollout = start(Canary(steps=(5.0, 25.0), hold=timedelta(hours=6), guards=(LOSS,)))
    seen = []
    for _ in range(2):
        clock.advance(clock.now() + timedelta(hours=6))
        rollout = rollouts.advance(session, rollout.id, evidence(40))
        seen.append(traffic(session))
    assert seen == [[(1, 75.0, "stable"), (2, 25.0, "canary")], [(2, 100.0, "stable")]]
    assert rollout.status == "promoted"
    assert rollouts.active(session, "delay") is None


def test_a_canary_that_a_guard_objects_to_goes_back_to_nothing(session: Session, start: Start) -> None:
    rollout = rollouts.advance(session, start(Canary(guards=(LOSS,))).id, BAD)
    assert (rollout.status, rollout.units) == ("rolled_back", 50)
    assert traffic(session) == [(1, 100.0, "stable")]
    assert "log_loss" in rollout.reason


def test_a_rollout_that_holds_remembers_why_and_what_was_seen(session: Session, start: Start) -> None:
    id = start(Canary(guards=(MinimumLabels(n=100),))).id
    rollouts.advance(session, id, evidence(7))
    kept = rollouts.get(session, id)
    assert (kept.status, kept.units) == ("running", 7)
    assert "7 of 100 labels" in kept.reason


def test_labels_of_earlier_steps_do_not_count_towards_the_next(
    session: Session, start: Start, clock: SimulatedClock
) -> None:
    id = start(Canary(steps=(5.0, 25.0), hold=timedelta(), guards=(MinimumLabels(n=10),))).id
    assert rollouts.advance(session, id, evidence(10)).step == 1
    assert rollouts.advance(session, id, evidence(19)).status == "running"
    assert rollouts.advance(session, id, evidence(20)).status == "promoted"


def test_only_one_rollout_runs_on_an_endpoint(session: Session, start: Start) -> None:
    running = start()
    with pytest.raises(Conflict, match=running.id):
        start(version=3)


def test_the_stable_version_cannot_be_rolled_out(start: Start) -> None:
    with pytest.raises(Conflict, match="already has all traffic"):
        start(version=1)


def test_divided_traffic_is_not_rolled_out_over(session: Session, start: Start) -> None:
    endpoints.deploy(session, "delay", 3)
    endpoints.set_traffic(session, "delay", (Share(1, 50.0), Share(2, 50.0, "canary")))
    with pytest.raises(Conflict, match="divided"):
        start(version=2)


@pytest.mark.parametrize("steps", [(), (25.0, 5.0), (5.0, 5.0), (0.0,), (101.0,)])
def test_steps_that_do_not_grow_are_refused_and_change_nothing(
    session: Session, start: Start, steps: tuple[float, ...]
) -> None:
    with pytest.raises(InvalidInput, match="steps"):
        start(Canary(steps=steps))
    assert traffic(session) == [(1, 100.0, "stable")]
    assert rollouts.list_rollouts(session) == []


def test_traffic_that_somebody_moved_meanwhile_is_left_as_it_is(session: Session, start: Start) -> None:
    rollout = start()
    endpoints.set_traffic(session, "delay", (Share(1, 90.0), Share(2, 10.0, "canary")))
    ended = rollouts.advance(session, rollout.id, evidence())
    assert ended.status == "rolled_back"
    assert "Somebody moved" in ended.reason
    assert traffic(session)[1] == (2, 10.0, "canary")


def test_an_aborted_rollout_gives_all_traffic_back(session: Session, start: Start) -> None:
    rollout = rollouts.abort(session, start().id, "The pilots complain.")
    assert (rollout.status, rollout.reason) == ("rolled_back", "The pilots complain.")
    assert traffic(session) == [(1, 100.0, "stable")]


def test_a_rollout_that_has_ended_moves_no_more(session: Session, start: Start) -> None:
    id = rollouts.abort(session, start().id, "No.").id
    with pytest.raises(Conflict, match="has ended"):
        rollouts.advance(session, id, evidence())
    with pytest.raises(Conflict, match="has ended"):
        rollouts.abort(session, id, "Again.")


def test_after_a_rollback_the_same_version_can_be_tried_again(session: Session, start: Start) -> None:
    rollouts.abort(session, start().id, "No.")
    assert start().challenger == 2


def test_a_shadow_meets_nobody(session: Session, start: Start) -> None:
    rollout = start(Shadow())
    assert traffic(session) == [(1, 100.0, "stable"), (2, 100.0, "shadow")]
    assert rollouts.advance(session, rollout.id, evidence(30)).units == 0


def test_blue_green_goes_back_to_the_old_version_when_a_guard_objects(session: Session, start: Start) -> None:
    rollout = start(BlueGreen(guards=(LOSS,)))
    assert traffic(session) == [(2, 100.0, "stable"), (1, 100.0, "shadow")]
    rollouts.advance(session, rollout.id, BAD)
    assert traffic(session) == [(1, 100.0, "stable")]


def test_the_history_tells_each_move_with_its_evidence(session: Session, start: Start, clock: SimulatedClock) -> None:
    rollout = start(Canary(steps=(5.0, 25.0), hold=timedelta(), guards=(LOSS,)))
    rollouts.advance(session, rollout.id, evidence(30))
    rollouts.advance(session, rollout.id, BAD)
    moves = rollouts.history(session, rollout.id)
    assert [(move.percent, move.status) for move in moves] == [(5, "running"), (25, "running"), (0, "rolled_back")]
    assert moves[-1].evidence == BAD


def test_every_move_is_in_the_ledger(platform: Platform, endpoint: str) -> None:
    canary = {"type": "canary", "steps": [5, 25], "hold": "PT0S"}
    rollout = platform.call("rollouts.start", {"endpoint": endpoint, "version": 2, "strategy": canary})
    for _ in range(2):
        platform.call("rollouts.advance", {"id": rollout.id, "evidence": {}})
    told = platform.call("audit.entries", {"kind": "rollouts."})
    assert [entry.kind for entry in told][::-1] == ["rollouts.started", "rollouts.advanced", "rollouts.promoted"]
    assert platform.call("audit.verify", {}).intact


def test_a_move_that_fails_leaves_no_trace(platform: Platform, endpoint: str, clock: SimulatedClock) -> None:
    idle = platform.session()
    with idle.begin() as unit:
        rollout = rollouts.start(unit, endpoint, 2, Canary(hold=timedelta()))
    with suppress(KeyboardInterrupt), idle.begin() as unit:
        assert rollouts.advance(unit, rollout.id, evidence()).step == 1
        raise KeyboardInterrupt  # The controller dies here.
    with idle.begin() as unit:
        assert rollouts.get(unit, rollout.id) == rollout
        assert traffic(unit)[1] == (2, 5.0, "canary")


def test_a_rollout_stands_in_the_lineage_of_its_deployment(session: Session, start: Start) -> None:
    urn = session.urn("rollout", start().id)
    edges = lineage.graph(session, urn, "upstream", 1).edges
    assert [(edge.relation, edge.upstream) for edge in edges] == [("rolls_out", session.urn("deployment", "delay", 2))]


def test_an_unknown_rollout_or_endpoint_is_not_found(session: Session, endpoint: str) -> None:
    with pytest.raises(NotFound):
        rollouts.get(session, "nope")
    with pytest.raises(NotFound):
        rollouts.start(session, "nope", 1, Canary())
