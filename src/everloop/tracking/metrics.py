"""Metric points as blocks hold them, 24 bytes each."""

from __future__ import annotations

import struct

from everloop.kernel.clock import from_micros
from everloop.tracking.entities import MetricPoint


def unpack(key: str, count: int, block: bytes) -> list[MetricPoint]:
    """The points of a block: all steps, then all times (µs), then all values, in the order in which they were logged."""
    flat = struct.unpack(f"<{count}q{count}q{count}d", block)
    columns = flat[:count], flat[count : 2 * count], flat[2 * count :]
    return [MetricPoint(key, value, step, from_micros(at)) for step, at, value in zip(*columns, strict=True)]
