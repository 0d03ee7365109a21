"""Which rows of several tables are the same row: by key, where missing equals missing, and NaN equals NaN."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from everloop.datasets.text import texts

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import polars as pl
    import pyarrow as pa

    Places = npt.NDArray[np.int64]


def alike(tables: Sequence[pa.Table], columns: Sequence[str]) -> list[pl.DataFrame]:
    """Columns of several tables in types in which their values can be compared.

    Numbers of different types become float64; values of otherwise different types, and lists and structs, text.
    """
    import polars as pl

    kinds = {name: _common([table.schema.field(name).type for table in tables]) for name in columns}
    return [pl.DataFrame({name: _cast(table[name], kinds[name]) for name in columns}) for table in tables]


def codes(frames: Sequence[pl.DataFrame], columns: Sequence[str]) -> list[Places]:
    """A number for each row of each frame: two rows have one number if and only if they agree in all of the columns."""
    import numpy as np
    import polars as pl

    sizes = np.cumsum([frame.height for frame in frames])[:-1]
    every = pl.concat([frame.select(columns) for frame in frames])
    if not columns:
        return [np.zeros(frame.height, dtype=np.int64) for frame in frames]
    numbers = _by_hash(every)
    return np.split(_exactly(every) if numbers is None else numbers, sizes)


def _by_hash(rows: pl.DataFrame) -> Places | None:
    """A number for each row by its hash; none if two rows that differ have one hash."""
    import numpy as np
    import polars as pl
    import polars.selectors as cs

    plain = rows.with_columns(cs.float().fill_nan(float("nan")) + 0.0)  # One NaN, one zero.
    hashes = plain.hash_rows().to_numpy()
    _, firsts, numbers = np.unique(hashes, return_index=True, return_inverse=True)
    again = np.flatnonzero(firsts[numbers] != np.arange(len(numbers)))
    same = pl.Series(firsts[numbers][again])
    collided = any(column.gather(again).ne_missing(column.gather(same)).any() for column in rows)
    return None if collided else numbers.astype(np.int64)


def _exactly(rows: pl.DataFrame) -> Places:
    import numpy as np

    every = rows.unique(maintain_order=True).with_row_index("")
    joined = rows.join(every, on=rows.columns, how="left", nulls_equal=True, maintain_order="left")
    return joined[""].to_numpy().astype(np.int64)


def pairs(before: Places, after: Places) -> tuple[Places, Places]:
    """The places of rows that have one number, the nth that has it before with the nth after."""
    import numpy as np

    left, right = nth(before), nth(after)
    most = max(left.max(initial=0), right.max(initial=0)) + 1
    each, other = before * most + left, after * most + right
    _, places, matches = np.intersect1d(each, other, assume_unique=True, return_indices=True)
    order = np.argsort(places)
    return places[order], matches[order]


def twice(numbers: Places) -> Places:
    """The numbers that more than one row has."""
    import numpy as np

    found, counts = np.unique(numbers, return_counts=True)
    return found[counts > 1]


def nth(numbers: Places) -> Places:
    """How many earlier rows have the number of each row."""
    import numpy as np

    order = np.argsort(numbers, kind="stable")
    ordered = numbers[order]
    first = np.concatenate(([True], ordered[1:] != ordered[:-1]))[: len(numbers)]
    starts = np.maximum.accumulate(np.where(first, np.arange(len(numbers)), 0))
    found = np.empty(len(numbers), dtype=np.int64)
    found[order] = np.arange(len(numbers)) - starts
    return found


def _common(kinds: Sequence[pa.DataType]) -> pa.DataType:
    import pyarrow as pa

    types = pa.types
    odd = any(types.is_nested(kind) or types.is_decimal256(kind) or types.is_null(kind) for kind in kinds)
    if len(set(kinds)) == 1 and not odd:
        return kinds[0]
    if all(types.is_integer(kind) and kind != pa.uint64() for kind in kinds):
        return pa.int64()
    if all(types.is_integer(kind) or types.is_floating(kind) or types.is_decimal(kind) for kind in kinds):
        return pa.float64()
    return pa.string()


def _cast(values: pa.ChunkedArray, kind: pa.DataType) -> pl.Series:
    """The values as a series of a type."""
    import polars as pl
    import pyarrow as pa
    import pyarrow.compute as pc

    if values.type == kind:
        return pl.Series(values)
    if pa.types.is_string(kind):
        return pl.Series(pc.if_else(values.is_valid(), pa.chunked_array([texts(values)], pa.string()), None))
    return pl.Series(values.cast(kind, safe=False))
