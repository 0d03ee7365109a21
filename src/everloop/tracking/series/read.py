"""Reading points back: a metric's history in MLflow's order (time, step, value), whole or page by page."""

from __future__ import annotations

import math
import struct
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from everloop.catalog.session import Session
from everloop.kernel.clock import from_micros
from everloop.kernel.errors import InvalidInput
from everloop.tracking.entities import MetricPoint
from everloop.tracking.series.sealing import joined, ordered
from everloop.tracking.series.stored import Stored

if TYPE_CHECKING:
    from everloop.tracking.points import Columns


class Page(NamedTuple):
    """Points of a history, and the cursor with which it goes on; empty at its end."""

    columns: Columns
    cursor: str


class _Place(NamedTuple):
    """Where a page ended: at a point, and after so many that are just like it."""

    at: int
    step: int
    value: float
    alike: int = 0

    @property
    def point(self) -> bytes:
        """The point, which NaN would make unlike itself."""
        return _POINT.pack(self.at, self.step, self.value)


_POINT, _ALIKE = struct.Struct("<qqd"), struct.Struct("<q")
_ALL = (1 << 63) - 1


def history(session: Session, run: str, key: str, *, after: str = "", limit: int = 0, distinct: bool = False) -> Page:
    """The points of a metric by time, step and value; `distinct`, the very same point is there once. 20 M points/s.

    With a limit there are at most so many, from where the cursor `after` stands: the same ones whatever is logged
    meanwhile, unless that is older.

    Raises:
        InvalidInput: the cursor is none.
    """
    stored = Stored(session, run)
    refined = _distinct if distinct else _as_they_are
    if not limit and not after:
        return Page(refined(stored.everything(key)), "")
    place = _place(after) if after else None
    found = _from(stored, key, place, limit, refined)
    if not limit or len(found[0]) <= limit:
        return Page(found, "")
    step, at, value = (column[:limit] for column in found)
    last = _Place(int(at[-1]), int(step[-1]), math.nan if math.isnan(value[-1]) else float(value[-1]) + 0.0)
    start, end = _alike((step, at, value), last)
    before = place.alike if place and place.point == last.point else 0
    return Page((step, at, value), last.point.hex() + _ALIKE.pack(_ALL if distinct else end - start + before).hex())


def metric_points(session: Session, run: str, key: str) -> list[MetricPoint]:
    """The points of a metric one by one, in the order of their history. For long series ask for `history`."""
    step, at, value = (column.tolist() for column in history(session, run, key).columns)
    return [MetricPoint(key, *point) for point in zip(value, step, map(from_micros, at), strict=True)]


def _from(stored: Stored, key: str, place: _Place | None, limit: int, refined: Callable[[Columns], Columns]) -> Columns:
    """The points behind a place in order, more than the limit where there are so many."""
    low, high = stored.times(key)
    candidates = low.argsort(kind="stable")
    if place is not None:
        candidates = candidates[high[candidates] >= place.at]
    loose, number = stored.loose(key), 0
    loaded: list[Columns] = []
    while True:
        fetched = max(2, 2 * number, limit // 4096 + 2) if limit else len(candidates)
        loaded += stored.whole(key, candidates[number : number + fetched])
        number += fetched
        points = refined(_behind(ordered(joined([*loaded, loose])), place))
        if number >= len(candidates):
            return points
        # What lies before everything that was not read is final.
        final = int(points[1].searchsorted(low[candidates[number]]))
        if final > limit:
            step, at, value = (column[:final] for column in points)
            return step, at, value


def _as_they_are(points: Columns) -> Columns:
    return points


def _behind(points: Columns, place: _Place | None) -> Columns:
    """The points behind a place that are in order."""
    if place is None:
        return points
    start, end = _alike(points, place)
    start = min(end, start + place.alike)
    step, at, value = points
    return step[start:], at[start:], value[start:]


def _alike(points: Columns, place: _Place) -> tuple[int, int]:
    """From where to where points in order are just like the one of a place."""
    import numpy as np

    step, at, value = points
    start, end = int(at.searchsorted(place.at)), int(at.searchsorted(place.at, side="right"))
    end = start + int(step[start:end].searchsorted(place.step, side="right"))
    start += int(step[start:end].searchsorted(place.step))
    low, high = (int(value[start:end].searchsorted(np.float64(place.value), side=side)) for side in ("left", "right"))
    return start + low, start + high


def _distinct(points: Columns) -> Columns:
    """The points without those that are like the one before."""
    import numpy as np

    step, at, value = points
    same = at[1:] == at[:-1]
    if not same.any():
        return points
    same &= (step[1:] == step[:-1]) & ((value[1:] == value[:-1]) | (np.isnan(value[1:]) & np.isnan(value[:-1])))
    kept = np.concatenate((np.ones(min(1, len(at)), bool), ~same))
    return step[kept], at[kept], value[kept]


def _place(cursor: str) -> _Place:
    try:
        at, step, value, alike = struct.unpack("<qqdq", bytes.fromhex(cursor))
    except (ValueError, struct.error):
        raise InvalidInput(f"{cursor[:80]!r} is no cursor.", hint="Take it from the page before.") from None
    return _Place(at, step, value, max(0, alike))
