"""Merging branches: which version they are compared with, what comes of it, and that conflicts change nothing."""

from __future__ import annotations

import pyarrow as pa
import pytest

from everloop.app.platform import Platform
from everloop.catalog import lineage
from everloop.catalog.session import Session
from everloop.datasets.content import commit_table, read_table, resolve, snapshot_at, snapshot_of
from everloop.datasets.entities import Change, Snapshot
from everloop.datasets.gates import Candidate, CommitGate
from everloop.datasets.history import service
from everloop.datasets.history.entities import Merge
from everloop.kernel.errors import Conflict, InvalidInput, NotFound, Refused
from tests.datasets.history.conftest import CommitFiles, CommitRows, read_files


def branch(session: Session, dataset: str, name: str, at: int | str = "") -> None:
    with session.begin() as unit:
        service.branch(unit, dataset, name, at)


def rows(session: Session, snapshot: Snapshot) -> dict[int, int]:
    table = read_table(session, snapshot)
    return dict(zip(table["id"].to_pylist(), table["x"].to_pylist(), strict=True))


class TestRows:
    @pytest.fixture
    def parted(self, session: Session, commit_rows: CommitRows) -> None:
        """Main changed row 1 of three and `edit` row 2."""
        commit_rows({1: 10, 2: 20, 3: 30})
        branch(session, "rows", "edit")
        commit_rows({1: 11, 2: 20, 3: 30})
        commit_rows({1: 10, 2: 22, 3: 30}, branch="edit")

    def test_both_sides_edits_are_in_the_merged_version(self, session: Session, parted: None) -> None:
        found = service.merge(session, "rows", "edit", keys=("id",))
        made = snapshot_of(session, "rows")
        assert (found.outcome, found.base, found.ours, found.theirs, found.version) == ("merged", 1, 2, 3, 4)
        assert rows(session, made) == {1: 11, 2: 22, 3: 30}
        assert (made.base, made.branch, made.note) == ((2, 3), "main", "Merge edit into main")

    def test_a_merge_comes_from_both(self, session: Session, parted: None) -> None:
        service.merge(session, "rows", "edit", keys=("id",))
        with session.begin(write=False) as unit:
            edges = lineage.graph(unit, "dataset:default/rows@4", "upstream", 1).edges
        assert [edge.upstream for edge in edges] == ["dataset:default/rows@2", "dataset:default/rows@3"]

    def test_merging_again_does_nothing(self, session: Session, parted: None) -> None:
        service.merge(session, "rows", "edit", keys=("id",))
        again = service.merge(session, "rows", "edit", keys=("id",))
        assert (again.outcome, again.version) == ("nothing", 4)

    def test_the_branch_is_moved_forward_to_the_merge(self, session: Session, parted: None) -> None:
        service.merge(session, "rows", "edit", keys=("id",))
        found = service.merge(session, "rows", "main", into="edit")
        assert (found.outcome, found.version) == ("forwarded", 4)
        assert resolve(session, "rows@edit").version == 4

    def test_what_is_expected_to_be_unique_is_the_key(self, platform: Platform, session: Session, parted: None) -> None:
        expectations = [{"type": "unique", "columns": ["id"]}]
        platform.call("datasets.expect", {"name": "rows", "expectations": expectations})
        assert service.merge(session, "rows", "edit").outcome == "merged"
        assert rows(session, snapshot_of(session, "rows")) == {1: 11, 2: 22, 3: 30}

    def test_a_dry_run_says_what_would_happen_and_does_not(self, session: Session, parted: None) -> None:
        found = service.merge(session, "rows", "edit", keys=("id",), dry_run=True)
        assert (found.outcome, found.version, found.dry_run) == ("merged", 2, True)
        assert snapshot_of(session, "rows").version == 2

    def test_a_gate_can_refuse_a_merge(self, platform: Platform, session: Session, parted: None) -> None:
        class Shut:
            def ask(self, session: Session, candidate: Candidate) -> None:
                assert (candidate.place, candidate.dataset) == ("merge", "rows")
                assert candidate.table is not None
                raise Refused("not today")

        platform.resources.ports.provide(CommitGate, Shut, "shut")
        with pytest.raises(Refused, match="not today"):
            service.merge(session, "rows", "edit", keys=("id",))
        branch(session, "rows", "old", 1)
        with pytest.raises(Refused, match="not today"):
            service.merge(session, "rows", "edit", into="old")
        assert (resolve(session, "rows").version, resolve(session, "rows@old").version) == (2, 1)

    def test_somebody_who_commits_meanwhile_wins(
        self, platform: Platform, session: Session, parted: None, commit_rows: CommitRows
    ) -> None:
        class Slow:
            def ask(self, session: Session, candidate: Candidate) -> None:
                if candidate.place == "merge":
                    commit_rows({9: 9})

        platform.resources.ports.provide(CommitGate, Slow, "slow")
        with pytest.raises(Conflict, match="at version 4, no longer at 2"):
            service.merge(session, "rows", "edit", keys=("id",))
        assert rows(session, snapshot_of(session, "rows")) == {9: 9}


