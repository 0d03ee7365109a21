"""Statements given to the driver as they are, for paths where SQLAlchemy's own way would cost more than the database.

It takes SQLAlchemy 30 µs and more to execute a statement that it knows, and ten times as long to make one. These are
texts with `?` for each value; errors come out as SQLAlchemy's, which sessions know.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, Generic, TypeVar

import msgspec
from sqlalchemy import Column, Connection, Table
from sqlalchemy.exc import DBAPIError
from sqlalchemy.types import TypeDecorator

T = TypeVar("T", bound=msgspec.Struct)


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


class Rows(Generic[T]):
    """The rows of a table as Structs, each found by its key; a field of theirs is the column of that name."""

    def __init__(self, kind: type[T], table: Table) -> None:
        self._kind = kind
        self._table = table
        self._key = " AND ".join(f'"{column.name}" = ?' for column in table.primary_key)
        self._columns = [table.c[name] for name in kind.__struct_fields__]
        names = ", ".join(f'"{column.name}"' for column in self._columns)
        self._first = f'SELECT {names} FROM "{table.name}" WHERE {self._key}'  # noqa: S608 - names of our own

    def first(self, connection: Connection, *key: str) -> T | None:
        """The row with a key, if there is one; about 10 µs."""
        found = asked(connection, self._first, key)
        if not found:
            return None
        pairs = zip(self._columns, found[0], strict=True)
        return self._kind(*[_read(connection, column, value) for column, value in pairs])

    def change(self, connection: Connection, key: Sequence[str], values: Mapping[str, object]) -> None:
        """Change columns of the row with a key."""
        names = ", ".join(f'"{name}" = ?' for name in values)
        kept = [_kept(connection, self._table.c[name], value) for name, value in values.items()]
        statement = f'UPDATE "{self._table.name}" SET {names} WHERE {self._key}'  # noqa: S608 - as above
        run(connection, statement, [(*kept, *key)])


def _read(connection: Connection, column: Column[Any], value: Any) -> Any:
    kind = column.type
    return kind.process_result_value(value, connection.dialect) if isinstance(kind, TypeDecorator) else value


def _kept(connection: Connection, column: Column[Any], value: Any) -> Any:
    kind = column.type
    return kind.process_bind_param(value, connection.dialect) if isinstance(kind, TypeDecorator) else value


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
