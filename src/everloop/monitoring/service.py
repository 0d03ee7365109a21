"""What one can do with monitors: say what is normal, keep reports, follow alerts, send notices."""

from __future__ import annotations

from typing import Any

import msgspec
from sqlalchemy import ColumnElement, Select, Table, func, select, update

from everloop.catalog.session import Session
from everloop.kernel.errors import Conflict
from everloop.kernel.ids import Name
from everloop.kernel.usecase import usecase
from everloop.monitoring import alerts as lifecycle
from everloop.monitoring import delivery
from everloop.monitoring.entities import (
    Alert,
    DeliveryReport,
    Incident,
    MonitorDefined,
    MonitorDefinition,
    MonitorStatus,
    Reference,
    ReferenceSet,
    WindowReport,
)
from everloop.monitoring.tables import alerts, incidents, monitor_references, monitors, window_reports
from everloop.serving import service as endpoints


class _Kept(msgspec.Struct, frozen=True):
    """A row that keeps a value whole."""

    report: WindowReport | None = None
    reference: Reference | None = None
    definition: MonitorDefinition | None = None


@usecase("monitors.define", permission="monitors:write", route="PUT /monitors/{endpoint}")
def define(session: Session, endpoint: Name, definition: MonitorDefinition) -> MonitorDefinition:
    """Say how an endpoint is watched; without this the defaults hold."""
    endpoints.get(session, endpoint)
    if session.execute(update(monitors).where(_of(monitors, session, endpoint)).values(definition=definition)) == 0:
        session.insert(monitors, {"endpoint": endpoint, "definition": definition})
    session.emit(MonitorDefined(subject=_subject(session, endpoint), definition=definition))
    return definition


@usecase("monitors.definition", permission="monitors:read", route="GET /monitors/{endpoint}")
def definition(session: Session, endpoint: Name) -> MonitorDefinition:
    """How an endpoint is watched."""
    endpoints.get(session, endpoint)
    found = session.first(_Kept, select(monitors).where(_of(monitors, session, endpoint)))
    return found.definition if found and found.definition else MonitorDefinition()


@usecase("monitors.set_reference", permission="monitors:write", route="PUT /monitors/{endpoint}/reference")
def set_reference(session: Session, endpoint: Name, reference: Reference) -> Reference:
    """From now on, compare an endpoint's windows with another reference; the reference as it is kept."""
    endpoints.get(session, endpoint)
    kept = msgspec.structs.replace(reference, since=session.clock.now())
    here = _of(monitor_references, session, endpoint) & (monitor_references.c.since == kept.since)
    if session.execute(update(monitor_references).where(here).values(reference=kept)) == 0:
        session.insert(monitor_references, {"endpoint": endpoint, "since": kept.since, "reference": kept})
    session.emit(ReferenceSet(subject=_subject(session, endpoint), model_version=kept.model_version, rows=kept.rows))
    return kept


@usecase("monitors.references", permission="monitors:read", route="GET /monitors/{endpoint}/references")
def references(session: Session, endpoint: Name) -> list[Reference]:
    """Every reference that an endpoint has had, oldest first; the last one holds."""
    mine = select(monitor_references).where(_of(monitor_references, session, endpoint))
    rows = session.all(_Kept, mine.order_by(monitor_references.c.since))
    return [row.reference for row in rows if row.reference is not None]


@usecase("monitors.observe", permission="monitors:write", route="POST /monitors/{endpoint}/reports")
def observe(session: Session, endpoint: Name, report: WindowReport) -> list[Alert]:
    """Keep a report, and open, carry on or resolve alerts as it says; the alerts that it opened.

    A report that has come before changes nothing. A final one completes the one that came when its window ended.

    Raises:
        Conflict: the report is of another endpoint.
    """
    if report.endpoint != endpoint:
        raise Conflict(f"The report is of endpoint {report.endpoint!r}, not {endpoint!r}.")
    endpoints.get(session, endpoint)
    here = _of(window_reports, session, endpoint) & (window_reports.c.start == report.start)
    before = session.first(_Kept, select(window_reports).where(here))
    if before is not None and before.report is not None:
        if before.report.final or not report.final:
            return []
        session.execute(update(window_reports).where(here).values(final=True, report=report))
    else:
        row = {name: getattr(report, name) for name in ("endpoint", "start", "final", "rows", "impact")}
        session.insert(window_reports, row | {"report": report})
    return lifecycle.follow(session, report, definition(session, endpoint))


