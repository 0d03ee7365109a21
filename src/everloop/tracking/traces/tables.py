"""How traces are kept: a row a trace to search by, its spans in compressed parts that become one when it ends."""

from __future__ import annotations

from sqlalchemy import JSON, BigInteger, Boolean, Column, Float, Index, Integer, LargeBinary, String, Table, Text

from everloop.catalog.schema import Encoded, UtcTime, metadata
from everloop.tracking.traces.entities import Assessment

traces = Table(
    "traces",
    metadata,
    Column("project", String(128), primary_key=True),
    Column("id", String(128), primary_key=True),
    Column("experiment", String(128), nullable=False),
    Column("name", Text),
    Column("state", String(16), nullable=False),
    Column("started", UtcTime, nullable=False),
    Column("milliseconds", BigInteger),
    Column("run", Text),
    Column("client_id", Text),
    Column("request", Text),
    Column("response", Text),
    Column("tags", JSON, nullable=False),
    Column("metadata", JSON, nullable=False),
    Column(
        "told", Boolean, nullable=False
    ),  # The client itself said what is known of the whole: spans change none of it.
    Column("parts", Integer, nullable=False),
    Index("ix_traces_experiment", "project", "experiment", "started", "id"),
    Index("ix_traces_started", "project", "started", "id"),
    Index("ix_traces_run", "project", "run"),
)
trace_parts = Table(
    "trace_parts",
    metadata,
    Column("project", String(128), primary_key=True),
    Column("trace", String(128), primary_key=True),
    Column("part", Integer, primary_key=True, autoincrement=False),
    Column("spans", LargeBinary, nullable=False),
)
trace_links = Table(
    "trace_links",
    metadata,
    Column("project", String(128), primary_key=True),
    Column("trace", String(128), primary_key=True),
    Column("kind", String(16), primary_key=True),
    Column("target", String(500), primary_key=True),
    Index("ix_trace_links_target", "project", "kind", "target"),
)
assessments = Table(
    "assessments",
    metadata,
    Column("project", String(128), primary_key=True),
    Column("trace", String(128), primary_key=True),
    Column("id", String(128), primary_key=True),
    Column("kind", String(16), nullable=False),
    Column("name", Text, nullable=False),
    Column("valid", Boolean, nullable=False),
    Column("text", Text, nullable=False),
    Column("number", Float),
    Column("document", Encoded(Assessment), nullable=False),
)
OF_A_TRACE = (trace_parts, trace_links, assessments)
"""What goes with a trace when it goes."""
