"""A retried call happens once."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
from sqlalchemy import func, select

from everloop.app.platform import Platform
from everloop.catalog.session import Session
from everloop.catalog.tables import ledger
from everloop.governance.entities import Principal
from everloop.kernel import usecase as kernel
from everloop.kernel.errors import Conflict, Refused
from tests.catalog.events import Noted


@pytest.fixture(autouse=True)
def note() -> Iterator[None]:
    """A use case that notes a text and answers with the id of the note."""

    @kernel.usecase("tests.note", permission="tests:write", route="POST /tests/notes")
    def note(session: Session, text: str) -> str:
        """Note a text."""
        if text == "refuse":
            raise Refused("No.")
        session.emit(Noted(subject="x", text=text))
        return session.new_id()

    yield
    del kernel._published["tests.note"]


def entries(platform: Platform) -> int:
    with platform.session().begin(write=False) as unit:
        return int(unit.scalars(select(func.count()).select_from(ledger))[0])


def test_a_repeated_call_gets_the_first_ones_answer_and_changes_nothing(platform: Platform) -> None:
    first = platform.call("tests.note", {"text": "a"}, key="k")
    assert platform.call("tests.note", {"text": "a"}, key="k") == first
    assert entries(platform) == 1


def test_calls_without_a_key_happen_each_time(platform: Platform) -> None:
    assert platform.call("tests.note", {"text": "a"}) != platform.call("tests.note", {"text": "a"})
    assert entries(platform) == 2


def test_a_key_that_was_used_for_another_request_is_a_conflict(platform: Platform) -> None:
    platform.call("tests.note", {"text": "a"}, key="k")
    with pytest.raises(Conflict, match="used for another request"):
        platform.call("tests.note", {"text": "b"}, key="k")
    assert entries(platform) == 1


def test_a_key_belongs_to_its_principal(platform: Platform) -> None:
    platform.call("tests.note", {"text": "a"}, key="k")
    platform.call("tests.note", {"text": "b"}, key="k", principal=Principal("else", ("owner",)))
    assert entries(platform) == 2


def test_a_call_that_failed_may_be_tried_again_with_its_key(platform: Platform) -> None:
    with pytest.raises(Refused):
        platform.call("tests.note", {"text": "refuse"}, key="k")
    platform.call("tests.note", {"text": "a"}, key="k")
    assert entries(platform) == 1


def test_a_key_outlives_the_process(platform: Platform) -> None:
    first = platform.call("tests.note", {"text": "a"}, key="k")
    platform.resources.database.close()
    assert platform.call("tests.note", {"text": "a"}, key="k") == first


def test_two_at_the_same_time_happen_once(platform: Platform) -> None:
    answers: list[str] = []
    threads = [
        threading.Thread(target=lambda: answers.append(platform.call("tests.note", {"text": "a"}, key="k")))
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(answers) == 8
    assert len(set(answers)) == 1
    assert entries(platform) == 1


def test_reading_with_a_key_is_just_reading(platform: Platform) -> None:
    assert platform.call("audit.entries", {}, key="k") == []
    platform.call("tests.note", {"text": "a"})
    assert len(platform.call("audit.entries", {}, key="k")) == 1
