"""How files differ: against a model of dictionaries."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from everloop.catalog.session import Session
from everloop.datasets.history.filediff import Extent, extent, file_changes
from tests.datasets.history.conftest import Files, put_files
from tests.examples import examples

PATHS = st.sampled_from(["a", "b", "d/a", "d/e/a", "d/e/b", "z"])
FILES = st.dictionaries(PATHS, st.sampled_from(["", "one", "two", "three"]), max_size=6)


def changes(session: Session, before: Files, after: Files, below: str = "") -> list[tuple[str, str, str]]:
    found = file_changes(session.store, put_files(session, before), put_files(session, after), below)
    return [(change.change, change.was, change.path) for change in found]


@settings(max_examples=examples(100), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(FILES, FILES)
def test_the_changes_lead_from_one_to_the_other(session: Session, before: Files, after: Files) -> None:
    made = dict(before)
    found = file_changes(session.store, put_files(session, before), put_files(session, after))
    for change in found:
        made.pop(change.was or change.path, None)
    for change in found:
        if change.after is not None:
            made[change.path] = session.store.get(change.after.digest).decode()  # type: ignore[arg-type]  # A digest.
    assert made == after
    assert [change.path for change in found] == sorted(change.path for change in found)


@settings(max_examples=examples(100), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(FILES, FILES)
def test_no_content_that_came_and_went_is_both_added_and_removed(session: Session, before: Files, after: Files) -> None:
    found = file_changes(session.store, put_files(session, before), put_files(session, after))
    came = {change.after.digest for change in found if change.change == "added" and change.after and change.after.size}
    went = {each.before.digest for each in found if each.change == "removed" and each.before and each.before.size}
    assert not came & went


@settings(max_examples=examples(100), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(FILES, FILES)
def test_a_trees_extent_follows_from_that_of_another(session: Session, before: Files, after: Files) -> None:
    old, new = put_files(session, before), put_files(session, after)
    whole = extent(session.store, new)
    assert whole == Extent(len(after), sum(len(text) for text in after.values()))
    assert extent(session.store, new, (old, extent(session.store, old))) == whole


def test_a_file_that_moved_is_renamed(session: Session) -> None:
    assert changes(session, {"a": "one"}, {"d/b": "one"}) == [("renamed", "a", "d/b")]


def test_of_equal_files_each_finds_the_one_with_its_name(session: Session) -> None:
    found = changes(session, {"d/x": "one", "d/y": "one"}, {"e/y": "one", "e/x": "one"})
    assert found == [("renamed", "d/x", "e/x"), ("renamed", "d/y", "e/y")]


def test_a_copy_is_no_rename(session: Session) -> None:
    assert changes(session, {"a": "one"}, {"a": "one", "b": "one"}) == [("added", "", "b")]


def test_empty_files_are_not_taken_for_each_other(session: Session) -> None:
    assert changes(session, {"a": ""}, {"b": ""}) == [("removed", "", "a"), ("added", "", "b")]


@pytest.mark.parametrize(("below", "paths"), [("d", ["d/a", "d/e/a"]), ("d/e", ["d/e/a"]), ("nothing", [])])
def test_only_what_is_below_a_folder_is_told(session: Session, below: str, paths: list[str]) -> None:
    after = {"a": "one", "d/a": "one", "d/e/a": "two"}
    assert [path for _, _, path in changes(session, {"b": "three"}, after, below)] == paths


def test_an_empty_folder_is_no_file(session: Session) -> None:
    digest = put_files(session, {"a": "one", "empty/": ""})
    assert extent(session.store, digest) == Extent(1, 3)
