"""Small pictures that stand in a line of text or a cell: bars, boxes of quantiles, traffic, steps of an execution."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

import msgspec
from markupsafe import Markup


class Bar(msgspec.Struct, frozen=True):
    """A row of a bar chart: name, length, the value as text, where the name leads, and a tone."""

    name: str
    length: float
    text: str
    link: str = ""
    tone: str = ""
    reference: float | None = None


class Part(msgspec.Struct, frozen=True):
    """A part of a whole, in percent."""

    percent: float
    text: str
    tone: str


def bars(title: str, rows: Sequence[Bar]) -> Markup:
    """Horizontal bars; a reference value stands as a line across its bar."""
    if not rows:
        return Markup(f'<p class="empty">{escape(title)}: nothing yet.</p>')
    values = [abs(v) for row in rows for v in (row.length, row.reference or 0.0)]
    longest = max(values, default=0.0) or 1.0
    items = "".join(_bar(row, longest) for row in rows)
    return Markup(f'<figure class="bars"><figcaption><span>{escape(title)}</span></figcaption>{items}</figure>')


def box(quantiles: Sequence[float]) -> Markup:
    """The quantiles of a column (0, 1, 5, 25, 50, 75, 95, 99, 100 %) as a box, drawn from the 1st to the 99th."""
    if len(quantiles) != 9 or quantiles[7] <= quantiles[1]:
        return Markup("")
    low, span = quantiles[1], quantiles[7] - quantiles[1]
    p5, p25, p50, p75, p95 = (100 * (value - low) / span for value in quantiles[2:7])
    said = zip(("1 %", "25 %", "median", "75 %", "99 %"), (low, *quantiles[3:6], quantiles[7]), strict=True)
    told = ", ".join(f"{name} {value:.6g}" for name, value in said)
    return Markup(
        f'<svg class="box" height="16" role="img"><title>{escape(told)}</title>'
        f'<line class="whisker" x1="0" x2="100%" y1="8" y2="8"/>'
        f'<rect class="outer" x="{p5:.2f}%" width="{max(p95 - p5, 0.5):.2f}%" y="5" height="6"/>'
        f'<rect class="inner" x="{p25:.2f}%" width="{max(p75 - p25, 1):.2f}%" y="2" height="12"/>'
        f'<line class="median" x1="{p50:.2f}%" x2="{p50:.2f}%" y1="1" y2="15"/></svg>'
    )


def split(title: str, parts: Sequence[Part]) -> Markup:
    """A whole and its parts as one bar, with a legend."""
    rects, at = [], 0.0
    for part in parts:
        rects.append(f'<rect class="{escape(part.tone)}" x="{at:.2f}%" width="{part.percent:.2f}%" height="22"/>')
        at += part.percent
    legend = "".join(f'<li><span class="swatch {escape(part.tone)}"></span>{escape(part.text)}</li>' for part in parts)
    told = ", ".join(part.text for part in parts)
    return Markup(
        f'<figure class="split"><svg height="22" role="img" aria-label="{escape(title)}: {escape(told)}">'
        f'{"".join(rects)}</svg><ul class="legend">{legend}</ul></figure>'
    )


def share(part: float, tone: str = "") -> Markup:
    """A share from 0 to 1 as a small bar."""
    width = 100 * min(max(part, 0.0), 1.0)
    return Markup(
        f'<svg class="share {escape(tone)}" height="8" aria-hidden="true">'
        f'<rect class="track" width="100%" height="8" rx="4"/>'
        f'<rect class="fill" width="{width:.2f}%" height="8" rx="4"/></svg>'
    )


def spans(rows: Sequence[tuple[float, float, str]]) -> list[Markup]:
    """Spans of time below each other on one axis: (start, length, tone); one picture a row."""
    whole = max((start + length for start, length, _ in rows), default=0.0) or 1.0
    return [
        Markup(
            f'<svg class="span" height="12" aria-hidden="true"><rect class="track" width="100%" height="12" rx="3"/>'
            f'<rect class="fill {escape(tone)}" x="{100 * start / whole:.2f}%" '
            f'width="{max(100 * length / whole, 0.6):.2f}%" height="12" rx="3"/></svg>'
        )
        for start, length, tone in rows
    ]


def _bar(row: Bar, longest: float) -> str:
    name = f'<a href="{escape(row.link)}">{escape(row.name)}</a>' if row.link else escape(row.name)
    line = ""
    if row.reference is not None:
        x = 100 * abs(row.reference) / longest
        line = f'<line class="reference" x1="{x:.2f}%" x2="{x:.2f}%" y1="0" y2="10"/>'
    return (
        f'<div class="bar {escape(row.tone)}"><span class="name" title="{escape(row.name)}">{name}</span>'
        f'<svg class="track" height="10" aria-hidden="true"><rect class="track" width="100%" height="10" rx="3"/>'
        f'<rect class="fill" width="{100 * abs(row.length) / longest:.2f}%" height="10" rx="3"/>{line}</svg>'
        f'<span class="value">{escape(row.text)}</span></div>'
    )
