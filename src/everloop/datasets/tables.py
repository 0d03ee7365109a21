"""How datasets are kept: names, versions, profiles, expectations, check reports. The rows are in the store."""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, Integer, String, Table, Text, UniqueConstraint
from sqlalchemy import Column as Field

from everloop.catalog.schema import Encoded, UtcTime, metadata
from everloop.datasets.entities import CheckResult, Column, Expectation, Profile

datasets = Table(
    "datasets",
    metadata,
    Field("project", String(128), primary_key=True),
    Field("name", String(128), primary_key=True),
    Field("description", Text, nullable=False),
    Field("latest", Integer, nullable=False),
    Field("created", UtcTime, nullable=False),
)
snapshots = Table(
    "snapshots",
    metadata,
    Field("project", String(128), primary_key=True),
    Field("dataset", String(128), primary_key=True),
    Field("version", Integer, primary_key=True, autoincrement=False),
    Field("digest", String(64), nullable=False, info={"digest": True}),
    Field("rows", BigInteger, nullable=False),
    Field("bytes", BigInteger, nullable=False),
    Field("columns", Encoded(tuple[Column, ...]), nullable=False),
    Field("parents", Encoded(tuple[str, ...]), nullable=False),
    Field("note", Text, nullable=False),
    Field("created", UtcTime, nullable=False),
    UniqueConstraint("project", "dataset", "digest"),
)
profiles = Table(
    "snapshot_profiles",
    metadata,
    Field("project", String(128), primary_key=True),
    Field("dataset", String(128), primary_key=True),
    Field("version", Integer, primary_key=True, autoincrement=False),
    Field("profile", Encoded(Profile), nullable=False),
)
suites = Table(
    "expectation_suites",
    metadata,
    Field("project", String(128), primary_key=True),
    Field("dataset", String(128), primary_key=True),
    Field("expectations", Encoded(tuple[Expectation, ...]), nullable=False),
    Field("at", UtcTime, nullable=False),
)
checks = Table(
    "check_reports",
    metadata,
    Field("project", String(128), primary_key=True),
    Field("dataset", String(128), primary_key=True),
    Field("number", Integer, primary_key=True, autoincrement=False),
    Field("version", Integer, nullable=False),
    Field("passed", Boolean, nullable=False),
    Field("results", Encoded(tuple[CheckResult, ...]), nullable=False),
    Field("at", UtcTime, nullable=False),
)
