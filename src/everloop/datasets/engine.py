"""The port to an engine that computes on tables: DuckDB here, others where data is too big for one machine."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Protocol

from everloop.datasets.entities import Profile
from everloop.datasets.sketches import TableSketch

if TYPE_CHECKING:
    import pyarrow as pa


class TableEngine(Protocol):
    """Something that runs SQL over tables, profiles them and parses CSV.

    Contract (`tests/contracts/test_engines.py`): the same query over equal tables gives equal rows in equal order; SQL
    reaches the tables it is given and nothing else (no files, no network, no variables of the process).
    """

    def query(self, sql: str, tables: Mapping[str, pa.Table]) -> pa.Table:
        """The result of a query over named tables.

        Raises:
            InvalidInput: the SQL is wrong, or reaches for something it was not given.
        """
        ...

    def profile(self, table: pa.Table) -> Profile:
        """What each column holds, exact."""
        ...

    def profiled(self, table: pa.Table) -> tuple[Profile, TableSketch]:
        """What each column holds, exact, and a sketch of it that merges with those of other rows."""
        ...

    def read_csv(self, data: bytes, types: Mapping[str, pa.DataType] | None = None) -> pa.Table:
        """A CSV file with a header; empty and NA are missing unless quoted.

        Types are inferred, except of columns whose values all are of one of the `types`.

        Raises:
            InvalidInput: it is not CSV in UTF-8.
        """
        ...
