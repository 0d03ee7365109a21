"""One version out of a catalog in SQLite, asked for without SQLAlchemy: importing that costs five times the answer."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from everloop.catalog.revision import HEAD
from everloop.datasets.workspace.entities import Metafile

_REVISION = "SELECT version_num FROM alembic_version"
_VERSION = """SELECT branch, "commit", dataset, files, digest, bytes FROM snapshots
    WHERE project = ? AND dataset = ? AND version = ? AND kind = 'files' AND purged IS NULL"""


def version_in(catalog: Path, project: str, dataset: str, version: int) -> Metafile | None:
    """What a catalog says of a version of files. None: nothing that is certain; the platform is to be asked."""
    try:
        with closing(sqlite3.connect(f"{catalog.as_uri()}?mode=rw", uri=True, timeout=1)) as connection:
            if connection.execute(_REVISION).fetchone() != (HEAD,):
                return None
            found = connection.execute(_VERSION, (project, dataset, version)).fetchone()
    except sqlite3.Error:
        return None
    if found is None:
        return None
    branch, commit, name, files, root, size = found
    return Metafile(branch=branch, commit=commit, dataset=name, files=files, root=root, size=size)
