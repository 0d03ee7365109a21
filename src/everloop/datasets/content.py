"""The rows of snapshots: tables into the store as new versions, and out of it verified."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Literal

import msgspec
from sqlalchemy import select, update

from everloop.catalog.lineage import link
from everloop.catalog.session import Session
from everloop.datasets import partprofiles, reads
from everloop.datasets.engine import TableEngine
from everloop.datasets.entities import (
    At,
    Change,
    Column,
    Content,
    Dataset,
    Layer,
    Profile,
    Selection,
    Snapshot,
    SnapshotCommitted,
)
from everloop.datasets.formats import normalised
from everloop.datasets.gates import Candidate, before_commit
from everloop.datasets.history.commits import keep_commit, write_commit
from everloop.datasets.history.filediff import Extent, extent
from everloop.datasets.history.heads import MAIN, head_of, move
from everloop.datasets.history.references import version_at
from everloop.datasets.parquet import put_table
from everloop.datasets.tablecache import cache_of
from everloop.datasets.tables import datasets, profiles, snapshots
from everloop.kernel.errors import Conflict, InvalidInput, NotFound
from everloop.store.entities import Digest

if TYPE_CHECKING:
    import pyarrow as pa


def write_table(session: Session, name: str, table: pa.Table, parents: Sequence[str] = (), note: str = "") -> Snapshot:
    """Commit a table as a version of a dataset (made if it is new), as the steps of pipelines do.

    Content that some version has already gives that version, so there are no twins. Types are made plain first
    (`formats.normalised`). `parents` are the URNs of what the table came from.

    Raises:
        InvalidInput: two columns have one name, or there are none.
    """
    plain = normalised(table)
    part = put_table(session.store, plain)
    with session.begin() as unit:
        twin = _with_content(unit, name, part.digest, parents)
    if twin is not None:
        reads.wrote(twin)
        return twin
    content = table_content(session, plain, part.digest, part.bytes)
    before_commit(session, Candidate(name, MAIN, content, plain))
    return write_content(session, name, content, Change(note, tuple(parents)))


def write_content(session: Session, name: str, content: Content, change: Change) -> Snapshot:
    """The version of a dataset that has this content already, or else the next one."""
    with session.begin() as unit:
        twin = _with_content(unit, name, content.digest, change.parents)
        made = twin or add_version(unit, name, content, change)
    reads.wrote(made)
    return made


def commit_table(session: Session, name: str, table: pa.Table, change: Change) -> Snapshot:
    """Commit a table as the next version of a branch, as people do: older content again is a version of its own.

    Raises:
        InvalidInput: two columns have one name, or there are none.
        Conflict: the branch's head is no longer the `base` of the change.
    """
    plain = normalised(table)
    part = put_table(session.store, plain)
    return commit_content(session, name, table_content(session, plain, part.digest, part.bytes), change, plain)


def commit_content(
    session: Session,
    name: str,
    content: Content,
    change: Change,
    rows: pa.Table | Callable[[], pa.Table] | None = None,
) -> Snapshot:
    """Commit content that is in the store as the next version of a branch, if every gate lets it pass.

    `rows` are those of a table, or a way to get them should a gate ask.

    Raises:
        Refused: a gate said no.
        Conflict: the branch's head is no longer the `base` of the change.
    """
    place: Literal["commit", "merge"] = "merge" if len(change.base) > 1 else "commit"
    before_commit(session, Candidate(name, change.branch, content, rows, place))
    with session.begin() as unit:
        made = add_version(unit, name, content, change)
    reads.wrote(made)
    return made


def commit_tree(session: Session, name: str, digest: Digest, change: Change) -> Snapshot:
    """Commit a tree of files that is in the store as the next version of a branch.

    Raises:
        NotFound: the store has no such tree.
        Conflict: the branch's head is no longer the `base` of the change.
    """
    with session.begin(write=False) as unit:
        head = head_of(unit, name, change.branch)
        before = snapshot_of(unit, name, head) if head else None
    known = (before.digest, Extent(before.files, before.bytes)) if before and before.kind == "files" else None
    session.store.rely([digest])  # It may have been put long ago, so that a sweep is about to take it.
    size = extent(session.store, digest, known)
    return commit_content(session, name, Content("files", digest, size.bytes, files=size.files), change)


def add_version(unit: Session, name: str, content: Content, change: Change) -> Snapshot:
    """Make content that is in the store the next version of a branch; what its head holds already gives the head.

    Raises:
        Conflict: the branch's head is no longer the `base` of the change.
        NotFound: there is no such branch, and the dataset has others.
    """
    head = head_of(unit, name, change.branch)
    known = snapshot_of(unit, name, head) if head else None
    if known is not None and known.digest == content.digest and len(change.base) < 2:
        keep_commit(unit, known)
        _link_parents(unit, known, change.parents)
        return known
    newest = newest_version(unit, name)
    if change.base and change.base[0] != head:
        raise Conflict(
            f"Branch {change.branch!r} of {name!r} is at version {head}, no longer at {change.base[0]}: "
            "somebody else committed meanwhile.",
            hint="Take their version in (merge it with yours), then commit again.",
        )
    if newest and not head and change.branch != MAIN:
        raise NotFound(f"Dataset {name!r} has no branch {change.branch!r}.", hint="Make it with datasets.branch.")
    return _add(
        unit,
        Snapshot(
            dataset=name,
            version=newest + 1,
            digest=content.digest,
            rows=content.rows,
            bytes=content.bytes,
            columns=content.columns,
            parents=change.parents,
            note=change.note,
            created=unit.clock.now(),
            kind=content.kind,
            files=content.files,
            base=change.base or ((head,) if head else ()),
            branch=change.branch,
            author=unit.principal,
            layers=content.layers,
            selection=content.selection,
            foreign=content.foreign,
        ),
        content.profile,
    )


def read_table(session: Session, snapshot: Snapshot, columns: Sequence[str] | None = None) -> pa.Table:
    """The rows of a snapshot, verified: the columns asked for, in that order, or all of them.

    Columns that were read lately stay in memory (`tablecache`) and cost nothing to read again.

    Raises:
        InvalidInput: the snapshot has no such column, or holds files.
        NotFound: the snapshot was purged.
        Corrupted: the bytes in the store are not what was committed.
    """
    require_kept(require_table(snapshot))
    reads.read(snapshot)
    known = [column.name for column in snapshot.columns]
    wanted = known if columns is None else list(columns)
    unknown = [name for name in wanted if name not in known]
    if unknown:
        raise InvalidInput(
            f"{snapshot.dataset}@{snapshot.version} has no column {', '.join(unknown)}.",
            hint=f"It has {', '.join(known)}.",
        )
    return _rows(session, snapshot, wanted)


def snapshot_of(session: Session, name: str, version: int = 0, branch: str = MAIN) -> Snapshot:
    """A version of a dataset; 0 is where the branch stands.

    Raises:
        NotFound: there is no such dataset, version or branch.
    """
    with session.begin(write=False) as unit:
        wanted = version or head_of(unit, name, branch)
        here = (snapshots.c.project == unit.project) & (snapshots.c.dataset == name)
        found = unit.first(Snapshot, select(snapshots).where(here & (snapshots.c.version == wanted)))
        if found is not None:
            return found
        newest = newest_version(unit, name)
    if not newest:
        raise NotFound(f"There is no dataset {name!r}.", hint="everloop datasets list shows what there is.")
    if not version:
        raise NotFound(f"Dataset {name!r} has no branch {branch!r}.", hint=f"everloop datasets branches {name}.")
    raise NotFound(f"Dataset {name!r} has no version {version}.", hint=f"Its newest is {newest}.")


def snapshot_at(session: Session, name: str, at: At = "") -> Snapshot:
    """The version of a dataset that stands behind the @ of a reference: a number, a tag, a branch or a time.

    Raises:
        InvalidInput: it is none of these.
        NotFound: there is no such dataset, version, tag or branch.
    """
    with session.begin(write=False) as unit:
        snapshot_of(unit, name, newest_version(unit, name))
        return snapshot_of(unit, name, version_at(unit, name, str(at)) if at else 0)


def columns_at(session: Session, name: str, branch: str) -> tuple[Column, ...]:
    """The columns that the table at a branch's head has; none if there is no such branch, or it holds files."""
    with session.begin(write=False) as unit:
        head = head_of(unit, name, branch)
        return snapshot_of(unit, name, head).columns if head else ()


