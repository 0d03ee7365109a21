"""The later texts of model cards, read."""

from __future__ import annotations

from sqlalchemy import select

from everloop.catalog.session import Session
from everloop.registry import rows
from everloop.registry.notes.entities import CardRevision
from everloop.registry.notes.tables import cards


def known(session: Session, model: str, version: int) -> list[CardRevision]:
    """The revisions of a version's card, newest first."""
    query = select(cards).where(rows.of(session, cards, model, version))
    return session.all(CardRevision, query.order_by(cards.c.revision.desc()))
