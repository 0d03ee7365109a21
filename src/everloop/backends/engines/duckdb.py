"""The table engine on this machine: SQL by DuckDB, CSV and profiles by Arrow."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import duckdb
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as arrow_csv

from everloop.backends.engines.columnprofile import profiled
from everloop.datasets.arrow import keep_pandas_out
from everloop.datasets.entities import Profile
from everloop.datasets.formats import is_beyond
from everloop.datasets.sketches import TableSketch
from everloop.kernel.errors import InvalidInput, Refused

_MISSING = ["", "NA"]
_CONFINED: dict[str, str | bool | int | float | list[str]] = {
    "threads": 1,  # Sums and groups come in the same order each time.
    "enable_external_access": False,
    "autoinstall_known_extensions": False,
    "autoload_known_extensions": False,
    "python_enable_replacements": False,
}


LONGEST = 600.0
"""So many seconds may a query take: nobody waits longer, and a server would work for nobody for ever."""


class DuckDbEngine:
    """SQL in a fresh, confined in-memory DuckDB for each query; nothing is kept between queries."""

    def query(self, sql: str, tables: Mapping[str, pa.Table]) -> pa.Table:
        """The result of a query over named tables."""
        with duckdb.connect(":memory:", config=_CONFINED) as connection:
            for name, table in tables.items():
                connection.register(name, table)
            connection.execute("SET TimeZone = 'UTC'; SET lock_configuration = true")
            try:
                with _stopped_after(LONGEST, connection):
                    result = connection.sql(sql)
                    if result is None:
                        raise InvalidInput("The SQL gives no rows.", hint="Write one SELECT.")
                    return result.to_arrow_table()
            except duckdb.InterruptException:
                raise Refused(
                    f"The SQL ran for {LONGEST:g} seconds, and was stopped.", hint="Ask for less of it, step by step."
                ) from None
            except duckdb.Error as error:
                known = ", ".join(sorted(tables)) or "none"
                raise InvalidInput(f"The SQL cannot run: {error}", hint=f"Its tables are: {known}.") from None

    def profile(self, table: pa.Table) -> Profile:
        """What each column holds, exact."""
        return profiled(table)[0]

    def profiled(self, table: pa.Table) -> tuple[Profile, TableSketch]:
        """What each column holds, exact, and a sketch of it that merges with those of other rows."""
        return profiled(table)

    def read_csv(self, data: bytes, types: Mapping[str, pa.DataType] | None = None) -> pa.Table:
        """A CSV file with a header; empty and NA are missing unless quoted; types inferred where `types` do not fit."""
        try:
            table = arrow_csv.read_csv(pa.BufferReader(data), convert_options=_conversion())
        except pa.ArrowInvalid as error:
            raise InvalidInput(
                f"This is not CSV: {error}.", hint="Send UTF-8, with a header in the first line."
            ) from None
        for name, kind in (types or {}).items():
            if name in table.column_names and table.schema.field(name).type != kind:
                table = _read_as(table, data, name, kind)
        for field in table.schema:
            if pa.types.is_floating(field.type) and is_beyond(table[field.name]):
                table = _whole_as_text(table, data, field.name)
            if pa.types.is_binary(field.type):
                raise InvalidInput(f"Column {field.name!r} is not UTF-8 text.", hint="Convert the file to UTF-8 first.")
        return table


@contextmanager
def _stopped_after(seconds: float, connection: duckdb.DuckDBPyConnection) -> Iterator[None]:
    timer = threading.Timer(seconds, connection.interrupt)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _read_as(table: pa.Table, data: bytes, name: str, kind: pa.DataType) -> pa.Table:
    """The table with a column read as another type, if all of its values can be."""
    options = _conversion(include_columns=[name], column_types={name: kind})
    try:
        read = arrow_csv.read_csv(pa.BufferReader(data), convert_options=options)
    except pa.ArrowException:
        return table
    return table.set_column(table.column_names.index(name), name, read[name])


def _whole_as_text(table: pa.Table, data: bytes, name: str) -> pa.Table:
    """The table with a column as text, if it holds whole numbers beyond 64 bits: floats would lose digits."""
    texts = _read_as(table, data, name, pa.string())
    whole = pc.all(pc.match_substring_regex(texts[name], r"\A[+-]?[0-9]+\z")).as_py()
    return texts if whole else table


def _conversion(**more: object) -> arrow_csv.ConvertOptions:
    return arrow_csv.ConvertOptions(
        strings_can_be_null=True, quoted_strings_can_be_null=False, null_values=_MISSING, **more
    )


def open_engine() -> DuckDbEngine:
    """The engine."""
    keep_pandas_out()
    return DuckDbEngine()
