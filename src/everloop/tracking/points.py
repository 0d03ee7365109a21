"""Metric points as columns: what travels from clients and what a run's tail holds, packed so that damage shows.

A segment is `ELP1`, 16 bytes of BLAKE3 over the rest, the lengths of header and body, a msgpack header (keys, count, is
the body compressed), and the four columns one after the other. Segments can be written one behind the other.
"""

from __future__ import annotations

import math
import struct
import threading
from array import array
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from itertools import groupby
from typing import TYPE_CHECKING

import msgspec

from everloop.kernel.clock import from_micros, micros
from everloop.kernel.errors import InvalidInput
from everloop.tracking.entities import MetricPoint, Points

if TYPE_CHECKING:
    import numpy as np
    import zstandard

    Columns = tuple[np.ndarray, np.ndarray, np.ndarray]
"""The steps, times (µs) and values of one key."""

MOST = 1 << 20
"""So many points a segment can hold."""
_MAGIC = b"ELP1"
_HEAD = struct.Struct("<4s16sII")
_KEYED = slice(4, 20)
_SIZE = 28
_FEW = 64
"""Below this many points numpy and zstd cost more than they save."""
_MOST_KEYS = 1 << 16
_LONGEST_HEADER = 1 << 25
_LEVEL = -1
"""zstd's fast level: 37 M points/s at 10.6 bytes each, where level 1 packs 24 M/s at 9.9."""


class Latest(msgspec.Struct, frozen=True, array_like=True):
    """The point of a key with the largest (step, time, value), and how many points there were."""

    value: float
    step: int
    at: int
    points: int


class _Header(msgspec.Struct, frozen=True, array_like=True):
    keys: tuple[str, ...]
    count: int
    compressed: bool = False


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(_Header).decode


def check(points: Points) -> None:
    """Let columns through that belong together.

    Raises:
        InvalidInput: their lengths differ, a key's index points nowhere, or there are too many points.
    """
    count = len(points)
    if count > MOST:
        raise InvalidInput(f"A segment holds at most {MOST:,} points, not {count:,}.", hint="Send several.")
    lengths = len(points.key), len(points.step), len(points.at), len(points.value)
    if lengths != (4 * count, 8 * count, 8 * count, 8 * count):
        raise InvalidInput(
            f"The columns of points have {', '.join(map(str, lengths))} bytes.",
            hint="A point has 4 bytes of key, and 8 each of step, time and value.",
        )
    keys = len(points.keys)
    if keys > _MOST_KEYS or len(set(points.keys)) < keys:
        raise InvalidInput("The keys of a segment are too many or repeated.", hint=f"Up to {_MOST_KEYS:,}, each once.")
    if count and _largest_index(points.key) >= keys:
        raise InvalidInput(f"A point names key {_largest_index(points.key)} of {keys}.")


def pack(points: Points) -> bytes:
    """A segment of points: about 5 µs for one, 30 M points/s for many; as many bytes as 10 to 28 a point.

    Raises:
        InvalidInput: the columns do not belong together.
    """
    check(points)
    body = b"".join((points.key, points.step, points.at, points.value))
    small = body if len(points) < _FEW else _compressed(body)
    compressed = len(small) < len(body)
    header = _encode(_Header(points.keys, len(points), compressed))
    return _sealed(header, small if compressed else body)


def unpack(segment: bytes) -> Points:
    """The points of one segment.

    Raises:
        InvalidInput: it was cut, changed or never was one.
    """
    points, end = unpack_first(segment)
    if end != len(segment):
        raise InvalidInput(f"{len(segment) - end} bytes follow after a segment of points.")
    return points


def unpack_all(segments: bytes) -> Iterator[Points]:
    """The points of segments that stand one behind the other.

    Raises:
        InvalidInput: as `unpack`, when the damaged one is reached.
    """
    start = 0
    while start < len(segments):
        points, start = unpack_first(segments, start)
        yield points


