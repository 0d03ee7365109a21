"""How the ledger is kept."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Index, Integer, String, Table, Text

from everloop.catalog.schema import UtcTime, metadata

ledger = Table(
    "ledger",
    metadata,
    Column("sequence", BigInteger, primary_key=True, autoincrement=False),
    Column("at", UtcTime, nullable=False),
    Column("project", String(128), nullable=False),
    Column("principal", String(128), nullable=False),
    Column("kind", String(128), nullable=False),
    Column("subject", Text, nullable=False),
    Column("event", Text, nullable=False),
    Column("previous", String(64), nullable=False),
    Column("hash", String(64), nullable=False),
    Index("ix_ledger_subject", "subject"),
    Index("ix_ledger_kind", "kind"),
)
chain_head = Table(
    "chain_head",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("sequence", BigInteger, nullable=False),
    Column("hash", String(64), nullable=False),
)
lineage = Table(
    "lineage",
    metadata,
    Column("downstream", Text, primary_key=True),
    Column("upstream", Text, primary_key=True),
    Column("relation", String(64), primary_key=True),
    Column("at", UtcTime, nullable=False),
    Index("ix_lineage_upstream", "upstream"),
)
holds = Table(
    "holds",
    metadata,
    Column("project", String(128), primary_key=True),
    Column("urn", String(500), primary_key=True),
    Column("reason", Text, nullable=False),
    Column("principal", String(128), nullable=False),
    Column("at", UtcTime, nullable=False),
)
answered = Table(
    "answered",
    metadata,
    Column("key", String(200), primary_key=True),
    Column("principal", String(128), primary_key=True),
    Column("usecase", String(128), nullable=False),
    Column("request", String(64), nullable=False),
    Column("answer", Text, nullable=False),
    Column("at", UtcTime, nullable=False),
)
