"""How policies are kept."""

from __future__ import annotations

from sqlalchemy import Column, Integer, String, Table

from everloop.catalog.schema import Encoded, metadata

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