@usecase("monitors.reports", permission="monitors:read", route="GET /monitors/{endpoint}/reports")
def reports(session: Session, endpoint: Name, limit: int = 100, final: bool = False) -> list[WindowReport]:
    """The newest reports of an endpoint, newest first; with `final`, only those whose performance is known."""
    endpoints.get(session, endpoint)
    query = _reports(session, endpoint)
    if final:
        query = query.where(window_reports.c.final)
    rows = session.all(_Kept, query.limit(max(0, min(limit, 10_000))))
    return [row.report for row in rows if row.report is not None]


@usecase("monitors.alerts", permission="monitors:read", route="GET /alerts")
def list_alerts(session: Session, endpoint: str = "", open_only: bool = False, limit: int = 100) -> list[Alert]:
    """The newest alerts, of one endpoint or of all, newest first."""
    query = lifecycle.of(session, endpoint).order_by(alerts.c.opened.desc(), alerts.c.id.desc())
    if open_only:
        query = query.where(alerts.c.resolved.is_(None))
    return session.all(Alert, query.limit(max(0, min(limit, 10_000))))


@usecase("monitors.alert", permission="monitors:read", route="GET /alerts/{id}")
def alert(session: Session, id: str) -> Alert:
    """An alert by its id.

    Raises:
        NotFound: there is none.
    """
    return session.one(
        Alert,
        lifecycle.of(session, "").where(alerts.c.id == id),
        f"There is no alert {id!r}.",
        hint="everloop monitors alerts lists what there is.",
    )


@usecase("monitors.resolve", permission="monitors:write", route="POST /alerts/{id}/resolve")
def resolve(session: Session, id: str, resolution: str = "") -> Alert:
    """Close an alert by hand; if its cause goes on, the next window opens another one.

    Raises:
        Conflict: it is resolved already.
    """
    found = alert(session, id)
    if found.resolved is not None:
        raise Conflict(f"Alert {id} was resolved already: {found.resolution}")
    lifecycle.resolve(session, found, resolution or f"By {session.principal}.")
    return alert(session, id)


@usecase("monitors.incidents", permission="monitors:read", route="GET /incidents")
def list_incidents(session: Session, endpoint: str = "", limit: int = 100) -> list[Incident]:
    """The newest incidents, of one endpoint or of all, newest first."""
    same = (alerts.c.project == incidents.c.project) & (alerts.c.incident == incidents.c.id)
    count = select(func.count()).where(same).scalar_subquery().label("alerts")
    query = select(incidents, count).where(incidents.c.project == session.project)
    if endpoint:
        query = query.where(incidents.c.endpoint == endpoint)
    query = query.order_by(incidents.c.opened.desc(), incidents.c.id.desc())
    return session.all(Incident, query.limit(max(0, min(limit, 10_000))))


@usecase("monitors.status", permission="monitors:read", route="GET /monitors/{endpoint}/status")
def status(session: Session, endpoint: Name) -> MonitorStatus:
    """How an endpoint stands."""
    held = references(session, endpoint)
    count = select(func.count()).where(_of(window_reports, session, endpoint))
    return MonitorStatus(
        endpoint=endpoint,
        definition=definition(session, endpoint),
        windows=session.scalars(count)[0],
        reference_since=held[-1].since if held else None,
        report=next(iter(reports(session, endpoint, 1)), None),
        performance=next(iter(reports(session, endpoint, 1, final=True)), None),
        alerts=tuple(lifecycle.opened(session, endpoint)),
    )


@usecase("monitors.deliver", permission="monitors:write", route="POST /notices/deliver", long=True)
def deliver(session: Session) -> DeliveryReport:
    """Send the notices of alerts that are due to every channel; a channel that fails is told in the report."""
    return delivery.deliver(session)


def _reports(session: Session, endpoint: str) -> Select[Any]:
    mine = select(window_reports).where(_of(window_reports, session, endpoint))
    return mine.order_by(window_reports.c.start.desc())


def _of(table: Table, session: Session, endpoint: str) -> ColumnElement[bool]:
    return (table.c.project == session.project) & (table.c.endpoint == endpoint)


def _subject(session: Session, endpoint: str) -> str:
    return session.urn("monitor", endpoint)
