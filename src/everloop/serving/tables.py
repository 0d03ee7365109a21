"""How endpoints are kept. Predictions and labels are not in the catalog: see `inferencelog.py` and `labellog.py`."""

from __future__ import annotations

from sqlalchemy import Column, Integer, String, Table

from everloop.catalog.schema import Encoded, UtcTime, metadata
from everloop.serving.configuration import Configuration, Resources
from everloop.serving.entities import LogPolicy, Share, Span

endpoints = Table(
    "endpoints",
    metadata,
    Column("project", String(128), primary_key=True),
    Column("name", String(128), primary_key=True),
    Column("model", String(128), nullable=False),
    Column("features", String(128), nullable=False),
    Column("label_key", String(128), nullable=False),
    Column("traffic", Encoded(tuple[Share, ...]), nullable=False),
    Column("allocation", Encoded(tuple[Span, ...]), nullable=False),
    Column("revision", Integer, nullable=False),
    Column("created", UtcTime, nullable=False),
    Column("log", Encoded(LogPolicy), nullable=False, server_default="{}"),
)
deployments = Table(
    "deployments",
    metadata,
    Column("project", String(128), primary_key=True),
    Column("endpoint", String(128), primary_key=True),
    Column("revision", Integer, primary_key=True, autoincrement=False),
    Column("model", String(128), nullable=False),
    Column("version", Integer, nullable=False),
    Column("model_digest", String(64), nullable=False, info={"digest": True}),
    Column("package", String(64), nullable=False),
    Column("created", UtcTime, nullable=False),
    Column("configuration", Encoded(Configuration), nullable=False, server_default="{}", info={"digest": True}),
    Column("resources", Encoded(Resources), nullable=False, server_default="{}"),
)
traffic_changes = Table(
    "traffic_changes",
    metadata,
    Column("project", String(128), primary_key=True),
    Column("endpoint", String(128), primary_key=True),
    Column("revision", Integer, primary_key=True, autoincrement=False),
    Column("traffic", Encoded(tuple[Share, ...]), nullable=False),
    Column("allocation", Encoded(tuple[Span, ...]), nullable=False),
    Column("restored", Integer, nullable=False),
    Column("at", UtcTime, nullable=False),
)
