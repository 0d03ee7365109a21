"""What people say about models and versions."""

from __future__ import annotations

import pytest

from everloop.catalog.session import Session
from everloop.kernel.errors import Conflict, InvalidInput, NotFound
from everloop.registry import rows
from everloop.registry import service as models
from everloop.registry.notes import service as notes
from tests.registry.making import registered


@pytest.fixture(autouse=True)
def delay(session: Session) -> None:
    """A model with a version."""
    registered(session)


def test_tags_are_set_shown_and_taken_away(session: Session) -> None:
    assert notes.set_tags(session, "delay", {"team": "core", "b": ""}) == {"b": "", "team": "core"}
    assert notes.set_tags(session, "delay", {"checked": "no"}, 1) == {"checked": "no"}
    assert notes.delete_tag(session, "delay", "b") == {"team": "core"}
    assert notes.tags(session, "delay", 1) == {"checked": "no"}


def test_tags_of_what_is_not_there_are_not_found(session: Session) -> None:
    with pytest.raises(NotFound, match="no version 7"):
        notes.set_tags(session, "delay", {"a": "b"}, 7)
    with pytest.raises(NotFound, match="ghost"):
        notes.tags(session, "ghost")
    with pytest.raises(NotFound, match="no tag 'x'"):
        notes.delete_tag(session, "delay", "x")


def test_a_model_and_a_version_are_described_apart(session: Session) -> None:
    before = models.version(session, "delay", 1)
    notes.describe(session, "delay", "Is it *late*?")
    notes.describe(session, "delay", "The first.", 1)
    after = models.version(session, "delay", 1)
    assert (models.get(session, "delay").description, after.note) == ("Is it *late*?", "The first.")
    assert after.trained == before.trained


def test_a_description_has_an_end(session: Session) -> None:
    with pytest.raises(InvalidInput, match="200,001 characters"):
        notes.describe(session, "delay", "x" * 200_001)


def test_a_renamed_model_keeps_its_name_and_is_found_by_its_title(session: Session) -> None:
    renamed = notes.rename(session, "delay", "Late flights (EU)")
    assert (renamed.name, renamed.called) == ("delay", "Late flights (EU)")
    assert rows.called(session, "Late flights (EU)") == models.get(session, "delay")
    assert rows.called(session, "delay") is None
    assert notes.rename(session, "delay", "delay").title == ""


def test_two_models_are_not_called_alike(session: Session) -> None:
    registered(session, "churn")
    with pytest.raises(Conflict, match="There is a model 'churn' already"):
        notes.rename(session, "delay", "churn")
    assert notes.rename(session, "delay", "delay").called == "delay"


def test_a_name_that_a_renamed_model_has_is_not_given_to_another(session: Session) -> None:
    notes.rename(session, "delay", "late")
    with pytest.raises(Conflict, match="called 'late'"):
        models.create(session, "delay")
    other = models.make(session, "delay")
    assert other.name != "delay"
    assert other.called == "delay"


@pytest.mark.parametrize(
    "title",
    [
        "",
        "  ",
        " late",
        "late ",
        "a/b",
        "a:b",
        "a\nb",
        "a\x00b",
        "a\u202eb",
        "a\u200bb",
        "a\ufeffb",
        "a\u2066b",
        "x" * 257,
    ],
)
def test_what_cannot_be_told_apart_when_read_is_no_title(session: Session, title: str) -> None:
    with pytest.raises(InvalidInput, match="cannot be what a model is called"):
        notes.rename(session, "delay", title)


@pytest.mark.parametrize("title", ["Früh & spät", "模型 2", "a.b@c", "x" * 256])
def test_any_other_text_can_be_a_title(session: Session, title: str) -> None:
    made = models.make(session, title)
    assert rows.called(session, title) == made
    assert models.get(session, made.name) == made


def test_a_cards_revisions_stay_and_the_version_does_not_change(session: Session) -> None:
    before = models.version(session, "delay", 1)
    for text in ("# One", "# Two"):
        notes.revise_card(session, "delay", 1, text, "It was wrong.")
    assert models.card(session, "delay", 1).startswith("# Two")
    assert [it.text for it in notes.card_revisions(session, "delay", 1)] == ["# Two", "# One"]
    assert models.version(session, "delay", 1) == before


@pytest.mark.parametrize(("version", "text", "reason"), [(0, "# A", "b"), (1, " ", "b"), (1, "# A", "")])
def test_a_revision_needs_a_version_a_text_and_a_reason(session: Session, version: int, text: str, reason: str) -> None:
    with pytest.raises(InvalidInput, match="needs a version, a text and a reason"):
        notes.revise_card(session, "delay", version, text, reason)
