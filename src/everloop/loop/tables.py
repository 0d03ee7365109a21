"""How loops and their candidates are kept."""

from __future__ import annotations

from sqlalchemy import Boolean, Column, Index, Integer, String, Table, Text

from everloop.catalog.schema import Encoded, UtcTime, metadata
from everloop.kernel.usecase import Json
from everloop.loop.entities import GateResult, Loop

loops = Table(
    "loops",
    metadata,
    Column("project", String(128), primary_key=True),
    Column("name", String(128), primary_key=True),
    Column("declaration", Encoded(Loop), nullable=False),
    Column("revision", Integer, nullable=False),
    Column("created", UtcTime, nullable=False),
    Column("applied", UtcTime, nullable=False),
)
candidates = Table(
    "loop_candidates",
    metadata,
    Column("project", String(128), primary_key=True),
    Column("id", String(32), primary_key=True),
    Column("loop", String(128), nullable=False),
    Column("model", String(128), nullable=False),
    Column("status", String(16), nullable=False),
    Column("trigger", String(128), nullable=False),
    Column("reason", Text, nullable=False),
    Column("pipeline", String(128), nullable=False),
    Column("arguments", Encoded(dict[str, Json]), nullable=False),
    Column("created", UtcTime, nullable=False),
    Column("number", Integer, nullable=False),
    Column("skip_gates", Boolean, nullable=False),
    Column("execution", String(32), nullable=False),
    Column("version", Integer, nullable=False),
    Column("gates", Encoded(tuple[GateResult, ...]), nullable=False),
    Column("measured", Encoded(dict[str, float]), nullable=False),
    Column("rollout", String(32), nullable=False),
    Column("units", Integer, nullable=False),
    Column("outcome", Text, nullable=False),
    Column("ended", UtcTime, nullable=True),
    Index("ix_loop_candidates_loop", "project", "loop", "number"),
)