class TestConflicts:
    @pytest.fixture
    def torn(self, session: Session, commit_rows: CommitRows) -> None:
        """Main and `edit` both changed row 2, `edit` row 1 as well."""
        commit_rows({1: 10, 2: 20})
        branch(session, "rows", "edit")
        commit_rows({1: 10, 2: 21})
        commit_rows({1: 11, 2: 22}, branch="edit")

    def test_they_are_listed_and_nothing_changes(self, platform: Platform, session: Session, torn: None) -> None:
        before = platform.call("audit.entries", {})
        found = service.merge(session, "rows", "edit", keys=("id",))
        assert (found.outcome, found.conflicts, found.version) == ("conflicts", 1, 2)
        assert [(each.key, each.base, each.ours, each.theirs) for each in found.listed] == [({"id": 2}, 20, 21, 22)]
        assert platform.call("audit.entries", {}) == before

    @pytest.mark.parametrize(("side", "x"), [("ours", 21), ("theirs", 22)])
    def test_a_side_can_win_them(self, session: Session, torn: None, side: str, x: int) -> None:
        found = service.merge(session, "rows", "edit", keys=("id",), on_conflict=side)  # type: ignore[arg-type]  # One.
        assert (found.outcome, found.conflicts) == ("merged", 1)
        assert rows(session, snapshot_of(session, "rows")) == {1: 11, 2: x}


class TestBases:
    def test_a_branch_without_anything_new_moves_forward(self, session: Session, commit_rows: CommitRows) -> None:
        commit_rows({1: 10})
        branch(session, "rows", "edit")
        ahead = commit_rows({1: 11}, branch="edit")
        assert service.merge(session, "rows", "edit").outcome == "forwarded"
        assert snapshot_of(session, "rows") == ahead

    def test_a_version_can_be_merged_by_its_number(self, session: Session, commit_rows: CommitRows) -> None:
        commit_rows({1: 10, 2: 20})
        branch(session, "rows", "edit")
        first = commit_rows({1: 11, 2: 20}, branch="edit")
        commit_rows({1: 12, 2: 20}, branch="edit")
        commit_rows({1: 10, 2: 21})
        service.merge(session, "rows", str(first.version), keys=("id",))
        assert rows(session, snapshot_of(session, "rows")) == {1: 11, 2: 21}

    def test_after_merges_in_both_directions_the_newest_common_version_is_the_base(
        self, session: Session, commit_rows: CommitRows
    ) -> None:
        commit_rows({1: 10, 2: 20, 3: 30})
        branch(session, "rows", "edit")
        commit_rows({1: 11, 2: 20, 3: 30})
        commit_rows({1: 10, 2: 22, 3: 30}, branch="edit")
        branch(session, "rows", "other", "edit")
        service.merge(session, "rows", "edit", keys=("id",))
        service.merge(session, "rows", "2", into="other", keys=("id",))
        crossed = service.merge(session, "rows", "other", keys=("id",))
        assert (crossed.base, crossed.outcome) == (3, "merged")
        assert rows(session, snapshot_of(session, "rows")) == {1: 11, 2: 22, 3: 30}

    def test_an_octopus_is_merged_arm_by_arm(self, session: Session, commit_rows: CommitRows) -> None:
        commit_rows(dict.fromkeys(range(4), 0))
        for arm in range(4):
            branch(session, "rows", f"arm{arm}", 1)
            commit_rows({n: int(n == arm) for n in range(4)}, branch=f"arm{arm}")
        for arm in range(4):
            service.merge(session, "rows", f"arm{arm}", keys=("id",))
        assert rows(session, snapshot_of(session, "rows")) == dict.fromkeys(range(4), 1)

    def test_a_side_that_was_reverted_takes_the_others_content(self, session: Session, commit_rows: CommitRows) -> None:
        commit_rows({1: 10})
        branch(session, "rows", "edit")
        commit_rows({1: 11})
        service.revert(session, "rows", 1)
        edited = commit_rows({1: 12}, branch="edit")
        service.merge(session, "rows", "edit", keys=("id",))
        assert snapshot_of(session, "rows").digest == edited.digest


