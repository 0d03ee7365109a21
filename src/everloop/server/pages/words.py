"""How values are written on pages: moments, numbers, sizes, durations, digests, states."""

from __future__ import annotations

import math
from datetime import datetime, timedelta
from typing import Any

import msgspec
from markupsafe import Markup

GOOD = {"finished", "promoted", "approved", "passed", "stable", "resolved", "intact", "complete", "ok", "sent"}
BAD = {"failed", "killed", "given_up", "refused", "rejected", "critical", "broken", "error"}
WARN = {
    "rolled_back",
    "warning",
    "open",
    "canary",
    "running",
    "rolling_out",
    "training",
    "proposed",
    "gated",
    "stopping",
}


def moment(at: datetime | None) -> str:
    """A moment to the minute, in UTC.

    >>> from datetime import UTC, datetime
    >>> moment(datetime(2013, 3, 1, 5, tzinfo=UTC))
    '2013-03-01 05:00'
    """
    return "" if at is None else f"{at:%Y-%m-%d %H:%M}"


def day(at: datetime | None) -> str:
    """The day of a moment, as people write it."""
    return "" if at is None else f"{at.day} {at:%b %Y}"


def number(value: float | None) -> str:
    """A whole number, from 10,000 on with thousands separated; any other with four significant digits.

    >>> number(336776), number(2013), number(0.72823), number(None)
    ('336,776', '2013', '0.7282', '–')
    """
    if value is None:
        return "–"
    if isinstance(value, int) or (math.isfinite(value) and value == int(value) and abs(value) < 1e15):
        return f"{int(value):,}" if abs(value) >= 10_000 else str(int(value))
    return f"{value:.4g}"


def size(count: int) -> str:
    """Bytes as people say them.

    >>> size(5_289_526)
    '5.3 MB'
    """
    amount, units = float(count), ["bytes", "kB", "MB", "GB", "TB"]
    while amount >= 1000 and len(units) > 1:
        amount /= 1000
        units.pop(0)
    return f"{amount:.0f} {units[0]}" if units[0] == "bytes" else f"{amount:.1f} {units[0]}"


def duration(span: timedelta | float | None) -> str:
    """A span of time in its one or two largest units.

    >>> from datetime import timedelta
    >>> duration(timedelta(hours=36)), duration(0.0125)
    ('1 d 12 h', '12 ms')
    """
    if span is None:
        return ""
    seconds = span.total_seconds() if isinstance(span, timedelta) else span
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 60:
        return f"{seconds:.3g} s"
    parts = []
    for length, unit in ((86_400, "d"), (3_600, "h"), (60, "min"), (1, "s")):
        count, seconds = divmod(round(seconds), length)
        if count:
            parts.append(f"{count} {unit}")
    return " ".join(parts[:2])


def digest(value: str) -> Markup:
    """The start of a digest, with all of it under the pointer."""
    if not value:
        return Markup("")
    return Markup('<code class="digest" title="{0}">{1}</code>').format(value, value[:12])


def state(value: object) -> Markup:
    """A state as a badge in its colour."""
    word = str(value)
    tone = "good" if word in GOOD else "bad" if word in BAD else "warn" if word in WARN else ""
    return Markup('<span class="badge {}">{}</span>').format(tone, spoken(word))


def spoken(word: str) -> str:
    """A name with underscores as words."""
    return word.replace("_", " ")


def percent(value: float | None) -> str:
    """A share from 0 to 1 in percent."""
    return "–" if value is None else f"{100 * value:.3g} %"


def declared(value: object) -> str:
    """A declaration (a gate, a guard, a trigger, an expectation) as one reads it: `better_than(alias=champion)`."""
    if not isinstance(value, msgspec.Struct):
        return plain(value)
    name = str(value.__struct_config__.tag or type(value).__name__)
    told = [
        f"{field} {plain(held)}"
        for field, held in zip(
            value.__struct_fields__, (getattr(value, f) for f in value.__struct_fields__), strict=True
        )
        if held not in (None, (), "")
    ]
    return f"{spoken(name)}: {', '.join(told)}" if told else spoken(name)


def plain(value: Any) -> str:
    """Any value in a line."""
    if isinstance(value, timedelta):
        return duration(value)
    if isinstance(value, datetime):
        return moment(value)
    if isinstance(value, bool) or value is None:
        return {True: "yes", False: "no", None: "–"}[value]
    if isinstance(value, int | float):
        return number(value)
    if isinstance(value, list | tuple):
        return ", ".join(plain(each) for each in value)
    if isinstance(value, dict):
        return ", ".join(f"{key} {plain(each)}" for key, each in value.items())
    return declared(value) if isinstance(value, msgspec.Struct) else str(value)


def pretty(value: object) -> str:
    """JSON with indentation."""
    return msgspec.json.format(msgspec.json.encode(value), indent=2).decode()