def unpack_first(data: bytes, start: int = 0) -> tuple[Points, int]:
    """The points of the segment that starts here, and where it ends: how journals find where a torn one begins.

    Raises:
        InvalidInput: it was cut, changed or never was one.
    """
    if len(data) - start < _HEAD.size:
        raise InvalidInput("A segment of points was cut short.")
    magic, digest, header_size, body_size = _HEAD.unpack_from(data, start)
    if magic != _MAGIC:
        raise InvalidInput("This is no segment of points.", hint="Make it with everloop.tracking.points.pack.")
    begin = start + _HEAD.size
    end = begin + header_size + body_size
    if header_size > _LONGEST_HEADER or body_size > _SIZE * MOST or end > len(data):
        raise InvalidInput("A segment of points was cut short.")
    if digest != _digest(memoryview(data)[start + _KEYED.stop : end]):
        raise InvalidInput("A segment of points was damaged.", hint="Send it again.")
    header = _read_header(data[begin : begin + header_size])
    body = data[begin + header_size : end]
    points = _columns(header, _expanded(body, header.count) if header.compressed else body)
    check(points)
    return points, end


def points_of(logged: Sequence[MetricPoint], now: int = 0) -> Points:
    """Logged points as columns; those without a time get `now` (µs since 1970).

    Raises:
        InvalidInput: a step does not fit into 64 bits.
    """
    index: dict[str, int] = {}
    key = array("I", [index.setdefault(point.key, len(index)) for point in logged])
    try:
        step = array("q", [point.step for point in logged])
    except OverflowError:
        wrong = next(point for point in logged if not -(1 << 63) <= point.step < 1 << 63)
        raise InvalidInput(f"Metric {wrong.key!r} has step {wrong.step}, which is no 64-bit integer.") from None
    at = array("q", [now if point.at is None else micros(point.at) for point in logged])
    value = array("d", [number_of(point) for point in logged])
    return Points(tuple(index), key.tobytes(), step.tobytes(), at.tobytes(), value.tobytes())


def metric_points(points: Points) -> list[MetricPoint]:
    """The points one by one, in the order in which they were logged."""
    keys, count = points.keys, len(points)
    index = struct.unpack(f"<{count}I", points.key)
    steps, times = (struct.unpack(f"<{count}q", column) for column in (points.step, points.at))
    values = struct.unpack(f"<{count}d", points.value)
    return [
        MetricPoint(keys[key], value, step, from_micros(at))
        for key, value, step, at in zip(index, values, steps, times, strict=True)
    ]


def number_of(point: MetricPoint) -> float:
    """The value as a float; what JSON could not carry is NaN."""
    return math.nan if point.value is None else float(point.value)


def latest(points: Iterable[MetricPoint]) -> MetricPoint:
    """The point with the largest step, then time, then value; a NaN loses against any number at the same moment."""
    return max(points, key=_recency)


def latest_of(points: Points) -> dict[str, Latest]:
    """The latest point of each key that has points, as `latest` picks it; 30 M points/s."""
    columns = _few(points) if len(points) < _FEW else _newest(points)
    found: dict[str, Latest] = {}
    for index, value, step, at, count in columns:
        key, made = points.keys[index], Latest(value, step, at, count)
        found[key] = later(found[key], made) if key in found else made
    return found


def later(one: Latest, other: Latest) -> Latest:
    """The later of two, with the points of both: how a segment's latest is merged into a run's."""
    newest = other if _order(other) > _order(one) else one
    return msgspec.structs.replace(newest, points=one.points + other.points)


def _order(latest: Latest) -> tuple[int, int, bool, float]:
    known = not math.isnan(latest.value)
    return latest.step, latest.at, known, latest.value if known else 0.0


def _recency(point: MetricPoint) -> tuple[int, int, bool, float]:
    return _order(Latest(number_of(point), point.step, micros(point.at) if point.at else 0, 1))


def _few(points: Points) -> Iterable[tuple[int, float, int, int, int]]:
    count = len(points)
    key, value = struct.unpack(f"<{count}I", points.key), struct.unpack(f"<{count}d", points.value)
    step, at = struct.unpack(f"<{count}q", points.step), struct.unpack(f"<{count}q", points.at)
    return zip(key, value, step, at, (1,) * count, strict=True)


def _newest(points: Points) -> Iterable[tuple[int, float, int, int, int]]:
    """One point for each key: those with its largest step, of them those with the largest time, of them by value."""
    import numpy as np

    key, step, at, value = arrays(points)
    counts = np.bincount(key, minlength=len(points.keys))
    left = _at_largest(key, step, np.arange(len(key)))
    left = _at_largest(key, at, left)
    left = _at_largest(key, ~np.isnan(value), left)
    left = _at_largest(key, np.where(np.isnan(value), 0.0, value), left)
    keys, first = np.unique(key[left], return_index=True)
    chosen = left[first]
    columns = keys, value[chosen], step[chosen], at[chosen], counts[keys]
    return zip(*(column.tolist() for column in columns), strict=True)


