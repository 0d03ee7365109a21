"""Files that hold tables: CSV, lines of JSON, Parquet and Arrow, read into tables with plain types."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import TYPE_CHECKING

from everloop.datasets.engine import TableEngine
from everloop.datasets.entities import Format
from everloop.kernel.errors import InvalidInput

if TYPE_CHECKING:
    import pyarrow as pa


_GZIP, _ZSTD = b"\x1f\x8b", b"\x28\xb5\x2f\xfd"
UNPACKED = 256 << 20
"""So many bytes may packed text have in any case,"""
MOST_PACKED = 100
"""and beyond that so many times what it is packed into: real tables shrink to a fifth, a bomb to a thousandth."""
ENDINGS: dict[str, Format] = {
    ".csv": "csv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".parquet": "parquet",
    ".arrow": "arrow",
    ".feather": "arrow",
}
"""The ends of the names of tables."""


def from_bytes(
    engine: TableEngine, data: bytes, format: Format, types: Mapping[str, pa.DataType] | None = None
) -> pa.Table:
    """The table in a file of a format; of formats that do not say types, columns are read as `types` where they can be.

    Raises:
        InvalidInput: the bytes are not of that format.
    """
    import pyarrow as pa

    data = _unpacked(data) if format in ("csv", "jsonl") else data
    if format == "csv":
        return engine.read_csv(data, types)
    try:
        return _jsonl(data, types or {}) if format == "jsonl" else _columnar(data, format)
    except (pa.ArrowException, OSError) as error:
        raise InvalidInput(
            f"These bytes are not {format}: {error}.",
            hint="Say what they are with format: csv, jsonl, parquet or arrow.",
        ) from None


def format_of(path: str) -> Format:
    """The format that a file's name says.

    Raises:
        InvalidInput: it says none of a table.
    """
    found = format_said_by(path)
    if found is None:
        raise InvalidInput(f"{path!r} is no table by its name.", hint=f"Tables end in {', '.join(ENDINGS)}.")
    return found


def format_said_by(path: str) -> Format | None:
    """The format that a file's name says, if it is that of a table; text may be packed (`flights.csv.gz`)."""
    name = path.lower()
    text = name.removesuffix(".gz").removesuffix(".zst")
    found = next((format for ending, format in ENDINGS.items() if text.endswith(ending)), None)
    return found if text == name or found in ("csv", "jsonl") else None


def is_beyond(values: pa.ChunkedArray) -> bool:
    """Whether floats are so large that they may be whole numbers that lost digits."""
    import pyarrow.compute as pc

    largest = pc.max(pc.abs(values)).as_py()
    return largest is not None and 2**53 <= largest < float("inf")


def _columnar(data: bytes, format: Format) -> pa.Table:
    import pyarrow as pa
    import pyarrow.ipc as ipc
    import pyarrow.parquet as pq

    source = pa.BufferReader(data)
    if format == "parquet":
        return pq.ParquetFile(source).read()
    return (ipc.open_file(source) if data.startswith(b"ARROW1") else ipc.open_stream(source)).read_all()


def _jsonl(data: bytes, types: Mapping[str, pa.DataType]) -> pa.Table:
    """The table in lines of JSON objects; columns are read as `types` if all of them can be."""
    import pyarrow as pa
    import pyarrow.json as arrow_json

    whole = arrow_json.ReadOptions(block_size=max(len(data), 1))
    written = {name: kind for name, kind in types.items() if not (pa.types.is_date(kind) or pa.types.is_time(kind))}
    known = arrow_json.ParseOptions(explicit_schema=pa.schema(written.items())) if written else None
    try:
        table = arrow_json.read_json(pa.BufferReader(data), read_options=whole, parse_options=known)
    except pa.ArrowInvalid:
        if known is None:
            raise
        table = arrow_json.read_json(pa.BufferReader(data), read_options=whole)
    for name in table.column_names:
        if pa.types.is_floating(table.schema.field(name).type) and is_beyond(table[name]):
            raise InvalidInput(
                f"Column {name!r} has numbers beyond 53 bits next to others, which would lose digits.",
                hint="Write such numbers as text, or all of them as whole numbers up to 64 bits.",
            )
    sent = {name for name in table.column_names if name not in types or table[name].null_count < table.num_rows}
    return table.select([name for name in table.column_names if name in sent or f'"{name}"'.encode() in data])


def _unpacked(data: bytes) -> bytes:
    """The text in a file that gzip or zstd may have packed.

    Raises:
        InvalidInput: it is packed, and damaged, or so that a few bytes would fill the memory.
    """
    import gzip
    import zlib

    import zstandard

    most = max(UNPACKED, MOST_PACKED * len(data))
    try:
        if data.startswith(_GZIP):
            text = gzip.GzipFile(fileobj=io.BytesIO(data)).read(most + 1)
        elif data.startswith(_ZSTD):
            text = zstandard.ZstdDecompressor().stream_reader(data, read_across_frames=True).read(most + 1)
        else:
            return data
    except (OSError, EOFError, zlib.error, zstandard.ZstdError) as error:
        raise InvalidInput(f"The file is packed, and damaged: {error}.", hint="Pack or send it again.") from None
    if len(text) > most:
        raise InvalidInput(
            f"{len(data):,} packed bytes unpack to more than {most:,}.",
            hint="Unpack the file and send the text, or commit it as a file.",
        )
    return text


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
