"""Tables that go wrong as real ones do: few keys, so that they meet; missing values, NaN, and keys that stand twice."""

from __future__ import annotations

import pyarrow as pa
from hypothesis import strategies as st

SCHEMA = pa.schema([("k", pa.int64()), ("f", pa.float64()), ("s", pa.string())])
Row = tuple[int | None, float | None, str | None]

KEYS = st.none() | st.integers(0, 3)
FLOATS = st.sampled_from([None, 0.0, -0.0, 1.5, float("nan"), -float("nan")])
TEXTS = st.sampled_from([None, "", "a"])
ROWS = st.lists(st.tuples(KEYS, FLOATS, TEXTS), max_size=8)


def table(rows: list[Row]) -> pa.Table:
    """The rows as a table."""
    columns = zip(*rows, strict=True) if rows else ([], [], [])
    return pa.table([pa.array(column, field.type) for column, field in zip(columns, SCHEMA, strict=True)], SCHEMA)


def plain(row: Row) -> tuple[object, ...]:
    """A row in which NaN equals NaN."""
    return tuple("NaN" if value != value else value for value in row)
