"""Parquet that is the same bytes for equal content, and nearly the same bytes for nearly equal content."""

from __future__ import annotations

import io
import tempfile
from collections.abc import Collection, Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from everloop.datasets.entities import Part
from everloop.store.entities import Digest
from everloop.store.ranged import ObjectFile, opened
from everloop.store.service import Store

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

_IN_MEMORY = 64 << 20
"""Tables up to this many bytes are written in memory, larger ones to a temporary file."""
_AT_ONCE = 64 << 20
_SAMPLE = 16_384
_WRITER = b"everloop version 1"
"""Who the files say they are written by. Arrow would put its version, and each release would make all content new."""
_ARROW = b"parquet-cpp-arrow version "
_TAIL = 8


def put_table(store: Store, table: pa.Table) -> Part:
    """Keep a normalised table as Parquet in a store."""
    if table.nbytes <= _IN_MEMORY:
        sink = io.BytesIO()
        size = write(table, sink)
        return Part(store.put(sink.getbuffer()), table.num_rows, size)
    with tempfile.TemporaryDirectory(prefix="everloop-table-") as folder:
        path = Path(folder) / "table.parquet"
        with path.open("w+b") as file:
            size = write(table, file)
        return Part(store.put_file(path), table.num_rows, size)


def write(table: pa.Table, sink: BinaryIO) -> int:
    """Write a normalised table to an empty file that can be read, too; the number of bytes.

    Row groups are cut by content (`rowgroups`), so an edit changes the groups around it and the description at the end.
    """
    import pyarrow.parquet as pq

    from everloop.datasets.rowgroups import boundaries

    cuts = boundaries(table)
    with pq.ParquetWriter(sink, table.schema, compression="zstd", use_dictionary=_repeating(table)) as writer:
        for start, end in pairwise(cuts):
            writer.write_table(table.slice(start, end - start), row_group_size=end - start)
    return _sign(sink)


def to_parquet(table: pa.Table) -> bytes:
    """A normalised table as Parquet in memory."""
    sink = io.BytesIO()
    write(table, sink)
    return sink.getvalue()


def read(store: Store, digest: Digest, columns: Sequence[str] | None = None) -> pa.Table:
    """Those of the columns that the Parquet at an address has, verified; of a large one only their bytes are read."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    source = opened(store, digest)
    file = pq.ParquetFile(pa.BufferReader(source) if isinstance(source, bytes) else source)
    known = file.schema_arrow.names
    wanted = known if columns is None else [name for name in columns if name in known]
    if isinstance(source, bytes) or not wanted:
        return file.read(columns=wanted).combine_chunks()
    found: dict[str, pa.ChunkedArray] = {}
    for names in _together(file.metadata, source, wanted):
        table = file.read(columns=names).combine_chunks()
        found |= dict(zip(table.column_names, table.columns, strict=True))
    return pa.table([found[name] for name in wanted], names=wanted)


def _together(footer: pq.FileMetaData, source: ObjectFile, columns: Sequence[str]) -> Iterator[list[str]]:
    """Columns of a Parquet that is kept in chunks, some at a time, fetched ahead."""
    names: list[str] = []
    ranges: list[tuple[int, int]] = []
    for name in columns:
        names.append(name)
        ranges += [span for group in range(footer.num_row_groups) for span in _ranges(footer.row_group(group), [name])]
        if sum(end - start for start, end in ranges) > _AT_ONCE or name == columns[-1]:
            source.prefetch(ranges)
            yield names
            names, ranges = [], []


def windows(footer: pq.FileMetaData, source: ObjectFile, columns: Collection[str]) -> Iterator[list[int]]:
    """Row groups of a Parquet that is kept in chunks, some at a time, fetched ahead."""
    groups: list[int] = []
    ranges: list[tuple[int, int]] = []
    size = 0
    for number in range(footer.num_row_groups):
        groups.append(number)
        found = list(_ranges(footer.row_group(number), columns))
        ranges += found
        size += sum(end - start for start, end in found)
        if size > _AT_ONCE or number + 1 == footer.num_row_groups:
            source.prefetch(ranges)
            yield groups
            groups, ranges, size = [], [], 0


def _ranges(group: pq.RowGroupMetaData, columns: Collection[str]) -> Iterator[tuple[int, int]]:
    """Where the pages of some columns start and end."""
    for place in range(group.num_columns):
        column = group.column(place)
        if column.path_in_schema.partition(".")[0] in columns or column.path_in_schema in columns:
            starts = [column.data_page_offset, column.dictionary_page_offset or column.data_page_offset]
            yield min(starts), min(starts) + column.total_compressed_size


def _repeating(table: pa.Table) -> list[str]:
    """The columns that a dictionary makes smaller: at least half of their first values came before."""
    sample = table.slice(0, _SAMPLE)
    return [name for name in table.column_names if 2 * _distinct(sample[name]) <= sample.num_rows]


def _distinct(values: pa.ChunkedArray) -> int:
    """How many values are different; of types that cannot be compared, all are."""
    import pyarrow as pa

    try:
        return len(values.unique())
    except pa.ArrowNotImplementedError:
        return len(values)


def _sign(file: BinaryIO) -> int:
    """Replace Arrow's name and version in the description at the file's end; the number of bytes of the file.

    In Thrift's compact protocol a text is its length and its bytes, and nothing of the description points behind it.
    """
    end = file.seek(0, io.SEEK_END)
    file.seek(end - _TAIL)
    tail = file.read(_TAIL)
    length = int.from_bytes(tail[:4], "little")
    file.seek(end - _TAIL - length)
    description = file.read(length)
    at = description.rfind(_ARROW)
    if at > 0:
        signed = description[: at - 1] + bytes([len(_WRITER)]) + _WRITER + description[at + description[at - 1] :]
        file.seek(end - _TAIL - length)
        file.truncate()
        file.write(signed + len(signed).to_bytes(4, "little") + tail[4:])
    return file.tell()
