"""Migrations of the catalog's tables, by Alembic; a catalog that is up to date is recognised without importing it."""

from __future__ import annotations

from everloop.catalog.database import Database
from everloop.catalog.schema import metadata


def upgrade(database: Database) -> None:
    """Bring the catalog's tables to this version's."""
    metadata.create_all(database.engine)
