"""What notes are about."""

from __future__ import annotations

from datetime import datetime

import msgspec

from everloop.kernel.events import Event
from everloop.kernel.ids import Name


class CardRevision(msgspec.Struct, frozen=True):
    """A later text of a version's card, by whom and why; revision 1 replaces the text of the registration."""

    model: Name
    version: int
    revision: int
    text: str
    author: str
    reason: str
    at: datetime


class CardRevised(Event, frozen=True, kw_only=True, tag="models.card_revised"):
    """A version's card has another text; `text` is the address of it."""

    version: int
    revision: int
    text: str
    reason: str
