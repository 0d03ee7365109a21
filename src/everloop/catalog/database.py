"""The port to a SQL database, and the retry-free minimum that an engine must do alike everywhere."""

from __future__ import annotations

from typing import Protocol

from sqlalchemy import Connection, Engine


class Database(Protocol):
    """A SQL database that the catalog can live in.

    Contract (`tests/contracts/test_databases.py`): writers are serialized by `begin(write=True)` before their first
    read, readers see a consistent snapshot and never block, a committed transaction survives kill -9.
    """

    engine: Engine
    url: str

    def begin(self, connection: Connection, *, write: bool) -> None:
        """Open a transaction on a connection; with `write` it holds the writer's place from the start."""
        ...

    def reclaim(self) -> int:
        """Give back to the file system what rows that were deleted took up, while others read and write; so many bytes.

        Some of it may be kept for rows to come.
        """
        ...

    def close(self) -> None:
        """Give back every connection."""
        ...
