"""How compilations are kept: one for each tree of files, since equal files compile alike."""

from __future__ import annotations

from sqlalchemy import Column, String, Table, Text

from everloop.catalog.schema import Encoded, UtcTime, metadata
from everloop.registry.compilation.entities import Evidence

compilations = Table(
    "model_compilations",
    metadata,
    Column("project", String(128), primary_key=True),
    Column("flavor", String(64), primary_key=True),
    Column("digest", String(64), primary_key=True, info={"digest": False}),
    Column("engine", String(16), nullable=False),
    Column("compiled", String(64), nullable=False, info={"digest": True}),
    Column("reason", Text, nullable=False),
    Column("evidence", Encoded(Evidence), nullable=False),
    Column("at", UtcTime, nullable=False),
)
