"""How sweeps are kept: a row a sweep (a study of Optuna's), and a row a trial with one document."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Index, Integer, LargeBinary, String, Table, Text

from everloop.catalog.schema import Encoded, UtcTime, metadata

sweeps = Table(
    "sweeps",
    metadata,
    Column("project", String(128), primary_key=True),
    Column("number", Integer, primary_key=True, autoincrement=False),  # Never given again: other processes know it.
    Column("name", String(512)),  # None once it is deleted.
    Column("directions", Encoded(tuple[int, ...]), nullable=False),
    Column("status", String(16), nullable=False),
    Column("experiment", String(128), nullable=False),
    Column("run", String(32), nullable=False),  # Of which the runs of its trials are children; a bare study has none.
    Column("created", UtcTime, nullable=False),
    Column("ended", UtcTime),
    Column("lease", String(200), nullable=False),  # Of the process that drives it.
    Column("error", Text, nullable=False),
    Column("definition", Text, nullable=False),  # JSON; empty for a bare study.
    Column("attributes", LargeBinary, nullable=False),
    Index("ix_sweeps_name", "project", "name", unique=True),
)
trials = Table(
    "sweep_trials",
    metadata,
    Column("project", String(128), primary_key=True),
    Column("sweep", Integer, primary_key=True, autoincrement=False),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("changed", BigInteger, nullable=False),  # Rises in the order of commits within a sweep.
    Column("state", Integer, nullable=False),  # As Optuna numbers them.
    Column("run", String(32), nullable=False),
    Column("lease", String(200), nullable=False),  # Of the process that runs it.
    Column("beat", UtcTime),  # When that process last said that it lives.
    Column("started", UtcTime),
    Column("ended", UtcTime),
    Column("document", LargeBinary, nullable=False),
    Index("ix_sweep_trials_changed", "project", "sweep", "changed"),
)
