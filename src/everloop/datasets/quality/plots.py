"""The pictures of a report as inline SVG: they scale with their place, and the style sheet colours them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from markupsafe import Markup

WIDE, HIGH = 300.0, 56.0
"""The coordinate system of a histogram, before it is stretched to its place."""
FEWEST = 10
"""Fewer columns than so many do not fill the width of the history."""
_TITLED = "<title>{}</title>"


def histogram(quantiles: Sequence[float], shares: Sequence[float]) -> Markup:
    """Where the values of a column lie, from its quantiles: each bar has the area of the rows between two of them.

    The outermost hundredths are left out of the picture, so that one absurd value does not flatten the rest.
    """
    from markupsafe import Markup

    inner = [(low, high, share) for (low, high), share in zip(pairwise(quantiles), shares, strict=True)][1:-1]
    bars = [(low, high, share / (high - low)) for low, high, share in inner if high > low]
    bars = [bar for bar in bars if math.isfinite(bar[2]) and bar[2] > 0]
    span = (quantiles[-2] - quantiles[1]) if len(quantiles) > 3 else 0.0
    if not bars or span <= 0:
        return Markup("")
    tallest = max(density for _, _, density in bars)
    drawn = Markup("").join(
        Markup('<rect class="bar" x="{:.2f}" y="{:.2f}" width="{:.2f}" height="{:.2f}"/>').format(
            WIDE * (low - quantiles[1]) / span,
            HIGH * (1 - density / tallest),
            max(WIDE * (high - low) / span - 0.6, 0.6),
            max(HIGH * (density / tallest), 0.8),
        )
        for low, high, density in bars
    )
    median = WIDE * (quantiles[len(quantiles) // 2] - quantiles[1]) / span
    line = Markup('<line class="median" x1="{0:.2f}" x2="{0:.2f}" y1="0" y2="{1:g}"/>').format(median, HIGH)
    title = Markup(_TITLED).format(f"half of the values are below {quantiles[len(quantiles) // 2]:.6g}")
    return Markup(
        '<svg class="histogram" viewBox="0 0 {:g} {:g}" preserveAspectRatio="none" role="img">{}{}{}</svg>'
    ).format(WIDE, HIGH, title, drawn, line)


def bars(rows: Sequence[tuple[str, float]]) -> Markup:
    """Named shares as horizontal bars, the longest as wide as the place."""
    from markupsafe import Markup

    longest = max((share for _, share in rows), default=0.0) or 1.0
    drawn = (
        Markup('<li><span class="name">{}</span><span class="track"><span style="width:{:.1f}%"></span></span>'
               '<span class="share">{}</span></li>').format(name, 100 * share / longest, percent(share))
        for name, share in rows
    )  # fmt: skip
    return Markup('<ul class="bars">{}</ul>').format(Markup("").join(drawn))


def share_bar(share: float, tone: str, told: str) -> Markup:
    """A share of rows as a thin bar; anything above nothing can be seen."""
    from markupsafe import Markup

    width = 0.0 if share <= 0 else max(100 * min(share, 1.0), 1.5)
    return Markup('<span class="track {}" title="{}"><span style="width:{:.1f}%"></span></span>').format(
        tone, told, width
    )


def columns(points: Sequence[tuple[str, float, float, str]]) -> Markup:
    """The history of checks, a column each: the share of expectations that failed, and of those that warned."""
    from markupsafe import Markup

    step = 100 / max(len(points), FEWEST)
    parts = []
    for position, (_, failed, warned, told) in enumerate(points):
        x, width = position * step, max(step * 0.72, 0.4)
        whole = Markup('<rect class="whole" x="{:.2f}%" width="{:.2f}%" y="0" height="72"/>').format(x, width)
        bad = Markup('<rect class="bad" x="{:.2f}%" width="{:.2f}%" y="{:.1f}" height="{:.1f}"/>').format(
            x, width, 72 * (1 - failed), _seen(failed)
        )
        warn = Markup('<rect class="warn" x="{:.2f}%" width="{:.2f}%" y="{:.1f}" height="{:.1f}"/>').format(
            x, width, 72 * (1 - failed - warned), _seen(warned)
        )
        title = Markup(_TITLED).format(told)
        parts.append(Markup("<g>{}{}{}{}</g>").format(title, whole, warn, bad))
    every = max(1, math.ceil(len(points) / 12))
    labels = (
        Markup('<text x="{:.2f}%" y="88" text-anchor="middle">{}</text>').format((n + 0.36) * step, name)
        for n, (name, *_) in enumerate(points)
        if n % every == 0
    )
    return Markup('<svg class="history" height="94" role="img">{}{}</svg>').format(
        Markup("").join(parts), Markup("").join(labels)
    )


def spark(values: Sequence[float]) -> Markup:
    """The share of failing rows from check to check, as a small line; nothing where there was one check only."""
    from markupsafe import Markup

    if len(values) < 2 or not any(values):
        return Markup("")
    top, step = max(values), 96 / (len(values) - 1)
    path = " L".join(f"{2 + n * step:.1f},{16 - 14 * value / top:.1f}" for n, value in enumerate(values))
    told = f"{percent(values[0])} at first, {percent(values[-1])} now, {percent(top)} at most"
    return Markup('<svg class="spark" viewBox="0 0 100 18" role="img"><title>{}</title><path d="M{}"/></svg>').format(
        told, path
    )


def percent(share: float) -> str:
    """A share in percent, unbroken; what is hardly anything is not nothing, and what is nearly all is not all.

    >>> percent(0.1234).split(), percent(0.000001).split(), percent(1).split()
    (['12.3', '%'], ['<0.01', '%'], ['100', '%'])
    """
    if 0 < share < 0.0001:
        return "<0.01\u00a0%"
    if 0.9999 < share < 1:
        return ">99.99\u00a0%"
    digits = 4 if 0.999 < share < 1 else 3
    return f"{100 * share:.{digits}g}\u00a0%"


def _seen(share: float) -> float:
    return 0.0 if share <= 0 else max(72 * share, 1.5)
