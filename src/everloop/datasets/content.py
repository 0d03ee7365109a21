"""The rows of snapshots: tables into the store as new versions, and out of it verified."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Sequence
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from sqlalchemy import select, update

from everloop.catalog.lineage import link
from everloop.catalog.session import Session
from everloop.datasets import reads
from everloop.datasets.engine import TableEngine
from everloop.datasets.entities import Column, Dataset, Profile, Snapshot, SnapshotCommitted
from everloop.datasets.formats import normalised, to_parquet
from everloop.datasets.tables import datasets, profiles, snapshots
from everloop.kernel.errors import InvalidInput, NotFound
from everloop.store.entities import Digest
from everloop.store.service import Store

if TYPE_CHECKING:
    import pyarrow as pa

CACHE_BYTES = 256 << 20
"""How many bytes of tables that were read lately are kept in memory, for each store."""


def write_table(session: Session, name: str, table: pa.Table, parents: Sequence[str] = (), note: str = "") -> Snapshot:
    """Commit a table as a version of a dataset (made if it is new).

    Content that some version has already gives that version, so there are no twins. Types are made plain first
    (`formats.normalised`). `parents` are the URNs of what the table came from.

    Raises:
        InvalidInput: two columns have one name, or there are none.
    """
    plain = normalised(table)
    data = to_parquet(plain)
    digest = session.store.put(data)
    with session.begin() as unit:
        twin = _with_content(unit, name, digest, parents)
    if twin is not None:
        reads.wrote(twin)
        return twin
    profile = session.ports.get(TableEngine).profile(plain)
    with session.begin() as unit:
        made = _with_content(unit, name, digest, parents) or _add(
            unit,
            Snapshot(
                dataset=name,
                version=_next_version(unit, name),
                digest=digest,
                rows=plain.num_rows,
                bytes=len(data),
                columns=tuple(Column(column.name, column.type, column.nulls > 0) for column in profile.columns),
                parents=tuple(parents),
                note=note,
                created=unit.clock.now(),
            ),
            profile,
        )
    reads.wrote(made)
    return made


def read_table(session: Session, snapshot: Snapshot, columns: Sequence[str] | None = None) -> pa.Table:
    """The rows of a snapshot, verified: the columns asked for, in that order, or all of them.

    Columns that were read lately stay in memory (`CACHE_BYTES`) and cost nothing to read again.

    Raises:
        InvalidInput: the snapshot has no such column.
        Corrupted: the bytes in the store are not what was committed.
    """
    reads.read(snapshot)
    known = [column.name for column in snapshot.columns]
    wanted = known if columns is None else list(columns)
    unknown = [name for name in wanted if name not in known]
    if unknown:
        raise InvalidInput(
            f"{snapshot.dataset}@{snapshot.version} has no column {', '.join(unknown)}.",
            hint=f"It has {', '.join(known)}.",
        )
    return _cache_of(session.store).read(session.store, snapshot.digest, wanted)


def snapshot_of(session: Session, name: str, version: int = 0) -> Snapshot:
    """A version of a dataset; 0 is the newest.

    Raises:
        NotFound: there is no such dataset or version.
    """
    query = select(snapshots).where((snapshots.c.project == session.project) & (snapshots.c.dataset == name))
    if version:
        query = query.where(snapshots.c.version == version)
    with session.begin(write=False) as unit:
        found = unit.first(Snapshot, query.order_by(snapshots.c.version.desc()))
        if found is not None:
            return found
        dataset = _dataset(unit, name)
    if dataset is None:
        raise NotFound(f"There is no dataset {name!r}.", hint="everloop datasets list shows what there is.")
    raise NotFound(f"Dataset {name!r} has no version {version}.", hint=f"Its newest is {dataset.latest}.")


def resolve(session: Session, reference: str) -> Snapshot:
    """The snapshot that `flights` (the newest), `flights@2` or a URN `dataset:project/flights@2` of this project names.

    Raises:
        InvalidInput: the reference is not of these forms, or of another project.
        NotFound: there is no such dataset or version.
    """
    name, _, version = reference.removeprefix(f"dataset:{session.project}/").partition("@")
    if ":" in name or (version and not version.isdecimal()):
        raise InvalidInput(
            f"{reference!r} does not name a snapshot of project {session.project!r}.",
            hint="Write flights or flights@2.",
        )
    return snapshot_of(session, name, int(version or 0))


def urn_of(session: Session, snapshot: Snapshot) -> str:
    """The URN of a snapshot."""
    return session.urn("dataset", snapshot.dataset, snapshot.version)


class TableCache:
    """The columns that were read lately, by the address of their snapshot, up to a number of bytes."""

    def __init__(self, limit: int = CACHE_BYTES) -> None:
        self._limit = limit
        self._tables: OrderedDict[Digest, pa.Table] = OrderedDict()
        self._lock = threading.Lock()

    def read(self, store: Store, digest: Digest, columns: Sequence[str]) -> pa.Table:
        """Columns of the Parquet at an address."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        held: pa.Table | None = self._tables.get(digest)
        known = [] if held is None else held.column_names
        missing = [name for name in columns if name not in known]
        if missing or held is None:
            fresh = pq.ParquetFile(pa.BufferReader(store.get(digest))).read(columns=missing)
            for name in known:
                fresh = fresh.append_column(name, held[name])  # type: ignore[index]  # known is empty when it is None.
            held = fresh
        self._keep(digest, held)
        return held.select(list(columns))

    def _keep(self, digest: Digest, table: pa.Table) -> None:
        with self._lock:
            self._tables[digest] = table
            self._tables.move_to_end(digest)
            while len(self._tables) > 1 and sum(kept.nbytes for kept in self._tables.values()) > self._limit:
                self._tables.popitem(last=False)


_caches: WeakKeyDictionary[Store, TableCache] = WeakKeyDictionary()
_opening = threading.Lock()


def _cache_of(store: Store) -> TableCache:
    with _opening:
        return _caches.setdefault(store, TableCache())


def _with_content(unit: Session, name: str, digest: Digest, parents: Sequence[str]) -> Snapshot | None:
    """The version that has this content already; new parents are added to its lineage."""
    here = (snapshots.c.project == unit.project) & (snapshots.c.dataset == name) & (snapshots.c.digest == digest)
    twin = unit.first(Snapshot, select(snapshots).where(here))
    if twin is not None:
        _link_parents(unit, twin, parents)
    return twin


def _add(unit: Session, snapshot: Snapshot, profile: Profile) -> Snapshot:
    if snapshot.version == 1:
        unit.insert(datasets, Dataset(snapshot.dataset, "", 1, snapshot.created))
    here = (datasets.c.project == unit.project) & (datasets.c.name == snapshot.dataset)
    unit.execute(update(datasets).where(here).values(latest=snapshot.version))
    unit.insert(snapshots, snapshot)
    unit.insert(profiles, {"dataset": snapshot.dataset, "version": snapshot.version, "profile": profile})
    _link_parents(unit, snapshot, snapshot.parents)
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


def _next_version(unit: Session, name: str) -> int:
    dataset = _dataset(unit, name)
    return dataset.latest + 1 if dataset else 1


def _dataset(unit: Session, name: str) -> Dataset | None:
    here = (datasets.c.project == unit.project) & (datasets.c.name == name)
    return unit.first(Dataset, select(datasets).where(here))
