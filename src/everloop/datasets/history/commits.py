"""Commit objects: what a version is, in the store, without the numbers of one platform; what push and pull move."""

from __future__ import annotations

from datetime import datetime

import msgspec
from sqlalchemy import select, update

from everloop.catalog.session import Session
from everloop.datasets.entities import Column, Foreign, Kind, Layer, Selection, Snapshot
from everloop.datasets.history.ancestry import made_from
from everloop.datasets.tables import snapshots
from everloop.kernel.errors import Corrupted, NotFound
from everloop.store.entities import Digest
from everloop.store.service import Store


class Commit(msgspec.Struct, frozen=True, omit_defaults=True, tag_field="everloop", tag="commit/1"):
    """A version of a dataset as everybody sees it: its content, and the addresses of the commits that it was made from.

    `sources` are the commits of the snapshots of datasets that the content was derived from.
    """

    dataset: str
    kind: Kind
    digest: Digest
    rows: int
    bytes: int
    files: int
    columns: tuple[Column, ...]
    parents: tuple[Digest, ...]
    sources: tuple[Digest, ...]
    branch: str
    author: str
    note: str
    created: datetime
    layers: tuple[Layer, ...] = ()
    selection: Selection | None = None
    foreign: Foreign | None = None


_decoder = msgspec.json.Decoder(Commit)


def write_commit(unit: Session, snapshot: Snapshot) -> Digest:
    """Put the commit object of a snapshot into the store; those of the versions that it was made from exist first."""
    commit = Commit(
        dataset=snapshot.dataset,
        kind=snapshot.kind,
        digest=snapshot.digest,
        rows=snapshot.rows,
        bytes=snapshot.bytes,
        files=snapshot.files,
        columns=snapshot.columns,
        parents=tuple(commit_of(unit, snapshot.dataset, version) for version in snapshot.base),
        sources=_sources(unit, snapshot.parents),
        branch=snapshot.branch,
        author=snapshot.author,
        note=snapshot.note,
        created=snapshot.created,
        layers=snapshot.layers,
        selection=snapshot.selection,
        foreign=snapshot.foreign,
    )
    return unit.store.put(msgspec.json.encode(commit, order="deterministic"))


def keep_commit(unit: Session, snapshot: Snapshot) -> None:
    """Put the commit object of a version again, if the store has lost it."""
    if snapshot.commit and not unit.store.has(Digest(snapshot.commit)):
        write_commit(unit, snapshot)


def read_commit(store: Store, digest: Digest) -> Commit:
    """The commit at an address.

    Raises:
        NotFound: the store has nothing there.
        Corrupted: what it has there is no commit.
    """
    try:
        return _decoder.decode(store.get(digest))
    except msgspec.DecodeError as error:
        raise Corrupted(f"Object {digest} is no commit of a dataset ({error}).") from None


def commit_of(unit: Session, name: str, version: int) -> Digest:
    """The address of a version's commit object; written now for versions from before there were any."""
    here = (snapshots.c.project == unit.project) & (snapshots.c.dataset == name)
    found = unit.scalars(select(snapshots.c.commit).where(here & (snapshots.c.version == version)))
    if not found:
        raise NotFound(f"Dataset {name!r} has no version {version}.")
    if not found[0]:
        _write_missing(unit, name, version)
        return commit_of(unit, name, version)
    return Digest(found[0])


def _write_missing(unit: Session, name: str, until: int) -> None:
    """Write the commits of the versions up to one that have none, the oldest first."""
    here = (snapshots.c.project == unit.project) & (snapshots.c.dataset == name)
    query = select(snapshots).where(here & (snapshots.c.version <= until) & (snapshots.c.commit == ""))
    for snapshot in unit.all(Snapshot, query.order_by(snapshots.c.version)):
        base = made_from(snapshot.version, snapshot.base, snapshot.commit)
        digest = write_commit(unit, msgspec.structs.replace(snapshot, base=base))
        row = here & (snapshots.c.version == snapshot.version)
        unit.execute(update(snapshots).where(row).values(commit=digest, base=base))


def _sources(unit: Session, parents: tuple[str, ...]) -> tuple[Digest, ...]:
    """The commits of those parents that are snapshots of this project."""
    found: list[str] = []
    for parent in parents:
        kind, _, rest = parent.partition(f":{unit.project}/")
        name, _, version = rest.rpartition("@")
        here = (snapshots.c.project == unit.project) & (snapshots.c.dataset == name)
        if kind == "dataset" and version.isdecimal():
            found += unit.scalars(select(snapshots.c.commit).where(here & (snapshots.c.version == int(version))))
    return tuple(Digest(commit) for commit in found if commit)
