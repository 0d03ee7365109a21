"""The catalog in a SQLite file, in WAL mode: readers never block, one writer at a time."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from sqlalchemy import Connection, create_engine, event, make_url

from everloop.kernel.errors import Misconfigured

_BUSY_MS = 30_000


class SqliteDatabase:
    """SQLite (WAL, synchronous=FULL: a commit survives kill -9 and power loss)."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.engine = create_engine(url, connect_args={"timeout": _BUSY_MS / 1000, "check_same_thread": False})
        event.listen(self.engine, "connect", self._prepare)

    def begin(self, connection: Connection, *, write: bool) -> None:
        """Open a transaction; a writer takes its place before it reads, so that it never has to be retried."""
        connection.exec_driver_sql("BEGIN IMMEDIATE" if write else "BEGIN")

    def _prepare(self, connection: sqlite3.Connection, _record: object) -> None:
        connection.isolation_level = None  # The driver must not begin transactions of its own.
        try:
            for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", f"busy_timeout={_BUSY_MS}"):
                connection.execute(f"PRAGMA {pragma}")
        except sqlite3.OperationalError:  # It cannot be opened now: the session says so.
            raise
        except sqlite3.DatabaseError as error:
            raise Misconfigured(
                f"{self.engine.url.database} is no SQLite database ({error}).",
                hint="Restore it from a backup, or choose another with EVERLOOP_HOME or EVERLOOP_DATABASE_URL.",
            ) from None

    def close(self) -> None:
        """Give back every connection."""
        self.engine.dispose()


def open_database(url: str) -> SqliteDatabase:
    """The database in the file that a URL such as `sqlite:////path/to/catalog.db` names.

    Raises:
        Misconfigured: the folder cannot be made or written.
    """
    path = make_url(url).database
    if path and path != ":memory:":
        try:
            Path(path).parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise Misconfigured(
                f"The folder of {path} cannot be made ({error.strerror}).", hint="Choose another with EVERLOOP_HOME."
            ) from None
    return SqliteDatabase(url)
