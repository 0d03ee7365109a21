"""How retention policies are kept."""

from __future__ import annotations

from sqlalchemy import Boolean, Column, String, Table, text

from everloop.catalog.schema import Encoded, UtcTime, metadata
from everloop.governance.retaining.entities import Rules

policies = Table(
    "retention_policies",
    metadata,
    Column("project", String(128), primary_key=True),
    Column("name", String(128), primary_key=True),
    Column("rules", Encoded(Rules), nullable=False),
    Column("experiment", String(128), nullable=False),
    Column("changed", UtcTime, nullable=False),
    Column("declared", Boolean, nullable=False, server_default=text("false")),
)
