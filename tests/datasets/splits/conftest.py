"""A small table of rides, and how tests cut it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pyarrow as pa
import pytest

from everloop.app.platform import Platform
from everloop.datasets.content import write_table
from everloop.datasets.entities import Snapshot
from everloop.datasets.splits.entities import Split, Strategy

NOON = datetime(2013, 3, 1, 12, tzinfo=UTC)


def rides(count: int = 200) -> pa.Table:
    """A ride an hour: of 17 drivers and some without one, in three cities of unequal size, known two hours later."""
    at = [NOON + timedelta(hours=n) for n in range(count)]
    return pa.table(
        {
            "id": range(count),
            "driver": [f"D{n * 7 % 17}" if n % 19 else None for n in range(count)],
            "city": ["A" if n % 10 < 7 else "B" if n % 10 < 9 else "C" for n in range(count)],
            "at": pa.array(at, pa.timestamp("us", "UTC")),
            "paid": pa.array([moment + timedelta(hours=2) for moment in at], pa.timestamp("us", "UTC")),
        }
    )


def split(platform: Platform, strategy: Strategy, seed: int = 0, name: str = "rides") -> Split:
    """A split through the front door."""
    made: Split = platform.call("datasets.split", {"name": name, "strategy": strategy, "seed": seed})
    return made


def delete_driver(platform: Platform, driver: str) -> None:
    """Delete a driver's rides, which adds a layer and leaves the file below as it is."""
    digest = platform.resources.store.put(f"driver\n{driver}\n".encode())
    platform.call("datasets.delete_rows", {"name": "rides", "digest": digest, "format": "csv", "keys": ["driver"]})


@pytest.fixture
def source(platform: Platform) -> Snapshot:
    """The rides as a version of a dataset."""
    return write_table(platform.session(), "rides", rides())
