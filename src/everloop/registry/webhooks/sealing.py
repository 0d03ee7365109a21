"""Secrets of webhooks lie in the catalog sealed, with a key that is not in it."""

from __future__ import annotations

from everloop.catalog.keyring import KeyRing
from everloop.catalog.session import Session


def sealed(session: Session, webhook: str, secret: str) -> str:
    """A secret as it is kept; one that was moved to another webhook's row cannot be opened there.

    Raises:
        Misconfigured: what seals is not installed, or its key cannot be read.
    """
    return session.ports.get(KeyRing).seal(secret, _about(session, webhook)) if secret else ""


def opened(session: Session, webhook: str, kept: str) -> str:
    """The secret that was sealed, "" for none.

    Raises:
        Misconfigured: the key is gone.
        InvalidInput: what is kept was changed, or comes from another webhook.
    """
    return session.ports.get(KeyRing).open(kept, _about(session, webhook)) if kept else ""


def _about(session: Session, webhook: str) -> str:
    return session.urn("webhook", webhook)
