"""Branches, tags, reverts, files and differences, through the front door."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from everloop.app.platform import Platform
from everloop.catalog.session import Session
from everloop.datasets.content import resolve, snapshot_of
from everloop.datasets.history.entities import Branch, FileEntry, FilesDiff, RowChange, RowDiff, Tag
from everloop.kernel.clock import SimulatedClock
from everloop.kernel.errors import Conflict, InvalidInput, NotFound
from everloop.store.entities import TreeEntry
from everloop.store.service import digest_of
from tests.datasets.history.conftest import CommitFiles, CommitRows, put_files


class TestCommitFiles:
    def test_a_tree_becomes_a_version(self, platform: Platform, session: Session) -> None:
        digest = put_files(session, {"a": "one", "d/b": "two!"})
        made = platform.call("datasets.commit_files", {"name": "files", "digest": digest, "note": "first"})
        assert (made.version, made.kind, made.digest, made.files, made.bytes) == (1, "files", digest, 2, 7)
        assert (made.base, made.branch, made.author, made.note) == ((), "main", session.principal, "first")

    def test_what_the_head_holds_is_the_head(self, commit_files: CommitFiles) -> None:
        first = commit_files({"a": "one"})
        assert commit_files({"a": "one"}) == first

    def test_older_content_again_is_a_new_version(self, commit_files: CommitFiles) -> None:
        first, second = commit_files({"a": "one"}), commit_files({"a": "two"})
        third = commit_files({"a": "one"})
        assert (third.version, third.digest, third.base) == (3, first.digest, (second.version,))

    def test_of_two_writers_one_wins_and_the_other_is_told(self, commit_files: CommitFiles, session: Session) -> None:
        commit_files({"a": "one"})
        commit_files({"a": "two"}, base=1)
        with pytest.raises(Conflict, match=r"at version 2, no longer at 1: somebody else"):
            commit_files({"a": "three"}, base=1)
        assert snapshot_of(session, "files").version == 2

    def test_two_writers_of_the_same_agree(self, commit_files: CommitFiles) -> None:
        commit_files({"a": "one"})
        assert commit_files({"a": "two"}, base=1) == commit_files({"a": "two"}, base=1)

    def test_a_branch_must_be_made_first(self, commit_files: CommitFiles) -> None:
        commit_files({"a": "one"})
        with pytest.raises(NotFound, match="no branch 'edit'"):
            commit_files({"a": "two"}, branch="edit")

    def test_a_tree_that_was_put_long_ago_is_safe_from_a_sweep(self, platform: Platform, home: Path) -> None:
        store = platform.resources.store
        root = store.put_tree([TreeEntry("a", store.put(b"one"), 3)])
        for file in (home / "store" / "objects").rglob("*"):
            os.utime(file, (0, 0))
        platform.call("datasets.commit_files", {"name": "files", "digest": root})
        # A sweep that looked into the catalog before this commit knows of no root, but sees the lease.
        assert store.sweep((), dry_run=True).condemned == 0

    def test_what_is_no_tree_in_the_store_is_refused(self, platform: Platform) -> None:
        with pytest.raises(NotFound):
            platform.call("datasets.commit_files", {"name": "files", "digest": digest_of(b"never")})

    def test_tables_and_rows_are_not_asked_of_files(self, platform: Platform, commit_files: CommitFiles) -> None:
        commit_files({"a": "one"})
        for usecase in ("preview", "profile"):
            with pytest.raises(InvalidInput, match="files@1 holds files"):
                platform.call(f"datasets.{usecase}", {"name": "files"})
        digest = platform.resources.store.put(b"a\n1\n")
        with pytest.raises(InvalidInput, match="files@1 holds files"):
            platform.call("datasets.append", {"name": "files", "digest": digest, "format": "csv"})


class TestFiles:
    @pytest.mark.parametrize(
        ("arguments", "paths"),
        [
            ({}, ["a", "d/b", "d/e/c"]),
            ({"below": "d"}, ["d/b", "d/e/c"]),
            ({"below": "d/e/"}, ["d/e/c"]),
            ({"below": "d/b"}, ["d/b"]),
            ({"below": "x"}, []),
            ({"limit": 2}, ["a", "d/b"]),
            ({"limit": 1 << 80, "below": "d"}, ["d/b", "d/e/c"]),
            ({"at": 1}, ["a"]),
        ],
    )
    def test_they_are_listed_by_path(
        self, platform: Platform, commit_files: CommitFiles, arguments: dict[str, object], paths: list[str]
    ) -> None:
        commit_files({"a": "one"})
        commit_files({"a": "one", "d/b": "two", "d/e/c": "three"})
        found = platform.call("datasets.files", {"name": "files", **arguments})
        assert [each.path for each in found] == paths
        assert all(isinstance(each, FileEntry) for each in found)

    def test_a_table_has_none(self, platform: Platform, commit_rows: CommitRows) -> None:
        commit_rows({1: 1})
        with pytest.raises(InvalidInput, match="rows@1 is a table"):
            platform.call("datasets.files", {"name": "rows"})


class TestDiffs:
    def test_files_are_counted_and_listed(self, platform: Platform, commit_files: CommitFiles) -> None:
        commit_files({"a": "one", "b": "two", "c": "three", "same": "s"})
        commit_files({"a": "ONE!", "moved": "two", "new": "four", "same": "s"})
        found: FilesDiff = platform.call("datasets.diff_files", {"name": "files", "before": 1, "limit": 2})
        assert (found.added, found.removed, found.changed, found.renamed) == (1, 1, 1, 1)
        assert (found.bytes_added, found.bytes_removed) == (8, 8)
        assert [(each.change, each.path) for each in found.files] == [("changed", "a"), ("removed", "c")]

    def test_rows_are_matched_by_the_keys_that_are_given(self, platform: Platform, commit_rows: CommitRows) -> None:
        commit_rows({1: 10, 2: 20})
        commit_rows({1: 11, 3: 30})
        found: RowDiff = platform.call("datasets.diff_rows", {"name": "rows", "before": 1, "keys": ["id"]})
        assert (found.added, found.removed, found.changed, found.changed_cells) == (1, 1, 1, {"x": 1})
        assert (found.columns.rows_before, found.columns.rows_after, found.keys) == (2, 2, ("id",))

    def test_rows_are_matched_by_what_is_expected_to_be_unique(
        self, platform: Platform, commit_rows: CommitRows
    ) -> None:
        commit_rows({1: 10})
        expectations = [{"type": "not_null", "column": "x"}, {"type": "unique", "columns": ["id"]}]
        platform.call("datasets.expect", {"name": "rows", "expectations": expectations})
        commit_rows({1: 11})
        assert platform.call("datasets.diff_rows", {"name": "rows", "before": 1}).changed == 1

    def test_rows_without_a_key_are_compared_whole(self, platform: Platform, commit_rows: CommitRows) -> None:
        commit_rows({1: 10})
        commit_rows({1: 11})
        found: RowDiff = platform.call("datasets.diff_rows", {"name": "rows", "before": "1", "after": "2"})
        assert found.sample == (RowChange("removed", {"id": 1, "x": 10}), RowChange("added", {"id": 1, "x": 11}))


class TestBranches:
    def test_a_branch_goes_its_own_way(self, platform: Platform, commit_rows: CommitRows) -> None:
        commit_rows({1: 1})
        made: Branch = platform.call("datasets.branch", {"name": "rows", "branch": "edit"})
        assert (made.name, made.version) == ("edit", 1)
        commit_rows({1: 2}, branch="edit")
        found = platform.call("datasets.branches", {"name": "rows"})
        assert [(each.name, each.version) for each in found] == [("main", 1), ("edit", 2)]
        assert platform.call("datasets.get", {"name": "rows"}).version == 1

    def test_making_it_again_changes_nothing_and_never_moves_it(
        self, platform: Platform, commit_rows: CommitRows
    ) -> None:
        commit_rows({1: 1})
        first = platform.call("datasets.branch", {"name": "rows", "branch": "edit"})
        assert platform.call("datasets.branch", {"name": "rows", "branch": "edit", "at": 1}) == first
        commit_rows({1: 2})
        with pytest.raises(Conflict, match="stands at version 1"):
            platform.call("datasets.branch", {"name": "rows", "branch": "edit"})

    def test_a_deleted_branch_leaves_its_versions(self, platform: Platform, commit_rows: CommitRows) -> None:
        commit_rows({1: 1})
        platform.call("datasets.branch", {"name": "rows", "branch": "edit"})
        commit_rows({1: 2}, branch="edit")
        platform.call("datasets.delete_branch", {"name": "rows", "branch": "edit"})
        with pytest.raises(NotFound, match="no branch 'edit'"):
            platform.call("datasets.delete_branch", {"name": "rows", "branch": "edit"})
        assert [each.version for each in platform.call("datasets.log", {"name": "rows"})] == [2, 1]
        assert commit_rows({1: 3}).base == (1,)

    def test_main_stays(self, platform: Platform, commit_rows: CommitRows) -> None:
        commit_rows({1: 1})
        with pytest.raises(InvalidInput, match="cannot be deleted"):
            platform.call("datasets.delete_branch", {"name": "rows", "branch": "main"})

    def test_each_move_by_hand_is_in_the_ledger(self, platform: Platform, commit_rows: CommitRows) -> None:
        commit_rows({1: 1})
        platform.call("datasets.branch", {"name": "rows", "branch": "edit"})
        platform.call("datasets.delete_branch", {"name": "rows", "branch": "edit"})
        entries = platform.call("audit.entries", {"kind": "datasets.branch_moved"})
        moves = [(entry.event["branch"], entry.event["before"], entry.event["after"]) for entry in entries]
        assert sorted(moves) == [("edit", 0, 1), ("edit", 1, 0)]

    @pytest.mark.parametrize("name", ["2", "2013-05-01", "20130501"])
    def test_a_name_that_reads_like_a_version_or_a_time_is_refused(
        self, platform: Platform, commit_rows: CommitRows, name: str
    ) -> None:
        commit_rows({1: 1})
        for usecase, word in (("branch", "branch"), ("tag", "tag")):
            with pytest.raises(InvalidInput, match="reads like a version or a time"):
                platform.call(f"datasets.{usecase}", {"name": "rows", word: name})


class TestTags:
    def test_a_tag_names_a_version_for_good(self, platform: Platform, commit_rows: CommitRows) -> None:
        commit_rows({1: 1})
        made: Tag = platform.call("datasets.tag", {"name": "rows", "tag": "gold", "note": "as published"})
        assert (made.version, made.note) == (1, "as published")
        commit_rows({1: 2})
        with pytest.raises(Conflict, match="names version 1"):
            platform.call("datasets.tag", {"name": "rows", "tag": "gold"})
        assert platform.call("datasets.tag", {"name": "rows", "tag": "gold", "at": 1}) == made
        assert platform.call("datasets.get", {"name": "rows", "at": "gold"}).version == 1

    def test_force_gives_it_to_another_version_and_the_ledger_says_so(
        self, platform: Platform, commit_rows: CommitRows
    ) -> None:
        commit_rows({1: 1})
        platform.call("datasets.tag", {"name": "rows", "tag": "gold"})
        commit_rows({1: 2})
        assert platform.call("datasets.tag", {"name": "rows", "tag": "gold", "force": True}).version == 2
        entries = platform.call("audit.entries", {"kind": "datasets.version_tagged"})
        assert sorted((each.event["before"], each.event["after"]) for each in entries) == [(0, 1), (1, 2)]

    def test_it_can_be_taken_away(self, platform: Platform, commit_rows: CommitRows) -> None:
        commit_rows({1: 1})
        platform.call("datasets.tag", {"name": "rows", "tag": "gold"})
        platform.call("datasets.untag", {"name": "rows", "tag": "gold"})
        assert platform.call("datasets.tags", {"name": "rows"}) == []
        with pytest.raises(NotFound, match="no tag 'gold'"):
            platform.call("datasets.untag", {"name": "rows", "tag": "gold"})

    def test_a_tag_and_a_branch_do_not_share_a_name(self, platform: Platform, commit_rows: CommitRows) -> None:
        commit_rows({1: 1})
        platform.call("datasets.tag", {"name": "rows", "tag": "gold"})
        with pytest.raises(Conflict, match="A tag of 'rows'"):
            platform.call("datasets.branch", {"name": "rows", "branch": "gold"})
        with pytest.raises(Conflict, match="A branch of 'rows'"):
            platform.call("datasets.tag", {"name": "rows", "tag": "main"})


class TestReverts:
    def test_what_was_is_a_new_version(self, platform: Platform, commit_rows: CommitRows) -> None:
        first = commit_rows({1: 1})
        commit_rows({1: 2})
        made = platform.call("datasets.revert", {"name": "rows", "version": 1})
        assert (made.version, made.digest, made.base, made.note) == (3, first.digest, (2,), "Back to version 1")
        old, new = (platform.call("datasets.profile", {"name": "rows", "version": number}) for number in (1, 3))
        assert old == new

    def test_what_is_there_already_needs_no_revert(self, platform: Platform, commit_rows: CommitRows) -> None:
        assert platform.call("datasets.revert", {"name": "rows", "version": commit_rows({1: 1}).version}).version == 1

    def test_files_are_reverted_alike(self, platform: Platform, commit_files: CommitFiles) -> None:
        first = commit_files({"a": "one"})
        commit_files({"a": "two"})
        made = platform.call("datasets.revert", {"name": "files", "version": 1, "note": "wrong file"})
        assert (made.digest, made.files, made.note) == (first.digest, 1, "wrong file")


class TestReferences:
    @pytest.fixture
    def moments(self, session: Session, clock: SimulatedClock, commit_rows: CommitRows) -> list[datetime]:
        """When main came to hold versions 1, 2 and 3."""
        found = []
        for number in range(3):
            clock.advance(clock.now() + timedelta(hours=1))
            commit_rows({1: number})
            found.append(clock.now())
        return found

    def test_a_time_names_what_main_was_then(self, session: Session, moments: list[datetime]) -> None:
        for number, moment in enumerate(moments, 1):
            assert resolve(session, f"rows@{moment.isoformat()}").version == number
            assert resolve(session, f"rows@{(moment + timedelta(minutes=59)).isoformat()}").version == number

    def test_before_the_first_there_was_none(self, session: Session, moments: list[datetime]) -> None:
        with pytest.raises(NotFound, match="had no version on 'main'"):
            resolve(session, f"rows@{(moments[0] - timedelta(seconds=1)).isoformat()}")

    def test_zones_are_understood_and_a_time_without_one_is_refused(
        self, session: Session, moments: list[datetime]
    ) -> None:
        local = moments[1].astimezone(UTC).replace(tzinfo=None)
        assert resolve(session, f"rows@{local.isoformat()}Z").version == 2
        with pytest.raises(InvalidInput, match="has no time zone"):
            resolve(session, f"rows@{local.isoformat()}")

    def test_a_branch_that_moved_forward_is_remembered_where_it_was(
        self,
        platform: Platform,
        session: Session,
        clock: SimulatedClock,
        moments: list[datetime],
        commit_rows: CommitRows,
    ) -> None:
        platform.call("datasets.branch", {"name": "rows", "branch": "edit"})
        clock.advance(clock.now() + timedelta(hours=1))
        commit_rows({1: 9}, branch="edit")
        clock.advance(clock.now() + timedelta(hours=1))
        platform.call("datasets.merge", {"name": "rows", "branch": "edit"})
        assert resolve(session, "rows").version == 4
        assert resolve(session, f"rows@{(clock.now() - timedelta(hours=1)).isoformat()}").version == 3

    @pytest.mark.parametrize("reference", ["rows@edit", "rows@gold", "rows@2", "rows", "dataset:default/rows@gold"])
    def test_tags_branches_and_numbers(
        self, platform: Platform, session: Session, moments: list[datetime], reference: str
    ) -> None:
        platform.call("datasets.branch", {"name": "rows", "branch": "edit", "at": 2})
        platform.call("datasets.tag", {"name": "rows", "tag": "gold", "at": "edit"})
        assert resolve(session, reference).version == (3 if reference == "rows" else 2)


def test_a_dataset_without_main_tells_its_branches_and_tags(platform: Platform, commit_files: CommitFiles) -> None:
    name = commit_files({"a": "1"}, "trial").dataset
    assert [branch.name for branch in platform.call("datasets.branches", {"name": name})] == ["trial"]
    assert platform.call("datasets.tags", {"name": name}) == []
