"""How the later texts of model cards are kept."""

from __future__ import annotations

from sqlalchemy import Column, Integer, String, Table, Text

from everloop.catalog.schema import UtcTime, metadata

cards = Table(
    "model_cards",
    metadata,
    Column("project", String(128), primary_key=True),
    Column("model", String(128), primary_key=True),
    Column("version", Integer, primary_key=True, autoincrement=False),
    Column("revision", Integer, primary_key=True, autoincrement=False),
    Column("text", Text, nullable=False),
    Column("author", String(128), nullable=False),
    Column("reason", Text, nullable=False),
    Column("at", UtcTime, nullable=False),
)
