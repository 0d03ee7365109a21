"""Expectations of single rows as Polars expressions: which rows are judged, and which of them are bad."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from functools import cache

import numpy as np
import polars as pl
from polars.datatypes import IntegerType as PolarsInteger

from everloop.datasets.quality.engine import Measure, RowWise
from everloop.datasets.quality.expectations import (
    AllNull,
    Compare,
    InRange,
    Length,
    Matches,
    NotMatches,
    NotNull,
    NotOneOf,
    OneOf,
    Operator,
)
from everloop.datasets.quality.literals import TIMES, Comparable, bound, family, literal, unit

_NARROW = ("float32", "float16")
_INTEGERS: Mapping[str, PolarsInteger] = {
    "int8": pl.Int8(),
    "int16": pl.Int16(),
    "int32": pl.Int32(),
    "int64": pl.Int64(),
    "uint8": pl.UInt8(),
    "uint16": pl.UInt16(),
    "uint32": pl.UInt32(),
    "uint64": pl.UInt64(),
}
Types = Mapping[str, str]
"""Arrow's names of the types of columns."""


def columns_of(asked: Measure) -> tuple[str, ...]:
    """The columns that a measure reads."""
    return (asked.left, asked.right) if isinstance(asked, Compare) else (asked.column,)


def missing(column: str, types: Types) -> pl.Expr:
    """Whether a value is null or NaN."""
    value = pl.col(column)
    return value.is_null() | value.is_nan().fill_null(False) if family(types[column]) == "float" else value.is_null()


def judged(expectation: RowWise, types: Types) -> pl.Expr | None:
    """Which rows are judged; none when all are."""
    match expectation:
        case NotNull() | AllNull():
            return None
        case Compare(left=left, right=right):
            return ~missing(left, types) & ~missing(right, types)
        case _:
            return ~missing(expectation.column, types)


def bad(expectation: RowWise, types: Types) -> pl.Expr:
    """Which rows fail: null never does, NaN only where missing does."""
    match expectation:
        case NotNull(column=column):
            return missing(column, types)
        case AllNull(column=column):
            return ~missing(column, types)
        case Compare():
            return (
                ~_related(expectation, types) & ~missing(expectation.left, types) & ~missing(expectation.right, types)
            )
    found = _bad_value(expectation, types[expectation.column])
    return found & pl.col(expectation.column).is_not_nan() if family(types[expectation.column]) == "float" else found


def _bad_value(expectation: InRange | OneOf | NotOneOf | Matches | NotMatches | Length, kind: str) -> pl.Expr:
    value = pl.col(expectation.column)
    match expectation:
        case InRange():
            return outside(expectation, kind)
        case OneOf(values=values) | NotOneOf(values=values):
            known = [found for each in values if (found := literal(each, kind)) is not None]
            among = physical(value, kind).is_in(_among(known, kind).implode())
            return ~among if isinstance(expectation, OneOf) else among
        case Matches(pattern=pattern):
            return ~_text(value, kind).str.contains(rf"\A(?:{pattern})\z")
        case NotMatches(pattern=pattern):
            return _text(value, kind).str.contains(pattern)
        case Length(minimum=minimum, maximum=maximum):
            length = value.str.len_chars()
            return (length < max(minimum, 0)) | (length > maximum) if maximum is not None else length < max(minimum, 0)


def outside(expectation: InRange, kind: str) -> pl.Expr:
    """Whether a value is beyond either end."""
    value = physical(pl.col(expectation.column), kind)
    low, high = ends(expectation, kind)
    tests = [] if low is None else [_beyond(value, low, kind, expectation.strict_minimum, below=True)]
    tests += [] if high is None else [_beyond(value, high, kind, expectation.strict_maximum, below=False)]
    return tests[0] | tests[1] if len(tests) > 1 else tests[0] if tests else _never(value)


def ends(expectation: InRange, kind: str) -> tuple[Comparable | None, Comparable | None]:
    """The smallest and the largest value that lie inside, as the column holds them; none where there is no end.

    A strict end among numbers is the next number, among floats as well. Text has no next text: there a strict end
    stays as it is, and is outside.
    """
    low = None if expectation.minimum is None else bound(expectation.minimum, kind)
    high = None if expectation.maximum is None else bound(expectation.maximum, kind)
    return (
        None if low is None else _inner(low, kind, +1 if expectation.strict_minimum else 0, math.ceil),
        None if high is None else _inner(high, kind, -1 if expectation.strict_maximum else 0, math.floor),
    )


