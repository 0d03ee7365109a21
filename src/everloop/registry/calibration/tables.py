"""How calibrations are kept: one for each tree of files and share of misses."""

from __future__ import annotations

from sqlalchemy import Column, Float, Integer, String, Table

from everloop.catalog.schema import UtcTime, metadata

calibrations = Table(
    "model_calibrations",
    metadata,
    Column("project", String(128), primary_key=True),
    Column("digest", String(64), primary_key=True, info={"digest": False}),
    Column("alpha", Float, primary_key=True),
    Column("margin", Float, nullable=False),
    Column("rows", Integer, nullable=False),
    Column("holdout", String(512), nullable=False),
    Column("at", UtcTime, nullable=False),
)