def _at_largest(key: np.ndarray, column: np.ndarray, left: np.ndarray) -> np.ndarray:
    import numpy as np

    key, column = key[left], column[left]
    lowest = -np.inf if column.dtype.kind == "f" else (np.iinfo(np.int64).min if column.dtype.kind == "i" else False)
    largest = np.full(int(key.max()) + 1, lowest, column.dtype)
    np.maximum.at(largest, key, column)
    chosen: np.ndarray = left[column == largest[key]]
    return chosen


def arrays(points: Points) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """The columns key, step, at and value as arrays that share the memory of the points."""
    import numpy as np

    return (
        np.frombuffer(points.key, "<u4"),
        np.frombuffer(points.step, "<i8"),
        np.frombuffer(points.at, "<i8"),
        np.frombuffer(points.value, "<f8"),
    )


def by_key(parts: Iterable[Points]) -> dict[str, Columns]:
    """The points of several segments by key, in the order in which they were logged."""
    import numpy as np

    index: dict[str, int] = {}
    keys, rest = [], []
    for names, same in groupby(parts, lambda part: part.keys):
        alike = list(same)
        known = np.array([index.setdefault(name, len(index)) for name in names], np.uint32)
        keys.append(known[np.frombuffer(b"".join(part.key for part in alike), "<u4")])
        rest += alike
    if not index:
        return {}
    step = np.frombuffer(b"".join(part.step for part in rest), "<i8")
    at = np.frombuffer(b"".join(part.at for part in rest), "<i8")
    value = np.frombuffer(b"".join(part.value for part in rest), "<f8")
    if len(index) == 1:
        return {name: (step, at, value) for name in index if len(step)}
    key = np.concatenate(keys)
    # Sorting 16-bit numbers is linear.
    order = np.argsort(key.astype(np.uint16) if len(index) <= _MOST_KEYS else key, kind="stable")
    edges = np.cumsum(np.bincount(key, minlength=len(index)))[:-1]
    split = [np.split(column[order], edges) for column in (step, at, value)]
    return {name: (s, a, v) for name, s, a, v in zip(index, *split, strict=True) if len(s)}


def _largest_index(key: bytes) -> int:
    if len(key) <= 4 * _FEW:
        indices: tuple[int, ...] = struct.unpack(f"<{len(key) // 4}I", key)
        return max(indices)
    import numpy as np

    return int(np.frombuffer(key, "<u4").max())


def _sealed(header: bytes, body: bytes) -> bytes:
    lengths = struct.pack("<II", len(header), len(body))
    rest = b"".join((lengths, header, body))
    return b"".join((_MAGIC, _digest(rest), rest))


def _digest(data: bytes | memoryview) -> bytes:
    from blake3 import blake3

    return blake3(data).digest(16)


def _read_header(data: bytes) -> _Header:
    try:
        header = _decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidInput(f"The header of a segment of points cannot be read ({error}).") from None
    if not 0 <= header.count <= MOST:
        raise InvalidInput(f"A segment holds at most {MOST:,} points, not {header.count:,}.", hint="Send several.")
    return header


def _columns(header: _Header, body: bytes) -> Points:
    count = header.count
    if len(body) != _SIZE * count:
        raise InvalidInput(f"{count:,} points have {_SIZE * count:,} bytes, not {len(body):,}.")
    edges = 4 * count, 12 * count, 20 * count
    return Points(header.keys, body[: edges[0]], body[edges[0] : edges[1]], body[edges[1] : edges[2]], body[edges[2] :])


class _Zstd(threading.local):
    """A compressor for each thread: to make one costs more than to compress a batch with it."""

    @cached_property
    def compressor(self) -> zstandard.ZstdCompressor:
        import zstandard

        return zstandard.ZstdCompressor(level=_LEVEL)


_zstd = _Zstd()


def _compressed(body: bytes) -> bytes:
    return _zstd.compressor.compress(body)


def _expanded(body: bytes, count: int) -> bytes:
    import zstandard

    try:
        # The size is asked for first: a few bytes can claim to become a terabyte.
        if zstandard.get_frame_parameters(body).content_size != _SIZE * count:
            raise InvalidInput(f"{count:,} points have {_SIZE * count:,} bytes.")
        return zstandard.ZstdDecompressor().decompress(body)
    except zstandard.ZstdError as error:
        raise InvalidInput(f"A segment of points cannot be expanded ({error}).") from None
