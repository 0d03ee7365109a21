"""A table of people, and the verbs that change its rows."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from everloop.app.platform import Platform
from everloop.datasets.content import read_table
from everloop.datasets.entities import Snapshot

PEOPLE = pa.table({"id": [1, 2, 3], "name": ["Ada", "Bob", None]})

Change = Callable[..., Snapshot]


def parquet(table: pa.Table) -> bytes:
    """A table as a file."""
    sink = io.BytesIO()
    pq.write_table(table, sink)
    return sink.getvalue()


@pytest.fixture
def change(platform: Platform) -> Change:
    """Calls a verb of datasets with a table, through the front door."""

    def call(verb: str, rows: pa.Table | bytes, **more: object) -> Snapshot:
        data, format = (rows, "csv") if isinstance(rows, bytes) else (parquet(rows), "parquet")
        arguments = {"name": "people", "digest": platform.resources.store.put(data), "format": format} | more
        made: Snapshot = platform.call(f"datasets.{verb}", arguments)
        return made

    return call


@pytest.fixture
def people(change: Change) -> Snapshot:
    """Three people, one of them without a name."""
    return change("commit", PEOPLE)


@pytest.fixture
def rows(platform: Platform) -> Callable[[Snapshot], list[dict[str, Any]]]:
    """The rows of a snapshot."""
    return lambda snapshot: read_table(platform.session(), snapshot).to_pylist()
