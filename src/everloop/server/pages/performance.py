"""Performance over time: weekly means of what daily windows measured, with promotions and rollbacks marked."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from datetime import timedelta

from markupsafe import Markup

from everloop.loop.entities import Candidate
from everloop.monitoring.entities import Performance, WindowReport
from everloop.server.pages.charts import Band, Chart, Mark, Point, Series, line_chart, month_ticks

WEEK = timedelta(days=7)
LONG = timedelta(days=45)
"""Shorter histories are drawn by window instead of by week."""


def roc_auc(reports: Sequence[WindowReport], marks: Sequence[Mark], level: tuple[float, str] | None = None) -> Markup:
    """The ROC AUC with its 95 % interval."""
    found = [(report, p) for report, p in _measured(reports) if p.roc_auc is not None]
    days = [Point(middle(report), p.roc_auc or 0.0, _said(report, "ROC AUC", p.roc_auc or 0.0)) for report, p in found]
    groups = _weeks(found)
    lines, band = [], []
    for group in groups:
        x, value = _mean(group, lambda p: p.roc_auc or 0.0)
        error = _error(group)
        lines.append(Point(x, value, f"{_span(group)}: ROC AUC {value:.4f} ± {1.96 * error:.4f}"))
        band.append((x, max(value - 1.96 * error, 0.0), min(value + 1.96 * error, 1.0)))
    every = "week" if len(groups) < len(found) else "window"
    series = [Series(f"mean of each {every}", lines)]
    faint = [Series("each day", days, faint=True)] if len(groups) < len(found) else []
    return line_chart(
        Chart(
            title="ROC AUC on late labels",
            series=[*series, *faint],
            bands=[Band("95 % interval", band)] if band else [],
            marks=marks,
            ticks=_ticks(lines),
            level=level,
        )
    )


def losses(reports: Sequence[WindowReport], marks: Sequence[Mark]) -> Markup:
    """Log loss and calibration error."""
    groups = _weeks(_measured(reports))
    log_loss = [_point(group, "log loss", lambda p: p.log_loss) for group in groups]
    calibration = [_point(group, "calibration error", lambda p: p.calibration_error) for group in groups]
    return line_chart(
        Chart(
            title="Log loss and calibration error",
            series=[Series("log loss", log_loss), Series("calibration error", calibration)],
            marks=marks,
            ticks=_ticks(log_loss),
        )
    )


def impact(reports: Sequence[WindowReport], marks: Sequence[Mark], threshold: float) -> Markup:
    """How much drift is estimated to have moved the output, window by window."""
    points = [
        Point(middle(r), r.impact, f"{r.start:%Y-%m-%d}: drift moved the output by about {r.impact:.4f}")
        for r in reports
    ]
    return line_chart(
        Chart(
            title="Drift: estimated effect on the output",
            series=[Series("", points)],
            marks=marks,
            ticks=_ticks(points),
            level=(threshold, f"a warning from {threshold:g}"),
        )
    )


def volume(reports: Sequence[WindowReport]) -> Markup:
    """Predictions and labels of each window."""
    predictions = [Point(middle(r), float(r.rows), f"{r.start:%Y-%m-%d}: {r.rows:,} predictions") for r in reports]
    labels = [Point(middle(r), float(r.labels)) for r in reports if r.final]
    return line_chart(
        Chart(
            title="Predictions and labels by window",
            series=[Series("predictions", predictions), Series("labels", labels)],
            ticks=_ticks(predictions),
        )
    )


def marks_of(candidates: Iterable[Candidate]) -> list[Mark]:
    """What became of candidates, as marks over time."""
    return [
        Mark(
            at.timestamp(),
            f"{at:%Y-%m-%d}: v{c.version or '–'} {said}. {c.outcome}",
            kind,
            f"v{c.version}" if good else "✕",
        )
        for c in candidates
        if (at := c.ended) is not None
        for said, kind, good in [_FATES.get(c.status, ("", "", False))]
        if said
    ]


_FATES = {
    "promoted": ("was promoted", "good", True),
    "rolled_back": ("was rolled back", "bad", False),
    "refused": ("was refused", "bad", False),
}


def recent(reports: Sequence[WindowReport], over: timedelta = WEEK) -> tuple[float, int] | None:
    """The mean ROC AUC of the newest span with labels, and how many there were."""
    found = [(report, p) for report, p in _measured(reports) if p.roc_auc is not None]
    if not found:
        return None
    last = max(report.end for report, _ in found)
    newest = [(report, p) for report, p in found if report.end > last - over]
    return _mean(newest, lambda p: p.roc_auc or 0.0)[1], sum(p.n for _, p in newest)


def middle(report: WindowReport) -> float:
    """The middle of a window in POSIX seconds."""
    return (report.start.timestamp() + report.end.timestamp()) / 2


Measured = tuple[WindowReport, Performance]


def _measured(reports: Sequence[WindowReport]) -> list[Measured]:
    """The windows with labels, oldest first."""
    found = [(report, report.performance) for report in reports if report.performance is not None]
    return sorted(((report, p) for report, p in found if p is not None and p.n > 0), key=lambda pair: pair[0].start)


def _weeks(found: Sequence[Measured]) -> list[list[Measured]]:
    if not found or found[-1][0].end - found[0][0].start < LONG:
        return [[each] for each in found]
    groups: dict[int, list[Measured]] = {}
    for report, p in found:
        groups.setdefault(int((report.start - found[0][0].start) / WEEK), []).append((report, p))
    return list(groups.values())


def _mean(group: Sequence[Measured], value: Callable[[Performance], float]) -> tuple[float, float]:
    """Where a group stands in time, and its mean, weighted by labels."""
    n = sum(p.n for _, p in group)
    x = sum(middle(report) for report, _ in group) / len(group)
    return x, sum(p.n * value(p) for _, p in group) / n


def _error(group: Sequence[Measured]) -> float:
    """The standard error of a group's mean; windows are independent."""
    n = sum(p.n for _, p in group)
    return math.sqrt(sum((p.n * (p.error or 0.0)) ** 2 for _, p in group)) / n


def _point(group: Sequence[Measured], name: str, value: Callable[[Performance], float]) -> Point:
    x, mean = _mean(group, value)
    return Point(x, mean, f"{_span(group)}: {name} {mean:.4f}")


def _span(group: Sequence[Measured]) -> str:
    first, last = group[0][0].start, group[-1][0].end
    labels = sum(p.n for _, p in group)
    return f"{first:%Y-%m-%d} to {last:%Y-%m-%d}, {labels:,} labels"


def _said(report: WindowReport, name: str, value: float) -> str:
    return f"{report.start:%Y-%m-%d}: {name} {value:.4f}, {report.labels:,} labels"


def _ticks(points: Sequence[Point]) -> list[tuple[float, str]]:
    return month_ticks(points[0].x, points[-1].x) if points else []
