"""How packages are kept."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Integer, String, Table

from everloop.catalog.schema import Encoded, UtcTime, metadata
from everloop.packaging.entities import Manifest
from everloop.store.entities import Digest

packages = Table(
    "packages",
    metadata,
    Column("project", String(128), primary_key=True),
    Column("model", String(128), primary_key=True),
    Column("version", Integer, primary_key=True, autoincrement=False),
    Column("digest", String(64), primary_key=True, info={"digest": True}),
    Column("form", String(16), nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("manifest", Encoded(Manifest), nullable=False, info={"digest": True}),
    Column("created", UtcTime, nullable=False),
    Column("parts", Encoded(dict[str, Digest]), nullable=False, server_default="{}", info={"digest": True}),
)
