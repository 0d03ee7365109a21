"""Tags and descriptions beside models and versions."""

from __future__ import annotations

import pytest

from everloop.catalog.session import Session
from everloop.kernel.errors import InvalidInput, NotFound
from everloop.registry import service, tags
from everloop.registry.entities import FILES, Model, ModelVersion, Signature


@pytest.fixture(autouse=True)
def delay(session: Session) -> None:
    """A model with a version that is only files."""
    service.create(session, "delay")
    files = Model(FILES, session.store.put_tree(()), Signature((), ()))
    service.add(session, ModelVersion("delay", 0, files, "", "", session.clock.now(), source="s3://bucket/x"))


def test_a_version_that_is_only_files_needs_no_signature(session: Session) -> None:
    made = service.version(session, "delay", 1)
    assert (made.trained.flavor, made.source) == (FILES, "s3://bucket/x")
    assert "delay" in made.card


def test_tags_of_a_model_and_of_its_versions_are_apart(session: Session) -> None:
    tags.assign(session, "delay", 0, {"team": "core"})
    tags.assign(session, "delay", 1, {"checked": "no"})
    tags.assign(session, "delay", 1, {"checked": "yes"})
    assert tags.known(session, "delay") == {("delay", 0): {"team": "core"}, ("delay", 1): {"checked": "yes"}}


def test_a_tag_is_taken_away_once(session: Session) -> None:
    tags.assign(session, "delay", 1, {"checked": "yes"})
    tags.remove(session, "delay", 1, "checked")
    with pytest.raises(NotFound, match="no tag 'checked'"):
        tags.remove(session, "delay", 1, "checked")


@pytest.mark.parametrize("key", ["", "k" * 251, "a\nb"])
def test_a_key_that_cannot_be_is_refused(session: Session, key: str) -> None:
    with pytest.raises(InvalidInput, match="is not a key"):
        tags.assign(session, "delay", 0, {key: "x"})


def test_what_is_deleted_takes_its_tags_along(session: Session) -> None:
    service.create(session, "short")
    tags.assign(session, "short", 0, {"a": "b"})
    tags.assign(session, "delay", 1, {"a": "b"})
    service.delete_model(session, "short")
    service.delete_version(session, "delay", 1, "It was a test.")
    assert tags.known(session) == {}


def test_a_value_that_is_too_long_is_refused(session: Session) -> None:
    tags.assign(session, "delay", 1, {"a": "x" * 100_000})
    with pytest.raises(InvalidInput, match="exceeds the maximum length"):
        tags.assign(session, "delay", 1, {"a": "x" * 100_001})


def test_tags_of_some_versions_are_read_at_once(session: Session) -> None:
    tags.assign(session, "delay", 0, {"team": "core"})
    tags.assign(session, "delay", 1, {"checked": "no"})
    assert tags.of(session, ["delay"], [1]) == {("delay", 1): {"checked": "no"}}
