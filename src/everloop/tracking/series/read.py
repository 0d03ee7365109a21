"""Reading points back: a metric's history in MLflow's order (time, step, value), whole or page by page."""

from __future__ import annotations

import struct
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
    at: int
    step: int
    value: float


_PLACE = struct.Struct("<qqd")


def history(session: Session, run: str, key: str, *, after: str = "", limit: int = 0) -> Page:
    """The points of a metric by time, step and value; the very same point is there once. 20 M points/s.

    With a limit there are at most so many, from where the cursor `after` stands: the same ones whatever is logged
    meanwhile, unless that is older.

    Raises:
        InvalidInput: the cursor is none.
    """
    stored = Stored(session, run)
    if not limit and not after:
        return Page(_distinct(stored.everything(key)), "")
    place = _place(after) if after else None
    found = _distinct(_from(stored, key, place, limit))
    if not limit or len(found[0]) <= limit:
        return Page(found, "")
    step, at, value = (column[:limit] for column in found)
    return Page((step, at, value), _PLACE.pack(at[-1], step[-1], value[-1]).hex())


def metric_points(session: Session, run: str, key: str) -> list[MetricPoint]:
    """The points of a metric one by one, in the order of their history. For long series ask for `history`."""
    step, at, value = (column.tolist() for column in history(session, run, key).columns)
    return [MetricPoint(key, *point) for point in zip(value, step, map(from_micros, at), strict=True)]


def _from(stored: Stored, key: str, place: _Place | None, limit: int) -> Columns:
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
        points = _behind(ordered(joined([*loaded, loose])), place)
        if number >= len(candidates):
            return points
        # What lies before everything that was not read is final.
        final = int(points[1].searchsorted(low[candidates[number]]))
        if final > limit:
            step, at, value = (column[:final] for column in points)
            return step, at, value


def _behind(points: Columns, place: _Place | None) -> Columns:
    if place is None:
        return points
    step, at, value = points
    start = int(at.searchsorted(place.at))
    end = int(at.searchsorted(place.at, side="right"))
    while start < end and (_order(step[start], value[start]) <= _order(place.step, place.value)):
        start += 1
    return step[start:], at[start:], value[start:]


def _order(step: int, value: float) -> tuple[int, bool, float]:
    known = value == value
    return int(step), not known, float(value) if known else 0.0


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
        return _Place(*_PLACE.unpack(bytes.fromhex(cursor)))
    except (ValueError, struct.error):
        raise InvalidInput(f"{cursor[:80]!r} is no cursor.", hint="Take it from the page before.") from None
