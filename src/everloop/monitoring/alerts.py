"""Alerts: one for each cause, from its first window to its last, gathered into incidents, with notices to be sent."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Select, func, select, update

from everloop.catalog.session import Session
from everloop.monitoring.entities import (
    Alert,
    AlertOpened,
    AlertResolved,
    DriftScore,
    Finding,
    Incident,
    MonitorDefinition,
    Severity,
    WindowReport,
)
from everloop.monitoring.tables import alerts, incidents, notices

_EARLY = ("data_drift", "prediction_drift", "attribution_drift")


def findings(report: WindowReport, definition: MonitorDefinition) -> Iterator[Finding]:
    """What in a report is worth an alert. Drift that hardly moves the output is not, however significant it is."""
    if report.final:
        for worse in report.performance_drift:
            if worse.drifted:
                said = f"{worse.feature} is worse by {worse.effect:.3f} than in the reference."
                yield Finding("performance", worse.feature, "critical", said)
        return
    for one in report.drift:
        if one.drifted and one.impact >= definition.impact:
            yield Finding("data_drift", one.feature, _severity(one, definition), _said(one))
    if report.prediction is not None and report.prediction.drifted:
        yield Finding("prediction_drift", "output", "warning", _said(report.prediction))
    for shift in report.attribution:
        if shift.drifted:
            said = f"{shift.feature} has {shift.share:.0%} of the attribution, {shift.reference_share:.0%} before."
            yield Finding("attribution_drift", shift.feature, "warning", said)


def follow(session: Session, report: WindowReport, definition: MonitorDefinition) -> list[Alert]:
    """Open, carry on and resolve alerts as a report says; the alerts that it opened."""
    judged = ("performance",) if report.final else _EARLY
    known = {(one.monitor, one.cause): one for one in opened(session, report.endpoint)}
    lasting = {("data_drift", one.feature) for one in report.drift if one.drifted}
    fresh = []
    for finding in findings(report, definition):
        alert = known.pop((finding.monitor, finding.cause), None)
        if alert is None:
            fresh.append(_open(session, report, finding))
        else:
            _seen(session, alert, report, summary=finding.summary)
    for alert in known.values():
        if (alert.monitor, alert.cause) in lasting and not report.final:
            # What has drifted stays so on a day that it hardly matters; else the alert would come and go with the days.
            _seen(session, alert, report)
        elif alert.monitor in judged and report.start - alert.last_seen >= definition.quiet * definition.window:
            resolve(session, alert, f"Gone for {definition.quiet} windows.")
    return fresh


def resolve(session: Session, alert: Alert, resolution: str) -> None:
    """Close an alert, and its incident if it was the last one open."""
    values = {"resolved": session.clock.now(), "resolution": resolution}
    session.execute(update(alerts).where(_is(session, alert.id)).values(values))
    subject = session.urn("alert", alert.id)
    session.emit(AlertResolved(subject=subject, alert=alert.id, cause=alert.cause, resolution=resolution))
    _note(session, alert.id, "resolved")
    if not opened(session, alert.endpoint):
        mine = (incidents.c.project == session.project) & (incidents.c.id == alert.incident)
        session.execute(update(incidents).where(mine).values(closed=session.clock.now()))


def opened(session: Session, endpoint: str) -> list[Alert]:
    """The open alerts of an endpoint, oldest first."""
    mine = of(session, endpoint).where(alerts.c.resolved.is_(None))
    return session.all(Alert, mine.order_by(alerts.c.opened, alerts.c.id))


def of(session: Session, endpoint: str) -> Select[Any]:
    """The query for the alerts of an endpoint, or of all."""
    query = select(alerts).where(alerts.c.project == session.project)
    return query.where(alerts.c.endpoint == endpoint) if endpoint else query


def _open(session: Session, report: WindowReport, finding: Finding) -> Alert:
    now = session.clock.now()
    alert = Alert(
        id=session.new_id(),
        incident=_incident(session, report.endpoint, now),
        endpoint=report.endpoint,
        monitor=finding.monitor,
        cause=finding.cause,
        severity=finding.severity,
        summary=finding.summary,
        window=report.start,
        last_seen=report.start,
        opened=now,
    )
    session.insert(alerts, alert)
    session.emit(
        AlertOpened(
            subject=session.urn("alert", alert.id),
            alert=alert.id,
            monitor=alert.monitor,
            cause=alert.cause,
            severity=alert.severity,
            summary=alert.summary,
        )
    )
    _note(session, alert.id, "opened")
    return alert


def _seen(session: Session, alert: Alert, report: WindowReport, **changes: str) -> None:
    values = {"last_seen": max(report.start, alert.last_seen), **changes}
    session.execute(update(alerts).where(_is(session, alert.id)).values(values))


def _incident(session: Session, endpoint: str, now: datetime) -> str:
    """The open incident of an endpoint, or a new one."""
    mine = (incidents.c.project == session.project) & (incidents.c.endpoint == endpoint)
    found = session.first(Incident, select(incidents).where(mine & incidents.c.closed.is_(None)))
    if found is not None:
        return found.id
    incident = Incident(session.new_id(), endpoint, now)
    session.insert(incidents, incident)
    return incident.id


def _note(session: Session, alert: str, change: str) -> None:
    last = session.scalars(select(func.max(notices.c.sequence)).where(notices.c.project == session.project))[0] or 0
    row = {"id": session.new_id(), "sequence": last + 1, "alert": alert, "change": change, "at": session.clock.now()}
    session.insert(notices, row)


def _severity(score: DriftScore, definition: MonitorDefinition) -> Severity:
    return "critical" if score.impact >= 10 * definition.impact else "warning"


def _said(score: DriftScore) -> str:
    moved = f", which moves the output by about {score.impact:.3f}" if score.impact else ""
    return f"{score.feature} has drifted in its {score.statistic} (PSI {score.effect:.2f}){moved}."


def _is(session: Session, alert: str) -> ColumnElement[bool]:
    return (alerts.c.project == session.project) & (alerts.c.id == alert)
