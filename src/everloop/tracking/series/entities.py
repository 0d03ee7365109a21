"""What is read of metrics: series of points, and charts."""

from __future__ import annotations

from typing import Literal

import msgspec

Axis = Literal["step", "time", "relative"]
Special = Literal["NaN", "Infinity", "-Infinity"]


class Series(msgspec.Struct, frozen=True):
    """Points of a metric as columns, by time, then step, then value.

    `at` is in microseconds since 1970. Where a value is None, `special` says by its place which number it was that JSON
    has no word for. `after` is the cursor with which to ask for the next page; empty at the end.
    """

    key: str
    step: list[int]
    at: list[int]
    value: list[float | None]
    special: dict[int, Special] = {}
    after: str = ""


class Chart(msgspec.Struct, frozen=True):
    """A metric as it is drawn: for each pixel that has points what the least, largest, first and last of them are.

    `minimum` and `maximum` are of finite values, None where a pixel has none; `gaps` counts the points that are NaN or
    infinite, and `first` and `last` are None where they are one. `step` and `at` (µs since 1970) are of the last point.
    `low` and `high` are the ends of the axis: steps, seconds since 1970, or seconds since the run's start.
    """

    run: str
    key: str
    axis: Axis
    low: float
    high: float
    points: int
    step: list[int]
    at: list[int]
    minimum: list[float | None]
    maximum: list[float | None]
    first: list[float | None]
    last: list[float | None]
    count: list[int]
    gaps: list[int]
