"""How profiles are kept."""

from __future__ import annotations

from sqlalchemy import Column, Integer, String, Table

from everloop.catalog.schema import Encoded, UtcTime, metadata
from everloop.packaging.sizing.entities import ModelProfile

model_profiles = Table(
    "model_profiles",
    metadata,
    Column("project", String(128), primary_key=True),
    Column("model", String(128), primary_key=True),
    Column("version", Integer, primary_key=True, autoincrement=False),
    Column("at", UtcTime, primary_key=True),
    Column("profile", Encoded(ModelProfile), nullable=False, info={"digest": False}),
)
