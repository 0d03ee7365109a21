"""The search for models and versions, and its pages."""

from __future__ import annotations

import base64
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from everloop.catalog.session import Session
from everloop.kernel.clock import SimulatedClock
from everloop.kernel.errors import InvalidInput
from everloop.registry import service as models
from everloop.registry import tags
from everloop.registry.notes import service as notes
from everloop.registry.search import service as search
from tests.registry.making import registered


def names(session: Session, filter: str = "", *order: str) -> list[str]:
    """What the models are called that meet a filter."""
    return [model.called for model in search.search(session, filter, order).models]


def versions(session: Session, filter: str = "", *order: str) -> list[tuple[str, int]]:
    """The versions that meet a filter."""
    found = search.search_versions(session, filter, order).versions
    return [(version.model, version.version) for version in found]


@pytest.fixture
def few(session: Session, clock: SimulatedClock) -> None:
    """Three models, the last with two versions, an hour between any two changes."""
    for name in ("late", "Later", "churn", "churn"):
        registered(session, name)
        clock.advance(clock.now() + timedelta(hours=1))
    tags.assign(session, "late", 0, {"team": "core"})
    tags.assign(session, "churn", 2, {"checked": "yes"})


@pytest.mark.usefixtures("few")
@pytest.mark.parametrize(
    ("filter", "found"),
    [
        ("", ["Later", "churn", "late"]),
        ("name = 'late'", ["late"]),
        ("name LIKE 'la%'", ["late"]),
        ("name ILIKE 'la%'", ["Later", "late"]),
        ("name LIKE 'l_te'", ["late"]),
        ("name != 'late'", ["Later", "churn"]),
        ("tags.team = 'core'", ["late"]),
        ("tags.team != 'x'", ["late"]),
        ("tags.checked = 'yes'", []),
        ("name = 'late' AND tags.team LIKE 'x%'", []),
        ("name = '\\' OR 1=1 --'", []),
    ],
)
def test_models_are_found(session: Session, filter: str, found: list[str]) -> None:
    assert names(session, filter) == found


@pytest.mark.usefixtures("few")
def test_models_are_ordered(session: Session) -> None:
    assert names(session, "", "name DESC") == ["late", "churn", "Later"]
    assert names(session, "", "last_updated_timestamp DESC") == ["churn", "Later", "late"]
    assert names(session, "", "timestamp") == ["late", "Later", "churn"]


@pytest.mark.usefixtures("few")
@pytest.mark.parametrize(
    ("filter", "found"),
    [
        ("", [("churn", 2), ("churn", 1), ("Later", 1), ("late", 1)]),
        ("name = 'churn' AND version_number > 1", [("churn", 2)]),
        ("version_number <= 1 AND name LIKE 'ch%'", [("churn", 1)]),
        ("tags.checked = 'yes'", [("churn", 2)]),
        ("run_id IN ('r1', 'r2')", []),
        ("source_path = ''", [("churn", 2), ("churn", 1), ("Later", 1), ("late", 1)]),
    ],
)
def test_versions_are_found(session: Session, filter: str, found: list[tuple[str, int]]) -> None:
    assert versions(session, filter) == found


@pytest.mark.usefixtures("few")
def test_a_deleted_model_is_not_found_and_a_renamed_one_by_its_title(session: Session) -> None:
    models.delete_model(session, "churn")
    notes.rename(session, "late", "Too late")
    assert names(session) == ["Later", "Too late"]
    assert versions(session, "name = 'Too late'") == [("late", 1)]


def test_prompts_are_found_only_where_they_are_asked_for(session: Session) -> None:
    models.make(session, "greeting", noted={"mlflow.prompt.is_prompt": "true"})
    models.make(session, "late", noted={"mlflow.prompt.is_prompt": "false"})
    models.make(session, "churn")
    assert names(session) == ["churn", "late"]
    assert names(session, "tags.`mlflow.prompt.is_prompt` != 'true'") == ["churn", "late"]
    assert names(session, "tags.`mlflow.prompt.is_prompt` = 'true'") == ["greeting"]


def test_two_orders_by_one_thing_are_refused(session: Session) -> None:
    with pytest.raises(InvalidInput, match="duplicate fields"):
        names(session, "", "timestamp", "last_updated_timestamp DESC")


def test_pages_have_each_version_once_while_others_are_written(session: Session) -> None:
    for _ in range(7):
        registered(session)
    seen: list[int] = []
    cursor = ""
    for _ in range(10):
        page = search.search_versions(session, "", ("version_number DESC",), 3, cursor)
        seen += [one.version for one in page.versions]
        registered(session)
        cursor = page.cursor
        if not cursor:
            break
    assert seen == [7, 6, 5, 4, 3, 2, 1]


@pytest.mark.parametrize("cursor", ["evilhax", "1", "e30=", "bnVsbA==", "WzFd", "WyJhIiwgIlx1MDAwMCJd", "\u00e4"])
def test_what_is_no_cursor_is_refused(session: Session, cursor: str) -> None:
    with pytest.raises(InvalidInput, match="Invalid page token"):
        search.search_versions(session, "", ("name",), 3, cursor)


@given(st.text(max_size=40))
def test_any_text_is_a_cursor_or_refused(shared_platform: object, text: str) -> None:
    cursor = base64.b64encode(text.encode("utf-8", "replace")).decode()
    with pytest.raises(InvalidInput):
        shared_platform.call("models.search", {"cursor": cursor or "x"})  # type: ignore[attr-defined]


@pytest.mark.parametrize("limit", [0, -1, 200_001])
def test_a_page_has_at_least_one_entry(session: Session, limit: int) -> None:
    with pytest.raises(InvalidInput, match="A page has 1 to"):
        search.search(session, limit=limit)
