"""How datasets are kept: names, versions, profiles. The rows are in the store."""

from __future__ import annotations

from sqlalchemy import BigInteger, Index, Integer, LargeBinary, String, Table, Text
from sqlalchemy import Column as Field

from everloop.catalog.schema import Encoded, UtcTime, metadata
from everloop.datasets.entities import Column, Foreign, Layer, Profile, Purge, Selection

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
    Field("kind", String(16), nullable=False, server_default="table"),
    Field("files", BigInteger, nullable=False, server_default="0"),
    Field("base", Encoded(tuple[int, ...]), nullable=False, server_default="[]"),
    Field("branch", String(128), nullable=False, server_default="main"),
    Field("author", Text, nullable=False, server_default=""),
    Field("commit", String(64), nullable=False, server_default="", info={"digest": True}),
    Field("layers", Encoded(tuple[Layer, ...]), nullable=False, server_default="[]"),
    Field("selection", Encoded(Selection | None)),
    Field("foreign", Encoded(Foreign | None)),
    Field("purged", Encoded(Purge | None), info={"digest": False}),
    Index("ix_snapshots_digest", "project", "dataset", "digest"),
    Index("ix_snapshots_commit", "project", "commit"),
)
profiles = Table(
    "snapshot_profiles",
    metadata,
    Field("project", String(128), primary_key=True),
    Field("dataset", String(128), primary_key=True),
    Field("version", Integer, primary_key=True, autoincrement=False),
    Field("profile", Encoded(Profile), nullable=False),
)
sketches = Table(
    "part_sketches",
    metadata,
    Field("digest", String(64), primary_key=True, info={"digest": False}),
    Field("sketch", LargeBinary, nullable=False),
)
"""What the rows of a file hold, by its address, for all projects (`datasets/sketches.py`); it keeps no file alive."""
