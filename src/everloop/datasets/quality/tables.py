"""How expectations, check reports and figures that were measured are kept."""

from __future__ import annotations

from sqlalchemy import Boolean, Float, Integer, String, Table
from sqlalchemy import Column as Field

from everloop.catalog.schema import Encoded, UtcTime, metadata
from everloop.datasets.quality.engine import Kept
from everloop.datasets.quality.entities import CheckResult
from everloop.datasets.quality.expectations import Expectation

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
    Field("parts", Integer, nullable=False, server_default="1"),
    Field("read", Integer, nullable=False, server_default="1"),
    Field("seconds", Float, nullable=False, server_default="0"),
)
figures = Table(
    "check_figures",
    metadata,
    Field("key", String(64), primary_key=True),
    Field("figure", Encoded(Kept), nullable=False),
)
"""Counts of failing rows and the like by content and question, for all projects; never a value of a row."""