def _inner(end: Fraction | float | str, kind: str, step: int, rounded: Callable[[Fraction], int]) -> Comparable:
    if isinstance(end, Fraction):
        whole = rounded(end)
        return whole + step if step and whole == end else whole
    if isinstance(end, str):
        return end
    if kind in _NARROW:
        near = np.float32(end)
        return float(np.nextafter(near, np.float32(step * math.inf)) if step else near)
    return math.nextafter(end, step * math.inf) if step else end


def _beyond(value: pl.Expr, end: Comparable, kind: str, strict: bool, *, below: bool) -> pl.Expr:
    """Whether a value is beyond an end; an end that the column's width cannot hold is compared here, once."""
    if isinstance(end, str):
        return (value <= end if strict else value < end) if below else (value >= end if strict else value > end)
    if family(kind) in ("float", "decimal"):
        return value < pl.lit(float(end)) if below else value > pl.lit(float(end))
    holds = physical_type(kind)
    low, high = _limits(holds)
    if not low <= end <= high:
        return value.is_not_null() if (end > high) == below else _never(value)
    return value < pl.lit(end, holds) if below else value > pl.lit(end, holds)


def _never(value: pl.Expr) -> pl.Expr:
    return value.is_null() & value.is_not_null()


def physical_type(kind: str) -> PolarsInteger:
    """The integers that Polars counts a type of Arrow's in."""
    if family(kind) == "integer":
        return _INTEGERS[kind]
    return pl.Int32() if kind.startswith("date32") else pl.UInt8() if kind == "bool" else pl.Int64()


@cache
def _limits(holds: PolarsInteger) -> tuple[int, int]:
    low, high = pl.select(low=holds.min(), high=holds.max()).row(0)
    return low, high


def _among(values: Sequence[Comparable], kind: str) -> pl.Series:
    of = family(kind)
    if of == "text":
        return pl.Series(values, dtype=pl.String)
    if of in ("float", "decimal"):
        return pl.Series(values, dtype=pl.Float32 if kind in _NARROW else pl.Float64).cast(pl.Float64)
    holds = physical_type(kind)
    low, high = _limits(holds)
    return pl.Series([value for value in values if isinstance(value, int) and low <= value <= high], dtype=holds)


def physical(value: pl.Expr, kind: str) -> pl.Expr:
    """A value as the number or text that it is compared as, in the unit of Arrow's type."""
    of = family(kind)
    if of in TIMES:
        steps = unit(kind) // polars_unit(kind)
        return value.to_physical() if steps == 1 else value.to_physical() // steps
    if of in ("decimal", "float"):
        return value.cast(pl.Float64)
    return value.cast(pl.UInt8) if of == "bool" else value


def polars_unit(kind: str) -> int:
    """How many nanoseconds a step is that Polars counts a type in: no seconds, and times of day by the nanosecond."""
    return 1 if family(kind) == "time" else 1_000_000 if "[s" in kind else unit(kind)


def _text(value: pl.Expr, kind: str) -> pl.Expr:
    return value if family(kind) == "text" else value.cast(pl.String)


def _related(expectation: Compare, types: Types) -> pl.Expr:
    kinds = types[expectation.left], types[expectation.right]
    alike = len(set(kinds)) == 1
    left, right = (
        _on_axis(pl.col(column), kind, alike=alike)
        for column, kind in zip((expectation.left, expectation.right), kinds, strict=True)
    )
    return _OPERATIONS[expectation.operator](left, right)


def _on_axis(value: pl.Expr, kind: str, *, alike: bool) -> pl.Expr:
    """A value on the axis that types of its kind share: nanoseconds for moments and spans, numbers as they are."""
    of = family(kind)
    if of in TIMES:
        return value.to_physical() if alike else value.to_physical().cast(pl.Int128) * polars_unit(kind)
    return value.cast(pl.UInt8) if of == "bool" else value.cast(pl.Float64) if of == "decimal" else value


_OPERATIONS: Mapping[Operator, Callable[[pl.Expr, pl.Expr], pl.Expr]] = {
    "<": pl.Expr.lt,
    "<=": pl.Expr.le,
    "==": pl.Expr.eq,
    "!=": pl.Expr.ne,
    ">=": pl.Expr.ge,
    ">": pl.Expr.gt,
}
