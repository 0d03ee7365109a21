"""The port to a SQL database, and the retry-free minimum that an engine must do alike everywhere."""

from __future__ import annotations

from typing import Protocol

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError


class Database(Protocol):
    """A SQL database that the catalog can live in.

    Contract (`tests/contracts/test_databases.py`): writers are serialized by `begin(write=True)` before their first
    read, readers see a consistent snapshot and never block, a committed transaction survives kill -9.
    """

    engine: Engine
    url: str

    def begin(self, connection: Connection, *, write: bool) -> None:
        """Open a transaction on a connection; with `write` it holds the writer's place from the start.

        It is SQLAlchemy's transaction as well: `commit` of the connection ends it, whoever gave it statements.
        """
        ...

    def reclaim(self) -> int:
        """Give back to the file system what rows that were deleted took up, while others read and write; so many bytes.

        Some of it may be kept for rows to come.
        """
        ...

    def close(self) -> None:
        """Give back every connection."""
        ...


class Kept:
    """A connection that one thread keeps for its writes: taking one for each costs more than a small write does."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._connection: Connection | None = None

    def begun(self) -> Connection:
        """The connection, in a transaction that writes; a fresh one where the database has gone away meanwhile."""
        if self._connection is not None:
            try:
                self._database.begin(self._connection, write=True)
            except DBAPIError as error:
                if not error.connection_invalidated:
                    raise
                self.close()
            else:
                return self._connection
        self._connection = self._database.engine.connect()
        self._database.begin(self._connection, write=True)
        return self._connection

    def close(self) -> None:
        """Give the connection back; what was not committed is undone. The next write takes another."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()
