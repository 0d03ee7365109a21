"""How the columns of a table may change: new ones come, types widen; what readers rely on stays."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

from everloop.datasets.entities import Column
from everloop.datasets.formats import normalised
from everloop.datasets.text import arrow_type, type_name
from everloop.kernel.errors import InvalidInput

if TYPE_CHECKING:
    import pyarrow as pa

Evolve = Literal["compatible", "any"]
"""Which changes of columns are let through: new and wider ones, or any."""

_ANYWAY = "If that is meant, say evolve='any'."


def fitted(rows: pa.Table, columns: Sequence[Column], dataset: str, evolve: Evolve) -> pa.Table:
    """Rows that come to a table, with its columns first and in its types where no value is lost by it.

    A column that the table does not have stays as it is (rows that are there have NULL in it).

    Raises:
        InvalidInput: a column is missing (with `evolve` "any" it is NULL), or of a type that does not fit.
    """
    import pyarrow as pa

    missing = [column.name for column in columns if column.name not in rows.column_names]
    if missing and evolve == "compatible":
        raise InvalidInput(
            f"The rows have no column {', '.join(missing)}, but {dataset} does.",
            hint="Send it with the others, or say evolve='any': then it is NULL in these rows.",
        )
    kept = {column.name: _fit(rows[column.name], column, dataset) for column in columns if column.name not in missing}
    fresh = {name: rows[name] for name in rows.column_names if name not in {column.name for column in columns}}
    return pa.table(kept | fresh)


def arrow_types(columns: Sequence[Column]) -> dict[str, pa.DataType]:
    """The types of those columns whose type is plain."""
    return {column.name: kind for column in columns if (kind := arrow_type(column.type)) is not None}


def require_compatible(before: Sequence[Column], table: pa.Table, dataset: str) -> None:
    """Let a whole new table pass that has all columns of the one before, in the same or wider types.

    Raises:
        InvalidInput: naming each column that is gone or has another type.
    """
    now = {field.name: type_name(field.type) for field in normalised(table.slice(0, 0)).schema} if before else {}
    gone = [f"{column.name} is gone" for column in before if column.name not in now]
    other = [
        f"{column.name} was {column.type} and is {now[column.name]}"
        for column in before
        if column.name in now and not _widens(column.type, now[column.name])
    ]
    if gone or other:
        what = ", ".join(gone + other)
        raise InvalidInput(f"The columns of {dataset} would break its readers: {what}.", hint=_ANYWAY)


def widest(kinds: Sequence[pa.DataType], name: str) -> pa.DataType:
    """The type of a column whose parts have these types.

    Raises:
        InvalidInput: there is none that all values have a place in.
    """
    found = kinds[0]
    for kind in kinds[1:]:
        wider = widened(found, kind)
        if wider is None:
            raise InvalidInput(f"Column {name!r} is {type_name(found)} in one part and {type_name(kind)} in another.")
        found = wider
    return found


def widened(one: pa.DataType, other: pa.DataType) -> pa.DataType | None:
    """The smallest type with a place for the values of both, if there is one; integers with floats give float64."""
    import pyarrow as pa

    types = pa.types
    if one == other or types.is_null(other):
        return one
    if types.is_null(one):
        return other
    if types.is_integer(one) and types.is_integer(other):
        return _integer(one, other)
    if all(types.is_integer(kind) or types.is_floating(kind) for kind in (one, other)):
        return pa.float64() if types.is_integer(one) or types.is_integer(other) else max(one, other, key=_width)
    if types.is_decimal(one) and types.is_decimal(other):
        return _decimal(one, other)
    return None


def _fit(values: pa.ChunkedArray, column: Column, dataset: str) -> pa.ChunkedArray:
    import pyarrow as pa

    wanted = arrow_type(column.type) or values.type
    if type_name(values.type) == column.type or pa.types.is_null(wanted):
        return values
    wider = widened(wanted, values.type)
    if wider is None and not _same_family(wanted, values.type):
        raise InvalidInput(
            f"Column {column.name!r} of {dataset} is {column.type}, but in the rows it is {type_name(values.type)}.",
            hint="Send values of the column's type, or commit the whole table with evolve='any'.",
        )
    try:
        return values.cast(wanted)
    except pa.ArrowInvalid as error:
        if wider is None:
            raise InvalidInput(f"Column {column.name!r} of {dataset} is {column.type}: {error}.") from None
    return values.cast(wider)


def _same_family(one: pa.DataType, other: pa.DataType) -> bool:
    import pyarrow as pa

    if pa.types.is_timestamp(one) and pa.types.is_timestamp(other):
        return bool(one.tz == other.tz)
    if pa.types.is_date(one) and pa.types.is_timestamp(other):  # JSON has no dates: they are read as midnights.
        return other.tz is None
    families = (pa.types.is_integer, pa.types.is_decimal, pa.types.is_date, pa.types.is_time, pa.types.is_duration)
    return any(family(one) and family(other) for family in families)


def _widens(before: str, after: str) -> bool:
    if before == after or before == "null":
        return True
    old, new = arrow_type(before), arrow_type(after)
    return old is not None and new is not None and widened(old, new) == new


def _integer(one: pa.DataType, other: pa.DataType) -> pa.DataType | None:
    import pyarrow as pa

    signed = [kind for kind in (one, other) if pa.types.is_signed_integer(kind)]
    if len(signed) != 1:
        return max(one, other, key=_width)
    unsigned = other if signed[0] == one else one
    width = max(_width(signed[0]), 2 * _width(unsigned))
    return {16: pa.int16(), 32: pa.int32(), 64: pa.int64()}.get(width)


def _decimal(one: pa.DataType, other: pa.DataType) -> pa.DataType | None:
    import pyarrow as pa

    scale = max(one.scale, other.scale)
    precision = max(one.precision - one.scale, other.precision - other.scale) + scale
    return pa.decimal128(precision, scale) if precision <= 38 else None


def _width(kind: pa.DataType) -> int:
    return int(kind.bit_width)
