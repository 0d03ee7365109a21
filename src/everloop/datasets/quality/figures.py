"""Figures that need no reading: those that were measured before, and those that the profile of a version gives."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction

from blake3 import blake3
from sqlalchemy import select

from everloop.catalog.session import Session
from everloop.datasets.entities import QUANTILES, ColumnProfile
from everloop.datasets.quality.engine import (
    Finding,
    Kept,
    Measure,
    Measured,
    Moments,
    MomentsOf,
    Newest,
    NewestOf,
    Tally,
    Whole,
)
from everloop.datasets.quality.expectations import (
    AllNull,
    Compare,
    DistinctInRange,
    InRange,
    Length,
    NoRows,
    NotNull,
    NotOneOf,
    OneOf,
    QuantileInRange,
)
from everloop.datasets.quality.literals import TIMES, bound, family, literal, unit
from everloop.datasets.quality.tables import figures
from everloop.kernel.errors import Conflict, InvalidInput

_WAY = b"1"
"""How figures are counted; it changes when the meaning of a measure does."""
_EXACT = 2.0**53
"""Beyond this a profile's extremes of integers are rounded."""


def figure_key(*told: bytes) -> str:
    """What a figure is known by: the content that it is of, and what was asked."""
    return blake3(b"\0".join((_WAY, *told))).hexdigest()


def recalled(session: Session, keys: Sequence[str]) -> dict[str, Kept]:
    """The figures of these keys that were measured before."""
    query = select(figures.c.key, figures.c.figure).where(figures.c.key.in_(keys))
    with session.begin(write=False) as unit:
        return {row.key: row.figure for row in unit.connection.execute(query)}


def kept(session: Session, measured: Mapping[str, Kept]) -> None:
    """Keep figures; somebody else who kept them at the same time kept the same ones."""
    try:
        with session.begin() as unit:
            there = set(unit.scalars(select(figures.c.key).where(figures.c.key.in_(list(measured)))))
            for key, figure in measured.items():
                if key not in there:
                    unit.insert(figures, {"key": key, "figure": figure})
    except Conflict:
        return


def of_profile(asked: Measure, column: ColumnProfile) -> Measured | None:
    """The figure of a part, where the profile of its column gives it exactly."""
    present = column.count - column.nulls
    match asked:
        case NotNull():
            return Tally(column.count, column.nulls)
        case AllNull():
            return Tally(column.count, present)
        case MomentsOf():
            return _moments(column, present)
        case NewestOf():
            return _newest(column)
        case Compare():
            return None
    failing = _failing(asked, column) if len(column.top) == column.distinct and family(column.type) == "text" else None
    if failing is not None:
        return Tally(present, failing)
    return Tally(present, 0) if isinstance(asked, InRange) and _is_inside(asked, column) else None


def whole_of_profile(asked: Whole | NoRows, column: ColumnProfile | None) -> Finding | None:
    """What looking at a whole column would come to, where the profile of it says so."""
    if column is None or family(column.type) == "other":
        return None
    present = column.count - column.nulls
    match asked:
        case DistinctInRange() if family(column.type) != "float":  # Profiles of before tell 0.0 from -0.0.
            return Finding(present, observed=column.distinct)
        case QuantileInRange(quantile=quantile) if quantile in QUANTILES and column.quantiles and _is_finite(column):
            return Finding(present, observed=column.quantiles[QUANTILES.index(quantile)])
        case _:
            return None


def _moments(column: ColumnProfile, present: int) -> Moments | None:
    if present == 0:
        return Moments()
    if column.mean is None or not _is_finite(column):
        return None
    spread = (column.std or 0.0) ** 2 * (present - 1)
    return Moments(present, column.mean * present, column.mean, spread)


def _is_finite(column: ColumnProfile) -> bool:
    """Whether no number is infinite: a profile writes such extremes as text."""
    return isinstance(column.minimum, int | float) and isinstance(column.maximum, int | float)


def _newest(column: ColumnProfile) -> Newest | None:
    if column.count == column.nulls:
        return Newest(None)
    at = _place(column.maximum, column.type)
    return Newest(int(at * unit(column.type))) if isinstance(at, Fraction) else None


def _failing(asked: Measure, column: ColumnProfile) -> int | None:
    """The rows that fail, where the profile lists every value there is with its count."""
    match asked:
        case OneOf(values=values) | NotOneOf(values=values):
            known = {literal(value, column.type) for value in values}
            among = isinstance(asked, NotOneOf)
            return sum(count for text, count in column.top if (text in known) == among)
        case Length(minimum=low, maximum=high):
            return sum(n for text, n in column.top if len(text) < low or (high is not None and len(text) > high))
        case _:
            return None


def _is_inside(asked: InRange, column: ColumnProfile) -> bool:
    """Whether the extremes of a column show that all of it is in range."""
    if column.count == column.nulls:
        return True
    least, most = (_place(end, column.type) for end in (column.minimum, column.maximum))
    if least is None or most is None:
        return False
    low = None if asked.minimum is None else bound(asked.minimum, column.type)
    high = None if asked.maximum is None else bound(asked.maximum, column.type)
    above = low is None or (least > low if asked.strict_minimum else least >= low)  # type: ignore[operator]
    below = high is None or (most < high if asked.strict_maximum else most <= high)  # type: ignore[operator]
    return above and below


def _place(end: float | str | None, kind: str) -> Fraction | float | str | None:
    """An extreme of a profile on the axis of its type; none where the profile does not have it exactly."""
    of = family(kind)
    if end is None or "[ns" in kind or of in ("decimal", "duration") or kind in ("float32", "float16"):
        return None
    if of in ("integer", "bool"):
        return Fraction(end) if isinstance(end, int | float) and abs(end) < _EXACT else None
    if of == "float":
        return float(end)
    if of in TIMES or of == "text":
        try:
            return bound(str(end), kind)
        except InvalidInput:
            return None
    return None
