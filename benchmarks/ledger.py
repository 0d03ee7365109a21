"""The ledger: an event in the transaction of its change, hash-chained, beside the same rows in bare SQLite."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import msgspec
from blake3 import blake3

from benchmarks import scratch
from benchmarks.harness import Figure, Side, compare, repeated
from everloop.catalog import ledger
from everloop.catalog.session import Session
from everloop.tracking.entities import ExperimentCreated

UNITS = 50
_TABLE = """CREATE TABLE ledger (sequence INTEGER PRIMARY KEY, at INTEGER, project TEXT, principal TEXT, kind TEXT,
    subject TEXT, event TEXT, previous TEXT, hash TEXT)"""
_ROW = (1_700_000_000_000_000, "default", "somebody", "tracking.experiment_created", "experiment:p/x", "{}", "0" * 64)


def run() -> Sequence[Figure]:
    """Transactions with 1 and with 100 events, and the walk along the chain."""
    session, bare = scratch.platform().session(), _Bare()
    return [
        *(
            compare(
                f"a transaction with {events} event{'s' * (events > 1)}",
                Side("session", repeated(partial(_emit, session, events), UNITS)),
                Side("bare SQLite transaction", repeated(partial(bare.insert, events), UNITS)),
                each=UNITS,
            )
            for events in (1, 100)
        ),
        compare(
            "verify an entry of the chain",
            Side("audit.verify", partial(_verify, session)),
            Side("SELECT, JSON, BLAKE3", bare.verify),
            each=bare.size,
        ),
    ]


def _emit(session: Session, events: int) -> None:
    with session.begin() as unit:
        for _ in range(events):
            unit.emit(ExperimentCreated(subject="experiment:p/x"))


def _verify(session: Session) -> None:
    with session.begin(write=False) as unit:
        assert ledger.verify(unit.connection).intact


class _Bare:
    def __init__(self) -> None:
        self._connection = scratch.bare_sqlite(_TABLE)
        self.size = UNITS * 8 * 101
        """How many entries either side has once the inserts are through."""

    def insert(self, events: int) -> None:
        self._connection.execute("BEGIN IMMEDIATE")
        rows = [(*_ROW, "1" * 64)] * events
        self._connection.executemany(
            "INSERT INTO ledger VALUES (NULL, ?, ?, ?, ?, ?, ?, ?, ?)",
            rows,
        )
        self._connection.execute("COMMIT")

    def verify(self) -> None:
        for row in self._connection.execute("SELECT * FROM ledger ORDER BY sequence"):
            blake3(msgspec.json.encode(row)).hexdigest()
