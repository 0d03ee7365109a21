"""The hash chain: events are appended in the transaction of the change, and tampering shows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import Any

import msgspec
from blake3 import blake3
from sqlalchemy import Connection, Row, select

from everloop.catalog import driver
from everloop.catalog.entities import ChainReport, LedgerEntry
from everloop.catalog.tables import ledger
from everloop.kernel.clock import micros
from everloop.kernel.events import Event, kind_of

GENESIS = "0" * 64
_PAGE = 10_000
_HEAD = "SELECT sequence, hash FROM chain_head WHERE id = 1"
_ADD = (
    "INSERT INTO ledger (sequence, at, project, principal, kind, subject, event, previous, hash)"
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
)
_BEGIN = "INSERT INTO chain_head (sequence, hash, id) VALUES (?, ?, 1)"
_MOVE = "UPDATE chain_head SET sequence = ?, hash = ? WHERE id = 1"


def entry_hash(fields: Sequence[object]) -> str:
    """BLAKE3 of an entry's fields as a JSON array: sequence, µs, project, principal, kind, subject, event, previous."""
    return blake3(msgspec.json.encode(fields)).hexdigest()


def append(connection: Connection, at: datetime, project: str, principal: str, events: Iterable[Event]) -> None:
    """Add events to the chain. The caller holds the writer's place, so that no other entry comes between."""
    head = _head(connection)
    sequence, previous = head or (0, GENESIS)
    rows, when = [], micros(at)
    for event in events:
        sequence += 1
        text = msgspec.json.encode(event, order="sorted").decode()
        kind = kind_of(event)
        fields = (sequence, when, project, principal, kind, event.subject, text, previous)
        previous = entry_hash(fields)
        rows.append((*fields, previous))
    driver.run(connection, _ADD, rows)
    driver.run(connection, _MOVE if head else _BEGIN, [(sequence, previous)])


def verify(connection: Connection) -> ChainReport:
    """Walk the whole chain and name the first entry that is not what was written.

    Finds changed, removed, inserted and reordered entries, and a tail that was cut off (the head is kept apart).
    """
    last, previous = 0, GENESIS
    for row in _walk(connection):
        flaw = _flaw(row, last, previous)
        if flaw:
            return ChainReport(last, False, previous, last + 1, flaw)
        last, previous = row.sequence, row.hash
    head_sequence, head_hash = _head(connection) or (0, GENESIS)
    if head_sequence > last:
        return ChainReport(last, False, previous, last + 1, f"The chain's end is cut off after entry {last}.")
    if head_sequence < last:
        extra = head_sequence + 1
        return ChainReport(last, False, previous, extra, f"Entry {extra} was inserted after the chain's end.")
    if head_hash != previous:
        return ChainReport(last, False, previous, last, f"Entry {last} is not the one that the chain ended with.")
    return ChainReport(last, True, previous)


def _walk(connection: Connection) -> Iterator[Row[Any]]:
    """Every entry by sequence, a page at a time; also those with a number that no entry can have."""
    page: Sequence[Row[Any]] = ()
    query = select(ledger).order_by(ledger.c.sequence).limit(_PAGE)
    while page := connection.execute(query.where(ledger.c.sequence > page[-1].sequence) if page else query).all():
        yield from page


def _flaw(row: Row[Any], last: int, previous: str) -> str:
    """What is wrong with the entry that comes after `last`; empty if nothing is."""
    expected = last + 1
    if row.sequence < expected:
        return f"Entry {row.sequence} was inserted before the chain's beginning."
    if row.sequence > expected:
        return f"Entry {expected} is missing."
    if row.previous != previous:
        return f"Entry {expected} does not follow entry {last}: one of them was inserted, replaced or moved."
    fields = [row.sequence, micros(row.at), row.project, row.principal, row.kind, row.subject, row.event, row.previous]
    if entry_hash(fields) != row.hash:
        return f"Entry {expected} ({row.kind} of {row.subject}) was changed after it was written."
    return ""


def _head(connection: Connection) -> tuple[int, str] | None:
    found = driver.asked(connection, _HEAD)
    return found[0] if found else None


def read(row: object) -> LedgerEntry:
    """A row of the ledger as an entry."""
    fields = dict(row._mapping)  # type: ignore[attr-defined]
    return LedgerEntry(**(fields | {"event": msgspec.json.decode(fields["event"])}))
