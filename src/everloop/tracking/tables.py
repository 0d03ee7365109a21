"""How tracking is kept: a row a run with two documents, what was logged last in tails, all before in blocks."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Index, Integer, LargeBinary, String, Table, Text, text

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
    Column("changed", UtcTime),
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
    Column("user", String(128), nullable=False),
    Column("group", String(128), nullable=False),
    Column("changed", BigInteger, nullable=False),  # Rises in the order of commits: each write has the next number.
    Column("tail_next", BigInteger, nullable=False),  # The number that the next tail gets, ...
    Column("tail_points", Integer, nullable=False),  # ... and what the tails hold.
    Column("tail_bytes", Integer, nullable=False),
    Column("note", Text, nullable=False),
    Column("texts", LargeBinary, nullable=False),  # The documents stand last: what is before them is read without.
    Column("latest", LargeBinary, nullable=False),
    Index("ix_runs_experiment", "project", "experiment", "started"),
    Index("ix_runs_changed", "project", "changed", unique=True),
    Index("ix_runs_parent", "project", "parent"),
)
metric_tail = Table(
    "metric_tail",
    metadata,
    Column("project", String(128), primary_key=True),
    Column("run", String(32), primary_key=True),
    Column("sequence", BigInteger, primary_key=True, autoincrement=False),
    Column("segment", LargeBinary, nullable=False),  # Packed points, as points.pack makes them.
    sqlite_with_rowid=False,
)
metric_blocks = Table(
    "metric_blocks",
    metadata,
    Column("project", String(128), primary_key=True),
    Column("run", String(32), primary_key=True),
    Column("key", String(250), primary_key=True),
    Column("first", BigInteger, primary_key=True, autoincrement=False),  # So many points of the key came before.
    Column("count", Integer, nullable=False),
    Column("points", LargeBinary, nullable=False),
    Index(  # Blocks that can still grow are found without reading the whole ones.
        "ix_metric_blocks_short",
        *("project", "run", "key", "first"),
        sqlite_where=text("count < 4096"),  # scripts/migration.py says the same of PostgreSQL.
    ),
)
metric_levels = Table(
    "metric_levels",
    metadata,
    Column("project", String(128), primary_key=True),
    Column("run", String(32), primary_key=True),
    Column("key", String(250), primary_key=True),
    Column("level", Integer, primary_key=True, autoincrement=False),
    Column("place", BigInteger, primary_key=True, autoincrement=False),
    Column("spans", LargeBinary, nullable=False),  # Summaries of consecutive points, as series.pyramid packs them.
)
run_writers = Table(
    "run_writers",
    metadata,
    Column("project", String(128), primary_key=True),
    Column("run", String(32), primary_key=True),
    Column("writer", String(64), primary_key=True),
    Column("sequence", BigInteger, nullable=False),  # The last one of that writer that was taken.
    sqlite_with_rowid=False,
)
run_purges = Table(  # What was freed for good: who keeps runs in memory learns of it here.
    "run_purges",
    metadata,
    Column("project", String(128), primary_key=True),
    Column("changed", BigInteger, primary_key=True, autoincrement=False),  # Counts on with that of runs.
    Column("runs", LargeBinary, nullable=False),  # Their ids.
)
artifacts = Table(
    "artifacts",
    metadata,
    Column("project", String(128), primary_key=True),
    Column("run", String(40), primary_key=True),  # Or the id of a logged model, or what stands for a trace.
    Column("path", String(500), primary_key=True),
    Column("digest", String(64), nullable=False, info={"digest": True}),
    Column("size", BigInteger, nullable=False),
)
logged_models = Table(
    "logged_models",
    metadata,
    Column("project", String(128), primary_key=True),
    Column("id", String(40), primary_key=True),  # Those of MLflow have 34 characters.
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
    Column("measured", LargeBinary),  # A document; none before something was measured of the model.
    Index("ix_logged_models_run", "project", "run"),
)
run_outputs = Table(
    "run_outputs",
    metadata,
    Column("project", String(128), primary_key=True),
    Column("run", String(32), primary_key=True),
    Column("model", String(40), primary_key=True),  # The id of a logged model that came out of the run, ...
    Column("step", BigInteger, nullable=False),  # ... at which of its steps.
)
