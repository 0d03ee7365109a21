"""The archive: finished segments of an inference log as Parquet files by day, which DuckDB and Spark read as they are.

    SELECT * FROM read_parquet('…/delay/date=*/*.parquet', hive_partitioning = true, union_by_name = true)

A segment is here from the moment that its entry in `archive/` is renamed into place; then its own file goes. Each row
group holds whole records, in the order of the segment, with the offset that each had there.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from everloop.serving.segments import Place

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

OFFSET = "segment_offset"
"""The column that says where in its segment a row was written."""
ENTRY = ".json"


class ArchivedFile(msgspec.Struct, frozen=True):
    """A Parquet file with a segment's rows of one day; `path` is relative to the log's folder, times are in ms."""

    path: str
    date: str
    rows: int
    bytes: int
    first: int
    last: int


class Entry(msgspec.Struct, frozen=True):
    """A segment in the archive: where it ended, and the files that hold it, without those whose days had to go."""

    end: int
    files: tuple[ArchivedFile, ...]


class _Group(NamedTuple):
    """A row group: the offsets of its first and last record."""

    first: int
    last: int
    file: str
    number: int


class ParquetArchive:
    """Reads the archive of one endpoint's log."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._entries: dict[str, Entry] = {}

    def segments(self) -> set[str]:
        """The names of the segments that are here."""
        try:
            listed = os.scandir(self._folder / "archive")
        except FileNotFoundError:
            return set()
        with listed:
            names = [each.name for each in listed if each.name.endswith(".arrows" + ENTRY)]
            return {name.removesuffix(ENTRY) for name in names if not name.startswith(".")}

    def has(self, segment: str) -> bool:
        """Whether a segment is here by now."""
        return segment in self._entries or entry_path(self._folder, segment).exists()

    def entry(self, segment: str) -> Entry:
        """What is kept about a segment; days may have gone since it was first read."""
        if segment not in self._entries:
            self._entries[segment] = read_entry(self._folder, segment)
        return self._entries[segment]

    def batches(self, segment: str, offset: int, size: int) -> Iterator[tuple[Place, pa.RecordBatch]]:
        """What was written from an offset on, or within so many bytes: a batch for each row group."""
        end = self.entry(segment).end
        if offset >= end:
            return
        stop = offset + size if size else end
        groups = [group for group in self._groups(segment) if group.last >= offset and group.first < stop]
        for at, group in enumerate(groups):
            batch = self._read(group, offset, stop)
            if batch is not None:
                start = max(group.first, offset)
                last = min(stop, group.last + 1) if at < len(groups) - 1 else stop
                yield Place(segment, start, last - start), batch

    def candidates(self, segment: str, millisecond: int, column: str, value: str) -> Iterator[pa.RecordBatch]:
        """Rows of a time whose column has a value; only row groups that may have it are read."""
        import pyarrow as pa
        import pyarrow.compute as pc

        for file in self.entry(segment).files:
            if not file.first <= millisecond <= file.last:
                continue
            opened = self._opened(file.path)
            if opened is None:
                continue
            for number in _possible(opened, column, value):
                at = pc.index(opened.read_row_group(number, [column]).column(0), value).as_py()
                if at >= 0:
                    table = opened.read_row_group(number).drop_columns([OFFSET]).slice(at, 1)
                    yield pa.RecordBatch.from_arrays(
                        [each.combine_chunks() for each in table.columns], schema=table.schema
                    )

    def with_key(self, segment: str, key: str) -> Iterator[pa.RecordBatch]:
        """The rows of a unit, found by the index of keys that lies beside each file."""
        import numpy as np
        import pyarrow.compute as pc

        for file in self.entry(segment).files:
            index, opened = self._folder / (file.path + ".keys"), self._opened(file.path)
            if opened is None or not index.exists():
                continue
            known = np.load(index, mmap_mode="r")
            wanted = key_hash(key)
            start, stop = np.searchsorted(
                known["hash"], [wanted, wanted + 1] if wanted < 2**64 - 1 else [wanted, wanted]
            )
            for number in sorted(set(known["group"][start:stop].tolist())):
                table = opened.read_row_group(number).drop_columns([OFFSET])
                yield from table.filter(pc.equal(table.column("key"), key)).combine_chunks().to_batches()

    def backwards(self, segment: str, millisecond: int | None) -> Iterator[pa.RecordBatch]:
        """The row groups of a segment, newest first, without the files that began after a time."""
        late = {f.path for f in self.entry(segment).files if millisecond is not None and f.first > millisecond}
        for group in reversed(self._groups(segment)):
            if group.file not in late:
                batch = self._read(group, group.first, group.last + 1)
                if batch is not None:
                    yield batch

    def _groups(self, segment: str) -> list[_Group]:
        """The row groups in the order that they were written in."""
        found = []
        for file in self.entry(segment).files:
            opened = self._opened(file.path)
            if opened is None:
                continue
            at = opened.schema_arrow.get_field_index(OFFSET)
            for number in range(opened.metadata.num_row_groups):
                known = opened.metadata.row_group(number).column(at).statistics
                found.append(_Group(known.min, known.max, file.path, number))
        return sorted(found)

    def _read(self, group: _Group, start: int, stop: int) -> pa.RecordBatch | None:
        import pyarrow.compute as pc

        opened = self._opened(group.file)
        if opened is None:
            return None
        table = opened.read_row_group(group.number)
        if group.first < start or group.last >= stop:
            offsets = table.column(OFFSET)
            table = table.filter(pc.and_(pc.greater_equal(offsets, start), pc.less(offsets, stop)))
        found = table.drop_columns([OFFSET]).combine_chunks().to_batches()
        return found[0] if found else None

    def _opened(self, path: str) -> pq.ParquetFile | None:
        """A file; None when its day had to go meanwhile."""
        import pyarrow.parquet as pq

        try:
            return pq.ParquetFile(self._folder / path, memory_map=True)
        except FileNotFoundError:
            return None


def entry_path(folder: Path, segment: str) -> Path:
    """Where the entry of a segment lies."""
    return folder / "archive" / (segment + ENTRY)


def read_entry(folder: Path, segment: str) -> Entry:
    """The entry of a segment."""
    return msgspec.json.decode(entry_path(folder, segment).read_bytes(), type=Entry)


def key_hash(key: str) -> int:
    """64 bits of a key, for the index of keys."""
    return int.from_bytes(blake2b(key.encode(), digest_size=8).digest(), "big")


def _possible(file: pq.ParquetFile, column: str, value: str) -> Sequence[int]:
    """The row groups whose range holds a value."""
    at = file.schema_arrow.get_field_index(column)
    found = []
    for number in range(file.metadata.num_row_groups):
        known = file.metadata.row_group(number).column(at).statistics
        if known is None or not known.has_min_max or known.min <= value <= known.max:
            found.append(number)
    return found
