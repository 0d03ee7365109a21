"""The rows of a part as a stream of small batches, so that memory stays flat and each column is decoded once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from everloop.datasets.parquet import windows
from everloop.datasets.quality.engine import Part
from everloop.datasets.quality.literals import family
from everloop.datasets.text import type_name
from everloop.store.ranged import ObjectFile

ROWS = 1 << 17
"""How many rows a batch has: a column of numbers then fits into a processor's cache."""
_CODE_BYTES = 4
"""Text without a dictionary takes at least four bytes a value, which are its length."""


class Opened:
    """A part that has been opened: Arrow's names of its types, its footer, its batches."""

    def __init__(self, part: Part, columns: Sequence[str]) -> None:
        held = part.read(columns)
        self.columns = list(columns)
        self._table = held if isinstance(held, pa.Table) else None
        self._source: Any = (
            None if isinstance(held, pa.Table) else pa.BufferReader(held) if isinstance(held, bytes) else held
        )
        self._file = None if self._source is None else pq.ParquetFile(self._source, memory_map=True)
        schema = self._table.schema if self._table is not None else self.file.schema_arrow
        self.types = {name: type_name(_plain(schema.field(name).type)) for name in columns}
        self.footer = self.file.metadata if part.ours and self._table is None else None

    @property
    def file(self) -> pq.ParquetFile:
        """The Parquet, where the part is kept in that."""
        if self._file is None:
            raise ValueError("this part is a table in memory")
        return self._file

    def batches(self, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
        """Some of the columns, batch by batch; text with few values comes as a dictionary."""
        if not columns:
            return iter(())
        if self._table is not None:
            return iter(self._table.select(list(columns)).to_batches(max_chunksize=ROWS))
        coded = [name for name in columns if self._is_coded(name)]
        if isinstance(self._source, pa.BufferReader | ObjectFile):
            self._source.seek(0)
        file = pq.ParquetFile(self._source, memory_map=True, read_dictionary=coded) if coded else self.file
        if isinstance(self._source, ObjectFile):
            return _in_windows(file, self._source, columns)
        found: Iterator[pa.RecordBatch] = file.iter_batches(batch_size=ROWS, columns=list(columns))
        return found

    def _is_coded(self, column: str) -> bool:
        """Whether the Parquet holds a column of text as numbers into a dictionary, all of it or nearly."""
        if family(self.types[column]) != "text":
            return False
        metadata, size, values = self.file.metadata, 0, 0
        place = self.file.schema_arrow.get_field_index(column)
        if any("." in name or metadata.num_columns != len(self.file.schema_arrow) for name in [column]):
            return False  # Nested columns count differently.
        for group in range(metadata.num_row_groups):
            chunk = metadata.row_group(group).column(place)
            size, values = size + chunk.total_uncompressed_size, values + chunk.num_values
            size -= (1 << 20) if chunk.has_dictionary_page else 0
        return size < _CODE_BYTES * values


def _in_windows(file: pq.ParquetFile, source: ObjectFile, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
    for groups in windows(file.metadata, source, columns):
        yield from file.iter_batches(batch_size=ROWS, row_groups=groups, columns=list(columns))


def frame(batch: pa.RecordBatch | pa.Table) -> pl.DataFrame:
    """A batch in Polars; of types that nothing can be computed of, only whether a value is there."""
    table = batch if isinstance(batch, pa.Table) else pa.Table.from_batches([batch])
    for place, field in enumerate(table.schema):
        kind = _plain(field.type)
        if family(type_name(kind)) == "other":
            there = pc.if_else(pc.is_valid(table.column(place)), True, None)
            table = table.set_column(place, field.name, there.cast(pa.bool_()))
        elif pa.types.is_decimal256(kind):
            table = table.set_column(place, field.name, table.column(place).cast(pa.float64()))
        elif pa.types.is_dictionary(field.type):
            table = table.set_column(place, field.name, table.column(place).cast(kind))
    found = pl.from_arrow(table)
    assert isinstance(found, pl.DataFrame)
    return found


def _plain(kind: pa.DataType) -> pa.DataType:
    return kind.value_type if pa.types.is_dictionary(kind) else kind
