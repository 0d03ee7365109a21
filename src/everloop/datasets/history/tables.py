"""How history is kept: where each branch stood since when (0: it was deleted), and what each tag names."""

from __future__ import annotations

from sqlalchemy import Column, Integer, String, Table, Text

from everloop.catalog.schema import UtcTime, metadata

moves = Table(
    "dataset_branch_moves",
    metadata,
    Column("project", String(128), primary_key=True),
    Column("dataset", String(128), primary_key=True),
    Column("branch", String(128), primary_key=True),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("version", Integer, nullable=False),
    Column("at", UtcTime, nullable=False),
)
tags = Table(
    "dataset_tags",
    metadata,
    Column("project", String(128), primary_key=True),
    Column("dataset", String(128), primary_key=True),
    Column("name", String(128), primary_key=True),
    Column("version", Integer, nullable=False),
    Column("note", Text, nullable=False),
    Column("author", Text, nullable=False),
    Column("created", UtcTime, nullable=False),
)
