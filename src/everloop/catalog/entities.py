"""What the ledger is made of."""

from __future__ import annotations

from datetime import datetime

import msgspec

from everloop.kernel.usecase import Json


class LedgerEntry(msgspec.Struct, frozen=True):
    """One event as it stands in the chain: `hash` covers every other field, `previous` is the hash before it."""

    sequence: int
    at: datetime
    project: str
    principal: str
    kind: str
    subject: str
    event: dict[str, Json]
    previous: str
    hash: str


class ChainReport(msgspec.Struct, frozen=True):
    """What the verification of the hash chain found."""

    entries: int
    intact: bool
    head: str
    first_broken: int | None = None
    reason: str = ""


class LineageEdge(msgspec.Struct, frozen=True, order=True):
    """`downstream` came about by way of `relation` from `upstream`; both are URNs."""

    downstream: str
    upstream: str
    relation: str


class LineageGraph(msgspec.Struct, frozen=True):
    """The part of the lineage that can be reached from one URN."""

    root: str
    nodes: list[str]
    edges: list[LineageEdge]
