"""Commits that travel: another platform makes the same history of them, with numbers of its own."""

from __future__ import annotations

import msgspec
import pytest
from sqlalchemy import update

from everloop.app.platform import Platform
from everloop.catalog.session import Session
from everloop.datasets.content import read_table, snapshot_of, urn_of, write_table
from everloop.datasets.entities import Snapshot
from everloop.datasets.history import service
from everloop.datasets.history.adoption import adopt
from everloop.datasets.history.commits import commit_of, read_commit
from everloop.datasets.tables import snapshots
from everloop.kernel.errors import Corrupted, NotFound
from everloop.store.entities import Digest
from tests.datasets.history.conftest import CommitRows

LOCAL = ("version", "base", "parents")


@pytest.fixture
def other(platform: Platform) -> Session:
    """Another project on the same store: it knows nothing of the first one's versions."""
    return platform.session(project="other")


@pytest.fixture
def merged(session: Session, commit_rows: CommitRows) -> Snapshot:
    """Two sides and their merge, version 4."""
    commit_rows({1: 10, 2: 20})
    with session.begin() as unit:
        service.branch(unit, "rows", "edit")
    commit_rows({1: 11, 2: 20})
    commit_rows({1: 10, 2: 22}, branch="edit")
    service.merge(session, "rows", "edit", keys=("id",))
    return snapshot_of(session, "rows")


def shared(snapshot: Snapshot) -> dict[str, object]:
    """What a snapshot is on every platform."""
    return {name: value for name, value in msgspec.structs.asdict(snapshot).items() if name not in LOCAL}


def test_the_whole_history_comes_along_parents_first(session: Session, other: Session, merged: Snapshot) -> None:
    (taken,) = adopt(other, [Digest(merged.commit)])
    assert (taken.version, taken.base) == (4, (2, 3))
    for number in range(1, 5):
        assert shared(snapshot_of(other, "rows", number)) == shared(snapshot_of(session, "rows", number))
    assert read_table(other, taken).equals(read_table(session, merged))


def test_nothing_comes_twice(other: Session, merged: Snapshot) -> None:
    first = adopt(other, [Digest(merged.commit)])
    assert adopt(other, [Digest(merged.commit), Digest(merged.commit)]) == first
    with other.begin(write=False) as unit:
        assert len(unit.scalars(snapshots.select().where(snapshots.c.project == "other"))) == 4


def test_numbers_are_local(session: Session, other: Session, merged: Snapshot, commit_rows: CommitRows) -> None:
    own = write_table(other, "rows", read_table(session, merged))
    (taken,) = adopt(other, [Digest(merged.commit)])
    assert (own.version, taken.version, taken.base) == (1, 5, (3, 4))
    assert snapshot_of(other, "rows") == own


def test_an_adopted_version_has_a_profile(
    session: Session, other: Session, platform: Platform, merged: Snapshot
) -> None:
    adopt(other, [Digest(merged.commit)])
    here = platform.call("datasets.profile", {"name": "rows", "version": 4})
    there = platform.call("datasets.profile", {"name": "rows", "version": 4}, project="other")
    assert there == here


def test_sources_that_came_too_are_found_again(session: Session, other: Session, merged: Snapshot) -> None:
    child = write_table(session, "child", read_table(session, merged).slice(1), [urn_of(session, merged)])
    adopt(other, [Digest(merged.commit)])
    (taken,) = adopt(other, [Digest(child.commit)])
    assert taken.parents == ("dataset:other/rows@4",)


def test_each_is_in_the_ledger(other: Session, platform: Platform, merged: Snapshot) -> None:
    adopt(other, [Digest(merged.commit)])
    entries = platform.call("audit.entries", {"kind": "datasets.snapshot_adopted"}, project="other")
    assert len(entries) == 4


def test_what_is_not_there_is_not_found_and_what_is_no_commit_is_refused(session: Session, merged: Snapshot) -> None:
    with pytest.raises(NotFound):
        adopt(session, [Digest("0" * 64)])
    with pytest.raises(Corrupted, match="no commit of a dataset"):
        adopt(session, [merged.digest])


class TestCommits:
    def test_a_commit_says_what_a_version_is_without_local_numbers(self, session: Session, merged: Snapshot) -> None:
        commit = read_commit(session.store, Digest(merged.commit))
        assert (commit.dataset, commit.digest, commit.note) == ("rows", merged.digest, "Merge edit into main")
        assert commit.parents == tuple(snapshot_of(session, "rows", number).commit for number in merged.base)
        assert commit.sources == commit.parents

    def test_its_bytes_are_frozen(self, session: Session) -> None:
        import pyarrow as pa

        commit = write_table(session, "t", pa.table({"a": [1]}), note="first").commit
        names = msgspec.json.decode(session.store.get(Digest(commit)))
        assert names["everloop"] == "commit/1"
        assert sorted(names) == [
            *("author", "branch", "bytes", "columns", "created", "dataset", "digest", "everloop"),
            *("files", "kind", "note", "parents", "rows", "sources"),
        ]

    def test_versions_from_before_get_theirs_when_it_is_asked_for(
        self, session: Session, commit_rows: CommitRows
    ) -> None:
        for number in range(3):
            commit_rows({1: number})
        with session.begin() as unit:
            unit.execute(update(snapshots).values(commit="", base=()))
            newest = commit_of(unit, "rows", 3)
        chain = [read_commit(session.store, newest)]
        while chain[-1].parents:
            chain.append(read_commit(session.store, chain[-1].parents[0]))
        assert len(chain) == 3
        assert snapshot_of(session, "rows", 3).base == (2,)
