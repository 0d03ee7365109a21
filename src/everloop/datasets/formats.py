"""Files that hold tables: CSV, Parquet and Arrow, read into tables with plain types."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from everloop.datasets.engine import TableEngine
from everloop.datasets.entities import Format
from everloop.kernel.errors import InvalidInput

if TYPE_CHECKING:
    import pyarrow as pa


def from_bytes(
    engine: TableEngine, data: bytes, format: Format, types: Mapping[str, pa.DataType] | None = None
) -> pa.Table:
    """The table in a file of a format; of formats that do not say types, columns are read as `types` where they can be.

    Raises:
        InvalidInput: the bytes are not of that format.
    """
    import pyarrow as pa
    import pyarrow.ipc as ipc
    import pyarrow.parquet as pq

    if format == "csv":
        return engine.read_csv(data, types)
    source = pa.BufferReader(data)
    try:
        if format == "parquet":
            return pq.ParquetFile(source).read()
        return (ipc.open_file(source) if data.startswith(b"ARROW1") else ipc.open_stream(source)).read_all()
    except (pa.ArrowException, OSError) as error:
        raise InvalidInput(
            f"These bytes are not {format}: {error}.", hint="Say what they are with format: csv, parquet or arrow."
        ) from None


def normalised(table: pa.Table) -> pa.Table:
    """The table with plain types and one chunk a column: times in microseconds, no dictionaries, views or metadata.

    Raises:
        InvalidInput: a column has no name, or another's, or there is none at all.
    """
    import pyarrow as pa

    names = table.column_names
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice or not names or "" in names:
        what = (
            f"has two columns {twice[0]!r}" if twice else "has a column without a name" if names else "has no columns"
        )
        raise InvalidInput(f"The table {what}.", hint="Give each column a name of its own.")
    fields = [pa.field(field.name, _plain(field.type)) for field in table.schema]
    return table.cast(pa.schema(fields)).combine_chunks()


def _plain(kind: pa.DataType) -> pa.DataType:
    import pyarrow as pa

    types = pa.types
    if types.is_dictionary(kind):
        return _plain(kind.value_type)
    if types.is_large_string(kind) or types.is_string_view(kind):
        return pa.string()
    if types.is_large_binary(kind) or types.is_binary_view(kind):
        return pa.binary()
    if types.is_timestamp(kind) and kind.unit in ("s", "ms"):
        return pa.timestamp("us", kind.tz)
    return kind
