"""Values that an expectation names, read as the type of the column that they are compared with."""

from __future__ import annotations

import math
import re
from datetime import UTC, date, datetime, time, timedelta
from fractions import Fraction
from functools import cache
from typing import Literal

from everloop.datasets.quality.expectations import Value
from everloop.kernel.durations import duration
from everloop.kernel.errors import InvalidInput

Family = Literal["integer", "float", "decimal", "bool", "text", "date", "timestamp", "time", "duration", "other"]
Comparable = int | float | str
"""A value as it is compared: a number, a text, or days and times as a count of the column's own unit."""

NUMBERS = ("integer", "float", "decimal", "bool")
TIMES = ("date", "timestamp", "time", "duration")
_FAMILIES: tuple[tuple[str, Family], ...] = (
    (r"u?int\d+", "integer"),
    (r"float\d+", "float"),
    (r"decimal\d+.*", "decimal"),
    (r"bool", "bool"),
    (r"(large_)?string(_view)?", "text"),
    (r"date\d+.*", "date"),
    (r"timestamp.*", "timestamp"),
    (r"time\d+.*", "time"),
    (r"duration.*", "duration"),
)
_NANOSECONDS = {"day": 86_400_000_000_000, "s": 1_000_000_000, "ms": 1_000_000, "us": 1_000, "ns": 1}
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_TRUTH = {"true": 1, "false": 0, "1": 1, "0": 0}


@cache
def family(type_name: str) -> Family:
    """What kind of values a type holds, by Arrow's name of it."""
    return next((found for pattern, found in _FAMILIES if re.fullmatch(pattern, type_name)), "other")


@cache
def unit(type_name: str) -> int:
    """How many nanoseconds one step of a type of times is."""
    if type_name.startswith("date64"):
        return _NANOSECONDS["ms"]
    found = re.search(r"\[(day|s|ms|us|ns)", type_name)
    return _NANOSECONDS[found[1]] if found else 1


def literal(value: Value, type_name: str) -> Comparable | None:
    """A value as a column of a type would hold it; none when no value of that type equals it (1.5 among integers).

    Raises:
        InvalidInput: it cannot be read as that type at all.
    """
    exact = bound(value, type_name)
    if isinstance(exact, Fraction):
        return int(exact) if exact.denominator == 1 else None
    return exact


def bound(value: Value, type_name: str) -> Fraction | float | str:
    """The place of a value on the axis of a type: exact where the type counts, as given where it measures.

    Raises:
        InvalidInput: it cannot be read as that type at all.
    """
    of = family(type_name)
    try:
        if of == "text":
            return value if isinstance(value, str) else str(value).lower() if isinstance(value, bool) else str(value)
        if of in NUMBERS:
            return _number(value, exact=of in ("integer", "bool"))
        if of in TIMES:
            return Fraction(_nanoseconds(value, of), unit(type_name))
    except (ValueError, OverflowError, InvalidInput):
        raise InvalidInput(
            f"{value!r} cannot be read as {type_name}.", hint=_HINTS.get(of, "Write a number.")
        ) from None
    raise InvalidInput(f"Values of type {type_name} cannot be compared with {value!r}.")


_HINTS = {
    "date": "Write days as 2013-01-31.",
    "timestamp": "Write times as 2013-01-31T08:00:00Z.",
    "time": "Write times of day as 08:00.",
    "duration": "Write spans as 2h or 1d 12h.",
}


def _number(value: Value, *, exact: bool) -> Fraction | float:
    number = _TRUTH.get(value.lower(), value) if isinstance(value, str) else value
    if not exact:
        return _real(float(number))
    if isinstance(number, str):
        number = int(number) if re.fullmatch(r"\s*[+-]?\d+\s*", number) else float(number)
    if isinstance(number, float) and math.isinf(number):
        return number
    return Fraction(number)


def _real(number: float) -> float:
    if math.isnan(number):
        raise ValueError("NaN is no end")
    return number


def _nanoseconds(value: Value, of: Family) -> int:
    if not isinstance(value, str):
        raise ValueError("a number is no time")
    if of == "duration":
        return _steps(duration(value))
    if of == "time":
        at = time.fromisoformat(value)
        if at.tzinfo:
            raise ValueError("a time of day has no zone here")
        span = timedelta(hours=at.hour, minutes=at.minute, seconds=at.second, microseconds=at.microsecond)
        return _steps(span) + _beyond_microseconds(value)
    if re.fullmatch(r"\d{4}-\d{2}-\d{2}", value):
        moment = datetime.combine(date.fromisoformat(value), time(), UTC)
    else:
        moment = datetime.fromisoformat(value)
    return _steps((moment if moment.tzinfo else moment.replace(tzinfo=UTC)) - _EPOCH) + _beyond_microseconds(value)


def _beyond_microseconds(value: str) -> int:
    """The nanoseconds that Python's times leave out."""
    found = re.search(r"[.,]\d{6}(\d{1,3})", value)
    return int(found[1].ljust(3, "0")) if found else 0


def _steps(span: timedelta) -> int:
    return (span // timedelta(microseconds=1)) * 1_000
