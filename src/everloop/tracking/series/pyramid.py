"""The pyramid over a metric's blocks: summaries of 128 points, of 32 such, of 32 of those, as far as they are whole.

A chart is drawn from the summaries that are no wider than a pixel; only where those are too wide are finer ones read,
and points last. So a chart costs the same for a million points and for a thousand million.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import TYPE_CHECKING, Literal, NamedTuple

from everloop.kernel.errors import Corrupted
from everloop.tracking.series.blocks import FULL

if TYPE_CHECKING:
    import numpy as np

Along = Literal["step", "time"]
FINEST = 128
"""So many points the lowest level sums up in one span."""
FAN = FULL // FINEST
"""So many spans of one level make one of the next: a whole block is one span of level 1."""
ROW = 2 * FAN
"""So many spans a row holds from level 1 on; in level 0 there is a row for each block."""
_SHORT, _LONG = 10, 16


class Spans(NamedTuple):
    """Summaries of points, seen along steps or along time; the other of the two orders points that are level.

    Columns as long as there are spans. `minimum` and `maximum` are of the finite values (NaN where there are none),
    `gaps` counts the other points; `first` and `last` are whatever was logged there.
    """

    points: np.ndarray
    gaps: np.ndarray
    minimum: np.ndarray
    maximum: np.ndarray
    low: np.ndarray
    high: np.ndarray
    first: np.ndarray
    last: np.ndarray
    first_other: np.ndarray
    last_other: np.ndarray


class Summary(NamedTuple):
    """The same spans along steps and along time."""

    steps: Spans
    times: Spans


def row_size(level: int) -> int:
    """How many spans a row of a level holds."""
    return FAN if level == 0 else ROW


def of_points(axis: np.ndarray, other: np.ndarray, value: np.ndarray) -> Spans:
    """Each point as a span of its own."""
    import numpy as np

    finite = np.isfinite(value)
    shown = value if finite.all() else np.where(finite, value, np.nan)
    ones = np.ones(len(value), np.int64)
    return Spans(ones, (~finite).astype(np.int64), shown, shown, axis, axis, value, value, other, other)


def summed(step: np.ndarray, at: np.ndarray, value: np.ndarray, starts: np.ndarray) -> Summary:
    """Points, summed up from each start to the next; 50 M points/s where step and time order them alike."""
    import numpy as np

    if not (rising(step, at, value) and rising(at, step, value)):
        return Summary(merged(of_points(step, at, value), starts), merged(of_points(at, step, value), starts))
    finite = np.isfinite(value)
    shown = value if finite.all() else np.where(finite, value, np.nan)
    ends = np.append(starts[1:], len(value)) - 1
    gaps = np.add.reduceat(~finite, starts, dtype=np.int64)
    shared = ends - starts + 1, gaps, np.fmin.reduceat(shown, starts), np.fmax.reduceat(shown, starts)
    steps, times, values = ((column[starts], column[ends]) for column in (step, at, value))
    return Summary(Spans(*shared, *steps, *values, *times), Spans(*shared, *times, *values, *steps))


def merged(spans: Spans, starts: np.ndarray) -> Spans:
    """Spans, summed up from each start to the next."""
    import numpy as np

    first, last = _ends(spans, starts)
    return Spans(
        np.add.reduceat(spans.points, starts),
        np.add.reduceat(spans.gaps, starts),
        np.fmin.reduceat(spans.minimum, starts),
        np.fmax.reduceat(spans.maximum, starts),
        np.minimum.reduceat(spans.low, starts),
        np.maximum.reduceat(spans.high, starts),
        spans.first[first],
        spans.last[last],
        spans.first_other[first],
        spans.last_other[last],
    )


def _ends(spans: Spans, starts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Which span of each group holds its first point, and which its last: by axis, then by the other, then by value."""
    import numpy as np

    count = len(spans.points)
    ends = np.append(starts[1:], count)
    if rising(spans.low, spans.first_other, spans.first) and rising(spans.high, spans.last_other, spans.last):
        return starts, ends - 1
    group = np.repeat(np.arange(len(starts)), ends - starts)
    return (
        np.lexsort((spans.first, spans.first_other, spans.low, group))[starts],
        np.lexsort((spans.last, spans.last_other, spans.high, group))[ends - 1],
    )


