"""Statements given to the driver as they are, for paths where SQLAlchemy's own way would cost more than the database.

It takes SQLAlchemy 30 µs and more to execute a statement that it knows, and ten times as long to make one. These are
texts with `?` for each value; errors come out as SQLAlchemy's, which sessions know.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError


def asked(connection: Connection, statement: str, values: Sequence[object] = ()) -> list[Any]:
    """The rows of a statement, as tuples."""
    try:
        cursor = connection.connection.cursor()
        cursor.execute(_driven(connection, statement), values)
        return list(cursor.fetchall())
    except connection.dialect.loaded_dbapi.Error as error:
        raise _told(connection, statement, error) from error


def run(connection: Connection, statement: str, rows: Sequence[Sequence[object]] = ((),)) -> None:
    """Run a statement for each of some rows of values."""
    try:
        cursor = connection.connection.cursor()
        if len(rows) == 1:
            cursor.execute(_driven(connection, statement), rows[0])
        elif rows:
            cursor.executemany(_driven(connection, statement), rows)
    except connection.dialect.loaded_dbapi.Error as error:
        raise _told(connection, statement, error) from error


def _told(connection: Connection, statement: str, error: Any) -> BaseException:
    """A driver's error as SQLAlchemy tells it."""
    dialect, driver = connection.dialect, connection.dialect.loaded_dbapi
    lost = dialect.is_disconnect(error, connection.connection.driver_connection, None)
    if lost:
        connection.invalidate(error)
    told: BaseException = DBAPIError.instance(
        statement, None, error, driver.Error, connection_invalidated=lost, dialect=dialect
    )
    return told


def _driven(connection: Connection, statement: str) -> str:
    """The statement as the driver takes it."""
    return statement if connection.dialect.paramstyle == "qmark" else _with_percents(statement)


@cache
def _with_percents(statement: str) -> str:
    return statement.replace("?", "%s")
