"""Spans of time as people write them: `90s`, `15m`, `2h`, `30d`."""

from __future__ import annotations

import re
from datetime import timedelta

from everloop.kernel.errors import InvalidInput

_UNITS = {"ms": "milliseconds", "s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_PATTERN = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|m|h|d|w)")


def duration(text: str) -> timedelta:
    """The span that a text such as `2h` or `1d 12h` names.

    >>> duration("1d 12h")
    datetime.timedelta(days=1, seconds=43200)
    """
    parts = _PATTERN.findall(text)
    if not parts or _PATTERN.sub("", text).strip():
        raise InvalidInput(
            f"{text!r} is not a duration.", hint="Write a number and ms, s, m, h, d or w, such as 2h or 30d."
        )
    try:
        return sum((timedelta(**{_UNITS[unit]: float(number)}) for number, unit in parts), timedelta())
    except OverflowError:
        raise InvalidInput(f"{text!r} is too long a duration.", hint="Less than 2.7 million years will do.") from None
