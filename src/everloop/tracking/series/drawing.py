"""Drawing a metric: each pixel's least, largest, first and last value, from as few bytes as will do."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from everloop.tracking.series import pyramid
from everloop.tracking.series.pyramid import FAN, FINEST, Along, Spans
from everloop.tracking.series.stored import Stored

if TYPE_CHECKING:
    import numpy as np


class Drawn(NamedTuple):
    """Spans that are at most as wide as a pixel and a span more, in order, and the ends of the axis."""

    spans: Spans
    low: int
    high: int


class Window(NamedTuple):
    """The stretch of an axis that is drawn, ends included, and into how many pixels."""

    low: int
    high: int
    pixels: int

    def widths(self, spans: Spans) -> np.ndarray:
        """How many pixels wide spans are."""
        import numpy as np

        widths: np.ndarray = (spans.high - spans.low).view(np.uint64) * float(self.pixels) / self._width
        return widths

    def pixel_of(self, spans: Spans) -> np.ndarray:
        """The pixel that the middle of each span falls into."""
        import numpy as np

        middle = (spans.low - self.low).view(np.uint64) + ((spans.high - spans.low).view(np.uint64) >> 1)
        pixel: np.ndarray = np.minimum(middle * float(self.pixels) / self._width, self.pixels - 1).astype(np.uint16)
        return pixel

    @property
    def _width(self) -> float:
        return float(max(1, self.high - self.low))


def draw(
    stored: Stored, key: str, along: Along, pixels: int, low: int | None = None, high: int | None = None
) -> Drawn | None:
    """A metric along steps or times between two ends, None where it has no points there.

    A summary that is no wider than a pixel is drawn where its middle lies: each point counts once, at most a pixel
    beside its own. Where only points are read each is in its own.
    """
    roots, loose = stored.roots(key, along), _along(stored.loose(key), along)
    known = [spans for _, spans in roots.values() if len(spans.points)] + [loose] * bool(len(loose.points))
    if not known:
        return None
    window = Window(
        min(int(spans.low.min()) for spans in known) if low is None else low,
        max(int(spans.high.max()) for spans in known) if high is None else high,
        pixels,
    )
    spans = pyramid.joined([*_gathered(stored, key, along, window, roots), _inside(loose, window)])
    if not len(spans.points):
        return None
    return Drawn(_by_pixel(spans, window), window.low, window.high)


def _gathered(
    stored: Stored, key: str, along: Along, window: Window, roots: dict[int, tuple[int, Spans]]
) -> list[Spans]:
    """The spans of whole blocks that are narrow enough, from the highest level down, and points where none are."""
    import numpy as np

    drawn, wide = [], np.zeros(0, np.int64)
    for level in range(max(roots), -1, -1):
        places = (wide[:, None] * FAN + np.arange(FAN)).ravel()
        parts = [stored.spans(key, along, level, places)] if len(places) else []
        if level in roots:
            first, spans = roots[level]
            places = np.concatenate((places, first + np.arange(len(spans.points))))
            parts.append(spans)
        if not len(places):
            continue
        spans = pyramid.joined(parts)
        seen = (spans.high >= window.low) & (spans.low <= window.high)
        whole = seen & (spans.low >= window.low) & (spans.high <= window.high) & (window.widths(spans) <= 1)
        drawn.append(pyramid.taken(spans, whole))
        wide = places[seen & ~whole]
    return [*drawn, *_points(stored, key, along, window, wide)]


def _points(stored: Stored, key: str, along: Along, window: Window, places: np.ndarray) -> list[Spans]:
    """The points of some spans of the lowest level."""
    import numpy as np

    numbers, block = np.unique(places // FAN, return_inverse=True)
    parts = []
    for index, columns in enumerate(stored.whole(key, numbers)):
        chosen = places[block == index] % FAN
        step, at, value = (column.reshape(FAN, FINEST)[chosen].ravel() for column in columns)
        parts.append(_inside(_along((step, at, value), along), window))
    return parts


def _along(columns: tuple[np.ndarray, np.ndarray, np.ndarray], along: Along) -> Spans:
    step, at, value = columns
    return pyramid.of_points(step, at, value) if along == "step" else pyramid.of_points(at, step, value)


def _inside(points: Spans, window: Window) -> Spans:
    inside = (points.low >= window.low) & (points.low <= window.high)
    return points if inside.all() else pyramid.taken(points, inside)


def _by_pixel(spans: Spans, window: Window) -> Spans:
    """One span for each pixel that has points."""
    import numpy as np

    pixel = window.pixel_of(spans)
    if (pixel[1:] < pixel[:-1]).any() or (spans.low[1:] < spans.low[:-1]).any():
        order = np.lexsort((spans.low, pixel))
        spans, pixel = pyramid.taken(spans, order), pixel[order]
    starts = np.flatnonzero(np.concatenate((np.ones(1, bool), pixel[1:] != pixel[:-1])))
    return pyramid.merged(spans, starts)
