"""How feature declarations are kept: versions of services and views, and what was materialized. Values are online."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Index, Integer, String, Table

from everloop.catalog.schema import Encoded, UtcTime, metadata
from everloop.features.entities import FeatureService, FeatureView

feature_services = Table(
    "feature_services",
    metadata,
    Column("project", String(128), primary_key=True),
    Column("name", String(128), primary_key=True),
    Column("version", Integer, primary_key=True, autoincrement=False),
    Column("service", Encoded(FeatureService), nullable=False),
    Column("created", UtcTime, nullable=False),
)
feature_views = Table(
    "feature_views",
    metadata,
    Column("project", String(128), primary_key=True),
    Column("name", String(128), primary_key=True),
    Column("version", Integer, primary_key=True, autoincrement=False),
    Column("view", Encoded(FeatureView), nullable=False),
    Column("created", UtcTime, nullable=False),
)
materializations = Table(
    "materializations",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("project", String(128), nullable=False),
    Column("service", String(128), nullable=False),
    Column("version", Integer, nullable=False),
    Column("until", UtcTime, nullable=False),
    Column("rows", BigInteger, nullable=False),
    Column("at", UtcTime, nullable=False),
    Index("ix_materializations_service", "project", "service", "id"),
)
