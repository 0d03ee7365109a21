"""What one can do with the rows of a table: append, upsert and delete them, and make one file of the layers again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import cache, partial
from typing import TYPE_CHECKING

from everloop.catalog.session import Session
from everloop.datasets.changes.bykey import changed, matches, require_keys
from everloop.datasets.changes.entities import CompactionProposed, Schema, SchemaChange
from everloop.datasets.content import (
    come_from,
    commit_content,
    commit_table,
    read_table,
    require_table,
    snapshot_at,
    snapshot_of,
    urn_of,
)
from everloop.datasets.engine import TableEngine
from everloop.datasets.entities import At, Change, Column, Content, Format, Layer, Part, Snapshot
from everloop.datasets.evolution import Evolve, arrow_types, fitted
from everloop.datasets.formats import from_bytes, normalised
from everloop.datasets.history.columns import columns_diff
from everloop.datasets.layers import layer_of, merged, positions, shape_of, tree_of
from everloop.datasets.parquet import put_table
from everloop.datasets.tablecache import cache_of
from everloop.datasets.text import type_name
from everloop.kernel.errors import Conflict
from everloop.kernel.ids import Name
from everloop.kernel.usecase import usecase
from everloop.store.entities import Digest

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray

    Edit = tuple[pa.Table, NDArray[np.int64]]

_ATTEMPTS = 5


@usecase("datasets.append", permission="datasets:write", route="POST /datasets/{name}/rows", long=True)
def append(
    session: Session,
    name: Name,
    digest: Digest,
    format: Format,
    note: str = "",
    branch: Name = "main",
    evolve: Evolve = "compatible",
    source: str = "",
) -> Snapshot:
    """Add the rows of a file that is in the store to a table, as a version that stores only these.

    Columns that the table does not have are added to it; with `evolve` "any", columns that the file does not have are
    NULL in its rows. `source` is the version that the rows come from (`deliveries@3`), for traces to lead there.
    """
    data = session.store.get(digest)

    def edit(head: Snapshot) -> Edit:
        import numpy as np

        return _rows_for(session, head, data, format, evolve), np.empty(0, np.int64)

    return _changed(session, name, Change(note, come_from(session, source), branch), edit)


@usecase("datasets.upsert", permission="datasets:write", route="PUT /datasets/{name}/rows", long=True)
def upsert(
    session: Session,
    name: Name,
    digest: Digest,
    format: Format,
    keys: tuple[str, ...],
    note: str = "",
    branch: Name = "main",
    evolve: Evolve = "compatible",
    source: str = "",
) -> Snapshot:
    """Put the rows of a file that is in the store in place of those with their keys, and add those with new keys.

    Stored are only rows that differ from what is there; they come last. When none does, no version is made. `source`
    is the version that the rows come from, for traces to lead there.
    """
    data = session.store.get(digest)

    def edit(head: Snapshot) -> Edit:
        import numpy as np
        import pyarrow as pa

        rows = _rows_for(session, head, data, format, evolve)
        require_keys(rows, keys, unique=True)
        table = read_table(session, head)
        touched, by, fresh = matches(read_table(session, head, keys), rows, keys)
        other = changed(table.take(touched), rows.take(by))
        twins = np.bincount(by, minlength=rows.num_rows) > 1
        other |= twins[by]
        fresh[by[other]] = True
        return rows.filter(pa.array(fresh)), touched[other]

    return _changed(session, name, Change(note, come_from(session, source), branch), edit)


@usecase("datasets.delete_rows", permission="datasets:write", route="POST /datasets/{name}/deletions", long=True)
def delete_rows(
    session: Session,
    name: Name,
    digest: Digest,
    format: Format,
    keys: tuple[str, ...],
    note: str = "",
    branch: Name = "main",
) -> Snapshot:
    """Take the rows out of a table whose keys stand in a file that is in the store. Older versions still have them."""
    data = session.store.get(digest)

    def edit(head: Snapshot) -> Edit:
        rows = _rows_for(session, head, data, format, "any", only=keys)
        require_keys(rows, keys, unique=False)
        touched, _, _ = matches(read_table(session, head, keys), rows, keys)
        return rows.slice(0, 0), touched

    return _changed(session, name, Change(note, branch=branch), edit)


@usecase("datasets.compact", permission="datasets:write", route="POST /datasets/{name}/compaction", long=True)
def compact(session: Session, name: Name, branch: Name = "main") -> Snapshot:
    """Write a table that has layers anew as one file, as a version with the same rows in the same order."""
    head = snapshot_of(session, name, branch=branch)
    if not head.layers:
        return head
    change = Change(f"compact {len(head.layers)} layers", branch=branch, base=(head.version,))
    return commit_table(session, name, read_table(session, head), change)


@usecase("datasets.schema", permission="datasets:read", route="GET /datasets/{name}/schema")
def schema(session: Session, name: Name, at: At = "") -> Schema:
    """The columns of a version, and in which of the versions that led to it they changed, and how."""
    found = snapshot_at(session, name, at)
    changes: list[SchemaChange] = []
    later = found
    while later.base:
        earlier = snapshot_of(session, name, later.base[0])
        diff = columns_diff(earlier, later)
        if diff.added or diff.removed or diff.changed:
            changes.append(SchemaChange(later.version, later.created, diff.added, diff.removed, diff.changed))
        later = earlier
    first = SchemaChange(later.version, later.created, tuple(column.name for column in later.columns))
    return Schema(name, found.version, found.columns, (*changes, first))


def _rows_for(
    session: Session, head: Snapshot, data: bytes, format: Format, evolve: Evolve, only: Sequence[str] = ()
) -> pa.Table:
    """The rows of a file, with the columns of the table they come to, or only some of these."""
    columns = [column for column in head.columns if not only or column.name in only]
    rows = normalised(from_bytes(session.ports.get(TableEngine), data, format, arrow_types(columns)))
    if only:
        rows = rows.select([name for name in rows.column_names if name in only])
    return fitted(rows, columns, head.dataset, evolve)


def _changed(session: Session, name: str, change: Change, edit: Callable[[Snapshot], Edit]) -> Snapshot:
    """The version in which an edit happened to a branch's head; where somebody was faster, to theirs."""
    for _ in range(_ATTEMPTS - 1):
        with suppress(Conflict):
            return _attempt(session, name, change, edit)
    return _attempt(session, name, change, edit)


