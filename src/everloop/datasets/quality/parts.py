"""The rows of a version as the parts that they are kept in, so that a part which has not changed is not read again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING

import msgspec
from blake3 import blake3

from everloop.catalog.session import Session
from everloop.datasets import reads
from everloop.datasets.content import read_table, require_kept
from everloop.datasets.engine import TableEngine
from everloop.datasets.entities import Column, Content, Snapshot
from everloop.datasets.foreign import places
from everloop.datasets.formats import ENDINGS, format_of, format_said_by, from_bytes
from everloop.datasets.layers import alive_rows
from everloop.datasets.quality.checks import Source
from everloop.datasets.quality.engine import Kept, Part, Shape
from everloop.datasets.quality.figures import figure_key, kept, recalled
from everloop.datasets.tablecache import cache_of
from everloop.datasets.text import arrow_type, type_name
from everloop.kernel.errors import InvalidInput
from everloop.store.entities import Digest, TreeEntry
from everloop.store.ranged import ObjectFile, opened

if TYPE_CHECKING:
    import pyarrow as pa

_SHAPE = b"shape"


def source_of_version(session: Session, snapshot: Snapshot) -> Source:
    """The rows of a version in parts: one Parquet, the layers of a table, or the tables among files.

    Raises:
        InvalidInput: it holds files, and none of them or not all alike are tables.
        NotFound: it was purged.
    """
    require_kept(snapshot)
    reads.read(snapshot)
    if snapshot.kind == "files":
        return _of_files(session, snapshot.digest, f"{snapshot.dataset}@{snapshot.version}")
    if snapshot.selection is not None or snapshot.foreign is not None:
        whole = Part(snapshot.digest, snapshot.rows, lambda columns: read_table(session, snapshot, columns))
        return Source(snapshot.columns, (whole,))
    if snapshot.layers:
        return _of_layers(session, snapshot)
    one = Part(snapshot.digest, snapshot.rows, lambda _: opened(session.store, snapshot.digest), ours=True)
    return Source(snapshot.columns, (one,))


def source_of_content(session: Session, content: Content, called: str) -> Source:
    """The rows of content that is no version yet: the tables among files, or a table that is elsewhere.

    Raises:
        InvalidInput: it holds files, and none of them or not all alike are tables.
    """
    if content.kind == "files":
        return _of_files(session, content.digest, called)
    whole = Part(content.digest, content.rows, lambda columns: places.read(session, content.digest, columns))
    return Source(content.columns, (whole,))


def _of_layers(session: Session, snapshot: Snapshot) -> Source:
    """Each file of rows is a part without the rows that were deleted from it, which are part of its key."""
    read = partial(cache_of(session.store).read, session.store)
    added = [layer.added for layer in snapshot.layers if layer.added is not None]
    types = msgspec.json.encode([(column.name, column.type) for column in snapshot.columns])
    found = []
    for file, mask in zip(added, alive_rows(snapshot.layers, read), strict=True):
        bits = b"" if mask is None else mask.tobytes()
        key = blake3(b"\0".join((file.digest.encode(), types, bits))).hexdigest()
        rows = file.rows if mask is None else int(mask.sum())

        def table(columns: Sequence[str], digest: Digest = file.digest, mask: object = mask) -> pa.Table:
            import pyarrow as pa

            fitted = _fitted(read(digest, columns), snapshot.columns, columns)
            return fitted if mask is None else fitted.filter(pa.array(mask))

        found.append(Part(key, rows, table))
    return Source(snapshot.columns, tuple(found))


def _fitted(table: pa.Table, columns: Sequence[Column], wanted: Sequence[str]) -> pa.Table:
    """Columns of a file in the types of the version: those that the file does not have are null."""
    import pyarrow as pa

    types = {column.name: column.type for column in columns}
    made = []
    for name in wanted:
        if name not in table.column_names:
            made.append(pa.nulls(table.num_rows, _arrow_type(types[name])))
        elif type_name(table.schema.field(name).type) != types[name]:
            made.append(table[name].cast(_arrow_type(types[name])))
        else:
            made.append(table[name])
    return pa.table(made, names=list(wanted))


def _arrow_type(name: str) -> pa.DataType:
    found = arrow_type(name)
    if found is None:
        raise InvalidInput(
            f"Layers of a table disagree about a column of type {name}.", hint="Compact it: datasets.compact."
        )
    return found


def _of_files(session: Session, root: Digest, called: str) -> Source:
    entries = [entry for entry in session.store.tree(root) if entry.kind != "folder" and format_said_by(entry.path)]
    if not entries:
        raise InvalidInput(
            f"{called} has no tables among its files.",
            hint=f"Tables end in {', '.join(ENDINGS)}.",
        )
    shapes = _shapes(session, entries)
    first = shapes[0].columns
    for entry, shape in zip(entries, shapes, strict=True):
        if [(one.name, one.type) for one in shape.columns] != [(one.name, one.type) for one in first]:
            raise InvalidInput(
                f"{entry.path} has other columns than {entries[0].path}.", hint="Check tables of one schema together."
            )
    parts = (Part(one.digest, shape.rows, _reader(session, one)) for one, shape in zip(entries, shapes, strict=True))
    return Source(first, tuple(parts))


def _reader(session: Session, entry: TreeEntry) -> Callable[[Sequence[str]], pa.Table | bytes | ObjectFile]:
    format = format_of(entry.path)
    if format == "parquet":
        return lambda _: opened(session.store, entry.digest)
    return lambda _: from_bytes(session.ports.get(TableEngine), session.store.get(entry.digest), format)


def _shapes(session: Session, entries: Sequence[TreeEntry]) -> list[Shape]:
    """Columns and rows of files; a file that was seen before is not opened."""
    keys = {
        entry.digest: figure_key(entry.digest.encode(), _SHAPE, format_of(entry.path).encode()) for entry in entries
    }
    known = recalled(session, list(keys.values()))
    fresh: dict[str, Kept] = {
        keys[entry.digest]: _shape(session, entry) for entry in entries if keys[entry.digest] not in known
    }
    if fresh:
        kept(session, fresh)
    found = [(known | fresh)[keys[entry.digest]] for entry in entries]
    return [shape for shape in found if isinstance(shape, Shape)]


def _shape(session: Session, entry: TreeEntry) -> Shape:
    import pyarrow as pa
    import pyarrow.parquet as pq

    held = _reader(session, entry)(())
    try:
        file = (
            None
            if isinstance(held, pa.Table)
            else pq.ParquetFile(pa.BufferReader(held) if isinstance(held, bytes) else held)
        )
    except (pa.ArrowException, OSError) as error:
        raise InvalidInput(f"{entry.path} is no table: {error}.") from None
    schema = held.schema if isinstance(held, pa.Table) else file.schema_arrow if file else pa.schema([])
    rows = held.num_rows if isinstance(held, pa.Table) else file.metadata.num_rows if file else 0
    return Shape(tuple(Column(one.name, type_name(one.type)) for one in schema), rows)
