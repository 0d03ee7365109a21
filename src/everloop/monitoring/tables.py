"""How references, reports, alerts and notices are kept."""

from __future__ import annotations

from sqlalchemy import Boolean, Column, Float, Index, Integer, String, Table, Text, UniqueConstraint

from everloop.catalog.schema import Encoded, UtcTime, metadata
from everloop.monitoring.entities import MonitorDefinition, Reference, WindowReport

monitors = Table(
    "monitors",
    metadata,
    Column("project", String(128), primary_key=True),
    Column("endpoint", String(128), primary_key=True),
    Column("definition", Encoded(MonitorDefinition), nullable=False),
)
monitor_references = Table(
    "monitor_references",
    metadata,
    Column("project", String(128), primary_key=True),
    Column("endpoint", String(128), primary_key=True),
    Column("since", UtcTime, primary_key=True),
    Column("reference", Encoded(Reference), nullable=False),
)
window_reports = Table(
    "window_reports",
    metadata,
    Column("project", String(128), primary_key=True),
    Column("endpoint", String(128), primary_key=True),
    Column("start", UtcTime, primary_key=True),
    Column("final", Boolean, nullable=False),
    Column("rows", Integer, nullable=False),
    Column("impact", Float, nullable=False),
    Column("report", Encoded(WindowReport), nullable=False),
)
alerts = Table(
    "alerts",
    metadata,
    Column("project", String(128), primary_key=True),
    Column("id", String(32), primary_key=True),
    Column("incident", String(32), nullable=False),
    Column("endpoint", String(128), nullable=False),
    Column("monitor", String(32), nullable=False),
    Column("cause", String(255), nullable=False),
    Column("severity", String(16), nullable=False),
    Column("summary", Text, nullable=False),
    Column("window", UtcTime, nullable=False),
    Column("last_seen", UtcTime, nullable=False),
    Column("opened", UtcTime, nullable=False),
    Column("resolved", UtcTime, nullable=True),
    Column("resolution", Text, nullable=False),
    Index("ix_alerts_endpoint", "project", "endpoint", "opened"),
)
incidents = Table(
    "incidents",
    metadata,
    Column("project", String(128), primary_key=True),
    Column("id", String(32), primary_key=True),
    Column("endpoint", String(128), nullable=False),
    Column("opened", UtcTime, nullable=False),
    Column("closed", UtcTime, nullable=True),
    Index("ix_incidents_endpoint", "project", "endpoint", "opened"),
)
notices = Table(
    "notices",
    metadata,
    Column("project", String(128), primary_key=True),
    Column("id", String(32), primary_key=True),
    Column("sequence", Integer, nullable=False),
    Column("alert", String(32), nullable=False),
    Column("change", String(16), nullable=False),
    Column("at", UtcTime, nullable=False),
    Index("ix_notices_at", "project", "at"),
    UniqueConstraint("project", "sequence"),
)
deliveries = Table(
    "deliveries",
    metadata,
    Column("project", String(128), primary_key=True),
    Column("notice", String(32), primary_key=True),
    Column("channel", String(512), primary_key=True),
    Column("attempts", Integer, nullable=False),
    Column("sent", Boolean, nullable=False),
    Column("problem", Text, nullable=False),
)
