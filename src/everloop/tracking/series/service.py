"""What one can ask of the points of runs: all of them, page by page, and as charts."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import msgspec

from everloop.catalog.session import Session
from everloop.kernel.clock import micros
from everloop.kernel.errors import InvalidInput
from everloop.kernel.usecase import usecase
from everloop.tracking import runs as written
from everloop.tracking.series import drawing, read
from everloop.tracking.series.entities import Axis, Chart, Series, Special
from everloop.tracking.series.pyramid import Along, Spans
from everloop.tracking.series.stored import Stored

if TYPE_CHECKING:
    import numpy as np

MOST_PIXELS = 10_000
MOST_CHARTS = 1_000
_INT64 = 1 << 63
_MICROS = 1_000_000
_FEWER = f"Ask for at most {MOST_CHARTS:,} at once."


@usecase("runs.points", permission="tracking:read", route="GET /runs/{id}/points/{key}")
def points(session: Session, id: str, key: str, limit: int = 0, after: str = "") -> Series:
    """The points of a metric as columns: all of them, or at most `limit` from a cursor on; 0.1 µs a point."""
    if limit < 0:
        raise InvalidInput(f"A page of {limit} points cannot be read.", hint="Leave the limit out for all.")
    written.row_of(session, id)
    (step, at, value), cursor = read.history(session, id, key, after=after, limit=limit)
    return Series(key, step.tolist(), at.tolist(), _numbers(value), _special(value), cursor)


@usecase("runs.chart", permission="tracking:read", route="GET /runs/{id}/chart/{key}")
def chart(
    session: Session,
    id: str,
    key: str,
    points: int = 1000,
    axis: Axis = "step",
    low: float | None = None,
    high: float | None = None,
) -> Chart:
    """A metric as so many pixels, between two ends of the axis where they are given.

    Along `time` they are seconds since 1970, along `relative` seconds since the run's start. Costs some milliseconds,
    for a thousand million points too.
    """
    found = _charts(session, id, (key,), _View(points, axis, low, high))
    return found[0] if found else _nothing(id, key, axis)


@usecase("runs.charts", permission="tracking:read", route="GET /runs/charts")
def charts(
    session: Session,
    ids: tuple[str, ...],
    keys: tuple[str, ...],
    points: int = 1000,
    axis: Axis = "step",
    low: float | None = None,
    high: float | None = None,
) -> list[Chart]:
    """Some metrics of some runs, each as `runs.chart` draws it; those without points there are left out."""
    if len(ids) * len(keys) > MOST_CHARTS:
        raise InvalidInput(f"{len(ids):,} runs have up to {len(ids) * len(keys):,} such charts.", hint=_FEWER)
    view = _View(points, axis, low, high)
    return [chart for id in dict.fromkeys(ids) for chart in _charts(session, id, keys, view)]


class _View(msgspec.Struct, frozen=True):
    points: int
    axis: Axis
    low: float | None
    high: float | None


def _charts(session: Session, id: str, keys: Sequence[str], view: _View) -> list[Chart]:
    if not 0 < view.points <= MOST_PIXELS:
        raise InvalidInput(f"A chart has 1 to {MOST_PIXELS:,} points, not {view.points:,}.")
    started = micros(written.row_of(session, id).started)
    along: Along = "step" if view.axis == "step" else "time"
    origin = started if view.axis == "relative" else 0
    unit = 1 if along == "step" else _MICROS
    low, high = _end(view.low, unit, origin, math.ceil), _end(view.high, unit, origin, math.floor)
    if low is not None and high is not None and low > high:
        raise InvalidInput(f"Nothing lies between {view.low} and {view.high}.", hint="Give the lower end first.")
    stored = Stored(session, id)
    charts = []
    for key in dict.fromkeys(keys):
        drawn = drawing.draw(stored, key, along, view.points, low, high)
        if drawn is not None:
            ends = (drawn.low - origin) / unit, (drawn.high - origin) / unit
            charts.append(_chart(id, key, view.axis, ends, drawn.spans))
    return charts


def _end(end: float | None, unit: int, origin: int, rounded: Callable[[float], int]) -> int | None:
    """An end of the axis as steps or µs, within 64 bits."""
    if end is None:
        return None
    if not math.isfinite(end):
        raise InvalidInput(f"A chart cannot end at {end}.", hint="Leave the end out.")
    return max(-_INT64, min(rounded(end * unit) + origin, _INT64 - 1))


def _chart(id: str, key: str, axis: Axis, ends: tuple[float, float], spans: Spans) -> Chart:
    step, at = (spans.high, spans.last_other) if axis == "step" else (spans.last_other, spans.high)
    return Chart(
        run=id,
        key=key,
        axis=axis,
        low=ends[0],
        high=ends[1],
        points=int(spans.points.sum()),
        step=step.tolist(),
        at=at.tolist(),
        minimum=_numbers(spans.minimum),
        maximum=_numbers(spans.maximum),
        first=_numbers(spans.first),
        last=_numbers(spans.last),
        count=spans.points.tolist(),
        gaps=spans.gaps.tolist(),
    )


def _nothing(id: str, key: str, axis: Axis) -> Chart:
    return Chart(id, key, axis, 0.0, 0.0, 0, [], [], [], [], [], [], [], [])


def _numbers(values: np.ndarray) -> list[float | None]:
    import numpy as np

    found: list[float | None] = values.tolist()
    for place in np.flatnonzero(~np.isfinite(values)).tolist():
        found[place] = None
    return found


def _special(values: np.ndarray) -> dict[int, Special]:
    import numpy as np

    return {place: _name(float(values[place])) for place in np.flatnonzero(~np.isfinite(values)).tolist()}


def _name(value: float) -> Special:
    if math.isnan(value):
        return "NaN"
    return "Infinity" if value > 0 else "-Infinity"
