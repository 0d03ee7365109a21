"""How decisions to trust are kept: one for each tree of files; the ledger has those that were taken back."""

from __future__ import annotations

from sqlalchemy import Column, Integer, String, Table, Text

from everloop.catalog.schema import UtcTime, metadata

trusts = Table(
    "model_trusts",
    metadata,
    Column("project", String(128), primary_key=True),
    Column("digest", String(64), primary_key=True, info={"digest": False}),
    Column("model", String(128), nullable=False),
    Column("version", Integer, nullable=False),
    Column("principal", String(128), nullable=False),
    Column("reason", Text, nullable=False),
    Column("at", UtcTime, nullable=False),
)
