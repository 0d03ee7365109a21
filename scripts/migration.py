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


def write(message: str) -> None:
    """Compare the declared tables with a fresh catalog at the newest revision; the difference becomes a revision."""
    areas.load_all()
    with tempfile.TemporaryDirectory() as folder:
        database = backends.load("databases", "sqlite")(f"sqlite:///{Path(folder) / 'catalog.db'}")
        if HEAD:
            upgrade(database)
        with database.engine.connect() as connection:
            following = f"{int(HEAD or 0) + 1:04d}"
            command.revision(configuration(connection), message, autogenerate=True, rev_id=following)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        raise SystemExit('usage: python -m scripts.migration "what changed"')
    write(sys.argv[1])
