"""The points of a run in MLflow's database, from the driver's rows straight into columns."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from everloop.tracking.imports.mlflow.database import Database

if TYPE_CHECKING:
    from everloop.tracking.points import Columns

_LARGEST = 1.7976931348623157e308
"""What MLflow's databases hold for infinity."""


class Points:
    """Reads the points of one run after another, half a microsecond each."""

    def __init__(self, database: Database) -> None:
        self._connection = database.connect()
        names = database.table("metrics").c
        value = "CASE WHEN is_nan THEN NULL ELSE value END" if "is_nan" in names else "value"
        step = "step" if "step" in names else "0"
        mark = "?" if self._connection.dialect.name == "sqlite" else "%s"
        # Names of columns, none of them from outside. An index has them in this order, from MLflow 2 on.
        self._query = f"SELECT key, timestamp, {step}, {value} FROM metrics WHERE run_uuid = {mark} ORDER BY key"  # noqa: S608
        self.unreadable = (self._connection.dialect.loaded_dbapi.Error, ValueError, TypeError, OverflowError)
        """What `of` raises where a run's points cannot be read."""

    def __enter__(self) -> Points:
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    def of(self, run: str) -> dict[str, Columns]:
        """The points of a run by key."""
        import numpy as np

        cursor: Any = self._connection.connection.cursor()
        cursor.execute(self._query, (run,))
        columns = [("key", object), ("at", np.int64), ("step", np.int64), ("value", np.float64)]
        rows = np.fromiter(cursor, np.dtype(columns))  # None becomes NaN. A list of rows would cost as much again.
        at, step, value = rows["at"] * 1000, rows["step"].copy(), rows["value"].copy()
        value[value == _LARGEST] = np.inf
        value[value == -_LARGEST] = -np.inf
        return {key: (step[part], at[part], value[part]) for key, part in _parts(rows["key"])}


def _parts(keys: Any) -> Iterator[tuple[str, slice]]:
    """Where each key stands, of keys of which those that are equal stand together."""
    start = 0
    while start < len(keys):
        key = keys[start]
        end = bisect_left(keys, True, start, key=key.__ne__)
        yield key, slice(start, end)
        start = end
