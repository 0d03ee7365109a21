"""The profile of a table and its mergeable sketch: one count of values a column, from which all of it follows."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from everloop.datasets.entities import QUANTILES, ColumnProfile, Profile
from everloop.datasets.sketches import ColumnSketch, TableSketch
from everloop.datasets.sketching import finite_part, most_frequent, number_sketch, text_sketch
from everloop.datasets.text import text_array, texts, type_name

_TOP = 5
_SAMPLE = 4_096
_LONG = 1 << 17
"""From so many rows on, columns are counted in threads, and sorted by Polars."""
_DENSE = 4
"""Whole numbers whose range has up to so many times as many places as there are numbers are counted by place."""
_COUNTABLE = (
    pa.types.is_integer,
    pa.types.is_floating,
    pa.types.is_decimal,
    pa.types.is_boolean,
    pa.types.is_string,
    pa.types.is_large_string,
    pa.types.is_temporal,
)
_SORTABLE = (pa.types.is_integer, pa.types.is_floating, pa.types.is_timestamp)
Counts = NDArray[np.int64]
Both = tuple[ColumnProfile, ColumnSketch]


def profiled(table: pa.Table) -> tuple[Profile, TableSketch]:
    """What each column of a table holds, exact and as a sketch; a million rows of 20 columns take some 0.8 s of CPU."""
    columns = [(name, table.column(name)) for name in table.column_names]
    if table.num_rows < _LONG or len(columns) == 1:
        both = [_column(*one) for one in columns]
    else:
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            both = list(pool.map(_column, *zip(*columns, strict=True)))
    return (
        Profile(table.num_rows, tuple(exact for exact, _ in both)),
        TableSketch(table.num_rows, tuple(sketch for _, sketch in both)),
    )


def _column(name: str, column: pa.ChunkedArray) -> Both:
    kind = type_name(column.type)
    if not any(test(column.type) for test in _COUNTABLE):
        found = ColumnProfile(name, kind, len(column), column.null_count, 0)
        return found, ColumnSketch(name, kind, found.count, found.nulls, numeric=False)
    values, counts = _counted(column)
    if _is_number(column.type):
        return _numbers(name, kind, len(column), values, counts)
    minimum, maximum = _extremes(values)
    nulls, top = column.null_count, _top(values, counts)
    found = ColumnProfile(name, kind, len(column), nulls, len(values), minimum, maximum, top=top)
    return found, text_sketch(found, text_array(values), counts)


def _counted(column: pa.ChunkedArray) -> tuple[pa.Array, Counts]:
    """The different values of a column, null left out, and how often each occurs."""
    if _never_repeats(column):
        present = column.drop_null().combine_chunks()
        return present, np.ones(len(present), np.int64)
    if _hardly_repeats(column):
        numbers = column.cast(pa.int64()) if pa.types.is_timestamp(column.type) else column
        values, counts = _sorted_out(numbers.drop_null().to_numpy())
        return pa.array(values, numbers.type).cast(column.type), counts
    if pa.types.is_float32(column.type) or pa.types.is_float64(column.type):
        column = pc.add(column, pa.scalar(0.0, column.type))  # -0.0 becomes 0.0: they are one value.
    counted = pc.value_counts(column.combine_chunks())
    present = counted.field(0).is_valid()
    return counted.field(0).filter(present), counted.field(1).filter(present).to_numpy()


def _hardly_repeats(column: pa.ChunkedArray) -> bool:
    """Whether most of some values spread over a column are different: then sorting is faster than counting."""
    if len(column) < 4 * _SAMPLE or not any(test(column.type) for test in _SORTABLE):
        return False
    return _different_in_sample(column) > _SAMPLE // 2


def _never_repeats(column: pa.ChunkedArray) -> bool:
    """Whether all texts of a long column are different, if a sample of them is: Polars sees it without counting."""
    if len(column) < _LONG or not pa.types.is_string(column.type) or _different_in_sample(column) < _SAMPLE:
        return False
    import polars as pl

    found = pl.from_arrow(column)
    assert isinstance(found, pl.Series)
    return bool(found.drop_nulls().n_unique() == len(column) - column.null_count)


def _different_in_sample(column: pa.ChunkedArray) -> int:
    spread = column.take(pa.array(np.linspace(0, len(column) - 1, _SAMPLE).astype(np.int64)))
    return int(pc.count_distinct(spread, mode="all").as_py())


def _sorted_out(values: NDArray[np.generic]) -> tuple[NDArray[np.generic], Counts]:
    if np.issubdtype(values.dtype, np.integer) and len(values):
        low, high = int(values.min()), int(values.max())
        if high - low < _DENSE * len(values):
            above = np.subtract(values, low, dtype=values.dtype).view(f"u{values.dtype.itemsize}")
            counts = np.bincount(above.astype(np.int64))
            found = np.flatnonzero(counts)
            return np.add(found.astype(values.dtype), low, dtype=values.dtype), counts[found]
    if np.issubdtype(values.dtype, np.floating):
        values = values[~np.isnan(values)]  # Each is different from the others, but none is a value.
    ordered = _ordered(values)
    first = np.flatnonzero(np.concatenate([[True], ordered[1:] != ordered[:-1]])) if len(ordered) else np.array([], int)
    return ordered[first], np.diff(first, append=len(ordered))


def _ordered(values: NDArray[np.generic]) -> NDArray[np.generic]:
    """The values in order, none of them NaN; of many, Polars sorts the bits, three times as fast as NumPy does."""
    if len(values) < _LONG or values.dtype == np.float16:
        return np.sort(values)
    import polars as pl

    if not np.issubdtype(values.dtype, np.floating):
        return pl.Series(values).sort(multithreaded=False).to_numpy()
    positive = np.add(values, 0, dtype=values.dtype)  # -0.0 becomes 0.0, as above.
    bits = positive.view(f"i{values.dtype.itemsize}")
    return _flipped(pl.Series(_flipped(bits)).sort(multithreaded=False).to_numpy()).view(values.dtype)


def _flipped(bits: NDArray[np.signedinteger]) -> NDArray[np.signedinteger]:
    """Whole numbers in the order of the floats whose bits they are, and back: those below zero are turned around."""
    kind = np.iinfo(bits.dtype)
    return bits ^ ((bits >> (kind.bits - 1)) & kind.max)


def _numbers(name: str, kind: str, rows: int, values: pa.Array, counts: Counts) -> Both:
    numbers = values.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False)
    real = ~np.isnan(numbers)
    if not real.all():
        numbers, counts, values = numbers[real], counts[real], values.filter(pa.array(real))
    ordered, weights = numbers, counts
    if not (numbers[1:] >= numbers[:-1]).all():
        order = np.argsort(numbers)
        ordered, weights = numbers[order], counts[order]
    nulls, distinct, top = rows - int(counts.sum()), len(numbers), _top(values, counts)
    if distinct == 0:
        found = ColumnProfile(name, kind, rows, nulls, 0)
    else:
        minimum, maximum = _number(ordered[0]), _number(ordered[-1])
        finite = finite_part(ordered)
        mean, std, quantiles = _moments(ordered[finite], weights[finite])
        found = ColumnProfile(name, kind, rows, nulls, distinct, minimum, maximum, mean, std, quantiles, top)
    return found, number_sketch(found, ordered, weights)


def _moments(numbers: NDArray[np.float64], counts: Counts) -> tuple[float | None, float | None, tuple[float, ...]]:
    """Mean, deviation and quantiles of different numbers in order, of which there are so many each."""
    total = int(counts.sum())
    if total == 0:
        return None, None, ()
    mean = float(np.average(numbers, weights=counts))
    with np.errstate(over="ignore"):  # Of numbers beyond 1e154 it is infinite.
        spread = float(((numbers - mean) ** 2 * counts).sum())
    reached = np.cumsum(counts)
    ranks = np.maximum(np.ceil(np.array(QUANTILES) * total - 1e-9), 1)
    quantiles = numbers[np.searchsorted(reached, ranks)]
    return mean, (spread / (total - 1)) ** 0.5 if total > 1 else None, tuple(quantiles.tolist())


def _extremes(values: pa.Array) -> tuple[str | None, str | None]:
    if len(values) == 0:
        return None, None
    ends = pc.min_max(values.cast(pa.int64()) if pa.types.is_duration(values.type) else values)
    # As values of Arrow: Python has no nanoseconds, and zones would go through its own.
    minimum, maximum = texts(pa.array([ends["min"], ends["max"]], ends["min"].type).cast(values.type))
    return minimum, maximum


def _top(values: pa.Array, counts: Counts) -> tuple[tuple[str, int], ...]:
    order = most_frequent(counts, _TOP)
    return tuple(zip(texts(values.take(pa.array(order))), counts[order].tolist(), strict=True))


def _number(value: float) -> float | str:
    return float(value) if np.isfinite(value) else str(value)


def _is_number(kind: pa.DataType) -> bool:
    return any(
        test(kind) for test in (pa.types.is_integer, pa.types.is_floating, pa.types.is_decimal, pa.types.is_boolean)
    )
