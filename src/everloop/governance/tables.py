"""How governance is kept. Principals and tokens belong to the platform, not to one project."""

from __future__ import annotations

from sqlalchemy import Column, Index, String, Table

from everloop.catalog.schema import Encoded, UtcTime, metadata
from everloop.governance.entities import Role

principals = Table(
    "principals",
    metadata,
    Column("name", String(128), primary_key=True),
    Column("roles", Encoded(tuple[Role, ...]), nullable=False),
)
tokens = Table(
    "tokens",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("principal", String(128), nullable=False),
    Column("hash", String(64), nullable=False, unique=True, info={"digest": False}),
    Column("created", UtcTime, nullable=False),
    Column("expires", UtcTime),
    Column("revoked", UtcTime),
    Index("ix_tokens_principal", "principal"),
)
