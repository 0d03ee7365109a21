"""Legal holds: what must not be deleted for good, whoever asks, until it is released."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

import msgspec
from sqlalchemy import delete, select

from everloop.catalog.session import Session
from everloop.catalog.tables import holds
from everloop.kernel.errors import Refused

_AT_ONCE = 5_000


class Hold(msgspec.Struct, frozen=True):
    """Something that must stay: its URN, why, who said so and when."""

    urn: str
    reason: str
    principal: str
    at: datetime


def every(session: Session) -> list[Hold]:
    """The holds of the project, by URN."""
    return session.all(Hold, select(holds).where(holds.c.project == session.project).order_by(holds.c.urn))


def among(session: Session, urns: Iterable[str]) -> dict[str, Hold]:
    """The holds that are on some URNs themselves, by URN."""
    names, found = sorted(set(urns)), dict[str, Hold]()
    for start in range(0, len(names), _AT_ONCE):
        page = holds.c.project == session.project, holds.c.urn.in_(names[start : start + _AT_ONCE])
        found |= {hold.urn: hold for hold in session.all(Hold, select(holds).where(*page))}
    return found


def check(session: Session, urns: Sequence[str]) -> None:
    """Let through what none of these URNs (a thing, and what it belongs to) is held for.

    Raises:
        Refused: one is held.
    """
    for hold in among(session, urns).values():
        raise Refused(
            f"{hold.urn} is under a legal hold: {hold.reason} (by {hold.principal}, {hold.at:%Y-%m-%d}).",
            hint="everloop governance release ends a hold.",
        )


def put(session: Session, hold: Hold) -> None:
    """Hold something, or give its hold another reason."""
    drop(session, hold.urn)
    session.insert(holds, hold)


def drop(session: Session, urn: str) -> int:
    """End a hold; how many there were."""
    return session.execute(delete(holds).where(holds.c.project == session.project, holds.c.urn == urn))
