"""Write the next migration: what the tables of the areas have that the newest revision has not.

python -m scripts.migration "what changed"
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from alembic import command

from everloop.app import areas, backends
from everloop.catalog.migrations import configuration, upgrade
from everloop.catalog.revision import HEAD
from everloop.catalog.schema import metadata


def write(message: str) -> None:
    """Compare the declared tables with a fresh catalog at the newest revision; the difference becomes a revision."""
    areas.load_all()
    make_partial_everywhere()
    with tempfile.TemporaryDirectory() as folder:
        database = backends.load("databases", "sqlite")(f"sqlite:///{Path(folder) / 'catalog.db'}")
        if HEAD:
            upgrade(database)
        with database.engine.connect() as connection:
            following = f"{int(HEAD or 0) + 1:04d}"
            command.revision(configuration(connection), message, autogenerate=True, rev_id=following)


def make_partial_everywhere() -> None:
    """Let indexes that hold only some rows in SQLite hold only those in PostgreSQL.

    Tables do not say so themselves: SQLAlchemy would load all of that dialect into every process, for 35 ms.
    """
    for index in (index for table in metadata.tables.values() for index in table.indexes):
        if (where := index.dialect_kwargs.get("sqlite_where")) is not None:
            index.dialect_kwargs["postgresql_where"] = where


if __name__ == "__main__":
    if len(sys.argv) != 2:
        raise SystemExit('usage: python -m scripts.migration "what changed"')
    write(sys.argv[1])
