"""Merging trees: against a model of dictionaries, and what stands in each other's way."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from everloop.catalog.session import Session
from everloop.datasets.history.entities import MergeConflict, OnConflict
from everloop.datasets.history.filemerge import merge_trees, settle_whole
from tests.datasets.history.conftest import Files, put_files, read_files
from tests.examples import examples

PATHS = st.sampled_from(["a", "b", "c/a", "c/b", "c/d/a"])
FILES = st.dictionaries(PATHS, st.sampled_from(["one", "two", "three"]), max_size=5)


def merged(
    session: Session, base: Files, ours: Files, theirs: Files, prefer: OnConflict = "fail"
) -> tuple[dict[str, str], list[MergeConflict]]:
    roots = [put_files(session, files) for files in (base, ours, theirs)]
    found = merge_trees(session.store, roots[0], (roots[1], roots[2]), settle_whole(prefer), prefer)
    return read_files(session, found.digest), found.conflicts


@settings(max_examples=examples(150), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(FILES, FILES, FILES, st.sampled_from(["ours", "theirs"]))
def test_any_edits(session: Session, base: Files, ours: Files, theirs: Files, prefer: OnConflict) -> None:
    expected, disputed = {}, []
    for path in base.keys() | ours.keys() | theirs.keys():
        old, mine, yours = base.get(path), ours.get(path), theirs.get(path)
        if mine != yours and old not in (mine, yours):
            disputed.append(path)
        wins = yours if mine == old else mine if yours in (old, mine) or prefer == "ours" else yours
        if wins is not None:
            expected[path] = wins
    files, conflicts = merged(session, base, ours, theirs, prefer)
    assert (files, [conflict.path for conflict in conflicts]) == (expected, sorted(disputed))


@settings(max_examples=examples(100), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(FILES, FILES, FILES)
def test_what_does_not_conflict_is_the_same_both_ways(
    session: Session, base: Files, ours: Files, theirs: Files
) -> None:
    there, back = merged(session, base, ours, theirs, "ours"), merged(session, base, theirs, ours, "theirs")
    assert there[0] == back[0]
    assert [conflict.path for conflict in there[1]] == [conflict.path for conflict in back[1]]


@pytest.mark.parametrize(
    ("base", "ours", "theirs", "reason"),
    [
        ({}, {"a": "one"}, {"a": "two"}, "both sides added it"),
        ({"a": "one"}, {"a": "two"}, {"a": "three"}, "both sides changed it"),
        ({"a": "one"}, {}, {"a": "two"}, "we removed it, they changed it"),
        ({"a": "one"}, {"a": "two"}, {}, "we changed it, they removed it"),
    ],
)
def test_conflicts_say_what_happened(session: Session, base: Files, ours: Files, theirs: Files, reason: str) -> None:
    files, (conflict,) = merged(session, base, ours, theirs)
    assert (conflict.path, conflict.reason) == ("a", reason)
    assert files == ours


@pytest.mark.parametrize(("prefer", "files"), [("ours", {"a": "one"}), ("theirs", {"a/b": "two"})])
def test_a_file_here_and_a_folder_there_is_a_conflict(
    session: Session, prefer: OnConflict, files: dict[str, str]
) -> None:
    found, (conflict,) = merged(session, {}, {"a": "one"}, {"a/b": "two"}, prefer)
    assert found == files
    assert (conflict.path, conflict.ours, conflict.theirs) == ("a", "a file", "a/b")


def test_an_empty_folder_inside_of_a_file_is_a_conflict_too(session: Session) -> None:
    files, (conflict,) = merged(session, {}, {"a": "one"}, {"a/b/": ""})
    assert (files, conflict.path) == ({"a": "one"}, "a")


def test_a_folder_that_was_empty_is_filled(session: Session) -> None:
    files, conflicts = merged(session, {"a/": ""}, {"a/": "", "b": "one"}, {"a/c": "two"})
    assert (files, conflicts) == ({"a/c": "two", "b": "one"}, [])


def test_two_trees_without_a_base_are_put_together(session: Session) -> None:
    ours, theirs = put_files(session, {"a": "one", "b": "two"}), put_files(session, {"b": "two", "c": "three"})
    found = merge_trees(session.store, None, (ours, theirs), settle_whole("fail"), "fail")
    assert read_files(session, found.digest) == {"a": "one", "b": "two", "c": "three"}
