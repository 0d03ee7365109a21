"""Tables of runs as files: CSV, Parquet, or JSON with an object a run."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from typing import TYPE_CHECKING, Literal

import msgspec

from everloop.kernel.usecase import Json
from everloop.tracking.index.entities import RunsTable

if TYPE_CHECKING:
    import pyarrow as pa

Format = Literal["csv", "parquet", "json"]


def exported(table: RunsTable, format: Format) -> bytes:
    """The bytes of a file with a table of runs."""
    return _WRITERS[format](table)


def arrow_of(table: RunsTable) -> pa.Table:
    """A table of runs for Arrow: numbers as float64, everything else as text."""
    import pyarrow as pa

    columns = [[row[place] for row in table.rows] for place in range(len(table.columns))]
    return pa.table({name: _array(values) for name, values in zip(table.columns, columns, strict=True)})


def _array(values: list[Json]) -> pa.Array:
    import pyarrow as pa

    numbers = any(isinstance(value, float) for value in values)
    return pa.array(values, pa.float64() if numbers else pa.string())


def _csv(table: RunsTable) -> bytes:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(table.columns)
    writer.writerows(["" if value is None else value for value in row] for row in table.rows)
    return text.getvalue().encode()


def _json(table: RunsTable) -> bytes:
    return msgspec.json.encode([dict(zip(table.columns, row, strict=True)) for row in table.rows])


def _parquet(table: RunsTable) -> bytes:
    import pyarrow.parquet as pq

    sink = io.BytesIO()
    pq.write_table(arrow_of(table), sink)
    return sink.getvalue()


_WRITERS: dict[Format, Callable[[RunsTable], bytes]] = {"csv": _csv, "json": _json, "parquet": _parquet}