def come_from(session: Session, source: str) -> tuple[str, ...]:
    """What a new version came from, as its parents: the version that a reference names, if one is given."""
    if not source:
        return ()
    with session.begin(write=False) as unit:
        return (urn_of(unit, resolve(unit, source)),)


def resolve(session: Session, reference: str) -> Snapshot:
    """The snapshot that a reference of this project names.

    `flights` is the newest of main, `flights@2` a version, `flights@tag`, `flights@branch`, and
    `flights@2013-05-01T00:00:00Z` what main was then; a URN `dataset:project/flights@2` is a reference too.

    Raises:
        InvalidInput: the reference is not of these forms, or of another project.
        NotFound: there is no such dataset, version, tag or branch.
    """
    name, _, at = reference.removeprefix(f"dataset:{session.project}/").partition("@")
    if ":" in name:
        raise InvalidInput(
            f"{reference!r} does not name a snapshot of project {session.project!r}.",
            hint="Write flights, flights@2, flights@tag, flights@branch or flights@2013-05-01T00:00:00Z.",
        )
    return snapshot_at(session, name, at)


def content_of(unit: Session, snapshot: Snapshot) -> Content:
    """What a snapshot holds, for another version that is to hold it too."""
    here = (profiles.c.project == unit.project) & (profiles.c.dataset == snapshot.dataset)
    found = unit.scalars(select(profiles.c.profile).where(here & (profiles.c.version == snapshot.version)))
    return Content(
        kind=snapshot.kind,
        digest=snapshot.digest,
        bytes=snapshot.bytes,
        rows=snapshot.rows,
        files=snapshot.files,
        columns=snapshot.columns,
        profile=found[0] if found else None,
        layers=snapshot.layers,
        selection=snapshot.selection,
        foreign=snapshot.foreign,
    )


