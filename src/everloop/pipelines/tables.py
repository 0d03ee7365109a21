"""How pipelines are kept: definitions, executions, their steps, and the memo."""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, Column, Float, Index, Integer, String, Table, Text

from everloop.catalog.schema import Encoded, UtcTime, metadata
from everloop.kernel.usecase import Json

pipelines = Table(
    "pipelines",
    metadata,
    Column("project", String(128), primary_key=True),
    Column("name", String(128), primary_key=True),
    Column("target", Text, nullable=False),
    Column("folder", Text, nullable=False),
    Column("parameters", Encoded(dict[str, str]), nullable=False),
)
executions = Table(
    "executions",
    metadata,
    Column("project", String(128), primary_key=True),
    Column("id", String(32), primary_key=True),
    Column("pipeline", String(128), nullable=False),
    Column("target", Text, nullable=False),
    Column("folder", Text, nullable=False),
    Column("arguments", Encoded(dict[str, Json]), nullable=False),
    Column("status", String(16), nullable=False),
    Column("lease", String(128), nullable=False),
    Column("run", String(32), nullable=False),
    Column("output", Encoded(Json), info={"digest": True}),
    Column("error", Text, nullable=False),
    Column("started", UtcTime, nullable=False),
    Column("ended", UtcTime),
    Index("ix_executions_pipeline", "project", "pipeline", "started"),
    Index("ix_executions_status", "status"),
)
step_executions = Table(
    "step_executions",
    metadata,
    Column("project", String(128), primary_key=True),
    Column("execution", String(32), primary_key=True),
    Column("index", Integer, primary_key=True, autoincrement=False),
    Column("name", String(250), nullable=False),
    Column("memo_key", String(64), nullable=False),
    Column("hit", Boolean, nullable=False),
    Column("seconds", Float, nullable=False),
    Column("output_digest", String(64), nullable=False),
    Column("error", Text, nullable=False),
    Column("random_seed", BigInteger, nullable=False),
)
memo = Table(
    "memo",
    metadata,
    Column("project", String(128), primary_key=True),
    Column("key", String(64), primary_key=True),
    Column("step", String(250), nullable=False),
    Column("execution", String(32), nullable=False),
    Column("output", Text, nullable=False),
    Column("output_digest", String(64), nullable=False),
    Column("objects", Encoded(tuple[str, ...]), nullable=False, info={"digest": True}),
    Column("logged", Text, nullable=False),
    Column("at", UtcTime, nullable=False),
)
