"""Line charts as inline SVG, as wide as their place: text keeps its size, the style sheet colours, no script is needed.

Horizontal positions are percentages of the plot; only the paths live in a stretched coordinate system of their own.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from html import escape

import msgspec
from markupsafe import Markup

HEIGHT, TOP, BOTTOM = 210, 20, 24
WIDE = 1000
"""The width of the coordinate system that paths are drawn in, before it is stretched to the plot."""
DOTS = 80
"""A line of more points than this is drawn without dots."""


class Point(msgspec.Struct, frozen=True):
    """A point of a series: where it stands, its value, and what is said of it under the pointer."""

    x: float
    y: float
    text: str = ""


class Series(msgspec.Struct, frozen=True):
    """A named line; `faint` draws dots only, as the raw values behind an average.

    One of many lines has a tone of the style sheet's (`one`, `pruned`, `chosen`) instead of a colour, no dots, and
    what is `told` of it under the pointer.
    """

    name: str
    points: Sequence[Point]
    faint: bool = False
    tone: str = ""
    told: str = ""


class Band(msgspec.Struct, frozen=True):
    """What lies between two lines, such as an interval: (x, low, high)."""

    name: str
    points: Sequence[tuple[float, float, float]]


class Mark(msgspec.Struct, frozen=True):
    """A vertical line at a moment (a promotion, a rollback): a word on top, a sentence under the pointer."""

    x: float
    text: str
    kind: str = "neutral"
    label: str = ""


class Chart(msgspec.Struct, frozen=True, kw_only=True):
    """A line chart: what is drawn, from bottom to top."""

    title: str
    series: Sequence[Series]
    bands: Sequence[Band] = ()
    marks: Sequence[Mark] = ()
    ticks: Sequence[tuple[float, str]] = ()
    level: tuple[float, str] | None = None


class Scale(msgspec.Struct, frozen=True):
    """A linear mapping of values to positions."""

    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        """The position of a value."""
        span = self.high - self.low
        return self.start + (self.end - self.start) * ((value - self.low) / span if span else 0.5)


def line_chart(chart: Chart) -> Markup:
    """The chart as a figure; a sentence where there is nothing to draw."""
    if not any(math.isfinite(p.y) for line in chart.series for p in line.points):
        return Markup(f'<p class="empty">{escape(chart.title)}: nothing measured yet.</p>')
    ys = _reach(chart)
    xs = [p.x for line in chart.series for p in line.points]
    across = Scale(min(xs), max(xs), 0, 100)
    up = nice_scale(min(ys), max(ys))
    inner = [*_grid(up), *_ticks(chart, across), *_marks(chart, across), *_level(chart, up)]
    inner.append(_paths(chart, across, up))
    for number, line in enumerate(chart.series):
        inner += _dots(line, number, across, up)
    frame = (
        f'<div class="frame"><svg class="scale" width="46" height="{HEIGHT}" aria-hidden="true">'
        f"{_scale_labels(up)}</svg>"
        f'<svg class="plot" height="{HEIGHT}" role="img" aria-label="{escape(_told(chart, ys))}">'
        f"{''.join(inner)}</svg></div>"
    )
    return Markup(f'<figure class="chart">{_caption(chart)}{frame}</figure>')


def month_ticks(start: float, end: float) -> list[tuple[float, str]]:
    """Ticks of a time axis in POSIX seconds: months, with the year at each January; days where there is no month."""
    first = datetime.fromtimestamp(start, UTC)
    at = datetime(first.year, first.month, 1, tzinfo=UTC)
    ticks = []
    while at.timestamp() <= end:
        if at.timestamp() >= start:
            ticks.append((at.timestamp(), f"{at:%b %Y}" if at.month == 1 else f"{at:%b}"))
        at = datetime(at.year + at.month // 12, at.month % 12 + 1, 1, tzinfo=UTC)
    if len(ticks) > 14:
        return ticks[:: len(ticks) // 12 + 1]
    return ticks if len(ticks) > 1 else _day_ticks(start, end)


def _day_ticks(start: float, end: float) -> list[tuple[float, str]]:
    places = [start, (start + end) / 2, end] if end > start else [start]
    pattern = "%d %b" if end - start > 3 * 86_400 else "%d %b %H:%M"
    return [(place, datetime.fromtimestamp(place, UTC).strftime(pattern)) for place in places]


def nice_scale(low: float, high: float) -> Scale:
    """A vertical scale from and to round numbers around the values."""
    step = nice_step(high - low or abs(high) or 1.0)
    bottom, top = math.floor(low / step) * step, math.ceil(high / step) * step
    return Scale(bottom, top if top > bottom else bottom + step, HEIGHT - BOTTOM, TOP)


def nice_step(span: float) -> float:
    """A round step (1, 2 or 5 times a power of ten) that cuts a span into about four parts.

    >>> nice_step(0.17)
    0.05
    """
    rough = max(span / 4, sys.float_info.min)
    power = 10.0 ** math.floor(math.log10(rough))
    return next((power * factor for factor in (1, 2, 5) if power * factor >= rough), power * 10)


def _reach(chart: Chart) -> list[float]:
    """The values that the scale must hold: all of them, but of faint dots only the middle 96 %."""
    ys = [y for band in chart.bands for _, low, high in band.points for y in (low, high)]
    ys += [chart.level[0]] if chart.level else []
    for line in chart.series:
        finite = sorted(p.y for p in line.points if math.isfinite(p.y))
        spare = len(finite) // 50 if line.faint else 0
        ys += finite[spare : len(finite) - spare]
    return ys


def _steps(up: Scale) -> list[float]:
    step = nice_step(up.high - up.low)
    return [up.low + number * step for number in range(round((up.high - up.low) / step) + 1)]


def _grid(up: Scale) -> list[str]:
    return [f'<line class="grid" x1="0" x2="100%" y1="{up(y):.1f}" y2="{up(y):.1f}"/>' for y in _steps(up)]


def _scale_labels(up: Scale) -> str:
    return "".join(
        f'<text class="tick" x="38" y="{up(y) + 4:.1f}" text-anchor="end">{0.0 if abs(y) < 1e-12 else y:.4g}</text>'
        for y in _steps(up)
    )


def _ticks(chart: Chart, across: Scale) -> list[str]:
    """Labels of the axis, as far as they do not stand on each other; every other one goes where the place is narrow."""
    parts: list[str] = []
    free = -20.0
    for x, text in chart.ticks:
        place = across(x)
        room = 13 if _anchor(place) == "end" else 5
        if across.low <= x <= across.high and place - free >= room:
            free = place
            kind = "tick other" if len(parts) % 2 else "tick"
            parts.append(
                f'<text class="{kind}" x="{place:.2f}%" y="{HEIGHT - 6}" '
                f'text-anchor="{_anchor(place)}">{escape(text)}</text>'
            )
    return parts


def _anchor(percent: float) -> str:
    return "start" if percent < 2 else "end" if percent > 98 else "middle"


def _marks(chart: Chart, across: Scale) -> list[str]:
    """Vertical lines; a label that would stand on the one before it is left out (its sentence stays)."""
    parts, free = [], -10.0
    for mark in sorted(chart.marks, key=lambda mark: mark.x):
        if not across.low <= mark.x <= across.high:
            continue
        x = across(mark.x)
        label = mark.label if x - free >= 4.5 else ""
        free = x if label else free
        text = f'<text x="{x:.2f}%" y="10" text-anchor="{_anchor(x)}">{escape(label)}</text>' if label else ""
        parts.append(
            f'<g class="mark {escape(mark.kind)}"><title>{escape(mark.text)}</title>'
            f'<line x1="{x:.2f}%" x2="{x:.2f}%" y1="{TOP}" y2="{HEIGHT - BOTTOM}"/>'
            f'<circle cx="{x:.2f}%" cy="{TOP}" r="4"/>{text}</g>'
        )
    return parts


def _level(chart: Chart, up: Scale) -> list[str]:
    if chart.level is None:
        return []
    y = up(chart.level[0])
    return [f'<line class="level" x1="0" x2="100%" y1="{y:.1f}" y2="{y:.1f}"/>']


def _paths(chart: Chart, across: Scale, up: Scale) -> str:
    """The stretched layer: bands and lines, whose strokes keep their width."""

    def place(x: float, y: float) -> str:
        return f"{across(x) * WIDE / 100:.1f},{up(y):.1f}"

    parts = []
    for number, band in enumerate(chart.bands):
        edge = [place(x, high) for x, _, high in band.points] + [place(x, low) for x, low, _ in reversed(band.points)]
        parts.append(f'<path class="band s{number % 4}" d="M{" L".join(edge)} Z"/>')
    for number, line in enumerate(chart.series):
        finite = [place(p.x, p.y) for p in line.points if math.isfinite(p.y)]
        if finite and not line.faint:
            told = f"<title>{escape(line.told)}</title>" if line.told else ""
            parts.append(f'<path class="line {line.tone or f"s{number % 4}"}" d="M{" L".join(finite)}">{told}</path>')
    return (
        f'<svg viewBox="0 0 {WIDE} {HEIGHT}" preserveAspectRatio="none" width="100%" height="{HEIGHT}">'
        f"{''.join(parts)}</svg>"
    )


def _dots(line: Series, number: int, across: Scale, up: Scale) -> list[str]:
    finite = [p for p in line.points if math.isfinite(p.y) and up.low <= p.y <= up.high]
    if line.tone or (len(finite) > DOTS and not line.faint):
        return []
    kind, radius = ("faint", 2) if line.faint else ("dot", 3)
    return [
        f'<circle class="{kind} s{number % 4}" cx="{across(p.x):.2f}%" cy="{up(p.y):.1f}" r="{radius}">'
        f"<title>{escape(p.text or f'{p.y:.4g}')}</title></circle>"
        for p in finite
    ]


def _caption(chart: Chart) -> str:
    keys = [
        (line.name, f"key {'raw' if line.faint else line.tone or f's{number % 4}'}")
        for number, line in enumerate(chart.series)
        if line.name
    ]
    keys += [(band.name, f"key area s{number % 4}") for number, band in enumerate(chart.bands) if band.name]
    keys += [(chart.level[1], "key dashed")] if chart.level else []
    legend = "".join(f'<span class="{kind}">{escape(name)}</span>' for name, kind in keys)
    return f'<figcaption><span>{escape(chart.title)}</span><span class="legend">{legend}</span></figcaption>'


def _told(chart: Chart, ys: Sequence[float]) -> str:
    """The chart in a sentence, for those who do not see it."""
    last = next((p for p in reversed(chart.series[0].points) if math.isfinite(p.y)), None)
    newest = f", {last.y:.4g} at the end" if last else ""
    return f"{chart.title}: from {min(ys):.4g} to {max(ys):.4g}{newest}"