def table_content(
    session: Session, table: pa.Table, digest: Digest, size: int, layers: tuple[Layer, ...] = ()
) -> Content:
    """What is known of a normalised table that is in the store."""
    profile, sketch = session.ports.get(TableEngine).profiled(table)
    if not layers:
        partprofiles.keep(session, digest, sketch)
    columns = tuple(Column(column.name, column.type, column.nulls > 0) for column in profile.columns)
    return Content("table", digest, size, table.num_rows, columns=columns, profile=profile, layers=layers)


def require_files(snapshot: Snapshot) -> Snapshot:
    """The snapshot, if it holds files.

    Raises:
        InvalidInput: it is a table.
    """
    if snapshot.kind != "files":
        raise InvalidInput(f"{snapshot.dataset}@{snapshot.version} is a table.", hint="Its rows: datasets.preview.")
    return snapshot


def require_table(snapshot: Snapshot) -> Snapshot:
    """The snapshot, if it is a table.

    Raises:
        InvalidInput: it holds files.
    """
    if snapshot.kind != "table":
        raise InvalidInput(f"{snapshot.dataset}@{snapshot.version} holds files.", hint="List them: datasets.files.")
    return snapshot


def require_kept(snapshot: Snapshot) -> None:
    """Make sure that a version was not purged.

    Raises:
        NotFound: it was; the message says when, by whom and why.
    """
    gone = snapshot.purged
    if gone is not None:
        name = f"{snapshot.dataset}@{snapshot.version}"
        raise NotFound(f"{name} was purged on {gone.at:%Y-%m-%d} by {gone.by}: {gone.reason}")


