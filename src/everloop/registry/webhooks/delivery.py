"""Delivery, at least once: from where a webhook has come in the ledger, in order, one process at a time.

What was told is noted when the receiver has answered. A process that dies between the two tells it again, under the
same id. A receiver that does not answer holds up its own webhook only, for as long as `pause_after` says.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

import msgspec
from sqlalchemy import ColumnElement, and_, delete, func, or_, select, update

from everloop.catalog import ledger as chain
from everloop.catalog.entities import LedgerEntry
from everloop.catalog.session import Session
from everloop.catalog.tables import chain_head, ledger
from everloop.registry.webhooks import messages
from everloop.registry.webhooks.entities import Delivery, Message, Outcome, Tried
from everloop.registry.webhooks.post import post
from everloop.registry.webhooks.tables import webhook_deliveries, webhooks

ATTEMPTS = 12
"""After so many an event is given up, about an hour after it was first tried."""
KEPT = 500
"""So many attempts of a webhook stay in its log."""
_CLAIM = timedelta(seconds=60)
_AT_ONCE = 100
_STRETCH = 10_000


class Hook(msgspec.Struct, frozen=True):
    """A webhook as its deliverer needs it; the secret is sealed."""

    project: str
    id: str
    url: str
    events: tuple[str, ...]
    secret: str
    told: int
    attempts: int


def pause_after(attempts: int) -> timedelta:
    """How long a receiver is left alone after so many attempts in vain: 1 s, 2 s, 4 s, … up to ten minutes."""
    return timedelta(seconds=min(2 ** (attempts - 1), 600))


def head(session: Session) -> int:
    """The number of the newest entry in the ledger."""
    found = session.scalars(select(chain_head.c.sequence).where(chain_head.c.id == 1))
    return int(found[0]) if found else 0


def deliver(session: Session) -> int:
    """Tell the webhooks of every project what has happened since they were told last; how many messages arrived."""
    with session.begin(write=False) as unit:
        newest, now = head(unit), unit.clock.now()
        ready = and_(webhooks.c.active, webhooks.c.told < newest, _free(now))
        hooks = unit.all(Hook, select(webhooks).where(ready, or_(webhooks.c.due.is_(None), webhooks.c.due <= now)))
    return sum(_serve(replace(session, project=hook.project), hook, newest) for hook in hooks)


def _serve(session: Session, hook: Hook, newest: int) -> int:
    """Take a webhook as far as it can go now."""
    entries = _after(session, hook)
    if not (entries or newest - hook.told > _STRETCH) or not _claim(session, hook):
        return 0
    sent = 0
    try:
        if not entries:  # What it has read in vain is not read again.
            _note(session, msgspec.structs.replace(hook, told=newest))
        while entries:
            for entry in entries:
                arrived = _tell(session, hook, entry)
                if arrived is None:
                    return sent
                sent += arrived
                hook = msgspec.structs.replace(hook, told=entry.sequence, attempts=0)
            _note(session, hook)
            entries = _after(session, hook)
    finally:
        _release(session, hook)
    return sent


def _tell(session: Session, hook: Hook, entry: LedgerEntry) -> int | None:
    """Tell an entry; how many messages it made, or None where it must be tried again later."""
    with session.begin(write=False) as unit:
        told = messages.of_entry(unit, entry, hook.id, hook.events)
    for message in told:
        attempt = hook.attempts + 1
        tried = post(session, hook.id, hook.url, message, hook.secret)
        outcome: Outcome = "sent" if tried.success else "given_up" if attempt >= ATTEMPTS else "failed"
        with session.begin() as unit:
            record(unit, hook.id, message, tried, outcome, attempt)
            if outcome == "failed":
                due = unit.clock.now() + pause_after(attempt)
                unit.execute(update(webhooks).where(_is(hook)).values(attempts=attempt, due=due))
                return None
            moved = {"told": entry.sequence, "attempts": 0, "due": None} if message is told[-1] else {}
            unit.execute(update(webhooks).where(_is(hook)).values(moved | {"claimed": unit.clock.now() + _CLAIM}))
    return len(told)


def record(unit: Session, webhook: str, message: Message, tried: Tried, outcome: Outcome, attempt: int) -> None:
    """Note an attempt in the log of a webhook, which forgets the oldest."""
    log = webhook_deliveries
    mine = and_(log.c.project == unit.project, log.c.webhook == webhook)
    number = int(unit.scalars(select(func.coalesce(func.max(log.c.number), 0)).where(mine))[0]) + 1
    unit.execute(delete(log).where(mine, log.c.number <= number - KEPT))
    problem = tried.problem or ("" if tried.success else tried.body)
    now = unit.clock.now()
    unit.insert(log, Delivery(webhook, number, message.id, message.event, outcome, attempt, tried.status, problem, now))


def _after(session: Session, hook: Hook) -> Sequence[LedgerEntry]:
    """The next entries of the webhook's project that a webhook could want."""
    with session.begin(write=False) as unit:
        mine = and_(ledger.c.project == hook.project, ledger.c.sequence > hook.told)
        models = and_(ledger.c.kind >= "models.", ledger.c.kind < "models/")
        query = select(ledger).where(mine, models).order_by(ledger.c.sequence).limit(_AT_ONCE)
        return [chain.read(row) for row in unit.connection.execute(query)]


def _claim(session: Session, hook: Hook) -> bool:
    """Take a webhook for this process, unless another has it, has changed it or has told more meanwhile."""
    with session.begin() as unit:
        now = unit.clock.now()
        same = and_(_is(hook), webhooks.c.active, webhooks.c.told == hook.told, _free(now))
        return unit.execute(update(webhooks).where(same).values(claimed=now + _CLAIM)) == 1


def _note(session: Session, hook: Hook) -> None:
    """Note how far a webhook has come, and that this process still has it."""
    with session.begin() as unit:
        until = unit.clock.now() + _CLAIM
        unit.execute(update(webhooks).where(_is(hook)).values(told=hook.told, claimed=until))


def _release(session: Session, hook: Hook) -> None:
    with session.begin() as unit:
        unit.execute(update(webhooks).where(_is(hook)).values(claimed=None))


def _free(now: datetime) -> ColumnElement[bool]:
    return or_(webhooks.c.claimed.is_(None), webhooks.c.claimed < now)


def _is(hook: Hook) -> ColumnElement[bool]:
    return and_(webhooks.c.project == hook.project, webhooks.c.id == hook.id)