def rising(axis: np.ndarray, other: np.ndarray, value: np.ndarray) -> bool:
    """Whether points are in order by axis, then by the other, then by value with NaN last."""
    import numpy as np

    level = axis[1:] == axis[:-1]
    if not level.any():
        return bool((axis[1:] > axis[:-1]).all())
    if (axis[1:] < axis[:-1]).any():
        return False
    places = np.flatnonzero(level)
    before, after = other[places], other[places + 1]
    if (after < before).any():
        return False
    same = places[after == before]
    return bool(((value[same] <= value[same + 1]) | np.isnan(value[same + 1])).all())


def taken(spans: Spans, places: np.ndarray | slice) -> Spans:
    """Some of the spans."""
    return Spans(*(column[places] for column in spans))


def joined(parts: Sequence[Spans]) -> Spans:
    """The spans of several parts, one behind the other."""
    import numpy as np

    return Spans(*(np.concatenate(columns) for columns in zip(*parts, strict=True)))


def packed(summary: Summary) -> bytes:
    """Spans as a row keeps them: 80 bytes each where step and time order the points alike, else 128."""
    import numpy as np

    steps, times = summary
    columns = [*steps[:4], steps.low, steps.high, times.low, times.high, steps.first, steps.last]
    alike = (steps.first_other, times.low), (steps.last_other, times.high), (times.first_other, steps.low)
    more = (
        (times.last_other, steps.high),
        (_bits(times.first), _bits(steps.first)),
        (_bits(times.last), _bits(steps.last)),
    )
    if not all(np.array_equal(one, other) for one, other in (*alike, *more)):
        columns += [steps.first_other, steps.last_other, times.first, times.last, times.first_other, times.last_other]
    head = np.array([len(columns)], "<i8").tobytes()
    return head + b"".join(_bits(column).tobytes() for column in columns)


def unpacked(rows: Iterable[bytes], along: Along) -> Spans:
    """The spans of rows, one behind the other, along steps or along time.

    Raises:
        Corrupted: a row was cut.
    """
    import numpy as np

    parts = [_unpacked(b"".join(same), size, along) for size, same in groupby(rows, len)]
    return joined(parts) if parts else Spans(*[np.zeros(0, np.int64)] * 2, *[np.zeros(0)] * 8)


def _unpacked(rows: bytes, size: int, along: Along) -> Spans:
    """The spans of rows that have as many bytes each, together where they have as many columns too."""
    import numpy as np

    if size % 8 or not size:
        raise Corrupted("A summary of metric points is damaged.", hint="Restore the database from a backup.")
    matrix = np.frombuffer(rows, "<i8").reshape(-1, size // 8)
    spans, start = [], 0
    for columns, same in groupby(matrix[:, 0].tolist()):
        height = len(list(same))
        if columns not in (_SHORT, _LONG) or (size // 8 - 1) % columns:
            raise Corrupted("A summary of metric points is damaged.", hint="Restore the database from a backup.")
        cut = matrix[start : start + height, 1:].reshape(height, columns, -1)
        spans.append(_seen(cut.transpose(1, 0, 2).reshape(columns, -1), along))
        start += height
    return spans[0] if len(spans) == 1 else joined(spans)


def _seen(numbers: np.ndarray, along: Along) -> Spans:
    values = numbers.view("<f8")
    shared = numbers[0], numbers[1], values[2], values[3]
    step_ends, time_ends = (numbers[4], numbers[5]), (numbers[6], numbers[7])
    short = len(numbers) == _SHORT
    if along == "step":
        return Spans(*shared, *step_ends, values[8], values[9], *(time_ends if short else (numbers[10], numbers[11])))
    if short:
        return Spans(*shared, *time_ends, values[8], values[9], *step_ends)
    return Spans(*shared, *time_ends, values[12], values[13], numbers[14], numbers[15])


def _bits(column: np.ndarray) -> np.ndarray:
    import numpy as np

    return np.ascontiguousarray(column).view(np.int64)
