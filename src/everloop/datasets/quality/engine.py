"""The port to an engine that measures data: what it is handed, and the mergeable figures that it gives back."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import msgspec

from everloop.datasets.entities import Column
from everloop.datasets.quality.expectations import (
    AllNull,
    Compare,
    DistinctInRange,
    Increasing,
    InRange,
    Length,
    LikeReference,
    Matches,
    NotMatches,
    NotNull,
    NotOneOf,
    OneOf,
    QuantileInRange,
    References,
    Unique,
)

if TYPE_CHECKING:
    import pyarrow as pa

    from everloop.store.ranged import ObjectFile

RowWise = NotNull | AllNull | InRange | OneOf | NotOneOf | Matches | NotMatches | Length | Compare
"""What each row is judged by on its own: parts are counted one by one, and the counts add up."""
Whole = Unique | References | Increasing | QuantileInRange | DistinctInRange | LikeReference
"""What takes all rows of a few columns together."""
Rows = "pa.Table | bytes | ObjectFile | Path"


class MomentsOf(msgspec.Struct, frozen=True, tag="moments_of"):
    """Asks for count, mean and spread of the finite numbers of a column."""

    column: str


class NewestOf(msgspec.Struct, frozen=True, tag="newest_of"):
    """Asks for the largest value of a column of dates or times."""

    column: str


Measure = RowWise | MomentsOf | NewestOf
"""What is asked of a part, so that the answers of parts can be merged."""


class Tally(msgspec.Struct, frozen=True, tag="tally"):
    """Rows that were judged, and those of them that fail."""

    judged: int
    failures: int


class Moments(msgspec.Struct, frozen=True, tag="moments"):
    """Count, sum, mean, and the sum of squared differences from the mean."""

    count: int = 0
    total: float = 0.0
    mean: float = 0.0
    squares: float = 0.0


class Newest(msgspec.Struct, frozen=True, tag="newest"):
    """The largest value, as nanoseconds since 1970; none without any value."""

    nanoseconds: int | None = None


Measured = Tally | Moments | Newest
"""Figures of parts, which add up."""


class Finding(msgspec.Struct, frozen=True, tag="finding"):
    """What a whole came to: rows judged, rows that fail and where they stand (from 0), or the figure observed."""

    judged: int
    failures: int = 0
    rows: tuple[int, ...] = ()
    observed: float | None = None


class Shape(msgspec.Struct, frozen=True, tag="shape"):
    """Columns and number of rows of a file."""

    columns: tuple[Column, ...]
    rows: int


Kept = Tally | Moments | Newest | Finding | Shape
"""What is remembered of content."""


@dataclass(frozen=True)
class Part:
    """A piece of a version's rows.

    `key` is the address of its content (empty: nothing is remembered of it). `read` gives the columns asked for as a
    table, or all of it as Parquet. `ours` says that the Parquet was written by us, so that its footer can be believed.
    """

    key: str
    rows: int
    read: Callable[[Sequence[str]], pa.Table | bytes | ObjectFile | Path]
    ours: bool = False


class CheckEngine(Protocol):
    """Something that measures rows. Contract: `tests/contracts/test_check_engines.py`."""

    def measure(self, part: Part, measures: Sequence[Measure]) -> list[Measured]:
        """The figures of a part, in one pass over the columns that they need."""
        ...

    def failing(self, part: Part, expectation: RowWise, most: int) -> tuple[list[int], pa.Table]:
        """The first rows of a part that fail, up to a number: their places in it (from 0), and the columns judged."""
        ...

    def whole(self, table: pa.Table, asked: Whole, other: pa.Table | None, most: int) -> Finding:
        """What the columns of an expectation come to together; `other` has the columns that it refers to."""
        ...


def merged(parts: Sequence[Measured]) -> Measured:
    """The figures of all parts together, in whatever order they are merged (moments: up to rounding)."""
    result = parts[0]
    for part in parts[1:]:
        result = _merge(result, part)
    return result


def _merge(one: Measured, other: Measured) -> Measured:
    if isinstance(one, Tally) and isinstance(other, Tally):
        return Tally(one.judged + other.judged, one.failures + other.failures)
    if isinstance(one, Moments) and isinstance(other, Moments):
        return _merge_moments(one, other)
    if isinstance(one, Newest) and isinstance(other, Newest):
        known = [each.nanoseconds for each in (one, other) if each.nanoseconds is not None]
        return Newest(max(known, default=None))
    raise TypeError(f"{one} and {other} are figures of different kinds")


def _merge_moments(one: Moments, other: Moments) -> Moments:
    """By Chan, Golub and LeVeque, which loses no digits when the means are far from zero."""
    count = one.count + other.count
    if count == 0:
        return one
    apart = other.mean - one.mean
    return Moments(
        count,
        one.total + other.total,
        one.mean + apart * other.count / count,
        one.squares + other.squares + apart * apart * one.count * other.count / count,
    )
