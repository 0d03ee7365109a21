"""The schema that every area adds its tables to, and the column types that values travel in."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Generic, TypeVar

import msgspec
from sqlalchemy import BigInteger, Dialect, MetaData, Text
from sqlalchemy.types import TypeDecorator

from everloop.kernel.clock import from_micros, micros

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)
T = TypeVar("T")


class UtcTime(TypeDecorator[datetime]):
    """An aware UTC time, kept as microseconds since 1970 so that both databases sort and compare it alike."""

    impl = BigInteger
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> int | None:
        """To the database."""
        return None if value is None else micros(value)

    def process_result_value(self, value: Any | None, dialect: Dialect) -> datetime | None:
        """From the database."""
        return None if value is None else from_micros(value)


class Encoded(TypeDecorator[T], Generic[T]):
    """A typed value (Struct, tuple, mapping) kept as JSON text: `Encoded(Signature)`."""

    impl = Text
    cache_ok = True

    def __init__(self, of: Any) -> None:
        super().__init__()
        self.of = of

    def process_bind_param(self, value: T | None, dialect: Dialect) -> str | None:
        """To the database."""
        return None if value is None else msgspec.json.encode(value, order="sorted").decode()

    def process_result_value(self, value: Any | None, dialect: Dialect) -> T | None:
        """From the database, checked."""
        return None if value is None else msgspec.json.decode(value, type=self.of)