class TestFiles:
    def test_files_of_both_sides_meet(self, session: Session, commit_files: CommitFiles) -> None:
        commit_files({"a": "1", "b": "2"})
        branch(session, "files", "edit")
        commit_files({"a": "1!", "b": "2"})
        commit_files({"a": "1", "c/d": "3"}, branch="edit")
        found = service.merge(session, "files", "edit")
        made = snapshot_of(session, "files")
        assert (found.outcome, found.kind, made.files, made.bytes) == ("merged", "files", 2, 3)
        assert read_files(session, made.digest) == {"a": "1!", "c/d": "3"}

    def torn(self, session: Session, commit_files: CommitFiles, name: str, texts: tuple[str, str, str]) -> None:
        commit_files({name: texts[0]})
        branch(session, "files", "edit")
        commit_files({name: texts[1]})
        commit_files({name: texts[2]}, branch="edit")

    CSV = ("id,x\n1,007\n2,\n", "id,x\n1,007\n2,b\n", 'id,x\n1,007\n2,\n3,"a,b"\n')

    def test_a_csv_file_that_both_changed_is_merged_by_its_rows(
        self, session: Session, commit_files: CommitFiles
    ) -> None:
        self.torn(session, commit_files, "t.csv", self.CSV)
        assert service.merge(session, "files", "edit", keys=("id",)).outcome == "merged"
        files = read_files(session, snapshot_of(session, "files").digest)
        assert files == {"t.csv": 'id,x\n1,007\n2,b\n3,"a,b"\n'}

    @pytest.mark.parametrize(("name", "keys"), [("t.csv", ()), ("t.txt", ("id",)), ("t.csv", ("no such",))])
    def test_any_other_file_is_a_conflict_as_a_whole(
        self, session: Session, commit_files: CommitFiles, name: str, keys: tuple[str, ...]
    ) -> None:
        self.torn(session, commit_files, name, self.CSV)
        found = service.merge(session, "files", "edit", keys=keys)
        assert [(each.path, each.reason) for each in found.listed] == [(name, "both sides changed it")]

    def test_conflicts_in_rows_of_a_file_name_the_file(self, session: Session, commit_files: CommitFiles) -> None:
        self.torn(session, commit_files, "t.csv", ("id,x\n1,a\n", "id,x\n1,b\n", "id,x\n1,c\n"))
        (conflict,) = service.merge(session, "files", "edit", keys=("id",)).listed
        assert (conflict.path, conflict.key, conflict.ours, conflict.theirs) == ("t.csv", {"id": "1"}, "b", "c")

    def test_a_table_is_not_merged_with_files(self, session: Session, commit_files: CommitFiles) -> None:
        commit_files({"a": "1"})
        branch(session, "files", "edit")
        commit_files({"a": "2"})
        commit_table(session, "files", pa.table({"a": [1]}), Change(branch="edit"))
        with pytest.raises(InvalidInput, match="holds files and files@3 table"):
            service.merge(session, "files", "edit")


def test_what_is_not_there_cannot_be_merged(session: Session, commit_rows: CommitRows) -> None:
    commit_rows({1: 1})
    with pytest.raises(NotFound, match="no tag and no branch 'edit'"):
        service.merge(session, "rows", "edit")
    with pytest.raises(NotFound, match="no branch 'edit'"):
        service.merge(session, "rows", "main", into="edit")
    with pytest.raises(NotFound, match="no dataset 'none'"):
        service.merge(session, "none", "main")


def test_every_version_has_its_commit_with_its_parents(session: Session, commit_rows: CommitRows) -> None:
    commit_rows({1: 10, 2: 20})
    branch(session, "rows", "edit")
    commit_rows({1: 11, 2: 20})
    commit_rows({1: 10, 2: 22}, branch="edit")
    found: Merge = service.merge(session, "rows", "edit", keys=("id",))
    assert [each.version for each in service_log(session, found.version)] == [4, 3, 2, 1]
    assert [each.version for each in service_log(session, 3)] == [3, 1]


def service_log(session: Session, at: int) -> list[Snapshot]:
    from everloop.datasets.service import log

    with session.begin(write=False) as unit:
        assert snapshot_at(unit, "rows", at).version == at
        return log(unit, "rows", at)
