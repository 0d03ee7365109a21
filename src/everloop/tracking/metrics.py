"""Metric points as they are kept: a block for each key of a log call, 24 bytes a point, and the latest value beside."""

from __future__ import annotations

import math
import struct
from collections.abc import Iterable, Sequence

from everloop.kernel.clock import from_micros, micros
from everloop.kernel.errors import InvalidInput
from everloop.tracking.entities import MetricPoint

INT64 = 1 << 63


def number_of(point: MetricPoint) -> float:
    """The value as a float; what JSON could not carry is NaN."""
    return math.nan if point.value is None else float(point.value)


def pack(points: Sequence[MetricPoint]) -> bytes:
    """A block: all steps, then all times (µs), then all values, little-endian, 8 bytes each.

    Raises:
        InvalidInput: a step does not fit into 64 bits.
    """
    count = len(points)
    wrong = next((point for point in points if not -INT64 <= point.step < INT64), None)
    if wrong is not None:
        raise InvalidInput(f"Metric {wrong.key!r} has step {wrong.step}, which is no 64-bit integer.")
    steps = [point.step for point in points]
    times = [micros(point.at) if point.at else 0 for point in points]
    return struct.pack(f"<{count}q{count}q{count}d", *steps, *times, *map(number_of, points))


def unpack(key: str, count: int, block: bytes) -> list[MetricPoint]:
    """The points of a block, in the order in which they were logged."""
    flat = struct.unpack(f"<{count}q{count}q{count}d", block)
    columns = flat[:count], flat[count : 2 * count], flat[2 * count :]
    return [MetricPoint(key, value, step, from_micros(at)) for step, at, value in zip(*columns, strict=True)]


def latest(points: Iterable[MetricPoint]) -> MetricPoint:
    """The point with the largest step, then time, then value; a NaN loses against any number at the same moment."""
    return max(points, key=_recency)


def _recency(point: MetricPoint) -> tuple[int, int, bool, float]:
    value = number_of(point)
    known = not math.isnan(value)
    return point.step, micros(point.at) if point.at else 0, known, value if known else 0.0
