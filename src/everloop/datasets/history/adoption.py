"""Taking in versions from another platform, by their commit objects; they get the next numbers here."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from sqlalchemy import select

from everloop.catalog.session import Session
from everloop.datasets.content import insert_version, newest_version, urn_of
from everloop.datasets.entities import Snapshot
from everloop.datasets.history.commits import Commit, read_commit
from everloop.datasets.history.entities import SnapshotAdopted
from everloop.datasets.tables import snapshots
from everloop.store.entities import Digest


def adopt(session: Session, commits: Iterable[Digest]) -> list[Snapshot]:
    """Make snapshots of commits whose objects are in the store, and of all that led to them.

    Those that are here already stay as they are. New ones are numbered parents first, so numbers are local; branches
    and tags do not move. Returns the snapshots of the commits that were named, in their order.

    Raises:
        NotFound: the store lacks the commit object of one or of something that led to it.
        Corrupted: what it has there is no commit.
    """
    wanted = list(dict.fromkeys(commits))
    with session.begin(write=False) as unit:
        unknown = _unknown(unit, wanted)
    with session.begin() as unit:
        for digest, commit in unknown:
            if known_as(unit, digest) is None:
                _take_in(unit, digest, commit)
        found = [known_as(unit, digest) for digest in wanted]
    return [snapshot for snapshot in found if snapshot is not None]


def known_as(unit: Session, commit: Digest) -> Snapshot | None:
    """The snapshot here that has a commit, if there is one."""
    here = (snapshots.c.project == unit.project) & (snapshots.c.commit == commit)
    return unit.first(Snapshot, select(snapshots).where(here))


def _unknown(unit: Session, wanted: Sequence[Digest]) -> list[tuple[Digest, Commit]]:
    """The commits that are not here, parents first."""
    found: dict[Digest, Commit] = {}
    ordered: list[tuple[Digest, Commit]] = []
    waiting = [(digest, False) for digest in reversed(wanted)]
    while waiting:
        digest, parents_done = waiting.pop()
        if parents_done:
            ordered.append((digest, found[digest]))
        elif digest not in found and known_as(unit, digest) is None:
            found[digest] = read_commit(unit.store, digest)
            waiting.append((digest, True))
            waiting += [(parent, False) for parent in reversed(found[digest].parents)]
    return ordered


def _take_in(unit: Session, digest: Digest, commit: Commit) -> None:
    base = [known_as(unit, parent) for parent in commit.parents]
    sources = [known_as(unit, source) for source in commit.sources]
    snapshot = Snapshot(
        dataset=commit.dataset,
        version=newest_version(unit, commit.dataset) + 1,
        digest=commit.digest,
        rows=commit.rows,
        bytes=commit.bytes,
        columns=commit.columns,
        parents=tuple(urn_of(unit, source) for source in sources if source),
        note=commit.note,
        created=commit.created,
        kind=commit.kind,
        files=commit.files,
        base=tuple(parent.version for parent in base if parent),
        branch=commit.branch,
        author=commit.author,
        commit=digest,
        layers=commit.layers,
        selection=commit.selection,
        foreign=commit.foreign,
    )
    insert_version(unit, snapshot, None)
    unit.emit(SnapshotAdopted(subject=urn_of(unit, snapshot), commit=digest))
