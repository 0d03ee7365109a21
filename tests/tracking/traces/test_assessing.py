"""What is said of traces is kept, changed and taken back."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from everloop.catalog.session import Session
from everloop.kernel.errors import InvalidInput, NotFound
from everloop.tracking.traces import assessing
from everloop.tracking.traces.entities import Assessment, Source
from tests.tracking.traces.build import record, root, whole

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def said(id: str, value: Any = True, **more: Any) -> Assessment:
    return msgspec.structs.replace(
        Assessment(id, "feedback", "correct", value, Source("HUMAN", "ann"), NOW, NOW), **more
    )


@pytest.fixture
def session(session: Session) -> Session:
    """A session with a trace."""
    record(session, "t", root())
    return session


def test_what_is_said_of_a_trace_comes_with_it(session: Session) -> None:
    assessing.add(session, "t", said("a", {"score": [1, 2]}, rationale="because"))
    assert whole(session, "t").assessments == (said("a", {"score": [1, 2]}, rationale="because"),)


def test_the_same_said_again_under_its_id_changes_nothing(session: Session) -> None:
    for _ in range(2):
        assessing.keep(session, "t", said("a"))
    assert len(whole(session, "t").assessments) == 1


def test_what_is_overridden_is_no_longer_valid_until_that_is_taken_back(session: Session) -> None:
    assessing.add(session, "t", said("a"))
    assessing.add(session, "t", said("b", False, overrides="a"))
    assert [it.valid for it in whole(session, "t").assessments] == [False, True]
    assessing.take_back(session, "t", "b")
    assert [it.valid for it in whole(session, "t").assessments] == [True]


def test_what_overrides_nothing_is_refused_and_not_kept(session: Session) -> None:
    with pytest.raises(NotFound, match="'z' not found for trace 't'"):
        assessing.add(session, "t", said("b", overrides="z"))
    assert whole(session, "t").assessments == ()


def test_taking_back_once_is_enough(session: Session) -> None:
    assessing.add(session, "t", said("a"))
    assessing.take_back(session, "t", "a")
    assessing.take_back(session, "t", "a")
    with pytest.raises(NotFound):
        assessing.get(session, "t", "a")


def test_of_a_trace_that_is_not_there_nothing_can_be_said(session: Session) -> None:
    with pytest.raises(NotFound, match="nowhere"):
        assessing.add(session, "nowhere", said("a"))
    with pytest.raises(NotFound, match="nowhere"):
        assessing.take_back(session, "nowhere", "a")


@pytest.mark.parametrize("name", ["", "  ", "x" * 251])
def test_a_name_that_is_none_is_refused(session: Session, name: str) -> None:
    with pytest.raises(InvalidInput, match="no name of an assessment"):
        assessing.add(session, "t", said("a", name=name))
