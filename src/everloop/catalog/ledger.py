"""The hash chain: events are appended in the transaction of the change, and tampering shows."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

import msgspec
from blake3 import blake3
from sqlalchemy import Connection, insert, select, update

from everloop.catalog.entities import ChainReport, LedgerEntry
from everloop.catalog.tables import chain_head, ledger
from everloop.kernel.clock import micros
from everloop.kernel.events import Event, kind_of

GENESIS = "0" * 64
_PAGE = 10_000


def entry_hash(fields: Sequence[object]) -> str:
    """BLAKE3 of an entry's fields as a JSON array: sequence, µs, project, principal, kind, subject, event, previous."""
    return blake3(msgspec.json.encode(fields)).hexdigest()


def append(connection: Connection, at: datetime, project: str, principal: str, events: Iterable[Event]) -> None:
    """Add events to the chain. The caller holds the writer's place, so that no other entry comes between."""
    head = connection.execute(
        select(chain_head.c.sequence, chain_head.c.hash).where(chain_head.c.id == 1)
    ).one_or_none()
    sequence, previous = head if head else (0, GENESIS)
    rows = []
    for event in events:
        sequence += 1
        text = msgspec.json.encode(event, order="sorted").decode()
        kind = kind_of(event)
        digest = entry_hash([sequence, micros(at), project, principal, kind, event.subject, text, previous])
        rows.append(
            {"sequence": sequence, "at": at, "project": project, "principal": principal, "kind": kind}
            | {"subject": event.subject, "event": text, "previous": previous, "hash": digest}
        )
        previous = digest
    connection.execute(insert(ledger), rows)
    values = {"sequence": sequence, "hash": previous}
    if head:
        connection.execute(update(chain_head).where(chain_head.c.id == 1).values(values))
    else:
        connection.execute(insert(chain_head).values(id=1, **values))


def verify(connection: Connection) -> ChainReport:
    """Walk the whole chain and name the first entry that is not what was written.

    Finds changed, removed, inserted and reordered entries, and a tail that was cut off (the head is kept apart).
    """
    expected, previous = 0, GENESIS
    columns = [
        ledger.c[name]
        for name in ("sequence", "at", "project", "principal", "kind", "subject", "event", "previous", "hash")
    ]
    while True:
        page = connection.execute(
            select(*columns).where(ledger.c.sequence > expected).order_by(ledger.c.sequence).limit(_PAGE)
        ).all()
        for sequence, at, project, principal, kind, subject, event, before, digest in page:
            expected += 1
            if sequence != expected:
                return ChainReport(expected, False, previous, expected, f"Entry {expected} is missing.")
            if before != previous:
                return ChainReport(
                    expected, False, previous, expected, f"Entry {expected} does not follow entry {expected - 1}."
                )
            if entry_hash([sequence, micros(at), project, principal, kind, subject, event, before]) != digest:
                return ChainReport(
                    expected,
                    False,
                    previous,
                    expected,
                    f"Entry {expected} ({kind} of {subject}) was changed after it was written.",
                )
            previous = digest
        if len(page) < _PAGE:
            break
    head = connection.execute(
        select(chain_head.c.sequence, chain_head.c.hash).where(chain_head.c.id == 1)
    ).one_or_none()
    if (tuple(head) if head else (0, GENESIS)) != (expected, previous):
        return ChainReport(
            expected, False, previous, expected + 1, f"The chain's end is cut off after entry {expected}."
        )
    return ChainReport(expected, True, previous)


def read(row: object) -> LedgerEntry:
    """A row of the ledger as an entry."""
    fields = dict(row._mapping)  # type: ignore[attr-defined]
    return LedgerEntry(**(fields | {"event": msgspec.json.decode(fields["event"])}))
