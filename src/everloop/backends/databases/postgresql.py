"""The catalog in PostgreSQL."""

from __future__ import annotations

from sqlalchemy import Connection, create_engine, make_url
from sqlalchemy.exc import ArgumentError

from everloop.catalog import driver
from everloop.kernel.errors import Misconfigured

_WRITERS_PLACE = 0x65766572
"""The advisory lock that the ledger's writers take in turn, so that the chain has no fork."""
_WRITE = f"SELECT pg_advisory_xact_lock({_WRITERS_PLACE})"
_SIZE = "SELECT pg_database_size(current_database())"
_READ = "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY"


class PostgresqlDatabase:
    """PostgreSQL by psycopg 3."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.engine = create_engine(
            make_url(url).set(drivername="postgresql+psycopg"), pool_pre_ping=True, connect_args={"connect_timeout": 10}
        )

    def begin(self, connection: Connection, *, write: bool) -> None:
        """Open a transaction; a writer waits for its place, a reader gets one snapshot for all of its queries."""
        connection.begin()
        driver.run(connection, _WRITE if write else _READ)

    def reclaim(self) -> int:
        """Let PostgreSQL use again what rows that were deleted took up, and give back what lies at the ends of tables.

        Its own autovacuum would do so too, later. So many bytes.
        """
        with self.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            before = connection.exec_driver_sql(_SIZE).scalar_one()
            connection.exec_driver_sql("VACUUM")
            return max(0, int(before) - int(connection.exec_driver_sql(_SIZE).scalar_one()))

    def close(self) -> None:
        """Give back every connection."""
        self.engine.dispose()


def open_database(url: str) -> PostgresqlDatabase:
    """The database that a URL such as `postgresql://user@host/everloop` names.

    Raises:
        Misconfigured: the driver is not installed, or it is no such URL.
    """
    try:
        return PostgresqlDatabase(url)
    except (ValueError, ArgumentError):  # Neither is quoted: a password may stand in it.
        raise Misconfigured(
            "EVERLOOP_DATABASE_URL is no URL of a database.", hint="Write postgresql://user:password@host:5432/name."
        ) from None
    except ModuleNotFoundError:
        raise Misconfigured(
            "PostgreSQL needs a driver that is not installed.", hint="pip install 'everloop[postgresql]'"
        ) from None
