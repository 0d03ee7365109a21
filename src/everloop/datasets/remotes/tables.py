"""How remotes are kept: a name and a URL each, and what they were found to do. Secrets are never in a URL."""

from __future__ import annotations

from sqlalchemy import Column, String, Table, Text

from everloop.catalog.schema import Encoded, UtcTime, metadata
from everloop.datasets.remotes.entities import Probe

remotes = Table(
    "remotes",
    metadata,
    Column("project", String(128), primary_key=True),
    Column("name", String(128), primary_key=True),
    Column("url", Text, nullable=False, info={"digest": False}),
    Column("refs", String(16), nullable=False),
    Column("probe", Encoded(Probe), nullable=False, info={"digest": False}),
    Column("created", UtcTime, nullable=False),
)
