"""How rollouts are kept."""

from __future__ import annotations

from sqlalchemy import Column, Float, Index, Integer, String, Table, Text

from everloop.catalog.schema import Encoded, UtcTime, metadata
from everloop.rollouts.entities import Evidence, Strategy

rollouts = Table(
    "rollouts",
    metadata,
    Column("project", String(128), primary_key=True),
    Column("id", String(32), primary_key=True),
    Column("endpoint", String(128), nullable=False),
    Column("stable", Integer, nullable=False),
    Column("challenger", Integer, nullable=False),
    Column("version", Integer, nullable=False),
    Column("strategy", Encoded(Strategy), nullable=False),
    Column("status", String(16), nullable=False),
    Column("step", Integer, nullable=False),
    Column("step_since", UtcTime, nullable=False),
    Column("step_labels", Integer, nullable=False),
    Column("started", UtcTime, nullable=False),
    Column("revision", Integer, nullable=False),
    Column("ended", UtcTime, nullable=True),
    Column("reason", Text, nullable=False),
    Column("evidence", Encoded(Evidence), nullable=False),
    Column("units", Integer, nullable=False),
    Index("ix_rollouts_endpoint", "project", "endpoint", "started"),
)
rollout_steps = Table(
    "rollout_steps",
    metadata,
    Column("project", String(128), primary_key=True),
    Column("rollout", String(32), primary_key=True),
    Column("sequence", Integer, primary_key=True, autoincrement=False),
    Column("at", UtcTime, nullable=False),
    Column("percent", Float, nullable=False),
    Column("status", String(16), nullable=False),
    Column("reason", Text, nullable=False),
    Column("evidence", Encoded(Evidence), nullable=False),
)
