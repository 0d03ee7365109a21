"""Delivery: notices go to every channel after the transaction that made them, until they arrive or grow old."""

from __future__ import annotations

from datetime import timedelta

from sqlalchemy import select, update

from everloop.catalog.session import Session
from everloop.kernel.errors import EverloopError
from everloop.monitoring.channel import Channel
from everloop.monitoring.entities import Alert, DeliveryReport, Notice
from everloop.monitoring.tables import alerts, deliveries, notices

ATTEMPTS = 5
"""A notice is tried so many times on a channel, in as many deliveries."""
FRESH = timedelta(days=1)
"""Older notices are not sent any more: news from yesterday would drown today's."""


def deliver(session: Session) -> DeliveryReport:
    """Send what is due. A channel that fails is left alone until the next delivery, and holds up no other."""
    sent = failed = waiting = 0
    problems = []
    for channel in session.ports.names(Channel):
        due = _due(session, channel)
        for number, (notice, attempts) in enumerate(due):
            problem = _send(session, channel, notice)
            _record(session, channel, notice, attempts + 1, problem)
            if problem:
                failed, waiting = failed + 1, waiting + len(due) - number - 1
                problems.append(problem)
                break
            sent += 1
    return DeliveryReport(sent, failed, waiting, tuple(problems))


def _due(session: Session, channel: str) -> list[tuple[Notice, int]]:
    """The notices that a channel has not been given yet, oldest first, and how often that was tried."""
    with session.begin(write=False) as unit:
        fresh = (notices.c.project == unit.project) & (notices.c.at >= unit.clock.now() - FRESH)
        tried = {
            row.notice: row
            for row in unit.connection.execute(
                select(deliveries).where((deliveries.c.project == unit.project) & (deliveries.c.channel == channel))
            )
        }
        found = []
        for row in unit.connection.execute(select(notices).where(fresh).order_by(notices.c.sequence)).all():
            before = tried.get(row.id)
            if before is not None and (before.sent or before.attempts >= ATTEMPTS):
                continue
            mine = (alerts.c.project == unit.project) & (alerts.c.id == row.alert)
            alert = unit.one(Alert, select(alerts).where(mine), f"There is no alert {row.alert!r}.")
            found.append((Notice(row.id, unit.project, row.change, alert), before.attempts if before else 0))
        return found


def _send(session: Session, channel: str, notice: Notice) -> str:
    """What went wrong, if anything. A channel's trouble is a fact to keep, not a reason to stop."""
    try:
        session.ports.get(Channel, channel).send(notice)
    except EverloopError as error:
        return str(error)
    return ""


def _record(session: Session, channel: str, notice: Notice, attempts: int, problem: str) -> None:
    values = {"attempts": attempts, "sent": not problem, "problem": problem}
    mine = (deliveries.c.notice == notice.id) & (deliveries.c.channel == channel)
    with session.begin() as unit:
        here = mine & (deliveries.c.project == unit.project)
        if unit.execute(update(deliveries).where(here).values(values)) == 0:
            unit.insert(deliveries, {"notice": notice.id, "channel": channel, **values})
