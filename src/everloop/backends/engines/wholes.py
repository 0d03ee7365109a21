"""What takes all rows of a few columns: uniqueness, foreign keys, order, quantiles, distinct values, likeness."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
import polars as pl
import pyarrow as pa

from everloop.backends.engines.batches import frame
from everloop.backends.engines.differences import difference
from everloop.datasets.quality.engine import Finding, Whole
from everloop.datasets.quality.expectations import (
    DistinctInRange,
    Increasing,
    LikeReference,
    QuantileInRange,
    References,
    Unique,
)
from everloop.datasets.quality.literals import family
from everloop.datasets.text import type_name
from everloop.kernel.errors import InvalidInput

_ROW = "\0row"


def look_at(table: pa.Table, asked: Whole, other: pa.Table | None, most: int) -> Finding:
    """What the columns of an expectation come to together."""
    types = {field.name: type_name(field.type) for field in table.schema}
    match asked:
        case Unique(columns=columns):
            return _unique(_present(table, columns, types), most)
        case References(columns=columns) if other is not None:
            return _references(table, other, asked, most)
        case Increasing(column=column, strict=strict):
            return _increasing(_present(table, [column], types), most, strict=strict)
        case QuantileInRange(column=column, quantile=quantile):
            return _quantile(_present(table, [column], types).to_series(), quantile)
        case DistinctInRange(column=column):
            values = _present(table, [column], types).to_series()
            return Finding(values.len() - values.null_count(), observed=values.drop_nulls().n_unique())
        case LikeReference(column=column) if other is not None:
            theirs = {field.name: type_name(field.type) for field in other.schema}
            mine = _present(table, [column], types).to_series()
            reference = _present(other, other.column_names, theirs).to_series()
            return Finding(mine.len(), observed=difference(asked, mine, reference, types[column]))
    raise TypeError(f"{asked} needs the rows that it refers to")


def _present(table: pa.Table, columns: Sequence[str], types: Mapping[str, str]) -> pl.DataFrame:
    """Columns with null wherever a value is missing."""
    rows = frame(table.select(list(dict.fromkeys(columns))))
    floats = [name for name in rows.columns if family(types[name]) == "float"]
    return rows.with_columns(pl.col(floats).fill_nan(None)) if floats else rows


def _unique(rows: pl.DataFrame, most: int) -> Finding:
    """Rows beyond the first of each kind; that a single column of numbers has none, sorting it shows soonest."""
    if rows.width == 1 and _all_differ(rows.to_series()):
        return Finding(rows.height)
    hashes = rows.hash_rows().to_numpy()
    ordered = np.sort(hashes)
    shared = np.unique(ordered[1:][ordered[1:] == ordered[:-1]])
    if not len(shared):
        return Finding(rows.height)
    suspects = np.flatnonzero(np.isin(hashes, shared))  # Equal rows have equal hashes; the other way round it is rare.
    again = rows[suspects].select(pl.struct(pl.all()).is_first_distinct().not_().alias("again")).to_series().to_numpy()
    surplus = suspects[again]
    return Finding(rows.height, len(surplus), tuple(surplus[:most].tolist()))


def _all_differ(values: pl.Series) -> bool:
    """Whether no two numbers or times agree; a column that grows is not even sorted to see it."""
    if values.null_count() or not (values.dtype.is_integer() or values.dtype.is_temporal()):
        return False
    numbers = values.to_physical().to_numpy()
    if not bool((numbers[1:] > numbers[:-1]).all()):
        numbers = np.sort(numbers)
    return bool((numbers[1:] != numbers[:-1]).all())


def _references(table: pa.Table, keys: pa.Table, asked: References, most: int) -> Finding:
    try:
        known = (
            keys.select(list(asked.keys))
            .rename_columns(list(asked.columns))
            .cast(table.select(list(asked.columns)).schema)
        )
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise InvalidInput(f"The keys of {asked.dataset} are of another type ({error}).") from None
    types = {field.name: type_name(field.type) for field in table.schema}
    judged = _present(table, asked.columns, types).with_row_index(_ROW).drop_nulls(list(asked.columns))
    strangers = judged.join(_present(known, asked.columns, types), on=list(asked.columns), how="anti")
    rows = strangers[_ROW].sort().head(most).to_list()
    return Finding(judged.height, strangers.height, tuple(rows))


def _increasing(rows: pl.DataFrame, most: int, *, strict: bool) -> Finding:
    (column,) = rows.columns
    present = rows.with_row_index(_ROW).drop_nulls(column)
    before = pl.col(column).shift(1)
    wrong = present.filter(pl.col(column) <= before if strict else pl.col(column) < before)
    return Finding(present.height, wrong.height, tuple(wrong[_ROW].head(most).to_list()))


def _quantile(values: pl.Series, quantile: float) -> Finding:
    """By inverted CDF: the smallest value that at least that share of the values does not exceed."""
    numbers = values.cast(pl.Float64).drop_nulls().to_numpy()
    numbers = numbers[np.isfinite(numbers)]
    if not len(numbers):
        return Finding(0)
    rank = max(math.ceil(quantile * len(numbers) - _ROUNDING), 1) - 1
    return Finding(len(numbers), observed=float(np.partition(numbers, rank)[rank]))


_ROUNDING = 1e-9
