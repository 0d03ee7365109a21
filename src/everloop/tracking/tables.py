"""How tracking is kept: a row a run, a row for the latest value of each key, a block of points for each log call."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Float, Index, Integer, LargeBinary, String, Table, Text

from everloop.catalog.schema import Encoded, UtcTime, metadata
from everloop.tracking.entities import CodeRevision

experiments = Table(
    "experiments",
    metadata,
    Column("project", String(128), primary_key=True),
    Column("name", String(128), primary_key=True),
    Column("description", Text, nullable=False),
    Column("created", UtcTime, nullable=False),
    Column("title", Text, nullable=False, server_default=""),
    Column("tags", Encoded(dict[str, str]), nullable=False, server_default="{}"),
    Column("location", Text, nullable=False, server_default=""),
    Column("deleted", UtcTime),
)
runs = Table(
    "runs",
    metadata,
    Column("project", String(128), primary_key=True),
    Column("id", String(32), primary_key=True),
    Column("experiment", String(128), nullable=False),
    Column("name", String(256), nullable=False),
    Column("status", String(16), nullable=False),
    Column("inputs", Encoded(tuple[str, ...]), nullable=False),
    Column("code", Encoded(CodeRevision), nullable=False, info={"digest": True}),
    Column("environment", String(64), nullable=False, info={"digest": True}),
    Column("started", UtcTime, nullable=False),
    Column("ended", UtcTime),
    Column("parent", String(32), nullable=False),
    Column("deleted", UtcTime),
    Index("ix_runs_experiment", "project", "experiment", "started"),
)
run_values = Table(
    "run_values",
    metadata,
    Column("project", String(128), primary_key=True),
    Column("run", String(32), primary_key=True),
    Column("kind", String(16), primary_key=True),
    Column("key", String(250), primary_key=True),
    Column("text", Text, nullable=False),
    Column("number", Float),  # NULL for what is no number, and for NaN, which SQLite cannot keep
    Column("step", BigInteger, nullable=False),
    Column("at", UtcTime, nullable=False),
    Column("points", BigInteger, nullable=False),
    Index("ix_run_values_number", "project", "kind", "key", "number"),
)
metric_blocks = Table(
    "metric_blocks",
    metadata,
    Column("project", String(128), primary_key=True),
    Column("run", String(32), primary_key=True),
    Column("key", String(250), primary_key=True),
    Column("first", BigInteger, primary_key=True, autoincrement=False),
    Column("count", Integer, nullable=False),
    Column("points", LargeBinary, nullable=False),
)
artifacts = Table(
    "artifacts",
    metadata,
    Column("project", String(128), primary_key=True),
    Column("run", String(32), primary_key=True),
    Column("path", String(500), primary_key=True),
    Column("digest", String(64), nullable=False, info={"digest": True}),
    Column("size", BigInteger, nullable=False),
)
logged_models = Table(
    "logged_models",
    metadata,
    Column("project", String(128), primary_key=True),
    Column("id", String(32), primary_key=True),
    Column("experiment", String(128), nullable=False),
    Column("run", String(32), nullable=False),
    Column("name", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("status", String(16), nullable=False),
    Column("parameters", Encoded(dict[str, str]), nullable=False),
    Column("tags", Encoded(dict[str, str]), nullable=False),
    Column("created", UtcTime, nullable=False),
    Column("updated", UtcTime, nullable=False),
    Column("deleted", UtcTime),
    Index("ix_logged_models_run", "project", "run"),
)
