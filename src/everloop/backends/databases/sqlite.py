"""The catalog in a SQLite file, in WAL mode: readers never block, one writer at a time."""

from __future__ import annotations

import sqlite3
from contextlib import suppress
from pathlib import Path

from sqlalchemy import Connection, create_engine, event, make_url
from sqlalchemy.exc import OperationalError

from everloop.catalog import driver, like, regular
from everloop.kernel.errors import Misconfigured

_BUSY_MS = 30_000
_PRAGMAS = (
    "journal_mode=WAL",
    "synchronous=FULL",
    "foreign_keys=ON",
)
_GIVING_BACK = "PRAGMA auto_vacuum=INCREMENTAL"
_INCREMENTAL = 2
_PAGES = 1_000
"""So many pages are given back in one go."""


class SqliteDatabase:
    """SQLite (WAL, synchronous=FULL: a commit survives kill -9 and power loss)."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.engine = create_engine(url, connect_args={"timeout": _BUSY_MS / 1000, "check_same_thread": False})
        event.listen(self.engine, "connect", self._prepare)

    def begin(self, connection: Connection, *, write: bool) -> None:
        """Open a transaction; a writer takes its place before it reads, so that it never has to be retried."""
        connection.begin()
        driver.run(connection, "BEGIN IMMEDIATE" if write else "BEGIN")

    def _prepare(self, connection: sqlite3.Connection, _record: object) -> None:
        connection.isolation_level = None  # The driver must not begin transactions of its own.
        connection.create_function(like.FUNCTION, 3, like.holds, deterministic=True)
        connection.create_function(regular.FUNCTION, 2, regular.occurs, deterministic=True)
        try:
            # Only in a new file: in one that is there it would wait for who writes.
            if connection.execute("PRAGMA page_count").fetchone() == (0,):
                connection.execute(_GIVING_BACK)  # What is freed can be given back bit by bit.
            for pragma in (*_PRAGMAS, f"busy_timeout={_BUSY_MS}"):
                connection.execute(f"PRAGMA {pragma}")
        except sqlite3.OperationalError:  # It cannot be opened now: the session says so.
            raise
        except sqlite3.DatabaseError as error:
            raise Misconfigured(
                f"{self.engine.url.database} is no SQLite database ({error}).",
                hint="Restore it from a backup, or choose another with EVERLOOP_HOME or EVERLOOP_DATABASE_URL.",
            ) from None

    def reclaim(self) -> int:
        """Give free pages back to the file system, a few at a time so that writers get their turn; so many bytes.

        A file of an earlier release cannot do that yet: it is written anew once, when a quarter of it is free.
        """
        with self.engine.connect() as connection:
            before = _pragma(connection, "page_count")
            # Where others write or read all the time, what is left is for the next time.
            with suppress(OperationalError, sqlite3.OperationalError):
                _shrink(connection, before)
            return max(0, before - _pragma(connection, "page_count")) * _pragma(connection, "page_size")

    def close(self) -> None:
        """Give back every connection."""
        self.engine.dispose()


def _shrink(connection: Connection, pages: int) -> None:
    if _pragma(connection, "auto_vacuum") == _INCREMENTAL:
        while _pragma(connection, "freelist_count"):
            # A step of the statement gives back one page, and only scripts are run to their end.
            connection.connection.cursor().executescript(f"PRAGMA incremental_vacuum({_PAGES})")
    elif _pragma(connection, "freelist_count") * 4 > pages:
        connection.exec_driver_sql(_GIVING_BACK)
        connection.exec_driver_sql("VACUUM")
    connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)").all()


def _pragma(connection: Connection, name: str) -> int:
    return int(connection.exec_driver_sql(f"PRAGMA {name}").scalar_one())


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
