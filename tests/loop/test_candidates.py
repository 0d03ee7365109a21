"""The state machine of candidates."""

from __future__ import annotations

import pytest

from everloop.app.platform import Platform
from everloop.catalog.service import entries
from everloop.catalog.session import Session
from everloop.kernel.errors import Conflict, NotFound
from everloop.loop import candidates
from everloop.loop.entities import Candidate, GateResult, Loop


def proposed(session: Session, loop: Loop) -> Candidate:
    return candidates.propose(
        session,
        Candidate(
            session.new_id(),
            loop.name,
            loop.model,
            "proposed",
            "schedule",
            "30 days.",
            "fit",
            {"until": "2026"},
            session.clock.now(),
        ),
    )


def rolling(session: Session, loop: Loop) -> Candidate:
    candidate = candidates.begin_training(session, proposed(session, loop))
    candidate = candidates.trained(session, candidate, "e1", 2)
    candidate = candidates.gated(session, candidate, [GateResult("better_than", True, "better")], {"roc_auc": 0.8})
    return candidates.rolling_out(session, candidate, "r1")


def test_a_candidate_is_kept_as_it_was_proposed(session: Session, loop: Loop) -> None:
    candidate = proposed(session, loop)
    assert candidates.get(session, candidate.id) == candidate == candidates.open_candidate(session, "delay")


def test_a_loop_has_one_candidate_at_a_time(session: Session, loop: Loop) -> None:
    proposed(session, loop)
    with pytest.raises(Conflict, match="is still proposed"):
        proposed(session, loop)


def test_the_way_to_promotion_is_told_by_the_ledger(platform: Platform, loop: Loop) -> None:
    with platform.session().begin() as session:
        candidates.promoted(session, rolling(session, loop), "all guards agree", units=900)
    with platform.session().begin(write=False) as session:
        found = entries(session, kind="loops.")
        kept = candidates.history(session, "delay")[0]
    assert [entry.kind for entry in reversed(found)] == [
        "loops.candidate_proposed",
        "loops.candidate_trained",
        "loops.candidate_gated",
        "loops.candidate_promoted",
    ]
    assert (kept.status, kept.version, kept.units, kept.measured) == ("promoted", 2, 900, {"roc_auc": 0.8})


def test_a_refused_candidate_ends_with_no_unit_and_makes_room(session: Session, loop: Loop) -> None:
    training = candidates.begin_training(session, proposed(session, loop))
    refused = candidates.refused(session, training, "worse", [GateResult("better_than", False, "worse")])
    assert (refused.units, refused.ended) == (0, session.clock.now())
    assert candidates.open_candidate(session, "delay") is None
    assert proposed(session, loop).status == "proposed"


def test_a_move_that_skips_the_gates_by_accident_is_impossible(session: Session, loop: Loop) -> None:
    candidate = proposed(session, loop)
    with pytest.raises(Conflict, match="is proposed and cannot become rolling_out"):
        candidates.rolling_out(session, candidate, "r1")


@pytest.mark.parametrize("end", ["refused", "rolled_back"])
def test_what_has_ended_badly_stays_so(end: str) -> None:
    assert candidates.MOVES[end] == ()  # type: ignore[index]


def test_of_two_controllers_that_make_the_same_move_one_is_told(session: Session, loop: Loop) -> None:
    candidate = rolling(session, loop)
    candidates.promoted(session, candidate, "first")
    with pytest.raises(Conflict, match="no longer rolling_out"):
        candidates.rolled_back(session, candidate, "second")


def test_of_two_controllers_that_trained_the_same_candidate_one_registers_it(session: Session, loop: Loop) -> None:
    training = candidates.begin_training(session, proposed(session, loop))
    candidates.trained(session, training, "e1", 2)
    with pytest.raises(Conflict, match="no longer training with version none"):
        candidates.trained(session, training, "e2", 3)


def test_a_promoted_candidate_can_be_taken_back(session: Session, loop: Loop) -> None:
    promoted = candidates.promoted(session, rolling(session, loop), "good")
    assert candidates.rolled_back(session, promoted, "it was not").status == "rolled_back"


def test_a_unit_of_work_that_fails_leaves_the_candidate_where_it_was(platform: Platform, loop: Loop) -> None:
    with platform.session().begin() as session:
        candidate = rolling(session, loop)
    with pytest.raises(ZeroDivisionError), platform.session().begin() as session:
        assert candidates.promoted(session, candidate, "all guards agree").units / 0
    with platform.session().begin(write=False) as session:
        assert candidates.get(session, candidate.id).status == "rolling_out"


def test_an_unknown_candidate_is_not_found(session: Session) -> None:
    with pytest.raises(NotFound, match="no candidate 'x'"):
        candidates.get(session, "x")


def test_history_is_newest_first_and_of_one_loop(session: Session, loop: Loop) -> None:
    first = candidates.refused(session, proposed(session, loop), "worse")
    second = proposed(session, loop)
    assert [found.id for found in candidates.history(session, "delay")] == [second.id, first.id]
    assert candidates.history(session, "other") == []
