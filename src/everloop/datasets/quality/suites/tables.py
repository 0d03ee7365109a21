"""How it is kept where suites gate, and the files that they were written in."""

from __future__ import annotations

from sqlalchemy import Column as Field
from sqlalchemy import String, Table, Text

from everloop.catalog.schema import Encoded, UtcTime, metadata
from everloop.datasets.quality.suites.entities import Place

gatings = Table(
    "suite_gates",
    metadata,
    Field("project", String(128), primary_key=True),
    Field("dataset", String(128), primary_key=True),
    Field("gates", Encoded(tuple[Place, ...]), nullable=False),
    Field("on_failure", String(16), nullable=False),
    Field("at", UtcTime, nullable=False),
)
written = Table(
    "suite_files",
    metadata,
    Field("project", String(128), primary_key=True),
    Field("dataset", String(128), primary_key=True),
    Field("text", Text, nullable=False),
)
