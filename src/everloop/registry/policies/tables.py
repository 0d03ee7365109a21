"""How policies are kept."""

from __future__ import annotations

from sqlalchemy import Boolean, Column, Integer, String, Table, Text

from everloop.catalog.schema import Encoded, UtcTime, metadata

policies = Table(
    "model_policies",
    metadata,
    Column("project", String(128), primary_key=True),
    Column("model", String(128), primary_key=True),  # Empty for every model of the project.
    Column("aliases", Encoded(tuple[str, ...]), nullable=False),
    Column("approvals", Integer, nullable=False),
    Column("approvers", Encoded(tuple[str, ...]), nullable=False),
    Column("minimums", Encoded(dict[str, float]), nullable=False),
    Column("gates", Encoded(tuple[str, ...]), nullable=False),
)
judgements = Table(
    "model_gates",
    metadata,
    Column("project", String(128), primary_key=True),
    Column("model", String(128), primary_key=True),
    Column("version", Integer, primary_key=True, autoincrement=False),
    Column("gate", String(128), primary_key=True),
    Column("digest", String(64), nullable=False, info={"digest": False}),
    Column("passed", Boolean, nullable=False),
    Column("message", Text, nullable=False),
    Column("by", String(512), nullable=False),
    Column("at", UtcTime, nullable=False),
)