def profile_of(session: Session, snapshot: Snapshot) -> Profile:
    """What the columns of a snapshot hold: as it was committed, added up from its parts, or counted now."""
    here = (profiles.c.project == session.project) & (profiles.c.dataset == snapshot.dataset)
    with session.begin(write=False) as unit:
        kept = unit.scalars(select(profiles.c.profile).where(here & (profiles.c.version == snapshot.version)))
    if kept:
        committed: Profile = kept[0]
        return committed
    added_up = partprofiles.profile_of_parts(session, snapshot)
    return added_up or session.ports.get(TableEngine).profile(read_table(session, snapshot))


def urn_of(session: Session, snapshot: Snapshot) -> str:
    """The URN of a snapshot."""
    return session.urn("dataset", snapshot.dataset, snapshot.version)


def _rows(session: Session, snapshot: Snapshot, columns: Sequence[str]) -> pa.Table:
    if snapshot.selection is not None:
        return _selected(session, snapshot, snapshot.selection, columns)
    if snapshot.foreign is not None:
        from everloop.datasets.foreign.places import read

        return read(session, snapshot.digest, columns)
    return cache_of(session.store).rows(session.store, snapshot.digest, snapshot.layers, columns)


def _selected(session: Session, snapshot: Snapshot, selection: Selection, columns: Sequence[str]) -> pa.Table:
    """The rows of a part of a split, out of those of its source."""
    import pyarrow as pa

    from everloop.datasets.splits.selection import unpacked

    source = msgspec.structs.replace(snapshot, digest=selection.source, selection=None)
    return _rows(session, source, columns).filter(pa.array(unpacked(session.store.get(selection.rows))))


def _with_content(unit: Session, name: str, digest: Digest, parents: Sequence[str]) -> Snapshot | None:
    """The version that has this content already; new parents are added to its lineage."""
    here = (snapshots.c.project == unit.project) & (snapshots.c.dataset == name) & (snapshots.c.digest == digest)
    twin = unit.first(Snapshot, select(snapshots).where(here).order_by(snapshots.c.version.desc()))
    if twin is not None:
        keep_commit(unit, twin)
        _link_parents(unit, twin, parents)
    return twin


def insert_version(unit: Session, snapshot: Snapshot, profile: Profile | None) -> None:
    """Keep a snapshot that has its number and its commit object; no branch moves."""
    here = (datasets.c.project == unit.project) & (datasets.c.name == snapshot.dataset)
    if not unit.execute(update(datasets).where(here).values(latest=snapshot.version)):
        unit.insert(datasets, Dataset(snapshot.dataset, "", snapshot.version, snapshot.created))
    unit.insert(snapshots, snapshot)
    if profile is not None:
        unit.insert(profiles, {"dataset": snapshot.dataset, "version": snapshot.version, "profile": profile})
    _link_parents(unit, snapshot, snapshot.parents)


def _add(unit: Session, draft: Snapshot, profile: Profile | None) -> Snapshot:
    snapshot = msgspec.structs.replace(draft, commit=write_commit(unit, draft))
    insert_version(unit, snapshot, profile)
    move(unit, snapshot.dataset, snapshot.branch, snapshot.version)
    unit.emit(
        SnapshotCommitted(
            subject=urn_of(unit, snapshot), digest=snapshot.digest, rows=snapshot.rows, parents=snapshot.parents
        )
    )
    return snapshot


def _link_parents(unit: Session, snapshot: Snapshot, parents: Sequence[str]) -> None:
    urn = urn_of(unit, snapshot)
    for parent in parents:
        if parent != urn:
            link(unit, urn, parent, "derived_from")


def newest_version(unit: Session, name: str) -> int:
    """The highest number that a version of a dataset has, on whichever branch; 0 when there is no such dataset."""
    here = (datasets.c.project == unit.project) & (datasets.c.name == name)
    found = unit.first(Dataset, select(datasets).where(here))
    return found.latest if found else 0