def _attempt(session: Session, name: str, change: Change, edit: Callable[[Snapshot], Edit]) -> Snapshot:
    head = require_table(snapshot_of(session, name, branch=change.branch))
    added, gone = edit(head)
    if not added.num_rows and not len(gone):
        return head
    read = partial(cache_of(session.store).read, session.store)
    below = _layers_of(session, head)
    layers = (*below, layer_of(session.store, added, positions(below, gone, read)))
    entries = tree_of(layers)
    names = list(dict.fromkeys([*(column.name for column in head.columns), *added.column_names]))
    rows: Callable[[], pa.Table] = cache(partial(merged, layers, names, read))
    size = sum(entry.size for entry in entries)
    columns = None if len(gone) else _appended(head.columns, added)
    if columns is None:
        columns = tuple(Column(one.name, type_name(one.type), rows()[one.name].null_count > 0) for one in rows().schema)
    count = head.rows - len(gone) + added.num_rows
    digest = session.store.put_tree(entries)
    content = Content("table", digest, size, count, columns=columns, layers=layers)
    change = Change(change.note, change.parents, change.branch, (head.version,))
    made = commit_content(session, name, content, change, rows)
    _propose_compaction(session, made)
    return made


def _appended(columns: Sequence[Column], added: pa.Table) -> tuple[Column, ...] | None:
    """The columns of a table to which rows come, without reading it; none where one gets another type."""
    types = {field.name: type_name(field.type) for field in added.schema}
    if any(types.get(column.name, column.type) != column.type for column in columns):
        return None
    missing = {name for name in added.column_names if added[name].null_count}
    known = {column.name for column in columns}
    before = (
        Column(one.name, one.type, one.nullable or one.name in missing or one.name not in types) for one in columns
    )
    return (*before, *(Column(name, kind) for name, kind in types.items() if name not in known))


def _layers_of(session: Session, head: Snapshot) -> tuple[Layer, ...]:
    """The layers of a table; one that has none is the only one of its own."""
    if head.selection is not None or head.foreign is not None:
        return (Layer(put_table(session.store, read_table(session, head))),)
    return head.layers or (Layer(Part(head.digest, head.rows, head.bytes)),)


def _propose_compaction(session: Session, snapshot: Snapshot) -> None:
    shape = shape_of(snapshot.layers)
    if shape.compaction_due:
        with session.begin() as unit:
            unit.emit(
                CompactionProposed(
                    subject=urn_of(unit, snapshot), layers=shape.layers, deleted=shape.deleted, rows=shape.rows
                )
            )
