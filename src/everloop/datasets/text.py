"""Values and types of tables as text and JSON, without the detour by pandas that Arrow's own conversion takes."""

from __future__ import annotations

import math
import re
from datetime import timedelta
from typing import TYPE_CHECKING, cast

from everloop.kernel.usecase import Json

if TYPE_CHECKING:
    import pyarrow as pa


_ZONED = re.compile(r"timestamp\[(s|ms|us|ns), tz=(.+)\]")
_DECIMAL = re.compile(r"(decimal\d+)\((\d+), (-?\d+)\)")


def type_name(of: pa.DataType) -> str:
    """Arrow's name of a type, with floating-point widths said in bits."""
    return {"double": "float64", "float": "float32", "halffloat": "float16"}.get(str(of), str(of))


def arrow_type(name: str) -> pa.DataType | None:
    """The type of a name that `type_name` gave; None for lists, structs and other types that hold types."""
    import pyarrow as pa

    zoned = _ZONED.fullmatch(name)
    if zoned:
        return pa.timestamp(zoned[1], zoned[2])
    decimal = _DECIMAL.fullmatch(name)
    if decimal:
        return getattr(pa, decimal[1])(int(decimal[2]), int(decimal[3]))
    try:
        return pa.type_for_alias(name)
    except ValueError:
        return None


def texts(values: pa.Array | pa.ChunkedArray) -> list[str]:
    """Values as text, times in ISO 8601. Missing ones are empty."""
    return ["" if value is None else str(value) for value in json_values(values)]


def text_array(values: pa.Array) -> pa.Array:
    """The same as an array, quickly however many there are; none may be missing."""
    import pyarrow as pa
    import pyarrow.compute as pc

    kind = values.type
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        return values
    if pa.types.is_timestamp(kind) and kind.tz in (None, "UTC"):  # Zones take long to look up, and UTC has none.
        plain = values.cast(pa.timestamp(kind.unit)).cast(pa.string())
        written = pc.replace_substring(plain, " ", "T", max_replacements=1)
        return pc.binary_join_element_wise(written, "Z", "") if kind.tz else written
    return pa.array(texts(values), pa.string())


def json_values(values: pa.Array | pa.ChunkedArray) -> list[Json]:
    """Values as JSON: times in ISO 8601, bytes in hexadecimal, NaN and infinities as missing."""
    import pyarrow as pa

    # Arrow's as_py() imports pandas, where it is installed, for times with a zone: that takes seconds.
    if pa.types.is_timestamp(values.type) or pa.types.is_date(values.type) or pa.types.is_time(values.type):
        written = values.cast(pa.string()).to_pylist()
        return [None if text is None else text.replace(" ", "T", 1) for text in written]
    if pa.types.is_duration(values.type) and values.type.unit == "ns":  # Python's have no nanoseconds.
        return [None if value is None else _duration(value) for value in values.cast(pa.int64()).to_pylist()]
    return [_json(value) for value in values.to_pylist()]


def json_rows(table: pa.Table) -> list[dict[str, Json]]:
    """The rows of a small table as JSON objects."""
    columns = [json_values(column) for column in table.columns]
    return [dict(zip(table.column_names, row, strict=True)) for row in zip(*columns, strict=True)]


def _duration(nanoseconds: int) -> str:
    whole, rest = divmod(nanoseconds, 1000)
    text = str(timedelta(microseconds=whole))
    return f"{text}{'' if '.' in text else '.000000'}{rest:03}" if rest else text


def _json(value: object) -> Json:
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, list):
        return [_json(item) for item in value]
    if isinstance(value, dict):
        return {str(key): _json(item) for key, item in value.items()}
    return cast(Json, str(value))
