"""How the registry is kept."""

from __future__ import annotations

from sqlalchemy import Column, ForeignKeyConstraint, Index, Integer, String, Table, Text

from everloop.catalog.schema import Encoded, UtcTime, metadata
from everloop.kernel.usecase import Json
from everloop.registry.entities import Model

models = Table(
    "models",
    metadata,
    Column("project", String(128), primary_key=True),
    Column("name", String(128), primary_key=True),
    Column("description", Text, nullable=False),
    Column("created", UtcTime, nullable=False),
    Column("latest", Integer, nullable=False),
    Column("title", String(256), nullable=False, server_default=""),
    Column("updated", UtcTime),
    Column("deleted", UtcTime),  # The row stays, so that numbers are never given again.
    Index("ix_models_title", "project", "title"),
)
versions = Table(
    "model_versions",
    metadata,
    Column("project", String(128), primary_key=True),
    Column("model", String(128), primary_key=True),
    Column("version", Integer, primary_key=True, autoincrement=False),
    Column("trained", Encoded(Model), nullable=False, info={"digest": True}),
    Column("run", String(128), nullable=False),
    Column("card", Text, nullable=False),
    Column("created", UtcTime, nullable=False),
    Column("note", Text, nullable=False),
    Column("source", Text, nullable=False, server_default=""),
    Column("stage", String(16), nullable=False, server_default="None"),
    Column("updated", UtcTime),
    Column("author", String(128), nullable=False, server_default=""),
    Column("link", Text, nullable=False, server_default=""),
    Column("logged", String(40), nullable=False, server_default=""),
    Index("ix_model_versions_run", "project", "run"),
    ForeignKeyConstraint(["project", "model"], ["models.project", "models.name"]),
)
aliases = Table(
    "model_aliases",
    metadata,
    Column("project", String(128), primary_key=True),
    Column("model", String(128), primary_key=True),
    Column("alias", String(128), primary_key=True),
    Column("version", Integer, nullable=False),
    Column("moved", UtcTime, nullable=False),
    ForeignKeyConstraint(
        ["project", "model", "version"], ["model_versions.project", "model_versions.model", "model_versions.version"]
    ),
)
tags = Table(
    "model_tags",
    metadata,
    Column("project", String(128), primary_key=True),
    Column("model", String(128), primary_key=True),
    Column("version", Integer, primary_key=True, autoincrement=False),  # 0 for the model itself
    Column("key", String(250), primary_key=True),
    Column("value", Text, nullable=False),
    ForeignKeyConstraint(["project", "model"], ["models.project", "models.name"]),
)
approvals = Table(
    "model_approvals",
    metadata,
    Column("project", String(128), primary_key=True),
    Column("model", String(128), primary_key=True),
    Column("version", Integer, primary_key=True, autoincrement=False),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("digest", String(64), nullable=False, info={"digest": False}),
    Column("approver", String(128), nullable=False),
    Column("decision", String(16), nullable=False),
    Column("reason", Text, nullable=False),
    Column("evidence", Encoded(dict[str, Json]), nullable=False),
    Column("at", UtcTime, nullable=False),
)
