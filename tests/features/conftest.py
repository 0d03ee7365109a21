"""What feature tests share: a source in the platform, and a view of it."""

from __future__ import annotations

import pyarrow as pa
import pytest

from everloop.catalog.session import Session
from everloop.datasets.content import write_table
from everloop.datasets.entities import Snapshot
from tests.features.worlds import moment


@pytest.fixture
def departures(session: Session) -> Snapshot:
    """Six departures from two airports, the last with a missing delay."""
    stamps = [moment(minute) for minute in (0, 10, 20, 30, 40, 50)]
    rows = pa.table(
        {
            "origin": ["EWR", "JFK", "EWR", "JFK", "EWR", "EWR"],
            "departed": pa.array(stamps, pa.timestamp("us", "UTC")),
            "delay": [4.0, 8.0, 6.0, 10.0, -1.0, None],
            "gate": [1, 2, 3, 4, 5, 6],
            "carrier": ["UA", "AA", "UA", "AA", "DL", "UA"],
        }
    )
    return write_table(session, "departures", rows)
