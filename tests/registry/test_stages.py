"""MLflow's stages beside aliases."""

from __future__ import annotations

from itertools import pairwise

import pytest

from everloop.catalog.session import Session
from everloop.kernel.errors import InvalidInput, Refused
from everloop.registry import rows, stages
from everloop.registry import service as models
from everloop.registry.stages import ALIASES
from tests.registry.making import registered


@pytest.fixture(autouse=True)
def delay(session: Session) -> None:
    """A model with three versions."""
    for _ in range(3):
        registered(session)


def staged(session: Session) -> list[str]:
    """The stages of the versions, oldest first."""
    return [one.stage for one in reversed(models.versions(session, "delay"))]


def named(session: Session) -> dict[str, int]:
    """The aliases and the versions that they name."""
    return {one.alias: one.version for one in models.aliases(session, "delay")}


def test_a_version_begins_in_no_stage(session: Session) -> None:
    assert staged(session) == ["None", "None", "None"]


def test_the_alias_of_a_stage_names_the_newest_version_in_it(session: Session) -> None:
    models.transition(session, "delay", 1, "Production")
    models.transition(session, "delay", 3, "Production")
    models.transition(session, "delay", 2, "Production")
    assert (staged(session), named(session)) == (["Production"] * 3, {"production": 3})


def test_leaving_a_stage_hands_its_alias_to_the_next_version(session: Session) -> None:
    for version in (1, 2):
        models.transition(session, "delay", version, "Staging")
    models.transition(session, "delay", 2, "Archived")
    assert named(session) == {"staging": 1}
    models.transition(session, "delay", 1, "None")
    assert named(session) == {}


def test_an_alias_that_takes_a_version_out_of_a_stage_leaves_that_stages_alias_to_the_next(session: Session) -> None:
    for version in (1, 2):
        models.transition(session, "delay", version, "Staging")
    models.set_alias(session, "delay", "production", 2)
    assert named(session) == {"production": 2, "staging": 1}
    models.set_alias(session, "delay", "production", 1)
    assert named(session) == {"production": 1}


def test_those_before_are_archived_when_one_asks_for_it(session: Session) -> None:
    models.transition(session, "delay", 3, "Production")
    moved = models.transition(session, "delay", 1, "production", archive_existing=True)
    assert (moved.stage, staged(session)) == ("Production", ["Production", "None", "Archived"])
    assert named(session) == {"production": 1}


@pytest.mark.parametrize("stage", ["None", "Archived"])
def test_nothing_is_archived_for_a_stage_that_is_not_in_use(session: Session, stage: str) -> None:
    with pytest.raises(InvalidInput, match="is not an Active stage"):
        models.transition(session, "delay", 1, stage, archive_existing=True)


@pytest.mark.parametrize("stage", ["", "Live", "Production ", "Stag\u0131ng"])
def test_what_is_no_stage_is_refused_with_those_there_are(session: Session, stage: str) -> None:
    with pytest.raises(InvalidInput, match="must be one of None, Staging, Production, Archived"):
        models.transition(session, "delay", 1, stage)


def test_moving_the_alias_by_hand_leaves_one_version_in_the_stage(session: Session) -> None:
    for version in (2, 3):
        models.transition(session, "delay", version, "Production")
    models.set_alias(session, "delay", "production", 1)
    assert (staged(session), named(session)) == (["Production", "Archived", "Archived"], {"production": 1})


def test_deleting_the_alias_empties_the_stage(session: Session) -> None:
    models.transition(session, "delay", 2, "Staging")
    models.delete_alias(session, "delay", "staging")
    assert staged(session) == ["None", "None", "None"]


def test_a_stage_is_left_and_entered_in_the_ledger(session: Session) -> None:
    for stage in ("Staging", "Production", "Archived"):
        models.transition(session, "delay", 1, stage)
    told = [event for event in session._events[session.project, session.principal] if hasattr(event, "previous")]
    moves = [event for event in told if type(event).__name__ == "StageMoved"]
    assert [move.stage for move in moves] == ["Staging", "Production", "Archived"]
    assert all(after.previous == before.stage for before, after in pairwise(moves))


def test_a_version_in_use_is_not_deleted_and_withdrawing_it_hands_the_alias_on(session: Session) -> None:
    for version in (1, 2):
        models.transition(session, "delay", version, "Production")
    with pytest.raises(Refused, match="alias production"):
        models.delete_version(session, "delay", 2, "bad")
    models.withdraw(session, "delay", 2, "bad")
    assert named(session) == {"production": 1}


def test_the_newest_in_each_stage_is_found_at_once(session: Session) -> None:
    models.transition(session, "delay", 1, "Staging")
    models.transition(session, "delay", 2, "Staging")
    found = rows.newest_of(session, ["delay"])["delay"]
    assert [(one.stage, one.version) for one in found] == [("Staging", 2), ("None", 3)]


@pytest.mark.parametrize(("stage", "alias"), ALIASES.items())
def test_each_alias_stands_for_its_stage(stage: str, alias: str) -> None:
    assert stages.of_alias(alias) == stage
    assert stages.of_alias("champion") is None
