"""Monitors: performance and drift over time, what is open; and loops with their candidates."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from markupsafe import Markup

from everloop.kernel.errors import NotFound
from everloop.loop.entities import AppliedLoop, Candidate, LoopStatus
from everloop.monitoring.entities import Alert, DriftScore, Incident, MonitorStatus, WindowReport
from everloop.rollouts.entities import Rollout, RolloutStep
from everloop.server.pages import links, performance
from everloop.server.pages.charts import Mark
from everloop.server.pages.site import Page, Visit
from everloop.server.pages.strips import Bar, bars
from everloop.serving.entities import Endpoint

WINDOWS = 400
RANKED = 12


class Watched(msgspec.Struct, frozen=True):
    """An endpoint in the list of monitors."""

    endpoint: Endpoint
    status: MonitorStatus


class MonitorsPage(msgspec.Struct, frozen=True):
    """How every endpoint is."""

    watched: Sequence[Watched]
    alerts: Sequence[Alert]


class MonitorPage(msgspec.Struct, frozen=True):
    """How an endpoint has been over time, and in one window."""

    status: MonitorStatus
    auc: Markup
    losses: Markup
    impact: Markup
    window: WindowReport | None
    earlier: str
    later: str
    drift: Markup
    attribution: Markup
    drifted: Sequence[DriftScore]
    open: Sequence[Alert]
    resolved: Sequence[Alert]
    incidents: Sequence[Incident]


class AlertPage(msgspec.Struct, frozen=True):
    """An alert, and what else its incident has."""

    alert: Alert
    urn: str
    beside: Sequence[Alert]


class LoopsPage(msgspec.Struct, frozen=True):
    """Every loop."""

    loops: Sequence[LoopStatus]


class LoopPage(msgspec.Struct, frozen=True):
    """A loop: its declaration, and its candidates."""

    status: LoopStatus
    urn: str
    candidates: Sequence[Candidate]


class CandidatePage(msgspec.Struct, frozen=True):
    """A candidate: why it was made, what each gate said, how its rollout went."""

    candidate: Candidate
    loop: str
    rollout: Rollout | None
    steps: Sequence[RolloutStep]
    measured: dict[str, float]


def monitors(visit: Visit) -> Page:
    """The endpoints and what is open."""
    endpoints: list[Endpoint] = visit.ask("endpoints.list")
    watched = [Watched(each, visit.ask("monitors.status", endpoint=each.name)) for each in endpoints]
    return Page("monitors.html", "Monitors", MonitorsPage(watched, visit.ask("monitors.alerts", limit=30)))


def monitor(visit: Visit) -> Page:
    """An endpoint over time; `?window=` chooses a window by its day, the newest with enough rows otherwise."""
    name = visit.path["name"]
    status: MonitorStatus = visit.ask("monitors.status", endpoint=name)
    newest: list[WindowReport] = visit.ask("monitors.reports", endpoint=name, limit=WINDOWS)
    reports = newest[::-1]
    alerts: list[Alert] = visit.ask("monitors.alerts", endpoint=name, limit=200)
    marks = _marks(visit, name)
    window = _window(reports, visit.query.get("window", ""), status.definition.minimum_rows)
    at = reports.index(window) if window else 0
    it = MonitorPage(
        status=status,
        auc=performance.roc_auc(reports, marks),
        losses=performance.losses(reports, marks),
        impact=performance.impact(reports, marks, status.definition.impact),
        window=window,
        earlier=_link(name, reports, at - 1),
        later=_link(name, reports, at + 1),
        drift=_drift(window),
        attribution=_attribution(window),
        drifted=[score for score in window.drift if score.drifted][:RANKED] if window else [],
        open=[each for each in alerts if each.resolved is None],
        resolved=[each for each in alerts if each.resolved is not None][:RANKED],
        incidents=visit.ask("monitors.incidents", endpoint=name, limit=20),
    )
    return Page("monitor.html", f"Monitor of {name}", it)


def alert(visit: Visit) -> Page:
    """An alert."""
    found: Alert = visit.ask("monitors.alert", id=visit.path["id"])
    near: list[Alert] = visit.ask("monitors.alerts", endpoint=found.endpoint, limit=1000)
    beside = [each for each in near if each.incident == found.incident and each.id != found.id]
    return Page("alert.html", f"Alert: {found.cause}", AlertPage(found, f"alert:{visit.project}/{found.id}", beside))


def loops(visit: Visit) -> Page:
    """The list of loops."""
    known: list[AppliedLoop] = visit.ask("loops.list")
    return Page("loops.html", "Loops", LoopsPage([visit.ask("loops.status", name=each.name) for each in known]))


def loop(visit: Visit) -> Page:
    """A loop with its candidates."""
    name = visit.path["name"]
    status: LoopStatus = visit.ask("loops.status", name=name)
    candidates = visit.ask("loops.candidates", name=name, limit=200)
    return Page("loop.html", f"Loop {name}", LoopPage(status, f"loop:{visit.project}/{name}", candidates))


def candidate(visit: Visit) -> Page:
    """A candidate, by its number in its loop."""
    name, number = visit.path["name"], visit.path["number"]
    candidates: list[Candidate] = visit.ask("loops.candidates", name=name, limit=10_000)
    found = next((each for each in candidates if str(each.number) == number), None)
    if found is None:
        raise NotFound(
            f"Loop {name!r} has no candidate {number}.", hint=f"everloop loops candidates {name} lists them."
        )
    it = CandidatePage(
        candidate=found,
        loop=name,
        rollout=visit.ask("rollouts.get", id=found.rollout) if found.rollout else None,
        steps=visit.ask("rollouts.history", id=found.rollout) if found.rollout else [],
        measured={key: value for key, value in sorted(found.measured.items()) if "[" not in key},
    )
    return Page("candidate.html", f"Candidate {found.number} of {name}", it)


def _marks(visit: Visit, endpoint: str) -> list[Mark]:
    """What became of the candidates of the loops around an endpoint."""
    known: list[AppliedLoop] = [
        each for each in visit.asked_or([], "loops.list") if each.declaration.endpoint == endpoint
    ]
    return [
        mark
        for each in known
        for mark in performance.marks_of(visit.ask("loops.candidates", name=each.name, limit=1000))
    ]


def _window(reports: Sequence[WindowReport], wanted: str, minimum: int) -> WindowReport | None:
    chosen = next((each for each in reports if each.start.isoformat() == wanted), None)
    enough = (each for each in reversed(reports) if each.rows >= minimum)
    return chosen or next(enough, reports[-1] if reports else None)


def _link(endpoint: str, reports: Sequence[WindowReport], at: int) -> str:
    known = 0 <= at < len(reports)
    return links.path("monitors", endpoint, window=reports[at].start.isoformat()) + "#window" if known else ""


def _drift(window: WindowReport | None) -> Markup:
    """The features by their effect on the output, then by PSI."""
    if window is None or not window.drift:
        return Markup('<p class="empty">No drift was looked for in this window: it has too few rows.</p>')
    moving = [score for score in window.drift if score.impact > 0]
    by_impact = bool(moving)
    rows = [
        Bar(
            score.feature,
            score.impact if by_impact else score.effect,
            f"{score.impact:.4f}" if by_impact else f"PSI {score.effect:.3f}",
            tone="warn" if score.drifted else "",
        )
        for score in (moving or window.drift)[:RANKED]
    ]
    return bars("Effect on the output" if by_impact else "Distance from the reference", rows)


def _attribution(window: WindowReport | None) -> Markup:
    """The largest shares of attribution, with those of the reference as a line."""
    if window is None or not window.attribution:
        return Markup('<p class="empty">No row of this window was attributed.</p>')
    ranked = sorted(window.attribution, key=lambda shift: -max(shift.share, shift.reference_share))[:RANKED]
    rows = [
        Bar(
            shift.feature,
            shift.share,
            f"{100 * shift.share:.1f} %",
            tone="warn" if shift.drifted else "",
            reference=shift.reference_share,
        )
        for shift in ranked
    ]
    return bars("Share of all attribution; the line is the reference's", rows)
